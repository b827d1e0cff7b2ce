// Tabs of a browser that share one way to the server (`share: true`): a file of its own, which is loaded
// where that is asked for.
//
// A browser opens six connections to a host over HTTP/1.1. Each tab without a WebSocket takes one for what
// comes down, so that the seventh tab waits for ever, and before that whatever the others send. Here one tab
// leads: it holds a response that carries the lines of all (mux.js), and tells them by a BroadcastChannel.
//
// What is shared is this way alone. Each tab has its own session, ids, receipts and events, asks for itself
// and sends by itself: those are short requests. A receive request goes on over the response of the leader by
// naming it. A WebSocket is no such connection, and is not shared; nor are plain SockJS, the first request
// of a session, and a poll that is answered at once. A server that does not know of all this, or has the
// session in another process, answers in a response of that tab's own.
//
// Who leads holds a Web Lock (leader.js). When it is closed the next tab has the lock at once; a page that is
// frozen, or goes into the back/forward cache, lets go of it, and of the channel, as either would keep it out
// of that cache. From a leader that is there and says nothing, a tab that is visible, or waits, steals the
// lock within 3 s. Then each receive request begins anew. Nothing is lost or doubled by that: messages are
// counted by their session, and a line is taken only over the request that the session knows.
//
// Who waits for 5 s goes on alone, as does a tab without Web Locks or BroadcastChannel.

import { MUX } from "./mux.js";
import { NORMAL, STREAM, Tabs } from "./tabs.js";

/** @import { Session } from "./fields.js" */
/** @import { Host, Request, RequestEvents } from "./host.js" */
/** @import { Place, PortLine } from "./tabs.js" */

/**
 * @typedef {object} Asking A receive request of a session of this tab, or a probe.
 * @property {Session} session
 * @property {string} url
 * @property {any} body
 * @property {RequestEvents} on
 * @property {string} way the last part of the URL.
 * @property {string} key of what carries it; empty as long as it waits.
 * @property {number} port
 * @property {?Request} request
 * @property {object} [timer]
 * @property {number} since when it has gone on.
 * @property {boolean} carried it goes on over what carries it.
 * @property {boolean} alone the server answers, or is to answer, in a response of its own.
 * @property {boolean} heard the session was told something.
 * @property {boolean} over
 */

const RECEIVES = /^[^?]*\/(xhr(?:_streaming)?)(?:\?|$)/;
// Who waits longer goes on alone.
const LONGEST_WAIT = 5e3;
// How long the first line may take over what carries several, or four round trips.
const PATIENCE = 3e3;

const PAGE_EVENTS = ["pagehide", "pageshow", "freeze", "resume", "visibilitychange"];

/** The receive requests of this tab to one endpoint. */
export class Sharing {
  #host;
  #tabs;
  // The browser keeps the page as it is; it has no locks for it.
  #frozen = false;
  #forbidden = false;
  /** @type {Set<Asking>} */
  #waiting = new Set();
  /** Those that have gone on, by their ports. @type {Map<number, Asking>} */
  #ports = new Map();

