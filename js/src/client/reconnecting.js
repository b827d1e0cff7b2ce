// The client of a page: what it sends is delivered once and in order, whatever becomes of connections,
// servers and pages. docs/howto/reconnecting.rst tells how to use it.

import { addressOf, checkClose, withoutSlash } from "./checks.js";
import { network } from "./network.js";
import { bytesOf } from "./outbox.js";
import { NAMES, PageSession } from "./plain.js";
import { WAYS } from "./policy.js";

/** @import { Listened } from "./events.js" */
/** @import { Host } from "./host.js" */
/** @import { Receipt, ReconnectingSockJSEvents, State } from "./reconnecting.js" */
/** @import { Events, Known, Snapshot, Way } from "./session.js" */

/**
 * @typedef {object} ReconnectingSockJSOptions
 * @property {string[]} [transports] Those that may be used, of `websocket`, `xhr-streaming` and
 *   `xhr-polling`; else all.
 * @property {RequestCredentials} [credentials] Whether requests carry cookies to another origin:
 *   `include` where nothing is said.
 * @property {?string} [storageKey] The name in `sessionStorage` under which a page leaves to the next
 *   one what was not handled; it has to do with the URL where nothing is said. null: nothing is left.
 *   Two clients of one page need two names where their URL is the same, and so do two users of one tab.
 * @property {boolean} [resumeOverReload] The page keeps what came, over a reload too: the next one goes
 *   on with the same session.
 *
 * @typedef {object} Left What a page leaves to the next one.
 * @property {number} [at] when, by Date.now().
 * @property {Known} [known]
 * @property {Snapshot} [snapshot]
 * @property {number} [unsaved]
 */

// Ms for which what worked on a network is worth a first try.
const REMEMBERED = 1800e3;
// Characters of JSON.
const MAX_LEFT = 1 << 18;
// How long, in ms, another page may take to let go of a session.
const LET_GO = 1e3;
const PAGE_EVENTS = ["pagehide", "pageshow", "online", "offline", "visibilitychange"];

/** @param {string[]} [names] @returns {Way[]} */
function waysOf(names = []) {
  const ways = WAYS.filter((_, index) => names.includes(NAMES[index]));
  return ways.length ? ways : WAYS;
}

/**
 * A connection to an endpoint of this server that outlives what carries it. To any other SockJS server
 * it is a connection that comes back.
 *
 * Listeners are called when the state is already the new one, and may call every method.
 */
