// The way up of a session: what waits goes out over the way that works, and again until it is known to
// be handled. Over HTTP one send is on its way at a time, and after a failure the same goes again; a
// WebSocket takes what it has not taken.

import { write } from "./link.js";
import { Outbox } from "./outbox.js";
import { POLL, PROBATION, Policy, WAYS } from "./policy.js";
import { TRANSITIONS } from "./states.js";

/** @import { Host, Request } from "./host.js" */
/** @import { Link } from "./link.js" */
/** @import { Options, State, Tell } from "./session.js" */
/** @import { Event } from "./states.js" */

// Bytes of a request, before the server has told its limit; what each takes beside its messages.
const LIMIT = 65536;
export const OVERHEAD = 1024;
// Acknowledgements over a WebSocket: after so many characters, each message counting as so many more,
// which makes 512 messages, and after so many ms. They only free the server's memory.
const ACK_SIZE = 65536;
const ACK_EACH = 128;
const ACK_AFTER = 15e3;
// How long the server may think about a send, and the longest wait for an answer.
const THOUGHT = 1e3;
const MAX_WAIT = 60e3;
// How often it is asked what it has taken, or handled: at first, at last.
const ASK = 50;
const MAX_ASK = 1e3;
// Messages are said to flow as long after one.
const ACTIVE = 60e3;
// How long a sign is waited for: at least, and on a way that is over its probation.
const PATIENCE = 2e3;
const STEADY_PATIENCE = 4e3;
// Bounds of the pauses where nothing works.
const MIN_PAUSE = 500;
const MAX_PAUSE = 30e3;

/** @param {unknown} holds of what the server told; it is no server of ours otherwise. */
export function check(holds) {
  if (!holds) throw new TypeError();
}

/** @param {unknown} value @returns {boolean} */
export const isCount = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

/** @param {string} text @returns {any} an object, where it is none an empty one. */
function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

export class Sending {
  /** The present session's id. @type {string} */
  session;
  /** @type {State} */
  state = "connecting";
  _outbox = new Outbox();
  /** Bytes of messages that a request may have. */
  _budget = LIMIT - OVERHEAD;
  /** How many messages of this session came. */
  _received = 0;
  /** What came since the server was told so, in characters; from ACK_SIZE on it is to be told. */
  _unacknowledged = 0;
  /** The way that was welcomed last. @type {?Link} */
  _current = null;
  /** The present session had a welcome. */
  _welcomed = false;
  /** Tells this session from another one of the same id. @type {string | undefined} */
  _incarnation;
  /** Where the session is at home, with a hyphen before it. */
  _home = "";
  /** The send that is on its way. @type {?Request} */
  _post = null;
  /** How many sends in a row failed, and how many brought nothing on. */
  _unanswered = 0;
  _asked = 0;
  /** How often in a row it was tried in vain to get a way. */
  _failures = 0;
  /** Until when messages are said to flow. */
  _activeUntil = 0;
  /** The code and reason by which the page has closed it. @type {[number, string] | undefined} */
  _closing;
  /** By a name, or a link. @type {Map<unknown, object>} */
  _timers = new Map();
  _base;
  _query;

  /**
   * @param {Host} host
   * @param {string} url of the endpoint, absolute.
   * @param {Options} options
   * @param {Tell} tell
   */
  constructor(host, url, { ways = WAYS, known, snapshot }, tell) {
    this._host = host;
    this._tell = tell;
    [this._base, ...this._query] = url.split("?");
    this.ways = ways;
    this._policy = new Policy(known);
    this._active();
    /** The client's id, which outlives sessions. */
    this.client = snapshot?.client ?? this._token();
    this.session = this._token();
    this._key = this._token();
  }

  get way() {
    return this._current && this._current._way;
  }

  get known() {
    return this._policy._known;
  }

  /** @returns {string} 16 random bytes as base64url. */
  _token() {
    const bytes = Array.from({ length: 16 }, () => this._host.random() * 256);
    return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").slice(0, 22);
  }

  /**
   * @param {string} transport
   * @param {string} [query]
   */
  _url(transport, query) {
    const all = [query, this._query.join("?")].filter(Boolean).join("&");
    return `${this._base}/~r1${this._home}/${this.session}/${transport}${all && `?${all}`}`;
  }

