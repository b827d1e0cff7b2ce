import { Timers } from "./timers.js";

// In ms, without pings. No server of SockJS is silent that long: heartbeats come at least every
// 35 s, and on WebSockets every second one is visible to a page.
const SILENCE = 90_000;
// The same, in ms, after something was posted that the server is to confirm.
const CONFIRMATION = 9_000;
// How long an answer may take when the browser says that something has changed.
const QUICK = 4_000;
// So many characters may hold up the answer that comes behind them.
const MUCH = 16_384;

/** @typedef {Required<import("./options.js").Ping>} CompletePing */

/** Watches one open connection: is there still somebody at the other end? */
export class Liveness {
  /** @type {CompletePing | null} */
  #ping;
  #send;
  #onDead;
  #onRoundTrip;
  #timers = new Timers();
  #lastSign = performance.now();
  // When something was posted that no sign has followed.
  #postedAt = Infinity;
  // When the pings were sent that have no answer yet.
  /** @type {number[]} */
  #sentAt = [];
  // Characters of messages since the last ping.
  #heard = 0;
  #answered = false;
  #works = false;

  /**
   * @param {?import("./options.js").Ping} ping
   * @param {(text: string) => boolean} send
   * @param {() => void} onDead
   * @param {(ms: number) => void} onRoundTrip
   */
  constructor(ping, send, onDead, onRoundTrip) {
    this.#ping = ping && { interval: 2_500, timeout: 6_500, ...ping };
    this.#send = send;
    this.#onDead = onDead;
    this.#onRoundTrip = onRoundTrip;
  }

  /** Both directions have been seen to work: by the answer to a ping, or to what was posted. */
  get answered() {
    return this.#answered;
  }

  /** As `answered`; without pings, one direction is enough. */
  get works() {
    return this.#works;
  }

  start() {
    if (this.#ping) this.#ask(this.#ping);
    else this.#awaitSign();
  }

  stop() {
    this.#timers.stop();
  }

  /**
   * A message or a heartbeat came.
   * @param {number} [size=0] characters of the message.
   */
  sign(size = 0) {
    this.#lastSign = performance.now();
    this.#postedAt = Infinity;
    this.#heard += size;
    // Where pings are answered, only an answer shows that the other direction works too.
    if (!this.#ping) this.#works = true;
  }

  /** Something was sent that is to be answered: without pings, it stands in for one. */
  posted() {
    if (this.#ping || this.#postedAt !== Infinity) return;
    this.#postedAt = performance.now();
    this.#awaitSign();
  }

  /** The application answered what was sent over this connection. */
  answer() {
    this.sign();
    this.#answered = this.#works = true;
  }

  /**
   * Tells whether a text is the answer to a ping, and takes it.
   *
   * @param {string} text
   */
  takes(text) {
    const ping = this.#ping;
    if (!ping?.isPong(text)) return false;
    // Answers come in order.
    const sentAt = this.#sentAt.shift();
    if (sentAt === undefined) return true;
    this.answer();
    if (!this.#sentAt.length) {
      this.#timers.stop("answer");
      this.#timers.after("ping", ping.interval, () => this.#ask(ping));
    }
    this.#onRoundTrip(performance.now() - sentAt);
    return true;
  }

  /** Asks at once, with little patience. */
  check() {
    if (this.#ping) this.#ask(this.#ping, QUICK);
  }

  /**
   * @param {CompletePing} ping
   * @param {number} [most] ms that the answer may take.
   */
  #ask(ping, most = Infinity) {
    this.#timers.stop("ping");
    this.#sentAt.push(performance.now());
    this.#heard = 0;
    this.#timers.after("answer", Math.min(most, ping.timeout), () => this.#unanswered(ping));
    this.#send(ping.message());
  }

  /** @param {CompletePing} ping */
  #unanswered(ping) {
    const { timeout } = ping;
    // What comes on a slow line holds up the answer; little of it shows one direction only.
    const held = this.#works && this.#heard >= MUCH;
    if (held && performance.now() - this.#sentAt[0] < 2 * timeout) {
      this.#timers.after("answer", timeout, () => this.#unanswered(ping));
    } else {
      this.#onDead();
    }
  }

  #awaitSign() {
    const due = Math.min(this.#lastSign + SILENCE, this.#postedAt + CONFIRMATION);
    const left = due - performance.now();
    if (left > 0) this.#timers.after("answer", left, () => this.#awaitSign());
    else this.#onDead();
  }
}
