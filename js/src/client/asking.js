// The ways of a session: which are begun, proved, watched and left.

import { left, open, write } from "./link.js";
import { bytesOf } from "./outbox.js";
import { LEFT_OUT, MIN_HEARTBEAT, POLL, SETTLED, STREAM, WAYS, WEBSOCKET } from "./policy.js";
import { Sending } from "./sending.js";

/** @import { Link } from "./link.js" */
/** @import { Way } from "./session.js" */

// Of all that waits, in bytes.
const QUOTA = 1 << 20;
// How long a handshake, or the answer to a receive request, may take.
const ANSWER = 10e3;
// How long the pong of a probe is waited for: what holds a response does so for 5 s.
const PROBE_PATIENCE = 4e3;
// How often a WebSocket is pinged, on probation and later.
const PING = 2500;
const STEADY_PING = 20e3;
// A response that ends so soon, in good order, with nothing in it is none.
const EMPTY = 1e3;

export class Asking extends Sending {
  /** @type {Link[]} */
  _links = [];
  /** The last place of each room with history, by its key; what was heard last is last. */
  _rooms = /** @type {Map<string, string>} */ (new Map());
  /** The former session of this client, which the first one here ends. @type {object | undefined} */
  _replaces;
  /** The number of the newest receive request. */
  _request = 0;
  /** Ms of silence that the server allows itself. */
  _heartbeat = 25e3;
  /** The ways that are begun next, and how long after each other. @type {Way[]} */
  _attempts = [];
  _hedge = 0;
  _pings = 0;

  /** @param {string} text */
  send(text) {
    const bytes = bytesOf(text);
    if (this._closing || this.state === "closed") throw new DOMException("closed", "InvalidStateError");
    if (bytes > this._budget) throw new RangeError("too large");
    if (this._outbox._size + bytes > QUOTA) throw new DOMException("full", "QuotaExceededError");
    this._asked = 0;
    this._cancel("ask");
    this._active();
    const number = this._outbox._add(text, bytes);
    this._pump();
    const link = this._current;
    // One that may be silent for long would not be missed.
    if (link && !link._up && link._quiet > this._silence(link)) {
      this._leave(link);
      this._goOnOver(link);
    }
    return number;
  }

  // Beginning

  /**
   * Begins the ways anew: at once where something came or went since the last time, otherwise after a
   * pause that grows. A way that is welcomed and breaks, again and again, must not keep both ends busy.
   *
   * @param {number} [after] ms that the server asks to wait.
   */
  _tryAgain(after = 0) {
    if (this.state === "closed") return;
    const pause = Math.max(after, this._failures && this._pause(this._failures - 1));
    this._failures++;
    if (pause) this._after("retry", pause, () => this._tryWays());
    else this._tryWays();
  }

  /** Begins what the policy has planned, the first way at once. */
  _tryWays() {
    const { _policy: policy, _host: host } = this;
    [this._attempts, this._hedge] = policy._plan(this.ways, host.now(), this._failures > 1);
    this._nextWay();
  }

  _nextWay() {
    const way = this._attempts.shift();
    if (way) this._begin(way, true);
    if (this._attempts.length) this._after("attempt", this._hedge, () => this._nextWay());
  }

  /**
   * @param {Way} way
   * @param {boolean} [now] a poll is to be answered at once.
   * @param {boolean} [probe] only to prove that it works.
   */
  _begin(way, now = false, probe = false) {
    const at = this._host.now();
    const link = /** @type {Link} */ ({ _way: way, _probe: probe, _askedAt: at, _heardAt: at });
    const websocket = way === WEBSOCKET;
    let body;
    if (probe) body = { key: this._key, probe: ++this._pings };
    else if (!websocket) body = this._hello(link, now);
    this._links.push(link);
    open(this._host, link, this._url(way, websocket && !this._welcomed ? "new" : ""), this, body);
    const held = link._held ? link._quiet + this._patience() : undefined;
    this._expect(link, probe ? PROBE_PATIENCE : held);
    return link;
  }

