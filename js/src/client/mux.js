// What the leading tab holds for all: a response whose lines belong to several sessions, over one poll or
// stream after the other (docs/protocol.rst, "Several sessions over one way").

/** @import { Host, Request, RequestEvents } from "./host.js" */

/** Begins it, and answers each receive request that goes on over it. */
export const MUX = 'r{"mux":true}';

// Ms until its first line; what holds responses back does so for 5 s.
const PATIENCE = 4e3;

/**
 * @typedef {object} MuxEvents
 * @property {() => void} live It carries.
 * @property {(lines: [port: number, line: string][]) => void} lines
 * @property {() => void} part Something came, if no whole line.
 * @property {() => void} forgotten It still carries, but none of those before.
 * @property {(status: number, held: boolean) => void} over The last call. It broke, or never was:
 *   `status` is that of the answer, 0 where there is none; `held`: the way does not let a stream through.
 */

export class Mux {
  /** It carries. */
  live = false;

  #host;
  #url;
  #on;
  /** @type {Request} */
  #request;
  /** @type {[number, string][]} */
  #lines = [];
  #brought = false;
  #isPart = false;
  #closed = false;
  /** @type {object | undefined} */
  #timer;

  /**
   * @param {Host} host
   * @param {string} url of any poll or stream: it is made one for several.
   * @param {string} key by which receive requests name it: 16 random bytes as base64url.
   * @param {string} id in the URL, alike: a key stands in bodies only.
   * @param {MuxEvents} on
   */
  constructor(host, url, key, id, on) {
    this.key = key;
    this.#host = host;
    this.#url = url.replace(/(\/~r1[^/?]*\/)[^/?]+/, `$1${id}`);
    this.#on = on;
    this.#timer = host._after(PATIENCE, () => this.#end(0, true));
    this.#request = this.#ask();
  }

  #ask() {
    this.#brought = false;
    /** @type {RequestEvents} */
    const on = {
      _part: () => {
        // The lines of this part follow at once, if there are any.
        this.#isPart = true;
        queueMicrotask(() => {
          if (this.#isPart && !this.#closed) this.#on.part();
          this.#isPart = false;
        });
      },
      _line: (line) => {
        if (!this.#closed) this.#heard(line);
      },
      _end: (status) => {
        if (this.#closed) return;
        // A server has something to say before it ends a response.
        if (status === 200 && this.live && this.#brought) this.#request = this.#ask();
        else this.#end(status, false);
      },
    };
    return this.#host._request(this.#url, JSON.stringify({ mux: this.key }), on);
  }

  /** @param {string} line */
  #heard(line) {
    this.#brought = true;
    this.#isPart = false;
    if (line === MUX) {
      this.#host._cancel(this.#timer);
      if (this.live) this.#on.forgotten();
      this.live = true;
      this.#on.live();
      return;
    }
    if (!this.live) {
      // No server of ours.
      this.#end(0, false);
      return;
    }
    const space = line.indexOf(" ");
    // What came together is passed on together.
    if (!this.#lines.length) queueMicrotask(() => this.#pass());
    this.#lines.push([Number(line.slice(0, space)), line.slice(space + 1)]);
  }

  #pass() {
    if (this.#lines.length) this.#on.lines(this.#lines.splice(0));
  }

  /**
   * @param {number} status
   * @param {boolean} held
   */
  #end(status, held) {
    this.close();
    this.#on.over(status, held);
  }

  /** Ends it; nothing is called any more. */
  close() {
    this.#host._cancel(this.#timer);
    this.#pass();
    this.#closed = true;
    this.#request.close();
  }
}