export class ReconnectingSockJS extends /** @type {new () => Listened<ReconnectingSockJSEvents> & EventTarget} */ (
  EventTarget
) {
  /** So many texts of the page before this one were too many to be kept, and are lost. */
  unsaved = 0;

  /** @type {string} of the endpoint: absolute, without a slash at the end of its path. */
  url;
  #host;
  #options;
  /** @type {PageSession} */
  #session;
  #started = false;
  /** @type {State | ""} what it is while no session is wanted. */
  #ended = "closed";
  // What is not handled yet, in order, and how to say that it is; and how many were, in all.
  /** @type {[Receipt, (sure: boolean) => void][]} */
  #receipts = [];
  #settled = 0;
  // With the number of the message that has said it; 0: it is to be said.
  /** @type {Map<string, { text: string, number: number }>} */
  #subscriptions = new Map();
  // Between pagehide and pageshow; and whether what was left is in the storage.
  #hidden = false;
  #left = false;
  #letGo = () => {};

  /**
   * @param {string | URL} url Of the endpoint: http or https, or relative to the page's. It may have a
   *   query.
   * @param {ReconnectingSockJSOptions} [options]
   * @throws {SyntaxError} The URL cannot be.
   * @throws {DOMException} SecurityError: http from a page of https, unless to loopback.
   */
  constructor(url, options = {}) {
    super();
    this.url = withoutSlash(addressOf(url).href);
    this.#options = { credentials: "include", storageKey: `sockjs ${this.url}`, ...options };
    this.#host = this.#options._host ?? network(this.#options.credentials);
    this.#session = this.#make(this.#take(), waysOf(options.transports));
    this.#listen("add");
  }

  /** @returns {State} */
  get state() {
    return this.#ended || this.#session.state;
  }

  /** SockJS's name of the transport in use; null where there is none. */
  get transport() {
    return this.#session.transport;
  }

  /** The milliseconds that the last round trip took; null where none is known. */
  get rtt() {
    const { way, known } = this.#session;
    return way && known.rtt;
  }

  /** Those that may be used. */
  get transports() {
    return NAMES.filter((_, index) => this.#session.ways.includes(WAYS[index]));
  }

  /** Takes effect when one is begun next: `reconnect()` does so. None are all. */
  set transports(names) {
    this.#session.ways = waysOf(names);
  }

  /** What was sent and is not known to be handled, in order; also what the page before this one sent. */
  get outbox() {
    return this.#receipts.map(([receipt]) => receipt);
  }

  /** Connects, or tries at once where it would wait. */
  connect() {
    const { state } = this;
    if (state === "connecting" || state === "suspended") this.#session.reconnect();
    else if (this.#ended || state === "closing") this.#begin();
  }

  /** Gives up the connections that there are, and makes new ones at once, for the same session. */
  reconnect() {
    if (this.state === "open") this.#session.reconnect();
    else this.connect();
  }

  /**
   * Ends the session when all that was sent is handled; `stopped` follows.
   *
   * @param {number} [code] 1000, or 3000 to 4999.
   * @param {string} [reason] At most 123 bytes of UTF-8, without control characters.
   * @throws {DOMException} InvalidAccessError: another code.
   * @throws {SyntaxError} Another reason.
   */
  close(code = 1000, reason = "") {
    checkClose(code, /\p{Cc}/u.test(reason) ? Infinity : bytesOf(reason) - 3);
    if (this.#ended) this.#ended = "closed";
    else this.#session.close(code, reason);
  }

  /**
   * Sends a text, as soon as that can be.
   *
   * @param {string} text
   * @returns {Receipt}
   * @throws {RangeError} It is larger than the server takes.
   * @throws {DOMException} QuotaExceededError: 1 MiB waits. InvalidStateError: it is closing, or over.
   */
  send(text) {
    return this.#sent(`${text}`, this.#session.send(`${text}`));
  }

  /**
   * Sends a text now, and in each session that follows.
   *
   * @param {string} key
   * @param {string} text In place of the one with the same key.
   * @throws As `send()`; but where it is over, it goes out after `connect()`.
   */
  subscribe(key, text) {
    const number = this.#isOver ? 0 : this.#session.send(text);
    this.#subscriptions.set(key, { text, number });
    if (number) this.#sent(text, number);
  }

  /**
   * Ends a subscription; the text, if there is one, tells the server.
   *
   * @param {string} key
   * @param {string} [text]
   */
  unsubscribe(key, text) {
    if (this.#subscriptions.delete(key) && text !== undefined && !this.#isOver) this.send(text);
  }

  // ---- sessions --------------------------------------------------------------------------------

  get #isOver() {
    const { state } = this.#session;
    return state === "closing" || state === "closed";
  }

  /**
   * @param {Left} left
   * @param {Way[]} ways
   */
  #make({ at = 0, known, snapshot, unsaved = 0 }, ways) {
    const { credentials, resumeOverReload } = this.#options;
    const options = {
      ways,
      known: Date.now() < at + REMEMBERED ? known : undefined,
      snapshot,
      resume: resumeOverReload && !this.#started && !!locks(),
    };
    const tell = /** @type {Tell} */ ((type, detail) => this.#heard(type, detail));
    const session = new PageSession(this.#host, this.url, options, tell, credentials);
    const { base = 1, texts = [] } = snapshot ?? {};
    // What another page has heard of.
    if (session.client === this.#session?.client) this.#settle(base - 1);
    else this.#receipts = [];
    this.#session = session;
    this.#settled = base - 1;
    this.#restored = texts.length;
    this.#started = false;
    this.unsaved = unsaved;
    for (const text of texts.slice(this.#receipts.length)) {
      this.#sent(text, base + this.#receipts.length);
    }
    return session;
  }

  #begin() {
    if (this.#started) {
      const { known, ways } = this.#session;
      this.#session.stop();
      this.#make({ at: Date.now(), known, snapshot: this.#session.snapshot() }, ways);
    }
    this.#started = true;
    this.#ended = "";
    this.#listen(true);
    this.#subscribeAgain();
    this.#tell("connecting", null);
    this.#alone("start");
  }

  /**
   * Goes on when no other page has this client: two would spoil each other's session.
   *
   * @param {"start" | "wake"} how
   */
  #alone(how) {
    const session = this.#session;
    const goOn = () => {
      if (session === this.#session) session[how]();
    };
    if (!this.#options.resumeOverReload || !locks()) {
      goOn();
      return;
    }
    this.#letGo();
    const held = () =>
      new Promise((letGo) => {
        this.#letGo = () => letGo(0);
        goOn();
      });
    locks()
      ?.request(`sockjs ${session.client}`, { signal: AbortSignal.timeout(LET_GO) }, held)
      .catch(() => session === this.#session && this.#beginAnew());
  }

  /** Another page has this client, as where the user has doubled a tab: nothing is shared with it. */
  #beginAnew() {
    const own = this.#receipts.slice(this.#restored);
    const before = this.#settled + this.#restored;
    const session = this.#make({}, this.#session.ways);
    for (const [receipt, settle] of own) {
      this.#receipts.push([Object.assign(receipt, this.#sent(receipt.text, session.send(receipt.text)))
    }
  }

  #subscribeAgain() {
    if (this.#isOver) return;
    for (const subscription of this.#subscriptions.values()) {
      // What waits goes out again by itself.
      if (subscription.number > this.#settled) continue;
      subscription.number = this.#session.repeat(subscription.text);
      this.#sent(subscription.text, subscription.number);
    }
  }

  /**
   * @param {string} text
   * @param {number} number
   * @returns {Receipt}
   */
  #sent(text, number) {
    /** @param {boolean} _ */
    let settle = (_) => {};
    /** @type {Promise<boolean>} */
    const handled = new Promise((resolve) => (settle = resolve));
    const receipt = { id: `${this.#session.client}-${number}`, text, handled };
    // SockJS takes it at once.
    if (number > this.#settled) this.#receipts.push([receipt, settle]);
    else settle(false);
    return receipt;
  }

  /** @param {number} number The texts up to this one are handled. */
  #settle(number) {
    for (const [, settle] of this.#receipts.splice(0, number - this.#settled)) {
      settle(!this.#session.isPlain);
    }
    this.#settled = number;
  }

  /**
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   */
  #heard(type, detail) {
    const { transport } = this;
    if (type === "handled") {
      this.#settle(/** @type {number} */ (detail));
    } else if (type === "opened") {
      this.#tell("open", { transport });
    } else if (type === "transport") {
      this.#tell(type, transport);
    } else if (type === "denied") {
      // TODO
    } else {
      if (type === "lost" || type === "moved") this.#subscribeAgain();
      this.#tell(type, detail ?? null);
    }
  }

  /**
   * @template {keyof ReconnectingSockJSEvents} Type
   * @param {Type} type
   * @param {ReconnectingSockJSEvents[Type]["detail"]} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
