// The ways of a session: which are begun, proved, watched and left.

import { after, cancel, enter, isOver, isSteady, patience, pause, urlOf } from "./fields.js";
import { left, newLink, write } from "./link.js";
import { bytesOf, lossOf, repeated } from "./outbox.js";
import {
  brokeOn,
  LEFT_OUT,
  leaveOut,
  MIN_HEARTBEAT,
  plan,
  POLL,
  recordOf,
  SETTLED,
  STREAM,
  WEBSOCKET,
} from "./policy.js";
import { isFinal, line } from "./reading.js";
import { bodyOf, worked } from "./sending.js";

/** @import { Session } from "./fields.js" */
/** @import { Link } from "./link.js" */
/** @import { Way } from "./session.js" */

// How long a handshake, or the answer to a receive request, may take.
const ANSWER = 10e3;
// How long the pong of a probe is waited for: what holds a response does so for 5 s.
const PROBE_PATIENCE = 4e3;
// How often a WebSocket is pinged, on probation and later.
const PING = 2500;
const STEADY_PING = 20e3;
// Ms that a server may ask to wait. Beyond 25 days a browser's timer would fire at once.
const LONGEST_WAIT = 3600e3;
// A response that ends so soon, in good order, with nothing in it is none.
const EMPTY = 1e3;

// Beginning

/**
 * Begins the ways anew: at once where something came or went since the last time, otherwise after a
 * pause that grows. A way that is welcomed and breaks, again and again, must not keep both ends busy.
 *
 * @param {Session} session
 * @param {number} [least] ms that the server asks to wait.
 */
export function tryAgain(session, least = 0) {
  if (isOver(session)) return;
  const ms = Math.max(least, session._failures && pause(session, session._failures - 1));
  session._failures++;
  if (ms) after(session, tryWays, ms);
  else tryWays(session);
}

/**
 * Begins what the policy has planned, the first way at once.
 *
 * @param {Session} session
 */
export function tryWays(session) {
  if (session._plain) {
    session._plain = false;
    enter(session, "break");
    // What came over SockJS is of no session that could be gone on with.
    if (enter(session, "lost")) session._tell("lost", lossOf(session));
  }
  if (isOver(session)) return;
  const none = session._failures > 1;
  [session._attempts, session._hedge] = plan(session, session._ways, session._now(), none);
  nextWay(session);
}

/** @param {Session} session */
function nextWay(session) {
  const way = session._attempts.shift();
  if (way) begin(session, way, true);
  if (session._attempts.length) after(session, nextWay, session._hedge);
}

/**
 * @param {Session} session
 * @param {Way} way
 * @param {boolean} [now] a poll is to be answered at once.
 * @param {boolean} [probe] only to prove that it works.
 */
export function begin(session, way, now = false, probe = false) {
  const link = newLink(way, session._now(), probe);
  session._links.push(link);
  if (way === WEBSOCKET) {
    link._wire = session._websocket(urlOf(session, way, session._welcomed ? "" : "new"), {
      open: () => connected(session, link),
      text: (text) => line(session, link, text),
      close: (code) => gone(session, link, code),
    });
  } else {
    const body = probe ? { key: session._key, probe: ++session._pings } : hello(session, link, now);
    link._wire = session._request(urlOf(session, way), JSON.stringify(body), {
      _part: () => line(session, link, "h"),
      _line: (text) => line(session, link, text),
      // What has no line end is no line.
      _end: (status, _, wait) => gone(session, link, status, Math.min(LONGEST_WAIT, wait)),
    });
  }
  const held = link._held ? link._quiet + patience(session) : undefined;
  expect(session, link, probe ? PROBE_PATIENCE : held);
  return link;
}

/**
 * @param {Session} session
 * @param {Link} link a WebSocket, which asks.
 */
function say(session, link) {
  write(link, hello(session, link));
  expect(session, link);
}

/**
 * Makes a receive request, which is the newest.
 *
 * @param {Session} session
 * @param {Link} link
 * @param {boolean} [now]
 */
