// What is known of one room's messages. Every change of a room raises its version by one, so the
// page knows what it misses: it is complete up to `version`, and `ahead` of that are the versions
// that came while others were still missing.

import { quoteOf, Quotes } from "./quotes.js";
import { renamed } from "./reactions.js";

/** @import { HistoryPage, Message, Person, Quote, SincePage } from "./protocol.js" */

export class Timeline {
  /** @type {Map<number, Message>} */
  #messages = new Map();
  /** @type {Set<number>} */
  #ahead = new Set();
  /** @type {Message[] | null} */
  #sorted = null;
  // Changes of messages that come as history, which may have been read before they happened.
  /** @type {Map<number, Message>} */
  #old = new Map();
  #quotes = new Quotes();

  /**
   * Complete up to this version; null: nothing was loaded yet.
   *
   * @type {number | null}
   */
  version = null;

  /** Whether the server has messages older than the oldest one here. */
  more = true;

  get loaded() {
    return this.version !== null;
  }

  /** Whether a version is missing between what is complete and what came since. */
  get gap() {
    return this.loaded && this.#ahead.size > 0;
  }

  get size() {
    return this.#messages.size;
  }

  /** The messages by number, which is their order for everybody. */
  get messages() {
    this.#sorted ??= [...this.#messages.values()].sort((a, b) => a.number - b.number);
    return this.#sorted;
  }

  get oldest() {
    return this.messages[0] ?? null;
  }

  get newest() {
    return this.messages.at(-1) ?? null;
  }

  /** @param {number} number */
  get(number) {
    return this.#messages.get(number) ?? null;
  }

  /**
   * What is known of a message that is answered, or is about to be; null: nothing.
   *
   * @param {number} number
   * @returns {Quote | null}
   */
  quote(number) {
    const message = this.get(number);
    return this.#quotes.get(number) ?? (message && quoteOf(message));
  }

  /**
   * Whether a message with this number would not be older than all that is here.
   *
   * @param {number} number
   */
  reaches(number) {
    return this.oldest !== null && this.oldest.number <= number;
  }

  /**
   * Takes a message that the server told on its own; returns whether that changed anything.
   *
   * @param {Message} message
   */
  live(message) {
    const changed = this.#take(message);
    for (const version of [message.version, ...message.covers ?? []]) {
      if (version > (this.version ?? -1)) this.#ahead.add(version);
    }
    this.#advance();
    return changed;
  }

  /**
   * Takes a page of history: the newest one (`before` is null) or an older one.
   *
   * @param {Omit<HistoryPage, "type" | "room">} page
   */
  history({ before, version, messages, more }) {
    // The answer to a question from before everything, or what is next to it, was forgotten.
    if (before !== null && !(this.oldest && this.loaded && before >= this.oldest.number)) return;
    if (!this.loaded) {
      this.version = version;
      // Changes of old messages came first: between them and this page some are unknown.
      if (more) this.#forget((message) => message.number < messages[0].number);
    }
    for (const message of messages) {
      this.#requote(message);
      this.#upsert(message);
      const changed = this.#old.get(message.number);
      if (changed) this.#upsert(changed);
    }
    for (const { number, version: changed } of this.#old.values()) {
      if (changed <= version) this.#old.delete(number);
    }
    const reached = messages.length ? messages[0].number : before;
    // An answer that another one overtook says nothing about what is older than all.
    if (reached === null || !this.oldest || reached <= this.oldest.number) this.more = more;
    this.#advance();
  }

  /**
   * Takes what changed after a version.
   *
   * @param {Pick<SincePage, "from" | "version" | "messages">} page
   */
  since({ from, version, messages }) {
    if (this.version === null || from > this.version) return;
    for (const message of messages) this.#take(message);
    this.version = Math.max(this.version, version);
    this.#advance();
  }

  /**
   * Calls somebody by another name: an author, who removed what they said, who is meant, or who reacted.
   *
   * @param {Person} person
   */
  rename(person) {
    for (const messages of [this.#messages, this.#old]) {
      for (const [number, message] of messages) {
        const author = message.author.id === person.id ? person : message.author;
        const remover = message.removed_by?.id === person.id ? person : message.removed_by;
        const reactions = renamed(message.reactions, person);
        const mentions = message.mentions?.map((mention) => (
          mention.user.id === person.id ? { ...mention, user: person } : mention
        ));
        const meant = mentions?.some((mention, index) => mention !== message.mentions?.[index]);
        if (
          author !== message.author || remover !== message.removed_by || reactions !== message.reactions || meant
        ) {
          messages.set(number, {
            ...message, author, removed_by: remover, reactions, ...(mentions && { mentions }),
          });
        }
      }
    }
    this.#quotes.rename(person);
    this.#sorted = null;
  }

  /** Forgets everything. */
  clear() {
    this.#messages.clear();
    this.#quotes = new Quotes();
    this.#ahead.clear();
    this.#old.clear();
    this.#sorted = null;
    this.version = null;
    this.more = true;
  }

  /**
   * Forgets all but the newest messages; they can be loaded again as history.
   *
   * @param {number} keep how many.
   */
  trim(keep) {
    if (this.size <= keep) return;
    const oldest = this.messages[this.size - keep].number;
    this.#forget((message) => message.number < oldest);
    this.more = true;
  }

  /** @param {(message: Message) => boolean} condition */
  #forget(condition) {
    for (const message of this.messages) if (condition(message)) this.#messages.delete(message.number);
    this.#quotes.keep(this.#messages.values());
    this.#sorted = null;
  }

  /** @param {Message} message */
  #take(message) {
    const requoted = this.#requote(message);
    if (!this.#beyond(message)) return this.#upsert(message) || requoted;
    this.#old.set(message.number, message);
    return requoted;
  }

  /**
   * Knows what a message answers, and what replies to it show; returns whether that is news.
   *
   * @param {Message} message
   */
  #requote(message) {
    const { quote } = message;
    let changed = this.#quotes.message(message);
    if (!quote) return changed;
    changed = this.#quotes.tell(quote) || changed;
    // It may have been told before a change that is known here.
    for (const known of [this.#messages.get(quote.number), this.#old.get(quote.number)]) {
      if (known) changed = this.#quotes.message(known) || changed;
    }
    return changed;
  }

  /**
   * Older than all that is here, with unknown ones between: it comes as history, when asked for.
   *
   * @param {Message} message
   */
  #beyond(message) {
    return this.loaded && this.more && this.oldest !== null
      && message.number < this.oldest.number;
  }

  /** @param {Message} message */
  #upsert(message) {
    const known = this.#messages.get(message.number);
    if (known && known.version >= message.version) return false;
    this.#messages.set(message.number, message);
    // What is new comes at the end.
    if (!known && this.#sorted && message.number > (this.#sorted.at(-1)?.number ?? -1)) this.#sorted.push(message);
    else this.#sorted = null;
    return true;
  }

  #advance() {
    if (this.version === null) return;
    while (this.#ahead.delete(this.version + 1)) this.version += 1;
    for (const version of this.#ahead) if (version <= this.version) this.#ahead.delete(version);
  }
}
