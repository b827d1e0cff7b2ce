// SockJS for a page: the constructor of sockjs-client 1.6, over three transports.

import { network } from "./network.js";
import { below, TRANSPORTS } from "./transports.js";

/** @import { Listened, SockJSCloseEvent, SockJSEvents, SockJSMessageEvent } from "./events.js" */
/** @import { Link } from "./transports.js" */

// Milliseconds.
// What each transport has for itself; then the next one is begun beside it.
const HEDGE = 300;
// What the last one has.
const LIMIT = 15_000;
const INFO_LIMIT = 8_000;

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * @typedef {object} SockJSOptions
 * @property {string} [server] The part of the URL in front of the session's id; else a number by
 *   chance.
 * @property {string | string[]} [transports] Those that may be used, of `websocket`,
 *   `xhr-streaming` and `xhr-polling`; else all. The order does not matter, and other names are
 *   passed over.
 * @property {number | (() => string)} [sessionId] How many characters an id has, else 8; or what makes
 *   one: it is called for each transport that is tried.
 * @property {number} [timeout] Milliseconds that a transport has at least until the next one is begun
 *   beside it. It is 300, or two round trips where that is known and more.
 * @property {boolean} [info] Whether `/info` is asked before anything is tried, as sockjs-client does:
 *   it may name another server (`base_url`), or tell that there are no WebSockets. Else it is asked
 *   only of another origin than the page's.
 * @property {RequestCredentials} [credentials] Whether requests carry cookies to another origin:
 *   `include` where nothing is said.
 *
 * @typedef {object} Attempt A transport that is tried, and then the one that is used.
 * @property {string} _name
 * @property {number} _began ms.
 * @property {number} _patience Round trips of another one that has opened before it.
 * @property {number} [_rtt] ms until it opened.
 * @property {string[]} _frames What came since.
 * @property {Link} _link
 */

/**
 * @param {string | URL} url
 * @param {string} [base]
 */
function absolute(url, base) {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
}

/** @param {string} url */
const withoutSlash = (url) => url.replace(/^([^?]*?)\/+(?=\?|$)/, "$1");

/**
 * An error by the name that WebSocket gives it. sockjs-client has the name in the message.
 *
 * @param {string} name
 * @param {string} message
 */
const refusal = (name, message) => new DOMException(`${name}: ${message}`, name);

/**
 * A connection to a SockJS server, with the interface of a WebSocket.
 *
 * Its events: `open`, `message` with `data`, `heartbeat`, `close` with `code`, `reason` and
 * `wasClean`; and `error` before a `close` with 1002, where there is no server.
 */