  /**
   * Moves on.
   *
   * @param {Event} event
   * @returns {unknown} nothing where it means nothing in this state.
   */
  _enter(event) {
    const next = TRANSITIONS[this.state][event];
    if (next) this.state = next[0];
    if (next?.[1]) this._tell(next[1], undefined);
    return next;
  }

  /**
   * Calls later, in place of what was to be called for the same.
   *
   * @param {unknown} key
   * @param {number} ms
   * @param {() => void} call
   */
  _after(key, ms, call) {
    this._cancel(key);
    const fire = () => {
      this._timers.delete(key);
      call();
    };
    this._timers.set(key, this._host.after(ms, fire));
  }

  /** @param {unknown} key */
  _cancel(key) {
    this._host.cancel(this._timers.get(key));
    this._timers.delete(key);
  }

  /** @param {number} failures in a row. @returns {number} how long to wait after them: full jitter. */
  _pause(failures) {
    return this._host.random() * Math.min(MAX_PAUSE, MIN_PAUSE * 2 ** failures);
  }

  /** @param {Link} link @returns {boolean} it is over its probation. */
  _isSteady(link) {
    return this._host.now() >= link._welcomedAt + PROBATION;
  }

  /**
   * @param {?Link} [link] over which it goes.
   * @param {number} [trips]
   * @returns {number} how long a sign is waited for.
   */
  _patience(link, trips = 3) {
    return link && this._isSteady(link) ? STEADY_PATIENCE : Math.max(PATIENCE, trips * this.known.rtt);
  }

  /** Sends what waits, as far as the present way takes it. */
  _pump() {
    const link = this._current;
    if (link?._up) this._pumpWebSocket(link);
    else if (link || this.state === "open") this._pumpPost();
  }

  /** @param {Link} link */
  _pumpWebSocket(link) {
    const outbox = this._outbox;
    link._upto = Math.max(link._upto, outbox._arrived);
    while (link._upto < outbox._last) {
      const first = link._upto + 1;
      const messages = outbox._take(first, this._budget);
      link._upto += messages.length;
      // The number is told where another way got some through meanwhile.
      write(link, first === link._expected ? messages : { first, messages });
      link._expected = link._upto + 1;
      // So long no sign of it may be missing.
      this._pingLater(link, this._patience(null, 4));
    }
    if (this._closing && !link._saidClose) {
      link._saidClose = true;
      write(link, { close: this._closing });
    }
  }

  /**
   * What each request says, and acknowledges by that.
   *
   * @param {number} budget bytes of messages that go with it.
   * @param {number} least so many go all the same.
   * @param {[number, string]} [close] goes with it if all that waits does.
   */
  _body(budget, least, close) {
    const outbox = this._outbox;
    const first = outbox._arrived + 1;
    const messages = outbox._take(first, budget, least);
    this._cancel("ack");
    this._unacknowledged = 0;
    return {
      key: this._key,
      incarnation: this._incarnation,
      received: this._received,
      first,
      messages: messages.length ? messages : undefined,
      close: first + messages.length > outbox._last ? close : undefined,
    };
  }

  /**
   * @param {object} body
   * @param {{ keepalive: boolean }} [options]
   */
  _xhrSend(body, options) {
    let status = 0;
    let text = "";
    const on = {
      head: (/** @type {number} */ code) => {
        status = code;
      },
      text: (/** @type {string} */ chunk) => {
        text += chunk;
      },
      end: (/** @type {boolean} */ failed) => {
        if (this._post === request) this._answered(failed ? 0 : status, text);
      },
    };
    const request = this._host.request(this._url("xhr_send"), JSON.stringify(body), on, options);
    return request;
  }

