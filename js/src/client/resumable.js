// A session of ~r1 (docs/protocol.rst) that survives its connections: what comes down, and what becomes
// of it. To read in this order: session.d.ts (the face), host.d.ts (the seam to the browser), states.js,
// outbox.js (what is counted), link.js (one connection), policy.js (what is tried when, as numbers),
// sending.js (the way up), asking.js (the ways), and this.

import { Asking } from "./asking.js";
import { SETTLED } from "./policy.js";
import { OVERHEAD, check, isCount } from "./sending.js";

/** @import { Host } from "./host.js" */
/** @import { Link } from "./link.js" */
/** @import { Events, Options, Session, Snapshot, Tell } from "./session.js" */

// So often may it be told `stale` without having caused it.
const STALES = 3;
// Seconds beyond which no server spreads those that it sends away, or is silent.
const LONGEST = 3600;
// What the browser lets a page say that goes away, in bytes.
const FAREWELL = 60e3;

/** @param {number} value a count that the server told. */
function count(value) {
  check(isCount(value));
  return value;
}

/** @param {number} value seconds that the server told. @returns {number} ms. */
function time(value) {
  check(typeof value === "number" && value >= 0 && value <= LONGEST);
  return value * 1e3;
}

/** @implements {Session} */
export class ResumableSession extends Asking {
  _stales = 0;
  // When the present session was welcomed first, and how many in a row were over too soon.
  _begunAt = Infinity;
  _short = 0;
  // Rooms whose gap was told: a session tells each once.
  _missed = new Set();

  /**
   * @param {Host} host
   * @param {string} url of the endpoint, absolute.
   * @param {Options} options
   * @param {Tell} tell
   */
  constructor(host, url, options, tell) {
    super(host, url, options, tell);
    const { snapshot, resume } = options;
    if (!snapshot) return;
    const { session, key } = snapshot;
    const outbox = this._outbox;
    outbox._base = snapshot.base;
    outbox._doubtful = outbox._copied = snapshot.repeated;
    for (const text of snapshot.texts) outbox._add(text);
    if (resume) {
      this.session = session;
      this._key = key;
      this._restore(/** @type {any} */ (snapshot.resume));
    } else {
      this._replaces = { session, key };
    }
  }

  start() {
    this._tryWays();
  }

  /** @param {number} code @param {string} reason */
  close(code = 1000, reason = "") {
    if (!this._enter("close")) return;
    this._closing = /** @type {[number, string]} */ ([code, reason]);
    if (this._welcomed || this._outbox._last) this._pump();
    else this._finish("closed", { code, reason });
  }

  stop() {
    if (this._enter("end") && this._welcomed) this._farewell(FAREWELL, this._closing ?? [1000, ""]);
    this._leaveAll();
  }

  reconnect() {
    if (this._parted) return;
    this._leaveAll();
    this._failures = 0;
    this._tryWays();
  }

  /** @returns {Snapshot} */
  snapshot() {
    const { client, session, _key: key, _outbox: outbox } = this;
    return {
      client,
      base: outbox._settled + 1,
      repeated: outbox._repeated,
      texts: outbox._waiting.map(({ _text }) => _text),
      session,
      key,
      // The next page's build has other names.
      resume: [
        outbox._handled,
        this._request,
        this._received,
        this._welcomed,
        this._incarnation,
        this._home,
        [...this._rooms],
      ],
    };
  }

  /** @param {[number, number, number, boolean, string | undefined, string, [string, string][]]} state */
  _restore([handled, request, received, welcomed, incarnation, home, rooms]) {
    const outbox = this._outbox;
    outbox._base -= handled;
    outbox._handled = outbox._arrived = handled;
    outbox._doubtful += handled;
    this._request = request;
    this._received = received;
    this._welcomed = welcomed;
    this._incarnation = incarnation;
    this._home = home;
    this._rooms = new Map(rooms);
  }

  // What the page hears

  wake() {
    const link = this._current;
    if (!link?._up) this.reconnect();
    else if (!link._pingedAt) this._ping(link);
  }

  hide() {
    if (this._parted) return;
    if (this._unacknowledged) this._farewell(0);
    this._leaveAll();
    this._enter("break");
  }

  /** There is no session to come back to. */
  get _parted() {
    return this.state === "moving" || this.state === "closed";
  }

  /**
   * A send that outlives the page.
   *
   * @param {number} budget bytes of messages.
   * @param {[number, string]} [close]
   */
  _farewell(budget, close) {
    this._xhrSend(this._body(Math.min(this._budget, budget), 0, close), { keepalive: true });
  }

  // What comes down

  /**
   * @override
   * @param {Link} link
   * @param {string} text
   */
  _line(link, text) {
    if (link._over) return;
    link._heardAt = this._host.now();
    try {
      this._read(link, text);
    } catch {
      // No server of ours, or something in between that changes what it carries.
      this._gone(link);
    }
    if (link._over) return;
    if (link._pingedAt) this._expect(link, this._patience(link));
    else if (!link._up && link._number) this._expect(link, link._quiet + this._patience());
  }