class Connection extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  CONNECTING = 0;
  OPEN = 1;
  CLOSING = 2;
  CLOSED = 3;

  /** @type {?((event: Event) => void)} */
  onopen = null;
  /** @type {?((event: SockJSMessageEvent) => void)} */
  onmessage = null;
  /** @type {?((event: Event) => void)} */
  onheartbeat = null;
  /** @type {?((event: Event) => void)} */
  onerror = null;
  /** @type {?((event: SockJSCloseEvent) => void)} */
  onclose = null;

  /** CONNECTING, OPEN, CLOSING or CLOSED. */
  readyState = 0;
  /** The transport's name while the connection is open. @type {?string} */
  transport = null;
  /** Always empty: SockJS has no subprotocols. */
  protocol = "";
  /** Always empty. */
  extensions = "";
  /** Of the endpoint: absolute, without a slash at the end of its path. @type {string} */
  url;

  #host;
  #credentials;
  #sessionId;
  #server;
  // Where the sessions are: the URL, unless the server named another one.
  #base;
  // The names of those that are not begun yet.
  #names;
  // Those that are begun and have not failed, the best first.
  /** @type {Attempt[]} */
  #attempts = [];
  // The one of them that is used.
  /** @type {Attempt | undefined} */
  #chosen;
  #informed = false;
  #patience;
  // For the one thing that is waited for.
  /** @type {object | undefined} */
  #timer;

  /**
   * @param {string | URL} url Of the endpoint: http or https, or relative to the page's. It may have a
   *   query.
   * @param {?(string | string[])} [protocols] Of no use: they are checked as WebSocket does it.
   * @param {?SockJSOptions} [options]
   * @throws {SyntaxError} The URL, or a protocol, cannot be.
   * @throws {TypeError} There is no URL, or `sessionId` is neither a number nor a function.
   * @throws {DOMException} SecurityError: http from a page of https, unless to loopback.
   */
  constructor(url, protocols, options) {
    super();
    if (!arguments.length) throw new TypeError("The URL is missing");
    const { transports, server, timeout = 0, info, credentials, sessionId } = options ?? {};
    this.#credentials = credentials ?? "include";
    this.#sessionId = sessionId || 8;
    if (!/^[nf]/.test(typeof this.#sessionId)) throw new TypeError("sessionId: number or function");
    const { location } = globalThis;
    const parsed = absolute(url, location?.href);
    if (!url || !parsed || !/^https?:$/.test(parsed.protocol) || parsed.hash) {
      throw new SyntaxError(`The URL '${url}' is not http or https, or has a fragment`);
    }
    const secure = "https:";
    if (location?.protocol === secure && parsed.protocol !== secure && !LOOPBACK.test(parsed.hostname)) {
      throw refusal("SecurityError", "http from a page of https");
    }
    const all = [protocols || []].flat();
    if (all.includes("") || new Set(all).size < all.length) {
      throw new SyntaxError("A protocol is empty or there twice");
    }
    this.url = this.#base = withoutSlash(parsed.href);
    this.#host = network(this.#credentials);
    this.#server = server || Math.floor(1000 * this.#host.random());
    const wanted = [transports || []].flat();
    this.#names = Object.keys(TRANSPORTS).filter((name) => !wanted.length || wanted.includes(name));
    this.#patience = Math.max(timeout, HEDGE);
    for (const type of ["open", "message", "heartbeat", "error", "close"]) {
      this.addEventListener(type, (event) => /** @type {any} */ (this)[`on${type}`]?.(event));
    }
    if (info ?? parsed.origin !== location?.origin) this.#inform();
    else this.#next();
  }

  /**
   * Sends a text. After `close()` it is dropped.
   *
   * @param {string} data Anything else is made a string.
   * @throws {DOMException} InvalidStateError: the connection is not open yet.
   */
  send(data) {
    if (!this.readyState) throw refusal("InvalidStateError", "not open yet");
    if (this.readyState === 1) this.#chosen?._link.send(`${data}`);
  }

  /**
   * Closes the connection, or gives up what is tried; the event `close` follows. What was sent before
   * still goes out.
   *
   * @param {number} [code] 1000, or 3000 to 4999. It stays here, as does the reason: SockJS tells the
   *   server neither.
   * @param {string} [reason] At most 123 characters.
   * @throws {DOMException} InvalidAccessError: another code.
   * @throws {SyntaxError} A longer reason.
   */
  close(code, reason = "") {
    if (code && code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw refusal("InvalidAccessError", "the code is 1000, or 3000 to 4999");
    }
    if (reason?.length > 123) throw new SyntaxError("The reason is longer than 123");
    this.#end(code || 1000, reason || "Normal closure", true, true);
  }

  /**
   * Calls the handler and the listeners of an event, or of one that is made with its type and fields.
   *
   * @param {Event | { type: string, [field: string]: unknown }} event
   * @override
   */
  dispatchEvent(event) {
    const { type, ...fields } = event;
    return super.dispatchEvent(event instanceof Event ? event : Object.assign(new Event(type), fields));
  }

  /**
   * @param {number} ms
   * @param {() => void} act
   */
  #after(ms, act) {
    this.#host.cancel(this.#timer);
    this.#timer = this.#host.after(ms, act);
  }

  // ---- until a transport is chosen -------------------------------------------------------------

  /** Asks whether there is a server, and where, and goes on with what it says. */
  async #inform() {
    const began = this.#host.now();
    const response = await fetch(below(this.url, "/info"), {
      credentials: this.#credentials,
      cache: "no-store",
      signal: AbortSignal.timeout(INFO_LIMIT),
    }).catch(() => null);
    const info = response?.ok && (await response.json().catch(() => ({})));
    // It may be closed by now.
    if (this.readyState) return;
    if (!info) {
      this.#end(1002, "Cannot connect to server", false, false, true);
      return;
    }
    this.#informed = true;
    this.#patience = Math.max(this.#patience, 2 * (this.#host.now() - began));
    const base = info.base_url && absolute(info.base_url, this.url);
    if (base) this.#base = withoutSlash(base.href);
    if (info.websocket === false) this.#names = this.#names.filter((name) => name !== "websocket");
    this.#next();
  }

  /** Begins the next transport. The one behind it follows when all have failed, or after a while. */
  #next() {
    const name = this.#names.shift();
    if (name) {
      this.#begin(name);
      this.#after(this.#patience, () => this.#next());
    } else if (this.#attempts.length) {
      this.#after(LIMIT, () => this.#attempts.forEach((attempt) => this.#drop(attempt)));
    } else if (this.#informed) {
      this.#end(2000, "All transports failed", false);
    } else {
      // Whether there is a server at all makes the difference to sockjs-client's users.
      this.#inform();
    }
  }

  /** @param {string} name */
  #begin(name) {
    const [transport, patience] = TRANSPORTS[name];
    let id = typeof this.#sessionId === "function" ? this.#sessionId() : "";
    while (id.length < Number(this.#sessionId)) id += Math.floor(36 * this.#host.random()).toString(36);
    const attempt = /** @type {Attempt} */ ({
      _name: name,
      _began: this.#host.now(),
      _patience: patience,
      _frames: /** @type {string[]} */ ([]),
    });
    this.#attempts.push(attempt);
    attempt._link = transport(this.#host, below(this.#base, `/${this.#server}/${id}`), {
      frame: (frame) => this.#heard(attempt, frame),
      lost: (code, reason) => this.#lost(attempt, code, reason),
    });
  }

  /**
   * @param {Attempt} attempt
   * @param {string} frame
   */
  #heard(attempt, frame) {
    if (attempt === this.#chosen) {
      this.#take(frame);
    } else if (attempt._rtt !== undefined || /^(o$|c\[)/.test(frame)) {
      attempt._rtt ??= this.#host.now() - attempt._began;
      attempt._frames.push(frame);
      this.#choose();
    } else if (frame[0] !== "h") {
      // The page of a proxy, or a form to sign in. Before `o` a stream brings its prelude, and no more.
      this.#drop(attempt);
    }
  }

  /** @param {Attempt} attempt */
  #drop(attempt) {
    attempt._link.close(false);
    this.#lost(attempt, 0, "");
  }

  /**
   * @param {Attempt} attempt
   * @param {number} code
   * @param {string} reason
   */
  #lost(attempt, code, reason) {
    if (attempt === this.#chosen) {
      this.#end(code, reason, false);
      return;
    }
    this.#attempts = this.#attempts.filter((other) => other !== attempt);
    const opened = this.#choose();
    // While one that had opened was waited with, nothing else was begun.
    if (!opened && (!this.#attempts.length || attempt._rtt !== undefined)) this.#next();
  }

  /**
   * Uses the best one that has opened, as soon as no better one can be hoped for.
   *
   * @returns {boolean} whether there is one.
   */
  #choose() {
    const [first] = this.#attempts;
    const best = this.#attempts.find(({ _rtt }) => _rtt !== undefined);
    if (!best) return false;
    const left = first._began + first._patience * (best._rtt ?? 0) - this.#host.now();
    if (best !== first && left > 0) {
      this.#after(left, () => this.#choose());
      return true;
    }
    this.#host.cancel(this.#timer);
    for (const attempt of this.#attempts) if (attempt !== best) attempt._link.close(false);
    this.#attempts = [best];
    this.#chosen = best;
    for (const frame of best._frames) this.#take(frame);
    return true;
  }

  // ---- afterwards ------------------------------------------------------------------------------

  /** @param {string} frame */
  #take(frame) {
    const [type] = frame;
    if (this.readyState > 1) return;
    if (type === "o") {
      if (this.readyState) {
        this.#end(1006, "Server lost session", false);
        return;
      }
      this.readyState = 1;
      this.transport = this.#chosen?._name ?? null;
      this.dispatchEvent({ type: "open" });
    }
    if (frame === "h") this.dispatchEvent({ type: "heartbeat" });
    let content;
    try {
      content = JSON.parse(frame.slice(1));
    } catch {
      return;
    }
    if (type === "m") content = [content];
    if (!Array.isArray(content)) return;
    if (type === "c") this.#end(content[0], content[1], true);
    if (type !== "a" && type !== "m") return;
    for (const data of content) {
      if (this.readyState === 1) this.dispatchEvent({ type: "message", data });
    }
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} wasClean
   * @param {boolean} [flush] What was sent still goes out.
   * @param {boolean} [error]
   */
  #end(code, reason, wasClean, flush = false, error = false) {
    if (this.readyState > 1) return;
    this.readyState = 2;
    this.transport = null;
    for (const { _link } of this.#attempts) _link.close(flush);
    this.#after(0, () => {
      this.readyState = 3;
      if (error) this.dispatchEvent({ type: "error" });
      this.dispatchEvent({ type: "close", code, reason, wasClean });
    });
  }
}

/**
 * The constructor, with `new` or, as in sockjs-client, without.
 *
 * @typedef {Listened<SockJSEvents> & Connection} SockJS
 * @typedef {ConstructorParameters<typeof Connection>} Values
 * @type {(new (...values: Values) => SockJS) & ((...values: Values) => SockJS) & typeof Connection}
 */
export const SockJS = /** @type {any} */ (
  new Proxy(Connection, { apply: (type, _, values) => new type(.../** @type {Values} */ (values)) })
);
