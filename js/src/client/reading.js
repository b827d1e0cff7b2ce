// What comes down to a session, and what becomes of it.

import { expect, gone, leaveAll, pong, tookOver, tryAgain } from "./asking.js";
import { OVERHEAD, after, enter, newTerms, patience } from "./fields.js";
import { beginAnew, last, lossOf } from "./outbox.js";
import { enterNet, SETTLED } from "./policy.js";
import { acknowledge, check, confirm, got, isCount, pump } from "./sending.js";

/** @import { Session } from "./fields.js" */
/** @import { Link } from "./link.js" */
/** @import { Events } from "./session.js" */

// So often may it be told `stale` without having caused it.
const STALES = 3;
// So often in a row the server may say that it has no such URL, before the session counts as lost.
const REFUSALS = 5;
// The code of a WebSocket that was closed without one.
const BROKEN = 1006;
// Seconds beyond which no server spreads those that it sends away, or is silent.
const LONGEST = 3600;

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

/**
 * @param {Session} session
 * @param {Link} link
 * @param {string} text
 */
export function line(session, link, text) {
  if (link._over) return;
  link._heardAt = session._now();
  try {
    read(session, link, text);
  } catch {
    // No server of ours, or something in between that changes what it carries.
    gone(session, link);
  }
  if (link._over) return;
  if (link._pingedAt) expect(session, link, patience(session, link));
  else if (!link._up && link._number) expect(session, link, link._quiet + patience(session));
}

/**
 * @param {Session} session
 * @param {Link} link
 * @param {string} text
 */
function read(session, link, text) {
  const kind = text[0];
  if (text === "h") return;
  if (text === "o" && !session._welcomed) {
    unsupported(session);
    return;
  }
  const content = JSON.parse(text.slice(1));
  if (kind === "r") {
    readTold(session, link, content);
  } else if (kind === "a") {
    take(session, link, content);
  } else if (kind === "p") {
    const [room, place, messages] = content;
    check(/-\d+$/.test(place) && typeof room === "string");
    const more = Math.max(0, messages.length - 1);
    // A link that was replaced may bring what another one has brought before.
    const news = link._number + more > session._received;
    take(session, link, messages);
    if (news && !link._over) {
      const next = place.replace(/\d+$/, (/** @type {string} */ number) => Number(number) + more);
      // A place alone is something, too, but not where it is repeated.
      if (session._rooms.get(room) !== next) link._emptyUntil = 0;
      session._rooms.delete(room);
      session._rooms.set(room, next);
    }
  } else {
    check(kind === "c");
    const code = count(content[0]);
    if (!isFinal(session, code)) finish(session, "stopped", [code, String(content[1])]);
  }
}

/**
 * @param {Session} session
 * @param {Link} link
 * @param {string[]} messages
 */
function take(session, link, messages) {
  check(link._number && Array.isArray(messages) && messages.every((text) => typeof text === "string"));
  for (const text of messages) {
    // One before may have had the page leave.
    if (link._over) return;
    if (link._number++ <= session._received) continue;
    session._received++;
    link._emptyUntil = 0;
    got(session, text.length);
    session._tell("message", text);
  }
}

/**
 * @param {Session} session
 * @param {Link} link
 * @param {any} told
 */
function readTold(session, link, told) {
  const { from, at = link._number - 1, received = session._handled, missed = [], lost, moved } = told;
  if (from) welcome(session, link, told);
  else check(at + 1 === link._number);
  if (link._over) return;
  check(count(received) <= last(session));
  confirm(session, received);
  if (told.pong) pong(session, link);
  if (told.ack) acknowledge(session);
  for (const [key, room, place] of missed) {
    // The server repeats it until a message behind it is acknowledged.
    if (!session._missed.has(key + place)) session._tell("missed", { room });
    session._missed.add(key + place);
  }
  if (told.stale) stale(session, count(told.stale));
  else if (lost) lose(session, count(lost.received ?? 0));
  // Without a welcome it was not told what the server has handled.
  else if (moved !== undefined) move(session, time(moved), !link._number);
  else if (from) pump(session);
}

/**
 * @param {Session} session
 * @param {Link} link
 * @param {any} told
 */