function hello(session, link, now = false) {
  const asks = link._way === POLL && now;
  link._turn = ++session._newest;
  link._askedAt = session._now();
  link._emptyUntil = asks ? 0 : link._askedAt + EMPTY;
  link._held = link._way === POLL && session._welcomed && !now;
  link._quiet = silence(session, link);
  let budget = session._budget;
  let terms;
  if (!session._welcomed) {
    const rooms = places(session, budget / 2);
    budget -= bytesOf(rooms);
    terms = {
      new: true,
      client: session._client,
      base: session._base,
      // A process that died may have done what went up with a request before this one.
      repeated: repeated(session),
      rooms,
      replaces: session._replaces,
    };
  }
  // What is held tells nothing of what it brought: a send does.
  const body = bodyOf(session, link._held ? 0 : budget, 0);
  link._upto = body.first + (body.messages ?? []).length - 1;
  if (terms && link._way !== WEBSOCKET) session._copied = session._doubtful;
  return {
    ...body,
    ...terms,
    request: link._turn,
    now: asks || undefined,
    heartbeat: link._quiet < session._heartbeat ? link._quiet / 1e3 : undefined,
  };
}

/**
 * @param {Session} session
 * @param {Link} link
 * @returns {number} ms of silence that are asked for: fewer while messages flow.
 */
export function silence(session, link) {
  const active = link._way !== WEBSOCKET && session._now() < session._activeUntil;
  return active ? MIN_HEARTBEAT : Math.min(session._heartbeat, session._known.heartbeat);
}

/**
 * Forgets the oldest places until the rest may go with a request: a server that is another process
 * than the one before has other keys for the same rooms.
 *
 * @param {Session} session
 * @param {number} budget bytes.
 */
function places(session, budget) {
  for (const [room, place] of [...session._rooms].reverse()) {
    budget -= bytesOf({ [room]: place });
    if (budget < 0) session._rooms.delete(room);
  }
  return Object.fromEntries(session._rooms);
}

/**
 * @param {Session} session
 * @param {Link} link
 */
export function connected(session, link) {
  if (link._over) return;
  link._up = true;
  // It is proved before it takes over: a dead one costs nothing.
  if (session._current) ping(session, link);
  else say(session, link);
}

/**
 * @param {Session} session
 * @param {Link} link
 */
export function ping(session, link) {
  link._pingedAt = session._now();
  link._pingAt = 0;
  // Before it is written: its own leaving is no sign of life.
  link._buffered = left(link);
  write(link, { ping: ++session._pings });
  expect(session, link, patience(session, link));
}

/**
 * @param {Session} session
 * @param {Link} link
 */
export function pong(session, link) {
  if (link._pingedAt) measured(session, link._pingedAt);
  // The page may have left it, here and below.
  if (link._over) return;
  link._pingedAt = 0;
  if (link === session._current) {
    const ms = isSteady(session, link) ? STEADY_PING : PING;
    pingLater(session, link, Math.min(ms, session._known.heartbeat));
  } else if (link._probe) {
    leave(session, link);
    if (session._current?._way === POLL) begin(session, STREAM);
  } else if (link._up) {
    say(session, link);
  }
}

/**
 * @param {Session} session
 * @param {Link} link
 * @param {number} ms at most.
 */
export function pingLater(session, link, ms) {
  const at = session._now() + ms;
  if (link._pingedAt || (link._pingAt && at >= link._pingAt)) return;
  link._pingAt = at;
  after(session, link, ms, () => ping(session, link));
}

/**
 * @param {Session} session
 * @param {number} since a round trip began.
 */
function measured(session, since) {
  // One that was asleep meanwhile must not wait as long for each answer.
  session._tell("rtt", (session._known.rtt = Math.min(ANSWER, session._now() - since)));
}

/**
 * A way was welcomed: it is the current one.
 *
 * @param {Session} session
 * @param {Link} link
 */
