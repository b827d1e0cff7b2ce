// Milliseconds.
/** The least time that a transport has to open: SockJS draws it from one round trip. */
export const PATIENCE = 1_000;
/** What the last transport that is left has, after which there is nothing to go on to. */
export const MOST_PATIENCE = 8_000;

/** SockJS's code for an attempt in which no transport opened. */
export const ALL_TRANSPORTS_FAILED = 2000;

/** @import { Sock, SockOptions } from "./sockjs.js" */

/**
 * Whether it brings message after message in one response, which never ends by itself.
 *
 * @param {string} name of a transport.
 */
const isStream = (name) => name !== "websocket" && !name.endsWith("-polling");

/**
 * One attempt to connect: transports are tried one after the other until one opens.
 *
 * Each is tried by a SockJS of its own. One that may use several starts a timer for each of them
 * and stops only the last (sockjs-client 1.6.1, main.js, _connect): that of a WebSocket that was
 * refused at once ends the next transport early, and so on down the list, so that one which works
 * may get a few milliseconds. The price is a request of /info for each transport.
 */
export class Search {
  #open;
  #names;
  #patience;
  #on;
  /** @type {Sock | null} */
  #sock = null;

  /**
   * @param {object} how
   * @param {(options: SockOptions) => Sock} how.open makes a SockJS with these options.
   * @param {string[]} how.transports by SockJS's names, the best first.
   * @param {number} how.patience ms that each of them has at least, but the last, which has more.
   * @param {object} on what is told, once, and not after stop().
   * @param {(sock: Sock) => void} on.opened
   * @param {(code: number, reason: string) => void} on.failed
   * @param {(error: unknown) => void} on.impossible SockJS cannot be made.
   */
  constructor({ open, transports, patience }, on) {
    this.#open = open;
    this.#names = [...transports];
    this.#patience = patience;
    this.#on = on;
  }

  /** Tries the first transport. */
  start() {
    this.#next();
  }

  /** Gives up, what was opened too: nothing of it is heard any more. */
  stop() {
    const sock = this.#sock;
    if (!sock) return;
    this.#sock = null;
    sock.onopen = sock.onmessage = sock.onheartbeat = sock.onclose = null;
    sock.close();
  }

  #next() {
    const name = this.#names.shift();
    if (name === undefined) {
      this.#on.failed(ALL_TRANSPORTS_FAILED, "All transports failed");
      return;
    }
    const patience = this.#names.length ? this.#patience : MOST_PATIENCE;
    const began = performance.now();
    let sock;
    try {
      sock = this.#open({ transports: [name], timeout: patience });
    } catch (error) {
      this.#on.impossible(error);
      return;
    }
    this.#sock = sock;
    sock.onopen = () => this.#on.opened(sock);
    sock.onclose = ({ code, reason }) => {
      if (code !== ALL_TRANSPORTS_FAILED) {
        this.#on.failed(code, reason);
        return;
      }
      // What holds one endless response back until it ends does so with all.
      const silent = isStream(name) && performance.now() - began >= patience;
      if (silent) this.#names = this.#names.filter((other) => !isStream(other));
      this.#next();
    };
  }
}
