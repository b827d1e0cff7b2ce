// A SockJS connection that comes back, with an outbox: SockJS itself never reconnects, and
// acknowledges nothing. docs/howto/reconnecting.rst tells how to use it.

import { Liveness } from "./liveness.js";
import { complete } from "./options.js";
import { Outbox } from "./outbox.js";
import { listen } from "./browser.js";
import { Retries } from "./retries.js";
import { ALL_TRANSPORTS_FAILED, Search } from "./search.js";
import { Timers } from "./timers.js";

// Milliseconds.
// Longer than the slowest fallback. Where a browser forbids a transport, SockJS hangs.
const CONNECTING_LIMIT = 60_000;
// Who is asked whether the user is still authorized may be behind the broken network.
const ASKING_LIMIT = 8_000;

const NORMAL = 1000;
const GOING_AWAY = 1001;
const ABNORMAL = 1006;
const UNAUTHORIZED = 4401;
const SOCK_OPEN = 1;
const NO_ANSWER = "No answer";

/** @import { Events, State } from "./events.js" */
/** @import { Sock, SockJSClass, SockOptions } from "./sockjs.js" */

/**
 * A connection to a SockJS endpoint that is made again whenever it is lost.
 *
 * Listeners to its events (see events.d.ts) are called when the state is already the new one, and may
 * call every method.
 */
export class ReconnectingSockJS extends EventTarget {
  #url;
  #options;
  /** @type {State} */
  #state = "closed";
  /** @type {?Search} */
  #search = null;
  // The open one.
  /** @type {?Sock} */
  #sock = null;
  /** @type {?Liveness} */
  #liveness = null;
  /** @type {?string} */
  #transport = null;
  /** @type {?number} */
  #rtt = null;
  #timers = new Timers();
  #retries = new Retries();
  /** @type {Map<string, string>} */
  #subscriptions = new Map();
  #outbox;
  // Since the last open connection.
  #attempts = 0;
  #openedAt = 0;
  // The last attempt did not get through.
  #refused = false;
  // The attempt that counts, while it has no socket yet.
  /** @type {?object} */
  #attempting = null;
  // The page is in the back/forward cache.
  #hidden = false;
  #listening = false;

  /**
   * @param {string} url of the endpoint.
   * @param {import("./options.js").Options} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = complete(options);
    const { transports, storage, storageKey } = this.#options;
    this.#retries.transports.wanted = transports;
    this.#outbox = new Outbox(storage, storageKey, (text) => this.#post(text));
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /** @returns {?string} the transport of the open connection, by SockJS's name. */
  get transport() {
    return this.#transport;
  }

  /** @returns {?number} the ms that the last ping over this connection took. */
  get rtt() {
    return this.#rtt;
  }

  /** @returns {string[]} the transports that may be used; empty for the usual ones. */
  get transports() {
    return this.#retries.transports.wanted;
  }

  /** Takes effect with the next attempt: reconnect() makes one. */
  set transports(names) {
    this.#retries.transports.wanted = names;
  }

