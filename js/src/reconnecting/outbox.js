import { Timers } from "./timers.js";

// How long a confirmation may take, in ms, before the text is sent again over the same connection;
// twice as long each time, as a server that is slow is not helped by doubles.
const CONFIRMATION = 5_000;
const MOST_CONFIRMATION = 40_000;

/**
 * Texts that wait for their confirmation, in order. One is on its way at a time: with several, the
 * ones behind a lost or deferred one would overtake it.
 */
export class Outbox {
  /** @type {?Storage} */
  #storage = null;
  #key;
  #send;
  /** @type {{ id: string, text: string }[]} */
  #entries = [];
  #timers = new Timers();
  // The id of the one on its way over this connection.
  /** @type {?string} */
  #sent = null;
  #wait = CONFIRMATION;
  #paused = false;

  /**
   * @param {?Storage | (() => ?Storage)} storage
   * @param {string} key
   * @param {(text: string) => boolean} send over the open connection; false: there is none.
   */
  constructor(storage, key, send) {
    this.#key = key;
    this.#send = send;
    try {
      this.#storage = typeof storage === "function" ? storage() : storage;
      /** @type {{ id: string, text: string }[]} */
      const stored = JSON.parse(this.#storage?.getItem(key) ?? "[]");
      this.#entries = stored
        .filter((entry) => entry?.id !== undefined && typeof entry?.text === "string")
        .map(({ id, text }) => ({ id, text }));
    } catch {
      // Forbidden, or not ours: then there is nothing to send.
    }
  }

  get entries() {
    return this.#entries.map((entry) => ({ ...entry }));
  }

  /**
   * @param {string} id
   * @param {string} text
   */
  post(id, text) {
    if (this.#entries.some((entry) => entry.id === id)) return;
    this.#entries.push({ id, text });
    this.#save();
    this.flush();
  }

  /**
   * Whether this one was sent over this connection, and has no answer yet.
   *
   * @param {string} id
   */
  isOnItsWay(id) {
    return this.#sent !== null && this.#sent === id;
  }

  /**
   * Takes one out, whether it was delivered or refused.
   *
   * @param {string} id
   */
  remove(id) {
    const index = this.#entries.findIndex((entry) => entry.id === id);
    if (index < 0) return;
    this.#entries.splice(index, 1);
    if (index === 0) this.rest();
    this.#save();
    this.flush();
  }

  /**
   * @param {string} id
   * @param {number} ms
   */
  defer(id, ms) {
    if (this.#entries[0]?.id !== id) return;
    this.lost();
    this.#timers.after("deferred", ms, () => this.flush());
  }

  pause() {
    this.#paused = true;
  }

  resume() {
    this.#paused = false;
    this.flush();
  }

  /** What was on its way may have got lost: it is sent again by flush(). */
  lost() {
    this.#sent = null;
    this.#wait = CONFIRMATION;
    this.#timers.stop("unconfirmed");
  }

  /** As lost(), and no timer runs any more. */
  rest() {
    this.lost();
    this.#timers.stop();
  }

  flush() {
    const [next] = this.#entries;
    if (!next || this.#paused || this.#sent !== null || this.#timers.runs("deferred")) return;
    // First of all, as a confirmation may come within send().
    this.#sent = next.id;
    this.#timers.after("unconfirmed", this.#wait, () => this.#repeat());
    if (!this.#send(next.text) && this.#sent === next.id) this.lost();
  }

  // The text or its confirmation may have got lost on a connection that lives.
  #repeat() {
    this.#sent = null;
    this.#wait = Math.min(MOST_CONFIRMATION, 2 * this.#wait);
    this.flush();
  }

  #save() {
    try {
      if (this.#entries.length) this.#storage?.setItem(this.#key, JSON.stringify(this.#entries));
      else this.#storage?.removeItem(this.#key);
    } catch {
      // Forbidden or full: the outbox lives as long as the page.
    }
  }
}
