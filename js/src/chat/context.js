// The messages around one that is not among those that are loaded: where a link or a hit of the search
// leads. It grows in both directions, and becomes a part of what is loaded where the two meet.

import { Timeline } from "./timeline.js";

/** @import { AroundPage, Message, Refusal, Request, Side } from "./protocol.js" */

// Milliseconds until a refused question is asked again, where the server names no time.
const AGAIN = 2000;

export class Context {
  #store;
  #ask;
  #changed;
  #later;
  #place;
  /** @type {number | null} */
  #room = null;
  /** @type {Timeline | null} */
  #timeline = null;
  #hasLater = false;
  // Changes of messages that are not here yet, which may have been read before they happened.
  /** @type {Map<number, Message>} */
  #changes = new Map();
  /** @type {{ number: number, side: Side } | null} */
  #asked = null;
  /** @type {number | null} */
  #wanted = null;

  /**
   * The number of the message that is to be shown next, and whether it is there.
   *
   * @type {{ number: number, message: Message | null } | null}
   */
  target = null;

  /**
   * @param {object} options
   * @param {import("./store.js").Store} options.store
   * @param {(request: Request) => void} options.ask sends a request.
   * @param {() => void} options.changed
   * @param {() => number | null} [options.place] the number of the message that the reader sees.
   * @param {(act: () => void, ms: number) => void} [options.later] a timer.
   */
  constructor({ store, ask, changed, place = () => null, later = (act, ms) => setTimeout(act, ms) }) {
    this.#store = store;
    this.#ask = ask;
    this.#changed = changed;
    this.#place = place;
    this.#later = later;
  }

  /** The messages that are shown in place of the newest ones of the current room, or null. */
  get timeline() {
    return this.#room === this.#store.current ? this.#timeline : null;
  }

  /** Whether a message is on its way that the reader wants to see. */
  get isWaiting() {
    return this.#wanted !== null;
  }

  /** Whether earlier messages are on their way. */
  get isGrowing() {
    return this.#asked?.side === "before";
  }

  /**
   * Goes to a message of the current room.
   *
   * @param {number} number
   */
  jump(number) {
    if (this.#room !== this.#store.current) this.#clear();
    this.#room = this.#store.current;
    this.#wanted = number;
    this.#asked = null;
    this.advance();
  }

  /** Goes back to the newest messages. */
  leave() {
    const was = this.#room !== null;
    this.#clear();
    this.#room = null;
    if (was) this.#changed();
  }

  /** Asks for the messages before those that are here. */
  older() {
    const oldest = this.timeline?.more ? this.timeline.oldest : null;
    if (oldest) this.#question(oldest.number, "before");
  }

  /** Asks for the messages after those that are here. */
  newer() {
    const newest = this.#hasLater ? this.timeline?.newest : null;
    if (newest) this.#question(newest.number, "after");
  }

  /** Takes what was read anew: something may have changed that this page did not hear of. */
  reload() {
    const number = this.#wanted ?? (this.timeline ? this.#place() ?? this.timeline.newest?.number : null);
    this.#asked = null;
    if (number !== null && number !== undefined) this.#question(number, "both");
  }

  // ---- events of the server ----------------------------------------------------------------

  /** More is known of the rooms: goes to the message that is wanted, or asks for it. */
  advance() {
    const number = this.#wanted;
    const room = this.#store.room;
    if (number === null || !this.#store.ready || !room || room.id !== this.#room) return;
    const loaded = room.timeline.loaded ? room.timeline.get(number) : null;
    if (loaded) this.#timeline = null;
    const message = loaded ?? this.#timeline?.get(number);
    if (message) this.#found(number, message);
    else this.#question(number, "both");
  }

  /** @param {AroundPage} page */
  around({ room, number, side, version, messages, earlier, later }) {
    const asked = this.#asked;
    if (room !== this.#room || number !== asked?.number || side !== asked.side) return;
    this.#asked = null;
    const before = side === "both" ? null : this.#timeline?.oldest?.number ?? null;
    if (side === "both") this.#timeline = new Timeline();
    const timeline = this.#timeline;
    if (!timeline) return;
    if (side === "after") timeline.since({ from: 0, version, messages });
    else timeline.history({ before, version, messages, more: earlier ?? false });
    if (side !== "before") this.#hasLater = later ?? false;
    this.#catchUp(timeline);
    this.#meet();
    if (this.#wanted === number) this.#found(number, this.#known(number));
    this.#changed();
  }

  /** @param {Message} message */
  message(message) {
    if (message.room !== this.#room || message.version === message.number) return;
    this.#changes.set(message.number, message);
    if (this.#timeline) this.#catchUp(this.#timeline);
  }

  /** The session is over: what was asked is not answered any more. */
  lost() {
    this.#asked = null;
  }

  /** @param {Refusal} refusal */
  error({ room, key, retry_after: after }) {
    const asked = this.#asked;
    if (!asked || room !== this.#room || key !== undefined) return;
    if (after === undefined) {
      this.leave();
      return;
    }
    this.#later(() => {
      if (this.#asked === asked && this.#store.ready) this.#send(asked);
    }, after * 1000 || AGAIN);
  }

  // ---- what is known -----------------------------------------------------------------------

  #clear() {
    this.#timeline = this.#asked = this.#wanted = this.target = null;
    this.#hasLater = false;
    this.#changes.clear();
  }

  /**
   * @param {number} number
   * @param {Message | null} message
   */
  #found(number, message) {
    this.#wanted = null;
    this.target = { number, message };
    // What is around a message that is not there is nothing that was asked for.
    if (!message) this.#timeline = null;
    this.#changed();
  }

  /** @param {number} number */
  #known(number) {
    return this.#timeline?.get(number) ?? this.#store.room?.timeline.get(number) ?? null;
  }

  /** @param {Timeline} timeline */
  #catchUp(timeline) {
    const newest = timeline.newest?.number ?? -1;
    for (const [number, message] of this.#changes) {
      if (number > newest) continue;
      timeline.live(message);
      this.#changes.delete(number);
    }
  }

  /** Where it reaches the messages that are loaded, they are one. */
  #meet() {
    const mine = this.#timeline;
    const loaded = this.#store.room?.timeline;
    if (!mine?.newest || !loaded?.oldest || !loaded.loaded) return;
    if (mine.newest.number < loaded.oldest.number) {
      this.#hasLater = true;
      return;
    }
    const before = loaded.oldest.number;
    const messages = mine.messages.filter(({ number }) => number < before);
    if (messages.length) loaded.history({ before, version: 0, messages, more: mine.more });
    this.#timeline = null;
    this.#changes.clear();
  }

  /**
   * @param {number} number
   * @param {Side} side
   */
  #question(number, side) {
    if (this.#asked || !this.#store.ready) return;
    this.#asked = { number, side };
    this.#send(this.#asked);
  }

  /** @param {{ number: number, side: Side }} question */
  #send({ number, side }) {
    this.#ask({ type: "around", room: this.#room ?? 0, number, side });
  }
}
