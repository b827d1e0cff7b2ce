// The client of a page: what it sends is handled once and in order, whatever becomes of connections,
// servers and pages. docs/howto/reconnecting.rst tells how to use it.

import { checkClose } from "./checks.js";
import { network } from "./network.js";
import { goOnPlain } from "./plain.js";
import { tryWays } from "./asking.js";
import { isOver } from "./fields.js";
import { lossOf, sizeOf } from "./outbox.js";
import { waysOf } from "./policy.js";
import * as core from "./resumable.js";
import { leave, take } from "./storage.js";
import { addressOf, trimmed } from "./urls.js";

/** @import { Listened } from "./events.js" */
/** @import { Session } from "./fields.js" */
/** @import { Host } from "./host.js" */
/** @import { Receipt, ReconnectingSockJSEvents, ReconnectingState } from "./receipts.js" */
/** @import { Events, Snapshot, Tell } from "./session.js" */
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
const PAGE_EVENTS = ["pagehide", "pageshow", "online", "offline", "visibilitychange"];

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
  unsaved;

  #storageKey;
  // Over a reload, too.
  #resumes;
  /** @type {Session} */
  #session;
  // connect() was called.
  #wanted = false;
  // What was said last by each key.
  /** @type {Map<string, { text: string }>} */
  #subscriptions = new Map();
  // Between pagehide and pageshow: whether something was left in the storage.
  /** @type {boolean | undefined} */
  #left;
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
    const {
      transports,
      credentials,
      storageKey = `sockjs ${this.url}`,
      resumeOverReload,
      share,
      _host = network(credentials),
    } = /** @type {ReconnectingSockJSOptions & { _host?: Host }} */ (options);
    this.#storageKey = storageKey;
    this.#resumes = Boolean(resumeOverReload);
    const { at = 0, known, snapshot, unsaved = 0 } = take(storageKey);
    this.#session = core.resumable(
      _host,
      this.url,
      {
        ways: waysOf(transports),
        known: Date.now() < at + REMEMBERED ? known : undefined,
        snapshot,
        share,
        resume: this.#resumes,
        _fallsBack: true,
      },
      /** @type {Tell} */ ((type, detail) => this.#heard(type, detail)),
    );
    this.unsaved = unsaved;
    this.#listen("add");
  }

  /** @returns {ReconnectingState} */
  get state() {
    return this.#wanted ? this.#session._state : "closed";
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
    return this.#session._waiting.map(({ _receipt }) => _receipt);
  }

  /** Connects; where it would wait before it tries again, it tries at once. */
  connect() {
    const session = this.#session;
    if (!this.#wanted || core.refuses(session)) {
      if (this.#wanted) core.stop(session);
      core.restart(session);
      this.#begin();
    } else if (/^(con|sus)/.test(this.state)) {
      core.reconnect(session);
    }
  }

  /** Gives up the connections that there are, and goes on at once over new ones. */
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
    checkClose(code, /\p{Cc}/u.test(reason) ? Infinity : sizeOf(reason));
    if (this.#wanted) core.close(this.#session, code, reason);
    if (this.state === "closed") this.#listen("remove");
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
    return core.send(this.#session, `${text}`);
  }

  /**
   * Sends a text now, and in each session that follows.
   *
   * @param {string} key
   * @param {string} text In place of the one with the same key.
   * @throws As `send()`; but where it is over it goes out after `connect()`.
   */
  subscribe(key, text) {
    this.#subscriptions.set(key, core.refuses(this.#session) ? { text: `${text}` } : this.send(text));
  }

  /**
   * Ends a subscription; the text, if there is one, tells the server.
   *
   * @param {string} key
   * @param {string} [text]
   */
  unsubscribe(key, text) {
    const wasThere = this.#subscriptions.delete(key);
    if (wasThere && text !== undefined && !core.refuses(this.#session)) this.send(text);
  }

  // ---- sessions --------------------------------------------------------------------------------

  #begin() {
    this.#wanted = true;
    this.#listen("add");
    this.#subscribeAgain();
    this.#tell("connecting");
    tryWays(this.#session);
  }

  /** Says again what a new session has not heard, and will not by itself. */
  #subscribeAgain() {
    const { outbox } = this;
    if (core.refuses(this.#session)) return;
    for (const [key, said] of this.#subscriptions) {
      if (!outbox.includes(/** @type {Receipt} */ (said))) this.#subscriptions.set(key, core.repeat(this.#session, said.text));
    }
  }

  // ---- what becomes of it ----------------------------------------------------------------------

  /**
   * @param {keyof Events} type
   * @param {any} detail
   */
  #heard(type, detail = null) {
    const session = this.#session;
    const { transport } = this;
    if (this.state === "closed") this.#listen("remove");
    if (type === "unsupported") {
      goOnPlain(session);
    } else if (type === "stopped") {
      this.#tell(type, { code: detail[0], reason: detail[1] });
    } else if (type !== "handled" && (type !== "transport" || transport !== this.#transport)) {
      if (type === "transport") this.#transport = transport;
      if (type === "lost" || type === "moved") this.#subscribeAgain();
      this.#tell(type, type === "open" ? { transport } : detail);
      // A listener may have closed it, or begun anew.
      if (type === "lost" && this.state === "connecting") this.#tell("connecting");
      if (type === "denied" && isOver(session)) this.#heard("stopped", [4000 + detail.status, ""]);
    }
  }

  /**
   * @param {string} type
   * @param {unknown} [detail]
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
      if (persisted || this.#resumes) core.hide(session);
      else core.stop(session);
      this.#left = leave(this.#storageKey, session);
    } else if (type === "pageshow") {
      if (this.#left !== undefined) this.#comeBack(this.#left);
      this.#left = undefined;
    } else if (this.#left === undefined && this.#wanted && !isOver(session)) {
      if (type !== "visibilitychange" || !document.hidden) core.wake(session, type === "offline");
    }
  };

  /**
   * The page comes out of the back/forward cache.
   *
   * @param {boolean} left
   */
  #comeBack(left) {
    const session = this.#session;
    const { snapshot = /** @type {Partial<Snapshot>} */ ({}) } = take(this.#storageKey);
    const goesOn = this.#wanted && !isOver(session);
    if (!left || snapshot.session === session._id) {
      if (goesOn) core.wake(session);
    } else if (goesOn) {
      // Another page has taken it meanwhile: of this tab, which has left its own, or of a copy of the tab.
      core.replace(session, snapshot);
      this.#tell("lost", lossOf(session));
      this.#begin();
    } else {
      core.adopt(session, snapshot);
    }
  }
}
