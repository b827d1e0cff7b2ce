// A session of ~r1 (docs/protocol.rst) that survives its connections, as pages use it. To read in this
// order: session.d.ts (what it tells), host.d.ts (the seam to the browser), states.js, outbox.js (what is
// counted), link.js (one connection), policy.js (what is tried when, as numbers), fields.js, sending.js (the
// way up), asking.js (the ways), reading.js (what comes down), and this.

import { goOnOver, leave, leaveAll, ping, silence, tryWays } from "./asking.js";
import { cancel, create, enter } from "./fields.js";
import { add, bytesOf, last, repeated, settled } from "./outbox.js";
import { finish } from "./reading.js";
import { active, bodyOf, pump, xhrSend } from "./sending.js";

/** @import { Session } from "./fields.js" */
/** @import { Host } from "./host.js" */
/** @import { Options, Snapshot, Tell } from "./session.js" */

// Of all that waits, in bytes.
const QUOTA = 1 << 20;
// What the browser lets a page say that goes away, in bytes.
const FAREWELL = 60e3;


/**
 * Makes a session, which `tryWays` begins; before that nothing else but `send` is called.
 *
 * @param {Host} host
 * @param {string} url of the endpoint, absolute.
 * @param {Options} options
 * @param {Tell} tell
 */
export function resumable(host, url, options, tell) {
  const session = create(host, url, options, tell);
  const { snapshot: former, resume, share, credentials } = options;
  active(session);
  if (former) {
      session._base = former.base;
    session._doubtful = session._copied = former.repeated;
    for (const text of former.texts) add(session, text);
    if (resume) restore(session, former);
    else session._replaces = { session: former.session, key: former.key };
  }
  // Where it is not to be had, the tab goes on alone.
  if (share) import("./share.js").then((file) => file.share(session, credentials), () => {});
  return session;
}

/**
 * Has a text wait in its order; it goes out as soon as there is a way.
 *
 * @param {Session} session
 * @param {string} text
 * @returns {number} its number.
 * @throws {RangeError} it is larger than the server takes.
 * @throws {DOMException} QuotaExceededError: 1 MiB waits. InvalidStateError: it is closed, or closing.
 */
export function send(session, text) {
  const bytes = bytesOf(text);
  if (session._closing || session._state === "closed") throw new DOMException("closed", "InvalidStateError");
  if (bytes > session._budget) throw new RangeError("too large");
  if (session._size + bytes > QUOTA) throw new DOMException("full", "QuotaExceededError");
  session._asked = 0;
  cancel(session, "ask");
  active(session);
  const number = add(session, text, bytes);
  pump(session);
  const link = session._current;
  // One that may be silent for long would not be missed.
  if (link && !link._up && link._quiet > silence(session, link)) {
    leave(session, link);
    goOnOver(session, link);
  }
  return number;
}

/**
 * Has a text wait, however much does.
 *
 * @param {Session} session
 * @param {string} text
 * @returns {number} its number.
 */
export function repeat(session, text) {
  const number = add(session, text);
  pump(session);
  return number;
}

/**
 * Ends the session when all that was sent is handled; `closed` follows, however long that takes.
 *
 * @param {Session} session
 * @param {number} code 1000, or 3000 to 4999.
 * @param {string} reason at most 123 bytes of UTF-8, without control characters.
 */
export function close(session, code, reason) {
  if (!enter(session, "close")) return;
  session._closing = [code, reason];
  if (session._welcomed || last(session)) pump(session);
  else finish(session, "closed", session._closing);
}

/**
 * Ends it at once, as far as one request can that outlives the page (`pagehide`); nothing is told any more.
 * What waits is in the snapshot, to be taken afterwards.
 *
 * @param {Session} session
 */
export function stop(session) {
  if (enter(session, "end") && session._welcomed) {
    farewell(session, FAREWELL, session._closing ?? [1000, ""]);
  }
  leaveAll(session);
}

/**
 * Leaves it as it is, and tells nobody.
 *
 * @param {Session} session
 */
export function drop(session) {
  enter(session, "end");
  leaveAll(session);
}

/**
 * Gives up the connections that there are, and asks anew, for the same session.
 *
 * @param {Session} session
 */
export function reconnect(session) {
  if (isParted(session)) return;
  leaveAll(session);
  session._failures = 0;
  tryWays(session);
}

/**
 * @param {Session} session
 * @returns {Snapshot}
 */
export function snapshotOf(session) {
  const { _client: client, _id, _key: key } = session;
  return {
    client,
    base: settled(session) + 1,
    repeated: repeated(session),
    texts: session._waiting.map(({ _text }) => _text),
    session: _id,
    key,
    // The next page's build has other names.
    resume: [
      session._handled,
      session._newest,
      session._received,
      session._welcomed,
      session._incarnation,
      session._home,
      [...session._rooms],
    ],
  };
}

/**
 * @param {Session} session
 * @param {Snapshot} snapshot
 */
function restore(session, { session: id, key, resume }) {
  const [handled, request, received, welcomed, incarnation, home, rooms] = resume;
  session._id = id;
  session._key = key;
  session._base -= handled;
  session._handled = session._arrived = handled;
  session._doubtful += handled;
  session._newest = request;
  session._received = received;
  session._welcomed = welcomed;
  session._incarnation = incarnation;
  session._home = home;
  session._rooms = new Map(rooms);
}

// What the page hears

/**
 * Something has changed: the browser says `online` or `offline`, the page is visible again, or comes out of
 * the bfcache. What is silent is left soon, and where there is no way it is tried at once.
 *
 * @param {Session} session
 * @param {boolean} [offline]
 */
export function wake(session, offline) {
  const link = session._current;
  // What SockJS has is not to be asked whether it lives.
  if (!offline && session._links.some(({ _sock }) => _sock)) return;
  if (!link?._up) reconnect(session);
  else if (!link._pingedAt) ping(session, link);
}

/**
 * The page goes into the bfcache (`pagehide`): acknowledges, and leaves all connections until `wake`.
 *
 * @param {Session} session
 */
export function hide(session) {
  if (isParted(session)) return;
  if (session._unacknowledged) farewell(session, 0);
  leaveAll(session);
  enter(session, "break");
}

/**
 * @param {Session} session
 * @returns {boolean} there is no session to come back to.
 */
const isParted = ({ _state }) => _state === "moving" || _state === "closed";

/**
 * A send that outlives the page.
 *
 * @param {Session} session
 * @param {number} budget bytes of messages.
 * @param {[number, string]} [end]
 */
function farewell(session, budget, end) {
  xhrSend(session, bodyOf(session, Math.min(session._budget, budget), 0, end), { keepalive: true });
}
