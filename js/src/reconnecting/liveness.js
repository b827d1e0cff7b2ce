import { Timers } from "./timers.js";

// In ms, without pings. No server of SockJS is silent that long: heartbeats come at least every
// 35 s, and on WebSockets every second one is visible to a page.
const SILENCE = 90_000;
// How long an answer may take when the browser says that something has changed.
const QUICK = 4_000;

/** Watches one open connection: is there still somebody at the other end? */
export class Liveness {
  #ping;
  #send;
  #onDead;
  #onRoundTrip;
  #timers = new Timers();
  #lastSign = performance.now();
  // When the pings were sent that have no answer yet.
  #sentAt = [];
  #works = false;

  /**
   * @param {?import("./index.js").Ping} ping
   * @param {(text: string) => boolean} send
   * @param {() => void} onDead
   * @param {(ms: number) => void} onRoundTrip
   */
  constructor(ping, send, onDead, onRoundTrip) {
    this.#ping = ping && { interval: 10_000, timeout: 8_000, ...ping };
    this.#send = send;
    this.#onDead = onDead;
    this.#onRoundTrip = onRoundTrip;
  }

  /** Both directions have been seen to work; without pings, one of them. */
  get works() {
    return this.#works;
  }

  start() {
    if (this.#ping) this.#ask(this.#ping.timeout);
    else this.#awaitSign();
  }

  stop() {
    this.#timers.stop();
  }

  /** A message or a heartbeat came. */
  sign() {
    this.#lastSign = performance.now();
    // Where pings are answered, only an answer shows that the other direction works too.
    if (!this.#ping) this.#works = true;
  }

  /** Tells whether a text is the answer to a ping, and takes it. */
  takes(text) {
    if (!this.#ping?.isPong(text)) return false;
    // Answers come in order.
    const sentAt = this.#sentAt.shift();
    if (sentAt === undefined) return true;
    this.#works = true;
    if (!this.#sentAt.length) {
      this.#timers.stop("answer");
      this.#timers.after("ping", this.#ping.interval, () => this.#ask(this.#ping.timeout));
    }
    this.#onRoundTrip(performance.now() - sentAt);
    return true;
  }

  /** Asks at once, with little patience. */
  check() {
    if (this.#ping) this.#ask(Math.min(QUICK, this.#ping.timeout));
  }

  #ask(limit) {
    this.#timers.stop("ping");
    this.#sentAt.push(performance.now());
    this.#timers.after("answer", limit, () => this.#unanswered());
    this.#send(this.#ping.message());
  }

  #unanswered() {
    const { timeout } = this.#ping;
    // A large message on a slow line holds up the answer; heartbeats alone show one direction only.
    const held = this.#works && this.#lastSign > this.#sentAt.at(-1);
    if (held && performance.now() - this.#sentAt[0] < 2 * timeout) {
      this.#timers.after("answer", timeout, () => this.#unanswered());
    } else {
      this.#onDead();
    }
  }

  #awaitSign() {
    const left = this.#lastSign + SILENCE - performance.now();
    if (left > 0) this.#timers.after("answer", left, () => this.#awaitSign());
    else this.#onDead();
  }
}