  _pumpPost() {
    const outbox = this._outbox;
    // A poll tells what was handled only when it ends.
    const asks = this.way === POLL && outbox._handled < outbox._last && !this._timers.has("ask");
    const waits = outbox._arrived < outbox._last || asks || this._unacknowledged >= ACK_SIZE || this._closing;
    if (this._post || this._timers.has("post") || !waits) return;
    const sentAt = this._host.now();
    const request = this._xhrSend(this._body(this._budget, 1, this._closing));
    this._post = request;
    // A slow way up needs more time for the same.
    const wait = (THOUGHT + this._patience(null, 4)) * 2 ** this._unanswered;
    this._after("answer", Math.min(MAX_WAIT, wait), () => {
      request.abort();
      const link = this._current;
      this._answered(0, "");
      if (link && !link._up && link._heardAt <= sentAt) this._gone(link);
    });
  }

  /**
   * @param {number} status 0: nobody knows whether it arrived.
   * @param {string} text
   */
  _answered(status, text) {
    this._cancel("answer");
    this._post = null;
    if (this._isFinal(status)) return;
    const outbox = this._outbox;
    const before = outbox._arrived + outbox._handled;
    const { arrived, received, lost, closed } = parse(status === 200 ? text : "");
    if (!isCount(arrived) || !isCount(received)) {
      this._pumpAfter("post", this._pause(this._unanswered++));
      // That alone says nothing: a receive request decides.
      if (status === 404) this._askNow();
      return;
    }
    this._unanswered = 0;
    outbox._arrived = Math.max(outbox._arrived, Math.min(arrived, outbox._last));
    this._confirm(Math.min(received, outbox._last));
    const progress = outbox._arrived + outbox._handled > before;
    if (progress) {
      this._worked();
      this._asked = 0;
    }
    if (lost) {
      this._lose(isCount(lost.received) ? lost.received : 0);
      return;
    }
    // What was sent before the end may be under way: a receive request tells both.
    if (closed) this._askNow();
    const lacks = outbox._arrived < outbox._last;
    const ends = this._closing || closed;
    const pause = Math.min(MAX_ASK, ASK * 2 ** this._asked);
    // It takes nothing now, or has yet to handle what the end waits for, and says so at once.
    if (!progress && (lacks || ends)) this._pumpAfter("post", pause);
    else if (!lacks && outbox._handled < outbox._last) this._pumpAfter("ask", pause);
    this._asked++;
    this._pump();
  }

  /**
   * @param {string} name
   * @param {number} ms
   */
  _pumpAfter(name, ms) {
    this._after(name, ms, () => this._pump());
  }

  /** @param {number} handled so many messages of this session were. */
  _confirm(handled) {
    check(handled <= this._outbox._last);
    if (this._outbox._confirm(handled)) {
      this._worked();
      this._tell("handled", this._outbox._settled);
    }
  }

  /** Messages flow. */
  _active() {
    this._activeUntil = this._host.now() + ACTIVE;
  }

  /** Something came or went. */
  _worked() {
    this._failures = 0;
    if (this._current) this.known.way = this._current._way;
  }

  /** A message came: acknowledges it where that is due. @param {number} size */
  _got(size) {
    this._active();
    this._worked();
    this._unacknowledged += size + ACK_EACH;
    if (!this._current?._up) return;
    if (this._unacknowledged >= ACK_SIZE) this._acknowledge();
    else if (!this._timers.has("ack")) this._after("ack", ACK_AFTER, () => this._acknowledge());
  }

  /** Says what has come, by the way that there is. */
  _acknowledge() {
    if (this._current?._up) {
      const { received } = this._body(0, 0);
      write(this._current, { received });
    } else if (this._unacknowledged) {
      this._unacknowledged = ACK_SIZE;
      this._pump();
    }
  }

  // Of those that build on it.

  /** A link is over, or not to be trusted. @abstract @type {(link: Link) => void} */
  _gone() {}

  /** Pings a WebSocket after so many ms, if not before. @abstract @type {(link: Link, ms: number) => void} */
  _pingLater() {}

  /** Asks by a poll what is the case; its answer decides. @abstract */
  _askNow() {}

  /** Acts on an answer that ends the session. @abstract @type {(status: number) => boolean} */
  _isFinal() {
    return false;
  }

  /** The server knows the session no more. @abstract @type {(handled: number) => void} */
  _lose() {}

  /** Takes a line, whole, without its end. @abstract @type {(link: Link, text: string) => void} */
  _line() {}
}