  /**
   * @param {Host} host
   * @param {string} name that tabs have in common which share.
   * @param {Place} place
   */
  constructor(host, name, place) {
    this.#host = host;
    this.#tabs = new Tabs(host, name, place, {
      live: (way, key) => this.#answer(way, (asking) => this.#goOn(asking, key)),
      refused: (way, held) => this.#answer(way, (asking) => this.#refuse(asking, held)),
      lines: (key, lines) => this.#take(key, lines),
      part: (key) => {
        for (const asking of this.#ports.values()) if (asking.key === key) asking.on._part?.();
      },
      over: (status, key) => this.#breakOffAll(status, key),
      ready: () => {
        for (const { way, url } of this.#waiting) this.#tabs.want(way, url);
      },
      forbidden: () => {
        this.#forbidden = true;
        for (const asking of [...this.#waiting]) this.#goAlone(asking);
      },
      owns: (port) => this.#ports.has(port),
      depends: (visible) => this.#waiting.size || (this.#ports.size && visible),
    });
  }

  /**
   * What stands in place of a session's requests.
   *
   * @param {Session} session
   * @returns {Host["_request"]}
   */
  requestOf(session) {
    return (url, text, on, options) => {
      const [, way] = RECEIVES.exec(url) ?? [];
      const body = way && JSON.parse(text);
      const short = !body || body.new || body.now;
      return short ? this.#host._request(url, text, on, options) : this.#ask(session, url, way, body, on);
    };
  }

  /**
   * @param {Session} session
   * @param {string} url
   * @param {string} way
   * @param {any} body
   * @param {RequestEvents} on
   * @returns {Request}
   */
  #ask(session, url, way, body, on) {
    /** @type {Asking} */
    const asking = {
      ...{ session, url, body, on, way, key: "", port: 0, request: null, since: 0 },
      ...{ carried: false, alone: false, heard: false, over: false },
    };
    this.#wait(asking);
    return { close: () => this.#abort(asking) };
  }

  /** @param {Asking} asking */
  #wait(asking) {
    if (this.#forbidden) {
      this.#goAlone(asking);
      return;
    }
    this.#waiting.add(asking);
    asking.timer = this.#host._after(LONGEST_WAIT, () => this.#goAlone(asking));
    if (this.#tabs.joined) this.#tabs.want(asking.way, asking.url);
    else if (!this.#frozen) this.#tabs.join();
    this.#tabs.look();
  }

  // ---- what becomes of a request ------------------------------------------------------------------

  /**
   * @param {Asking} asking
   * @param {string} key
   */
  #goOn(asking, key) {
    const { body, session } = asking;
    this.#stopWaiting(asking);
    if (body.probe !== undefined) {
      // The response that carries others proves the way: its first line came, and it stays.
      asking.over = true;
      asking.on._line?.(`r${JSON.stringify({ pong: body.probe })}`);
      return;
    }
    asking.key = key;
    asking.since = this.#host._now();
    asking.port = Math.floor(this.#host._random() * 2 ** 52);
    this.#ports.set(asking.port, asking);
    const text = JSON.stringify({ ...body, mux: { key, port: asking.port } });
    const request = this.#host._request(asking.url, text, {
      _part() {
        if (asking.request === request) asking.on._part?.();
      },
      _line(line) {
        if (asking.request !== request) return;
        asking.carried ||= line === MUX;
        asking.alone = !asking.carried;
        if (asking.alone) asking.on._line?.(line);
      },
      _end: (status, rest, wait) => {
        if (asking.request !== request) return;
        asking.request = null;
        if (!asking.carried || status !== NORMAL) this.#finish(asking, status, rest, wait);
      },
    });
    asking.request = request;
    asking.timer = this.#host._after(Math.max(PATIENCE, 4 * session._known.rtt), () => {
      if (asking.carried && !asking.heard && asking.way === STREAM) this.#tabs.complain(key);
    });
  }

  /** @param {Asking} asking */
  #stopWaiting(asking) {
    this.#waiting.delete(asking);
    this.#host._cancel(asking.timer);
  }

  /** @param {Asking} asking */
  #goAlone(asking) {
    this.#stopWaiting(asking);
    asking.alone = true;
    asking.request = this.#host._request(asking.url, JSON.stringify(asking.body), asking.on);
  }

  /**
   * @param {Asking} asking
   * @param {number} status as a response ends: 200 in good order, so that the session asks anew.
   * @param {string} [rest]
   * @param {number} [wait]
   */
  #finish(asking, status, rest = "", wait = 0) {
    if (asking.over) return;
    this.#forget(asking);
    asking.on._end(status, rest, wait);
  }

  /** @param {Asking} asking */
  #forget(asking) {
    asking.over = true;
    this.#stopWaiting(asking);
    this.#ports.delete(asking.port);
    asking.request?.close();
    asking.request = null;
  }

  /**
   * What carries it is no more.
   *
   * @param {Asking} asking
   * @param {number} status
   */
  #breakOff(asking, status) {
    if (asking.alone) return;
    if (asking.heard) {
      this.#finish(asking, status);
      return;
    }
    // Its session has seen nothing of it, and the same request again is none that is new.
    this.#forget(asking);
    Object.assign(asking, { over: false, carried: false, key: "", request: null });
    this.#wait(asking);
  }

  /** @param {Asking} asking */
  #abort(asking) {
    if (asking.over) return;
    this.#forget(asking);
    const { session, body, heard, since, key } = asking;
    const { heartbeat = session._heartbeat / 1e3 } = body;
    if (!asking.carried) return;
    if (!heard && this.#host._now() > since + heartbeat * 1e3) this.#tabs.complain(key);
    // Who asks anew takes over, maybe at once, and who closes has said so.
    queueMicrotask(() => {
      if (session._newest === body.request && session._state !== "closed") this.#drop(asking);
    });
  }

  /**
   * Lets the server know that nobody receives any more: nothing breaks off that would tell it so.
   *
   * @param {Asking} asking
   */
  #drop({ url, body }) {
    const { key, request, received, incarnation } = body;
    const text = JSON.stringify({ key, request, received, incarnation, now: true });
    const poll = url.replace(/^([^?]*)\/xhr_streaming/, "$1/xhr");
    this.#host._request(poll, text, { _end() {} }, { keepalive: true });
  }

  /**
   * @param {number} status
   * @param {string} [key] only those that this one carries.
   */
  #breakOffAll(status, key) {
    for (const asking of [...this.#ports.values()]) {
      if (key === undefined || asking.key === key) this.#breakOff(asking, status);
    }
  }

  /**
   * @param {string} way
   * @param {(asking: Asking) => void} how
   */
  #answer(way, how) {
    for (const asking of [...this.#waiting]) if (asking.way === way) how(asking);
  }

  /**
   * @param {Asking} asking
   * @param {boolean} held no stream gets through: each would find that by itself.
   */
  #refuse(asking, held) {
    if (held) this.#finish(asking, 0);
    else this.#goAlone(asking);
  }

  /**
   * @param {string} key
   * @param {PortLine[]} lines
   */
  #take(key, lines) {
    for (const [port, line] of lines) {
      const asking = this.#ports.get(port);
      if (asking?.key !== key) continue;
      asking.heard = true;
      if (line) asking.on._line?.(line);
      else this.#finish(asking, NORMAL);
    }
  }

  // ---- the page -----------------------------------------------------------------------------------

  /** @param {string} type of an event of the page. */
  pageSaid(type) {
    if (type === "pagehide") {
      this.#tabs.part();
    } else if (type === "freeze") {
      this.#frozen = true;
      const gone = [...this.#ports.values()].filter(({ carried }) => carried);
      this.#tabs.part();
      for (const asking of gone) {
        this.#drop(asking);
        this.#finish(asking, NORMAL);
      }
    } else {
      this.#frozen = false;
      if (this.#waiting.size && !this.#tabs.joined) this.#tabs.join();
      this.#tabs.look();
    }
  }
}

/** Those of this page, by their names. @type {Map<string, Sharing>} */
const sharings = new Map();

/**
 * Has a session share its way with other tabs, where the browser can.
 *
 * @param {Session} session
 */
export function share(session) {
  const { navigator, BroadcastChannel: Channel } = globalThis;
  const locks = navigator?.locks;
  if (!locks || !Channel) return;
  // Those whose requests carry cookies, and those whose do not, are no company.
  const name = `sockjs mux ${session._credentials} ${session._address}`;
  let sharing = sharings.get(name);
  if (!sharing) {
    const { _now, _random, _after, _cancel, _request, _websocket } = session;
    const host = { _now, _random, _after, _cancel, _request, _websocket };
    const one = new Sharing(host, name, { locks, Channel, isHidden: () => globalThis.document?.hidden });
    sharing = one;
    sharings.set(name, one);
    // Some are the document's, and do not bubble.
    for (const type of PAGE_EVENTS) addEventListener(type, () => one.pageSaid(type), true);
  }
  session._request = sharing.requestOf(session);
}
