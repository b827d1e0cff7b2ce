// The client of a page: what it sends is handled once and in order, whatever becomes of connections,
// servers and pages. docs/howto/reconnecting.rst tells how to use it.

import { trimmed } from "./attempts.js";
import { addressOf, checkClose } from "./checks.js";
import { network } from "./network.js";
import { goOnPlain } from "./plain.js";
import { tryWays } from "./asking.js";
import { waysOf } from "./policy.js";
import * as core from "./resumable.js";
import { leave, take } from "./storage.js";

/** @import { Listened } from "./events.js" */
/** @import { Session } from "./fields.js" */
/** @import { Host } from "./host.js" */
/** @import { Receipt, ReconnectingSockJSEvents, ReconnectingState } from "./receipts.js" */
/** @import { Events, Tell, Way } from "./session.js" */
/** @import { Left } from "./storage.js" */
/** @typedef {Listened<ReconnectingSockJSEvents> & EventTarget} Target */

/**
 * @typedef {object} ReconnectingSockJSOptions
 * @property {string[]} [transports] Of `websocket`, `xhr-streaming` and `xhr-polling`; else all.
 * @property {RequestCredentials} [credentials] Whether requests carry cookies to another origin:
 *   `include` where nothing is said.
 * @property {?string} [storageKey] The name in `sessionStorage` by which a page leaves to the next one
 *   what was not handled; else one made of the URL. null: nothing is left. Two clients of a page need
 *   two names where their URL is the same, and so do two users of a tab.
 * @property {boolean} [share] Tabs whose transport is no WebSocket share a connection.
 * @property {boolean} [resumeOverReload] The page keeps what came, over a reload too: the next one goes
 *   on with the same session.
 */

// Ms for which it is worth a first try what worked before.
const REMEMBERED = 1800e3;
// How long, in ms, the page before may take to let go of a session.
const LET_GO = 1e3;
const PAGE_EVENTS = ["pagehide", "pageshow", "online", "offline", "visibilitychange"];

const locks = () => globalThis.navigator?.locks;

/**
 * A connection to an endpoint of this server that outlives what carries it. To any other SockJS server
 * it is a connection that comes back.
 *
 * Listeners are called when the state is already the new one, and may call every method.
 */
export class ReconnectingSockJS extends /** @type {new () => Target} */ (EventTarget) {
  /** Of the endpoint: absolute, without a slash at the end of its path. @type {string} */
  url;
  /** So many texts of the page before this one were too much to be kept: they are lost. */
  unsaved = 0;

  #options;
  /** @type {Session} */
  #session;
  #started = false;
  /** The state while no session is wanted. @type {ReconnectingState | ""} */
  #ended = "closed";
  // What is not handled yet, in order, with what says that it is; how many were handled before.
  /** @type {[Receipt, (sure: boolean) => void][]} */
  #receipts = [];
  #settled = 0;
  // So many of them are of the page before.
  #inherited = 0;
  // By their keys, with the number of the message that has said it last.
  /** @type {Map<string, { text: string, number: number }>} */
  #subscriptions = new Map();
  // Between pagehide and pageshow; with something in the storage.
  #hidden = false;
  #left = false;
  #letGo = () => {};
  // The one that was told last.
  /** @type {?string} */
  #transport = null;