  /** @param {Link} link a WebSocket, which asks. */
  _say(link) {
    write(link, this._hello(link));
    this._expect(link);
  }

  /**
   * Makes a receive request, which is the newest.
   *
   * @param {Link} link
   * @param {boolean} [now]
   */
  _hello(link, now = false) {
    const outbox = this._outbox;
    const asks = link._way === POLL && now;
    link._request = ++this._request;
    link._askedAt = this._host.now();
    link._emptyUntil = asks ? 0 : link._askedAt + EMPTY;
    link._held = link._way === POLL && this._welcomed && !now;
    link._quiet = this._silence(link);
    let budget = this._budget;
    let terms;
    if (!this._welcomed) {
      const rooms = this._places(budget / 2);
      budget -= bytesOf(rooms);
      terms = {
        new: true,
        client: this.client,
        base: outbox._base,
        // A process that died may have done what went up with a request before this one.
        repeated: outbox._repeated,
        rooms,
        replaces: this._replaces,
      };
    }
    // What is held tells nothing of what it brought: a send does.
    const body = this._body(link._held ? 0 : budget, 0);
    link._upto = body.first + (body.messages ?? []).length - 1;
    if (terms && link._way !== WEBSOCKET) outbox._copied = outbox._doubtful;
    return {
      ...body,
      ...terms,
      request: link._request,
      now: asks || undefined,
      heartbeat: link._quiet < this._heartbeat ? link._quiet / 1e3 : undefined,
    };
  }

  /** @param {Link} link @returns {number} ms of silence that are asked for: fewer while messages flow. */
  _silence(link) {
    const active = link._way !== WEBSOCKET && this._host.now() < this._activeUntil;
    return active ? MIN_HEARTBEAT : Math.min(this._heartbeat, this.known.heartbeat);
  }

  /**
   * Forgets the oldest places until the rest may go with a request: a server that is another process
   * than the one before has other keys for the same rooms.
   *
   * @param {number} budget bytes.
   */
  _places(budget) {
    for (const [room, place] of [...this._rooms].reverse()) {
      budget -= bytesOf({ [room]: place });
      if (budget < 0) this._rooms.delete(room);
    }
    return Object.fromEntries(this._rooms);
  }

  /** @param {Link} link */
  _connected(link) {
    if (link._over) return;
    link._up = true;
    // It is proved before it takes over: a dead one costs nothing.
    if (this._current) this._ping(link);
    else this._say(link);
  }

  /** @param {Link} link */
  _ping(link) {
    link._pingedAt = this._host.now();
    link._pingAt = 0;
    // Before it is written: its own leaving is no sign of life.
    link._buffered = left(link);
    write(link, { ping: ++this._pings });
    this._expect(link, this._patience(link));
  }

  /** @param {Link} link */
  _pong(link) {
    if (link._pingedAt) this._measured(link._pingedAt);
    // The page may have left it, here and below.
    if (link._over) return;
    link._pingedAt = 0;
    if (link === this._current) {
      this._pingLater(link, Math.min(this._isSteady(link) ? STEADY_PING : PING, this.known.heartbeat));
    } else if (link._probe) {
      this._leave(link);
      if (this.way === POLL) this._begin(STREAM);
    } else if (link._up) {
      this._say(link);
    }
  }

  /**
   * @override
   * @param {Link} link
   * @param {number} ms at most.
   */
  _pingLater(link, ms) {
    const at = this._host.now() + ms;
    if (link._pingedAt || (link._pingAt && at >= link._pingAt)) return;
    link._pingAt = at;
    this._after(link, ms, () => this._ping(link));
  }

  /** @param {number} since a round trip began. */
  _measured(since) {
    // One that was asleep meanwhile must not wait as long for each answer.
    this._tell("rtt", (this.known.rtt = Math.min(ANSWER, this._host.now() - since)));
  }

