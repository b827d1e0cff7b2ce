// A SockJS connection that comes back: SockJS itself never reconnects.

/* global SockJS */

// Milliseconds. The delay before the n-th attempt is drawn from 0 to BASE * 2^n ("full jitter"),
// so that the clients of a restarted server do not come back all at once.
const BASE = 1000;
const LONGEST = 30000;
const SHORTEST = 250;
// A connection that lasted that long was a good one: the next attempt is the first again.
const STEADY = 5000;
// A server is never silent for longer than 70 s: two heartbeats of the largest delay allowed.
const SILENCE = 90000;
const WATCH = 10000;

// Close codes that a further attempt would only meet again: the handshake was refused with a
// status of 4xx (4400 to 4499), or another page took this one's place in the room.
const REPLACED = 4001;
const isFinal = (code) => code === REPLACED || (code >= 4400 && code <= 4499);

export class Connection {
  #url;
  #transports;
  #handlers;
  #sock = null;
  #timer = null;
  #attempts = 0;
  #openedAt = 0;
  #lastSign = 0;

  /**
   * @param {string} url of the endpoint.
   * @param {string[]} transports that may be used, by SockJS's names; empty for all.
   * @param {object} handlers onOpen(transport), onMessage(text), onLost(), onStopped(code, reason).
   */
  constructor(url, transports, handlers) {
    this.#url = url;
    this.#transports = transports;
    this.#handlers = handlers;
    setInterval(() => this.#watch(), WATCH);
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#retryNow();
    });
    // A page in the back/forward cache holds no connection; it makes a new one when it is shown.
    let resume = false;
    addEventListener("pagehide", () => {
      resume = this.#sock !== null || this.#timer !== null;
      this.#drop();
    });
    addEventListener("pageshow", (event) => {
      if (!event.persisted || !resume) return;
      this.#handlers.onLost();
      this.connect();
    });
  }

  /** Connects now, whatever was before. */
  connect() {
    this.#drop();
    const options = this.#transports.length ? { transports: this.#transports } : {};
    const sock = new SockJS(this.#url, null, options);
    this.#sock = sock;
    const ifCurrent = (act) => (event) => {
      if (sock !== this.#sock) return;
      this.#lastSign = performance.now();
      act(event);
    };
    sock.onopen = ifCurrent(() => {
      this.#openedAt = performance.now();
      this.#handlers.onOpen(sock.transport);
    });
    sock.onmessage = ifCurrent((event) => this.#handlers.onMessage(event.data));
    sock.onheartbeat = ifCurrent(() => {});
    sock.onclose = ifCurrent((event) => this.#lost(event.code, event.reason));
  }

  /** Sends a text; false when there is no open connection. */
  send(text) {
    if (this.#sock?.readyState !== SockJS.OPEN) return false;
    this.#sock.send(text);
    return true;
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const sock = this.#sock;
    this.#sock = null;
    sock?.close();
  }

  #lost(code, reason) {
    const lasted = this.#openedAt ? performance.now() - this.#openedAt : 0;
    this.#openedAt = 0;
    this.#drop();
    if (isFinal(code)) {
      this.#attempts = 0;
      this.#handlers.onStopped(code, reason);
      return;
    }
    if (lasted >= STEADY) this.#attempts = 0;
    const bound = Math.min(LONGEST, BASE * 2 ** this.#attempts);
    this.#attempts += 1;
    this.#timer = setTimeout(() => this.connect(), Math.max(SHORTEST, Math.random() * bound));
    this.#handlers.onLost();
  }

  #retryNow() {
    if (this.#timer !== null) this.connect();
  }

  #watch() {
    if (this.#sock?.readyState !== SockJS.OPEN) return;
    if (performance.now() - this.#lastSign > SILENCE) this.#lost(1006, "The server went silent");
  }
}