  /** Connects at once, unless a connection is open or being opened. */
  connect() {
    if (this.#state === "open" || this.#state === "connecting") return;
    this.#listen(true);
    this.#hidden = this.#refused = false;
    this.#retries.anew();
    this.#attempt();
  }

  /** Gives up the connection that there is, and connects at once. */
  reconnect() {
    if (this.#state === "open" || this.#state === "connecting") {
      this.#drop("lost");
      this.#tell("lost", { code: NORMAL, reason: "Reconnecting", delay: 0 });
      // A listener may have decided otherwise.
      if (this.state !== "lost") return;
    }
    this.connect();
  }

  /** Closes until connect(). No timer runs any more; subscriptions and outbox stay. */
  close() {
    this.#listen(false);
    this.#drop("closed");
    this.#outbox.rest();
  }

  /**
   * Sends a text over the open connection, or not at all; post() loses nothing.
   * @param {string} text
   * @returns {boolean} false: there is no open connection.
   */
  send(text) {
    // SockJS swallows what is sent between a close frame and its close event.
    if (this.#state !== "open" || this.#sock?.readyState !== SOCK_OPEN) return false;
    this.#sock.send(text);
    return true;
  }

  /**
   * Sends a text at once when a connection is open, and again after each reconnection.
   * @param {string} key
   * @param {string} text
   */
  subscribe(key, text) {
    this.#subscriptions.set(key, text);
    this.send(text);
  }

  /**
   * Ends a subscription; the text, if there is one, tells the server.
   * @param {string} key
   * @param {string} [text]
   */
  unsubscribe(key, text) {
    if (this.#subscriptions.delete(key) && text !== undefined) this.send(text);
  }

  /** @returns {{id: string, text: string}[]} what is not confirmed yet, in order. */
  get outbox() {
    return this.#outbox.entries;
  }

  /**
   * Keeps a text until confirm(id) or reject(id), and sends it when its turn has come: one at a
   * time, in order, and again after each reconnection or after some seconds without an answer. The
   * receiver knows the id from the text, and drops doubles. A text with the id of one that waits is
   * ignored.
   * @param {string} id
   * @param {string} text
   */
  post(id, text) {
    this.#outbox.post(id, text);
  }

  /** @param {string} id was delivered; the next one goes out. */
  confirm(id) {
    this.#answered(id);
    this.#outbox.remove(id);
  }

  /** @param {string} id is not to be sent again; the next one goes out. */
  reject(id) {
    this.#answered(id);
    this.#outbox.remove(id);
  }

  /**
   * "Not now": the first one is sent again after some ms. Those behind it wait.
   * @param {string} id
   * @param {number} ms
   */
  defer(id, ms) {
    this.#answered(id);
    this.#outbox.defer(id, ms);
  }

  /** The outbox waits, also over reconnections. What is on its way is not called back. */
  pause() {
    this.#outbox.pause();
  }

  /** The outbox goes on. */
  resume() {
    this.#outbox.resume();
  }

  // ---- from state to state -------------------------------------------------------------------

  #attempt() {
    this.#drop("connecting");
    this.#attempts += 1;
    const attempt = {};
    const isCurrent = () => this.#attempting === attempt;
    this.#attempting = attempt;
    this.#tell("connecting", null);
    const go = () => isCurrent() && this.#open();
    const { authorized } = this.#options;
    if (!this.#refused || !authorized) {
      go();
      return;
    }
    /** @param {unknown} yes */
    const answered = (yes) => {
      if (yes !== false) go();
      else if (isCurrent()) this.#halt(UNAUTHORIZED, "Unauthorized");
    };
    this.#timers.after("connecting", ASKING_LIMIT, go);
    Promise.resolve().then(() => isCurrent() && authorized()).then(answered, go);
  }

  #open() {
    this.#attempting = null;
    const SockJS = /** @type {SockJSClass} */ (this.#options.SockJS ?? globalThis.SockJS);
    const how = {
      /** @param {SockOptions} options */
      open: (options) => new SockJS(this.#url, null, options),
      transports: this.#retries.transports.allowed,
      patience: this.#retries.patience,
    };
    this.#search = new Search(how, {
      opened: (sock) => this.#opened(sock),
      failed: (code, reason) => this.#lost(code, reason),
      // The URL is wrong, the page's policy forbids it, or there is no client: waiting is no help.
      impossible: (error) => this.#halt(ABNORMAL, String(error)),
    });
    this.#timers.after("connecting", CONNECTING_LIMIT, () => this.#lost(ABNORMAL, "No connection"));
    this.#search.start();
  }

  /** @param {Sock} sock */
  #opened(sock) {
    const attempts = this.#attempts;
    this.#timers.stop("connecting");
    sock.onmessage = ({ data }) => this.#received(data);
    sock.onheartbeat = () => this.#liveness?.sign();
    sock.onclose = ({ code, reason, wasClean }) => this.#lost(code, reason, wasClean);
    this.#sock = sock;
    this.#state = "open";
    this.#transport = sock.transport;
    this.#refused = false;
    this.#attempts = 0;
    this.#openedAt = performance.now();
    const liveness = new Liveness(
      this.#options.ping,
      (text) => this.send(text),
      () => this.#lost(ABNORMAL, NO_ANSWER),
      (ms) => this.#tell("rtt", (this.#rtt = ms)),
    );
    this.#liveness = liveness;
    liveness.start();
    for (const text of this.#subscriptions.values()) this.send(text);
    this.#tell("open", { transport: sock.transport, attempts });
    this.#outbox.flush();
  }

  /** @param {string} text */
  #received(text) {
    this.#liveness?.sign(text.length);
    if (!this.#liveness?.takes(text)) this.#tell("message", text);
  }

  /** @param {string} text */
  #post(text) {
    this.#liveness?.posted();
    return this.send(text);
  }