  /**
   * @param {Link} link
   * @param {string} text
   */
  _read(link, text) {
    const kind = text[0];
    if (text === "h") return;
    if (text === "o" && !this._welcomed) {
      this._finish("unsupported", undefined);
      return;
    }
    const told = JSON.parse(text.slice(1));
    if (kind === "r") {
      this._told(link, told);
    } else if (kind === "a") {
      this._take(link, told);
    } else if (kind === "p") {
      const [room, place, messages] = told;
      const [, epoch, number] = /^(.*-)(\d+)$/.exec(place) ?? [];
      check(epoch && typeof room === "string");
      const more = Math.max(0, messages.length - 1);
      // A link that was replaced may bring what another one has brought before.
      const news = (link._number ?? 0) + more > this._received;
      this._take(link, messages);
      if (news && !link._over) {
        this._rooms.delete(room);
        this._rooms.set(room, epoch + (Number(number) + more));
      }
    } else {
      check(kind === "c");
      const code = count(told[0]);
      if (!this._isFinal(code)) this._finish("closed", { code, reason: String(told[1]) });
    }
  }

  /**
   * @param {Link} link
   * @param {string[]} messages
   */
  _take(link, messages) {
    check(link._number && Array.isArray(messages) && messages.every((text) => typeof text === "string"));
    for (const text of messages) {
      // One before may have had the page leave.
      if (link._over) return;
      const number = link._number ?? 0;
      link._number = number + 1;
      if (number <= this._received) continue;
      this._received++;
      link._emptyUntil = 0;
      this._got(text.length);
      this._tell("message", text);
    }
  }

  /**
   * @param {Link} link
   * @param {any} told
   */
  _told(link, told) {
    const { from, at, received, pong, missed = [], stale, lost, moved } = told;
    if (from !== undefined) this._welcome(link, told);
    else check(at === undefined || at + 1 === link._number);
    if (link._over) return;
    if (received !== undefined) this._confirm(count(received));
    if (pong !== undefined) this._pong(link);
    if (told.ack) this._acknowledge();
    for (const [key, room] of missed) {
      // The server repeats it until a message behind it is acknowledged.
      if (!this._missed.has(key)) this._tell("missed", { room });
      this._missed.add(key);
    }
    if (stale !== undefined) this._stale(count(stale));
    else if (lost) this._lose(lost.received === undefined ? 0 : count(lost.received));
    // Without a welcome it was not told what the server has handled.
    else if (moved !== undefined) this._move(time(moved), !link._number);
    else if (from) this._pump();
  }

  /**
   * @param {Link} link
   * @param {any} told
   */
  _welcome(link, { from, received, limit, heartbeat, incarnation, home, net }) {
    count(received);
    if (count(from) > this._received + 1) {
      // A hole: what is missing is nowhere.
      this._lose();
      return;
    }
    if (limit !== undefined) {
      // A late copy of a first request may have made one more session, in another process.
      check(!this._welcomed || incarnation === this._incarnation);
      this._heartbeat = time(heartbeat);
      this._budget = count(limit) - OVERHEAD;
      this._incarnation = incarnation;
      this._home = home && `-${home}`;
      this._policy._entered(net);
    }
    link._number = from;
    link._expected = received + 1;
    link._upto = Math.max(link._upto, received);
    if (!this._welcomed) this._begunAt = this._host.now();
    this._welcomed = true;
    this._replaces = undefined;
    if ((link._request ?? 0) >= (this._current?._request ?? 0)) this._tookOver(link);
    this._enter("welcome");
  }

  /** @param {number} newest */
  _stale(newest) {
    // By a request of ours: what has taken over answers.
    if (newest <= this._request) return;
    this._request = newest;
    // Somebody else has this session.
    if (++this._stales >= STALES) this._lose();
  }

  // What becomes of the session

  /**
   * @override
   * @param {number} [handled] so many of this session's messages were, for sure.
   */
  _lose(handled = 0) {
    this._confirm(Math.min(handled, this._outbox._last));
    this._enter("lost");
    this._renew(true);
    this._tell("lost", { handled: this._outbox._settled, repeated: this._outbox._repeated });
    this._goOn();
  }

  /**
   * @param {number} ms
   * @param {boolean} doubtful
   */
  _move(ms, doubtful) {
    this._enter("moved");
    this._renew(doubtful);
    this._after("move", ms * this._host.random(), () => {
      this._enter("due");
      this._goOn();
    });
    this._tell("moved", undefined);
  }

  /**
   * Has a new session begin with what was not confirmed.
   *
   * @param {boolean} doubtful what was on its way may have been handled.
   */
  _renew(doubtful) {
    this._leaveAll();
    // Two servers that know nothing of each other lose a session in turns, or send it away, however much
    // each of them says at its beginning.
    this._short = this._host.now() < this._begunAt + SETTLED ? this._short + 1 : 0;
    this._failures = this._short;
    this._begunAt = Infinity;
    this._outbox._renew(doubtful);
    this.session = this._token();
    this._key = this._token();
    this._request = this._stales = this._received = this._unacknowledged = 0;
    this._welcomed = false;
    this._incarnation = undefined;
    this._home = "";
    this._missed.clear();
  }

  _goOn() {
    if (this._closing && !this._outbox._last) {
      const [code, reason] = this._closing;
      this._finish("closed", { code, reason });
    } else {
      this._tryAgain();
    }
  }

  /**
   * @override
   * @param {number} status of an HTTP answer, or a code: 4000 and the status.
   */
  _isFinal(status) {
    const denied = status >= 4400 && status < 4500;
    if (denied || [400, 401, 403, 413].includes(status)) {
      this._finish("denied", { status: status % 4000 });
    } else if (!this._welcomed && [404, 405, 501].includes(status)) {
      this._finish("unsupported", undefined);
    } else {
      return false;
    }
    return true;
  }

  /**
   * It is over.
   *
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   */
  _finish(type, detail) {
    if (!this._enter("end")) return;
    this._leaveAll();
    this._tell(type, detail);
  }
}
