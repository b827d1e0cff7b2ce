// A session of ~r1 (docs/protocol.rst) that survives its connections, as pages use it. To read in this
// order: session.d.ts (what it tells), host.d.ts (the seam to the browser), states.js, outbox.js (what is
// counted), link.js (one connection), policy.js (what is tried when, as numbers), fields.js, sending.js (the
// way up), asking.js (the ways), reading.js (what comes down), and this.

import { goOnOver, leave, leaveAll, ping, silence, tryWays } from "./asking.js";
import { refusal } from "./checks.js";
import { cancel, create, enter, isOver, token } from "./fields.js";
import { add, beginAnew, bytesOf, forget, last, newOutbox, repeated, settled } from "./outbox.js";
import { finish, renew } from "./reading.js";
import { active, bodyOf, pump, xhrSend } from "./sending.js";

/** @import { Session } from "./fields.js" */
/** @import { Host } from "./host.js" */
/** @import { Receipt } from "./receipts.js" */
/** @import { Options, Snapshot, Tell } from "./session.js" */

// Of all that waits, in bytes.
const QUOTA = 1 << 20;
// What a page leaves to the next one, in bytes.
const MAX_LEFT = 1 << 18;
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
  const session = /** @type {Session} */ (create(host, url, options, tell));
  const { snapshot, resume, share } = options;
  active(session);
  if (snapshot) adopt(session, snapshot);
  if (snapshot && resume) restore(session, snapshot);
  // Where it is not to be had, the tab goes on alone.
  if (share) import("./share.js").then((file) => file.share(session), () => {});
  return session;
}

/**
 * Begins a new session, in place of one that is over, or that the page has closed.
 *
 * @param {Session} session
 * @param {Partial<Snapshot>} [snapshot] of who goes on.
 */
export function restart(session, snapshot = snapshotOf(session)) {
  if (enter(session, "begin")) adopt(session, snapshot);
}

/**
 * Ends it, tells nobody, and begins a new session.
 *
 * @param {Session} session
 * @param {Partial<Snapshot>} snapshot
 */
export function replace(session, snapshot) {
  enter(session, "end");
  restart(session, snapshot);
}

/**
 * Goes on as the client that another page has left; as a new one where there is none.
 *
 * @param {Session} session
 * @param {Partial<Snapshot>} [snapshot]
 */
export function adopt(session, snapshot = {}) {
  const { client = token(session), base = 1, repeated: doubtful = 0, texts = [], session: id, key } = snapshot;
  renew(session, true);
  if (client !== session._client) Object.assign(session, newOutbox());
  // That page may have heard of more.
  forget(session, base - session._base);
  beginAnew(session, true);
  session._client = client;
  session._base = base;
  for (const text of texts.slice(session._waiting.length)) add(session, text);
  session._doubtful = session._copied = doubtful;
  session._replaces = id ? { session: id, key } : undefined;
  session._rooms.clear();
  session._closing = undefined;
  session._plain = false;
  session._failures = 0;
}

/**
 * @param {Session} session
 * @returns {unknown} whether it takes no text: it is over, or closing.
 */
export const refuses = (session) => session._closing || isOver(session);

/**
 * Has a text wait in its order; it goes out as soon as there is a way.
 *
 * @param {Session} session
 * @param {string} text
 * @returns {Receipt}
 * @throws {RangeError} it is larger than the server takes.
 * @throws {DOMException} QuotaExceededError: 1 MiB waits. InvalidStateError: it is closed, or closing.
 */
export function send(session, text) {
  const bytes = bytesOf(text);
  if (refuses(session)) throw refusal("InvalidStateError", "closed");
  if (bytes > session._budget) throw new RangeError("too large");
  if (session._size + bytes > QUOTA) throw refusal("QuotaExceededError", "full");
  session._asked = 0;
  cancel(session, pump);
  active(session);
  const receipt = add(session, text, bytes);
  pump(session);
  const link = session._current;
  // One that may be silent for long would not be missed.
  if (link && !link._up && link._quiet > silence(session, link)) {
    leave(session, link);
    goOnOver(session, link);
  }
  return receipt;
}

/**
 * Has a text wait, however much does.
 *
 * @param {Session} session
 * @param {string} text
 * @returns {Receipt}
 */
export function repeat(session, text) {
  const receipt = add(session, text);
  pump(session);
  return receipt;
}

/**
 * Ends the session when all that was sent is handled; `closed` follows, however long that takes.
 *
 * @param {Session} session
 * @param {number} code 1000, or 3000 to 4999.
 * @param {string} reason at most 123 bytes of UTF-8, without control characters.
 */
export function close(session, code, reason) {
  if (!enter(session, "close") || isOver(session)) return;
  session._closing = [code, reason];
  if (session._welcomed || last(session)) pump(session);
  else finish(session, "stopped", session._closing);
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
 * @returns {Snapshot} what the next page needs: of what waits as much as may be kept.
 */
export function snapshotOf(session) {
  let size = 0;
  return {
    client: session._client,
    base: settled(session) + 1,
    repeated: repeated(session),
    texts: session._waiting
      // The numbers of what may have been handled must not be given to something else.
      .filter(({ _bytes }, index) => (size += _bytes) < MAX_LEFT || index < repeated(session))
      .map(({ _receipt }) => _receipt.text),
    session: session._id,
    key: session._key,
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
  const [handled, newest, received, welcomed, incarnation, home, rooms] = resume;
  session._id = id;
  session._key = key;
  session._base -= handled;
  session._handled = session._arrived = handled;
  session._doubtful += handled;
  session._newest = newest;
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
  if (!offline && session._links[0]?._sock) return;
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
const isParted = (session) => isOver(session) || session._state === "moving";

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