  /** @param {string} id */
  #answered(id) {
    if (this.#outbox.isOnItsWay(id)) this.#liveness?.answer();
  }

  /**
   * @param {number} code
   * @param {string} [reason]
   * @param {boolean} [saidGoodbye]
   */
  #lost(code, reason = "", saidGoodbye = false) {
    const transport = this.#transport;
    const liveness = this.#liveness;
    if (transport !== null && liveness !== null) {
      const lasted = performance.now() - this.#openedAt;
      this.#retries.lost({ transport, lasted, liveness, silent: reason === NO_ANSWER, saidGoodbye });
    }
    if (code === ALL_TRANSPORTS_FAILED) this.#retries.allFailed();
    this.#refused = transport === null;
    if (this.#options.isFinal(code)) this.#halt(code, reason);
    else this.#retry(code, reason);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #retry(code, reason) {
    this.#drop("lost");
    const delay = this.#retries.delay(this.#options);
    this.#timers.after("retry", delay, () => this.#attempt());
    this.#tell("lost", { code, reason, delay });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #halt(code, reason) {
    this.#drop("stopped");
    this.#tell("stopped", { code, reason });
  }

  /**
   * The one way out of a connection or an attempt: nothing of it is heard any more.
   * @param {State} state
   */
  #drop(state) {
    this.#state = state;
    this.#timers.stop();
    this.#liveness?.stop();
    this.#outbox.lost();
    this.#search?.stop();
    this.#attempting = this.#search = this.#sock = null;
    this.#liveness = this.#transport = this.#rtt = null;
  }

  /**
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // ---- what the browser says -----------------------------------------------------------------

  /** @param {boolean} on */
  #listen(on) {
    if (this.#listening !== on) listen(on, this.#browserSaid);
    this.#listening = on;
  }

  /** @param {Event} event */
  #browserSaid = ({ type }) => {
    if (this.#state === "stopped" || this.#state === "closed") return;
    if (type === "pageshow") {
      if (!this.#hidden) return;
      this.#hidden = false;
      this.#attempt();
    } else if (this.#hidden) {
      return;
    } else if (type === "pagehide") {
      // No page with an open connection comes into the back/forward cache.
      this.#hidden = true;
      this.#drop("lost");
      this.#outbox.rest();
      this.#tell("lost", { code: GOING_AWAY, reason: "Page hidden", delay: 0 });
    } else if (type === "offline") {
      this.#retry(ABNORMAL, "Offline");
    } else if (type === "online") {
      this.#retries.anew();
      // What was begun in the network that is gone is not waited for.
      if (this.#state === "connecting") this.#attempt();
      else this.#wake();
    } else if (globalThis.document.visibilityState === "visible") {
      this.#wake();
    }
  };

  #wake() {
    if (this.#state === "lost") this.#attempt();
    else this.#liveness?.check();
  }
}
