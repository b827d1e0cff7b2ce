// SockJS for a page: the constructor of sockjs-client 1.6, over three transports.

import { checkClose, refusal } from "./checks.js";
import { network } from "./network.js";
import { addressOf, trimmed } from "./urls.js";

/** @import { Handlers, Listened, SockJSEvents } from "./events.js" */
/** @import { Link } from "./transports.js" */

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
 */

// The URL of the next try: Firefox remembers for the life of a page which one it could not load. It is in two parts,
// as bundlers would look for a file of that name.
/** @type {[string, number]} */
const again = ["./sockjs-bridge-connection.js?", 1];

/**
 * Loads what else a SockJS needs. Bundlers know the first of its names alone.
 *
 * @returns {Promise<typeof import("./connection.js")>}
 */
const load = () =>
  import("./connection.js").catch(() => import(/* webpackIgnore: true */ /* @vite-ignore */ again.join("")));

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

  /** @type {Link | undefined} */
  #connection;

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
    if (!arguments.length) throw new TypeError("Invalid URL");
    const own = { ...options };
    if (!/^[nf]/.test(typeof (own.sessionId || 8))) throw new TypeError("Invalid sessionId");
    const address = addressOf(url);
    // None is empty, or there twice.
    const all = ["", protocols || []].flat();
    if (new Set(all).size < all.length) throw new SyntaxError("Invalid protocols");
    this.url = trimmed(address);
    for (const type of ["open", "message", "heartbeat", "error", "close"]) {
      const handler = `on${type}`;
      const self = /** @type {any} */ (this);
      self[handler] = null;
      this.addEventListener(type, (event) => self[handler]?.(event));
    }
    load().then(
      ({ open }) => {
        // The page may have closed it meanwhile.
        if (this.readyState) return;
        const sock = /** @type {SockJS} */ (/** @type {unknown} */ (this));
        const host = network(own.credentials);
        this.#connection = open(host, sock, own, (...values) => this.#end(...values));
      },
      () => {
        again[1]++;
        this.#end(1002, "Cannot connect to server");
      },
    );
  }

  /**
   * Sends a text. After `close()` it is dropped.
   *
   * @param {string} data Anything else is made a string.
   * @throws {DOMException} InvalidStateError: the connection is not open yet.
   */
  send(data) {
    if (!this.readyState) throw refusal("InvalidStateError", "not open yet");
    if (this.readyState === 1) this.#connection?.send(`${data}`);
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
    checkClose(code, reason?.length);
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
   * @param {number} code
   * @param {string} reason
   * @param {boolean} [wasClean]
   * @param {boolean} [flush] What was sent still goes out.
   */
  #end(code, reason, wasClean = false, flush = false) {
    if (this.readyState > 1) return;
    this.readyState = 2;
    this.transport = null;
    this.#connection?.close(flush);
    setTimeout(() => {
      this.readyState = 3;
      if (code === 1002 && !wasClean) this.dispatchEvent({ type: "error" });
      this.dispatchEvent({ type: "close", code, reason, wasClean });
    });
  }
}

/**
 * The constructor, with `new` or, as in sockjs-client, without.
 *
 * @typedef {Listened<SockJSEvents> & Handlers & Connection} SockJS
 * @typedef {ConstructorParameters<typeof Connection>} Values
 * @type {(new (...values: Values) => SockJS) & ((...values: Values) => SockJS) & typeof Connection}
 */
export const SockJS = /** @type {any} */ (
  new Proxy(Connection, { apply: (type, _, values) => new type(.../** @type {Values} */ (values)) })
);