export function tookOver(session, link) {
  if (link !== session._current) link._welcomedAt = session._now();
  session._current = link;
  link._pingedAt = link._pingAt = 0;
  session._attempts = [];
  cancel(session, nextWay);
  cancel(session, tryWays);
  if (!link._held) measured(session, link._askedAt);
  if (link._over) return;
  for (const other of session._links) {
    if (other === link || !other._up) continue;
    // It takes over, if it lives.
    if (!link._up) ping(session, other);
    else if (other._turn < link._turn) leave(session, other);
  }
  if (link._up) pingLater(session, link, PING);
  session._tell("transport", link._way);
  lookForBetter(session);
}

/** @param {Session} session */
function lookForBetter(session) {
  const current = session._current;
  if (!current || session._closing) return;
  const now = session._now();
  for (const way of session._ways.slice(0, session._ways.indexOf(current._way))) {
    const begun = session._links.some((link) => link !== current && link._way === way);
    if (!begun && recordOf(session, way)._until <= now) begin(session, way, false, way === STREAM);
  }
  after(session, lookForBetter, LEFT_OUT);
}

/**
 * @param {Session} session
 */
export function askNow(session) {
  begin(session, /** @type {Way} */ (session._ways.at(-1)), true);
}

/**
 * Goes on over the same way: nothing broke.
 *
 * @param {Session} session
 * @param {Link} link
 */
export function goOnOver(session, link) {
  const next = begin(session, link._way);
  next._welcomedAt = link._welcomedAt;
  session._current = next;
}

/**
 * Leaves a link that does not bring anything in time.
 *
 * @param {Session} session
 * @param {Link} link
 * @param {number} [ms]
 */
export function expect(session, link, ms = Math.max(patience(session), ANSWER)) {
  after(session, link, ms, () => {
    // What leaves is a sign of life, too.
    if (left(link) < link._buffered) ping(session, link);
    else gone(session, link);
  });
}

// Ending

/**
 * Drops a connection.
 *
 * @param {Session} session
 * @param {Link} link
 */
export function leave(session, link) {
  link._over = true;
  link._wire.close();
  cancel(session, link);
  session._links = session._links.filter((other) => other !== link);
  if (link === session._current) session._current = null;
}

/** @param {Session} session */
export function leaveAll(session) {
  for (const link of session._links) leave(session, link);
  for (const key of session._timers.keys()) cancel(session, key);
  session._post?.close();
  session._post = null;
  session._attempts = [];
}

/**
 * A connection is over, or not to be trusted.
 *
 * @param {Session} session
 * @param {Link} link
 * @param {number} [status] of an HTTP answer, which is 200 where it ended in good order, or the code of a
 *   close frame; 0 where there is none.
 * @param {number} [wait] ms that the server asks to wait.
 */
export function gone(session, link, status = 0, wait = 0) {
  if (link._over) return;
  const now = session._now();
  const way = link._way;
  const current = link === session._current;
  if (current && now >= link._welcomedAt + SETTLED) worked(session);
  leave(session, link);
  // A handshake asked for nothing yet, and what stands in between refuses WebSockets as it likes: the
  // other way is asked at once, and its answer decides.
  const decides = way !== WEBSOCKET || link._up || session._ways.length < 2;
  if (decides && isFinal(session, status)) return;
  // A newer request takes over.
  const { _turn: turn, _emptyUntil: empty } = link;
  if (turn && session._links.some((other) => other._turn > turn)) return;
  if (current) {
    if (status === 200 && link._number && now >= empty) {
      // By its limit, its age, or with what it had: nothing broke.
      goOnOver(session, link);
      return;
    }
    brokeOn(session, way, now, now - link._welcomedAt, now - link._heardAt);
  } else if (session._current) {
    if (way !== POLL) leaveOut(session, way, now);
    lookForBetter(session);
    return;
  }
  // Where it was not the current one: what was to take over did not.
  enter(session, "break");
  const others = session._links.some((other) => !other._probe && (other._turn || !other._up));
  // The next one at once, where this one failed fast.
  if (session._attempts.length) nextWay(session);
  else if (current || !others) tryAgain(session, wait);
}