  /**
   * @param {string | URL} url Of the endpoint: http or https, or relative to the page's. It may have a
   *   query.
   * @param {ReconnectingSockJSOptions} [options]
   * @throws {SyntaxError} The URL cannot be.
   * @throws {DOMException} SecurityError: http from a page of https, unless to loopback.
   */
  constructor(url, options = {}) {
    super();
    this.url = trimmed(addressOf(url));
    this.#options = /** @type {ReconnectingSockJSOptions & { _host?: Host }} */ ({
      storageKey: `sockjs ${this.url}`,
      ...options,
    });
    const resume = (this.#options.resumeOverReload &&= Boolean(locks()));
    this.#session = this.#make(take(this.#options.storageKey), waysOf(options.transports), resume);
    this.#listen("add");
  }

  /** @returns {ReconnectingState} */
  get state() {
    return this.#ended || this.#session._state;
  }

  /** SockJS's name of the transport in use; null where there is none. */
  get transport() {
    const { _current } = this.#session;
    return _current && _current._way;
  }

  /** The milliseconds that the last round trip took; null where none is known. */
  get rtt() {
    const { _current, _known } = this.#session;
    return _current && !_current._sock ? _known.rtt : null;
  }

  /** @returns {string[]} those that may be used. */
  get transports() {
    return [...this.#session._ways];
  }

  /** Takes effect when one is begun next: `reconnect()` does so. None are all. */
  set transports(names) {
    this.#session._ways = waysOf(names);
  }

  /** What was sent and is not handled yet, in order; that of the page before this one, too. */
  get outbox() {
    return this.#receipts.map(([receipt]) => receipt);
  }

  /** Connects; where it would wait before it tries again, it tries at once. */
  connect() {
    if (this.#ended || this.state === "closing") this.#begin();
    else if (this.#started && /^(con|sus)/.test(this.state)) core.reconnect(this.#session);
  }

  /** Gives up the connections that there are, and goes on over new ones at once. */
  reconnect() {
    if (this.state === "open") core.reconnect(this.#session);
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
    checkClose(code, /\p{Cc}/u.test(reason) ? Infinity : new TextEncoder().encode(reason).length);
    if (this.#ended) this.#end("closed");
    else core.close(this.#session, code, reason);
  }

  /**
   * Sends a text, now or as soon as that can be.
   *
   * @param {string} text Anything else is made a string.
   * @returns {Receipt}
   * @throws {RangeError} It is larger than the server takes.
   * @throws {DOMException} QuotaExceededError: 1 MiB waits. InvalidStateError: it is closing, or over.
   */
  send(text) {
    text = `${text}`;
    return this.#sent(text, core.send(this.#session, text));
  }

  /**
   * Sends a text now, and in each session that follows.
   *
   * @param {string} key
   * @param {string} text In place of the one with the same key.
   * @throws As `send()`; but where it is over it goes out after `connect()`.
   */
  subscribe(key, text) {
    text = `${text}`;
    const number = this.#isOver ? 0 : core.send(this.#session, text);
    if (number) this.#sent(text, number);
    this.#subscriptions.set(key, { text, number });
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
    return /^clos/.test(this.#session._state);
  }

  /**
   * Makes a session, which is not begun yet: of the same client where there is a snapshot.
   *
   * @param {Left} left
   * @param {Way[]} [ways]
   * @param {boolean} [resume] go on with the session that was left.
   */
  #make({ at = 0, known, snapshot, unsaved = 0 }, ways = this.#session._ways, resume = false) {
    const { credentials, share, _host = network(credentials) } = this.#options;
    const fresh = Date.now() < at + REMEMBERED;
    const options = { ways, known: fresh ? known : undefined, snapshot, resume, share, credentials, _fallsBack: true };
    const tell = /** @type {Tell} */ ((type, detail) => this.#heard(type, detail));
    const session = core.resumable(_host, this.url, options, tell);
    const { base = 1, texts = [] } = snapshot ?? {};
    // Another page may have heard of more.
    if (session._client === this.#session?._client) this.#settle(base - 1);
    else this.#receipts = [];
    this.#session = session;
    this.#settled = base - 1;
    this.#inherited = texts.length;
    this.#started = false;
    this.unsaved = unsaved;
    for (const text of texts.slice(this.#receipts.length)) {
      this.#sent(text, base + this.#receipts.length);
    }
    return session;
  }

  #begin() {
    const former = this.#session;
    // One that waits for its lock is another page's yet.
    if (this.#started) core.stop(former);
    if (this.#isOver) {
      this.#make({ at: Date.now(), known: former._known, snapshot: core.snapshotOf(former) });
    }
    this.#ended = "";
    this.#listen("add");
    this.#subscribeAgain();
    this.#tell("connecting", null);
    this.#alone(tryWays);
  }

  /**
   * Goes on as soon as no other page has this client: two would spoil each other's session.
   *
   * @param {(session: Session) => void} how
   */
  #alone(how) {
    const session = this.#session;
    const isCurrent = () => session === this.#session;
    const goOn = () => {
      this.#started = true;
      how(session);
    };
    this.#letGo();
    this.#started = false;
    if (!this.#options.resumeOverReload) {
      goOn();
      return;
    }
    const hold = () =>
      isCurrent() &&
      new Promise((letGo) => {
        this.#letGo = () => letGo(0);
        goOn();
      });
    locks()
      .request(`sockjs ${session._client}`, { signal: AbortSignal.timeout(LET_GO) }, hold)
      // Where the browser forbids locks, as it forbids storage, nothing was left that two could share.
      .catch(({ name }) => isCurrent() && (name === "TimeoutError" ? this.#part() : goOn()));
  }

  /** Another page has this client, as where a tab was duplicated: nothing is shared with it. */
  #part() {
    const own = this.#receipts.slice(this.#inherited);
    const others = this.#settled + this.#inherited;
    this.#make({});
    this.#receipts = own;
    for (const [receipt] of own) {
      Object.assign(receipt, { id: `${this.#session._client}-${core.send(this.#session, receipt.text)}` });
    }
    for (const subscription of this.#subscriptions.values()) subscription.number -= others;
    this.#begin();
  }

  #subscribeAgain() {
    if (this.#isOver) return;
    for (const subscription of this.#subscriptions.values()) {
      // What is not handled goes out again by itself.
      if (subscription.number > this.#settled) continue;
      subscription.number = core.repeat(this.#session, subscription.text);
      this.#sent(subscription.text, subscription.number);
    }
  }

  // ---- what becomes of it ----------------------------------------------------------------------

  /**
   * @param {string} text
   * @param {number} number
   * @returns {Receipt}
   */
  #sent(text, number) {
    let settle = /** @type {(sure: boolean) => void} */ (/** @type {unknown} */ (null));
    /** @type {Promise<boolean>} */
    const handled = new Promise((resolve) => (settle = resolve));
    const receipt = { id: `${this.#session._client}-${number}`, text, handled };
    // SockJS takes it at once.
    if (number > this.#settled) this.#receipts.push([receipt, settle]);
    else settle(false);
    return receipt;
  }

  /** @param {number} number The texts up to this one are handled. */
  #settle(number) {
    for (const [, settle] of this.#receipts.splice(0, number - this.#settled)) {
      settle(!this.#session._plain);
    }
    this.#settled = number;
  }

  /**
   * @param {keyof Events} type
   * @param {any} detail
   */
  #heard(type, detail = null) {
    const { transport } = this;
    if (type === "handled") {
      this.#settle(detail);
    } else if (type === "opened") {
      this.#tell("open", { transport });
    } else if (type === "unsupported") {
      goOnPlain(this.#session, this.#options.credentials);
    } else if (type === "transport") {
      if (transport !== this.#transport) this.#tell(type, transport);
      this.#transport = transport;
    } else if (type === "closed") {
      this.#end(this.#session._closing ? "closed" : "stopped");
      this.#tell("stopped", { code: detail[0], reason: detail[1] });
    } else {
      if (type === "lost" || type === "moved") this.#subscribeAgain();
      if (type === "denied") this.#end("stopped");
      this.#tell(type, detail);
      // A listener may have closed it, or begun anew.
      if (type === "lost" && this.state === "connecting") this.#tell("connecting", null);
      if (type === "denied" && this.#ended) this.#tell("stopped", { code: 4000 + detail.status, reason: "" });
    }
  }

  /** @param {"closed" | "stopped"} state */
  #end(state) {
    this.#ended = state;
    this.#letGo();
    if (state === "closed") this.#listen("remove");
  }

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // ---- the page --------------------------------------------------------------------------------

  /** @param {"add" | "remove"} what */
  #listen(what) {
    for (const type of PAGE_EVENTS) globalThis[`${what}EventListener`]?.(type, this.#pageSaid);
  }

  /** @param {any} event */
  #pageSaid = ({ type, persisted }) => {
    const session = this.#session;
    if (type === "pagehide") {
      this.#hidden = true;
      if (persisted || this.#options.resumeOverReload) core.hide(session);
      else core.stop(session);
      this.#left = leave(this.#options.storageKey, session);
      this.#letGo();
    } else if (type === "pageshow") {
      if (this.#hidden) this.#comeBack();
      this.#hidden = false;
    } else if (!this.#hidden && !this.#ended && this.#started) {
      if (type !== "visibilitychange" || !document.hidden) core.wake(session, type === "offline");
    }
  };

  /** The page comes out of the back/forward cache. */
  #comeBack() {
    const left = take(this.#options.storageKey);
    const former = this.#session;
    if (!this.#left || left.snapshot?.session === former._id) {
      if (!this.#ended) this.#alone(core.wake);
      return;
    }
    // Another page of this tab has taken it meanwhile, and has left its own.
    core.drop(former);
    this.#make(left);
    if (this.#ended) return;
    this.#tell("lost", { handled: this.#settled, repeated: left.snapshot?.repeated ?? 0 });
    this.#begin();
  }
}