function welcome(session, link, { from, received, limit, heartbeat, incarnation, home, net }) {
  count(received);
  if (count(from) > session._received + 1) {
    // A hole: what is missing is nowhere.
    lose(session);
    return;
  }
  if (limit) {
    // A late copy of a first request may have made one more session, in another process.
    check(!session._welcomed || incarnation === session._incarnation);
    session._heartbeat = time(heartbeat);
    session._budget = count(limit) - OVERHEAD;
    session._incarnation = incarnation;
    session._home = home && `-${home}`;
    enterNet(session, net);
  }
  link._number = from;
  link._expected = received + 1;
  link._upto = Math.max(link._upto, received);
  if (!session._welcomed) session._begunAt = session._now();
  session._welcomed = true;
  session._replaces = undefined;
  if (link._turn >= (session._current?._turn ?? 0)) tookOver(session, link);
  enter(session, "welcome");
}

/**
 * @param {Session} session
 * @param {number} newest
 */
function stale(session, newest) {
  // By a request of ours: what has taken over answers.
  if (newest <= session._newest) return;
  session._newest = newest;
  // Somebody else has this session.
  if (++session._stales >= STALES) lose(session);
}

// What becomes of the session

/**
 * @param {Session} session
 * @param {number} [handled] so many of this session's messages were, for sure.
 */
export function lose(session, handled = 0) {
  confirm(session, handled);
  enter(session, "lost");
  follow(session, true);
  session._tell("lost", lossOf(session));
  goOn(session);
}

/**
 * @param {Session} session
 * @param {number} ms
 * @param {boolean} doubtful
 */
function move(session, ms, doubtful) {
  enter(session, "moved");
  follow(session, doubtful);
  after(session, move, ms * session._random(), () => {
    enter(session, "due");
    goOn(session);
  });
  session._tell("moved");
}

/**
 * Has a new session take the place of one that is over.
 *
 * @param {Session} session
 * @param {boolean} doubtful what was on its way may have been handled.
 */
function follow(session, doubtful) {
  // Two servers that know nothing of each other lose a session in turns, or send it away, however much
  // each of them says at its beginning.
  session._short = session._now() < session._begunAt + SETTLED ? session._short + 1 : 0;
  session._failures = session._short;
  renew(session, doubtful);
}

/**
 * Has a new session begin with what was not confirmed.
 *
 * @param {Session} session
 * @param {boolean} doubtful what was on its way may have been handled.
 */
export function renew(session, doubtful) {
  leaveAll(session);
  beginAnew(session, doubtful);
  Object.assign(session, newTerms(session));
}

/** @param {Session} session */
function goOn(session) {
  if (session._closing && !last(session)) finish(session, "stopped", session._closing);
  else tryAgain(session);
}

/**
 * @param {Session} session
 * @param {number} status of an HTTP answer, or a code: 4000 and the status.
 */
export function isFinal(session, status) {
  if (/^(44..|40[013]|413)$/.test(`${status}`)) {
    finish(session, "denied", { status: status % 4000 });
  } else if (!session._welcomed && ([404, 405, 501].includes(status) || isRefused(session, status))) {
    unsupported(session);
  } else if (status === 404 && session._failures >= REFUSALS) {
    // In an upgrade the next answer may be a newer server's. So often in a row there is none any more.
    lose(session);
  } else {
    return false;
  }
  return true;
}

/**
 * @param {Session} session
 * @param {number} code
 * @returns {boolean} one handshake after the other broke: why is told to nobody, and there is no other
 *   way to ask.
 */
const isRefused = ({ _fallsBack, _ways, _failures, _links }, code) =>
  _fallsBack && code === BROKEN && _ways.length < 2 && _failures > 1 && !_links[0]?._sock;

/**
 * There is no `~r1` here. Who hears it has something else, or gives up.
 *
 * @param {Session} session
 */
function unsupported(session) {
  leaveAll(session);
  session._tell("unsupported");
}

/**
 * It is over.
 *
 * @template {keyof Events} Type
 * @param {Session} session
 * @param {Type} type
 * @param {Events[Type]} detail
 */
export function finish(session, type, detail) {
  if (!enter(session, "end")) return;
  leaveAll(session);
  session._tell(type, detail);
}