  /** A way was welcomed: it is the current one. @param {Link} link */
  _tookOver(link) {
    if (link !== this._current) link._welcomedAt = this._host.now();
    /** @type {Sending} */ (this)._current = link;
    link._pingedAt = link._pingAt = 0;
    this._attempts = [];
    this._cancel("attempt");
    this._cancel("retry");
    if (!link._held) this._measured(link._askedAt);
    if (link._over) return;
    for (const other of this._links) {
      if (other === link || !other._up) continue;
      // It takes over, if it lives.
      if (!link._up) this._ping(other);
      else if ((other._request ?? 0) < (link._request ?? 0)) this._leave(other);
    }
    if (link._up) this._pingLater(link, PING);
    this._tell("transport", link._way);
    this._lookForBetter();
  }

  _lookForBetter() {
    const current = this._current;
    if (!current || this._closing) return;
    const now = this._host.now();
    for (const way of WAYS.slice(0, WAYS.indexOf(current._way))) {
      const begun = this._links.some((link) => link !== current && link._way === way);
      if (begun || !this.ways.includes(way) || this._policy._record(way)._until > now) continue;
      this._begin(way, false, way === STREAM);
    }
    this._after("look", LEFT_OUT, () => this._lookForBetter());
  }

  /** @override */
  _askNow() {
    this._begin(this.ways.includes(POLL) ? POLL : this.ways[0], true);
  }

  /**
   * Goes on over the same way: nothing broke.
   *
   * @param {Link} link
   */
  _goOnOver(link) {
    const next = this._begin(link._way);
    next._welcomedAt = link._welcomedAt;
    /** @type {Sending} */ (this)._current = next;
  }

  /**
   * Leaves a link that does not bring anything in time.
   *
   * @param {Link} link
   * @param {number} [ms]
   */
  _expect(link, ms = Math.max(this._patience(), ANSWER)) {
    this._after(link, ms, () => {
      // What leaves is a sign of life, too.
      if (left(link) < (link._buffered ?? 0)) this._ping(link);
      else this._gone(link);
    });
  }

  // Ending

  /** Drops a connection. @param {Link} link */
  _leave(link) {
    link._over = true;
    link._wire.close();
    this._cancel(link);
    this._links = this._links.filter((other) => other !== link);
    if (link === this._current) /** @type {Sending} */ (this)._current = null;
  }

  _leaveAll() {
    for (const link of this._links) this._leave(link);
    for (const key of this._timers.keys()) this._cancel(key);
    this._post?.abort();
    /** @type {Sending} */ (this)._post = null;
    this._attempts = [];
  }

  /**
   * A connection is over, or not to be trusted.
   *
   * @override
   * @param {Link} link
   * @param {number} [status] of an HTTP answer, or the code of a close frame; 0 where there is none.
   * @param {boolean} [clean] a response ended in good order.
   * @param {number} [after] ms that the server asks to wait.
   */
  _gone(link, status = 0, clean = false, after = 0) {
    if (link._over) return;
    const now = this._host.now();
    const way = link._way;
    const current = link === this._current;
    const policy = this._policy;
    if (current && now >= link._welcomedAt + SETTLED) this._worked();
    this._leave(link);
    // A handshake asked for nothing yet, and what stands in between refuses WebSockets as it likes: the
    // other way is asked at once, and its answer decides.
    const decides = way !== WEBSOCKET || link._up || this.ways.length < 2;
    if (decides && this._isFinal(status)) return;
    // A newer request takes over.
    const { _request: request, _emptyUntil: empty = 0 } = link;
    if (request && this._links.some((other) => (other._request ?? 0) > request)) return;
    if (current) {
      if (clean && link._number && now >= empty) {
        // By its limit, its age, or with what it had: nothing broke.
        this._goOnOver(link);
        return;
      }
      policy._broke(way, now, now - link._welcomedAt, now - link._heardAt);
    } else if (this._current) {
      if (way !== POLL) policy._leaveOut(way, now);
      this._lookForBetter();
      return;
    }
    // Where it was not the current one: what was to take over did not.
    this._enter("break");
    const others = this._links.some((other) => !other._probe && (other._request || !other._up));
    // The next one at once, where this one failed fast.
    if (this._attempts.length) this._nextWay();
    else if (current || !others) this._tryAgain(after);
  }
}
