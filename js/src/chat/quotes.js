// What replies show of the messages that they answer: always as these are now. No DOM.

/** @import { Message, Person, Quote } from "./protocol.js" */

// Characters of a message that are shown at most, as the server tells them.
const EXCERPT = 200;

/**
 * Returns what a reply shows of a message.
 *
 * @param {Message} message
 * @returns {Quote}
 */
export function quoteOf({ number, version, author, text, edited, deleted, removed_by }) {
  const excerpt = [...text.slice(0, 2 * EXCERPT)].slice(0, EXCERPT).join("");
  return { number, version, author, text: excerpt, edited: edited !== null, deleted, removed_by };
}

export class Quotes {
  /**
   * By the number of the message that is answered, which may not be loaded.
   *
   * @type {Map<number, Quote>}
   */
  #quotes = new Map();

  /** @param {number} number */
  get(number) {
    return this.#quotes.get(number) ?? null;
  }

  /**
   * Takes what is told of a message that is answered; returns whether that is news.
   *
   * @param {Quote} quote
   */
  tell(quote) {
    const known = this.#quotes.get(quote.number);
    if (known && known.version >= quote.version) return false;
    this.#quotes.set(quote.number, quote);
    return true;
  }

  /**
   * Takes a message, which may be one that is answered; returns whether replies to it show another text.
   *
   * @param {Message} message
   */
  message(message) {
    return this.#quotes.has(message.number) && this.tell(quoteOf(message));
  }

  /**
   * Calls somebody by another name.
   *
   * @param {Person} person
   */
  rename(person) {
    for (const [number, quote] of this.#quotes) {
      const author = quote.author.id === person.id ? person : quote.author;
      const remover = quote.removed_by?.id === person.id ? person : quote.removed_by;
      this.#quotes.set(number, { ...quote, author, removed_by: remover });
    }
  }

  /**
   * Forgets what none of these messages answers.
   *
   * @param {Iterable<Message>} messages
   */
  keep(messages) {
    const answered = new Set(Array.from(messages, ({ quote }) => quote?.number));
    for (const number of this.#quotes.keys()) if (!answered.has(number)) this.#quotes.delete(number);
  }
}
