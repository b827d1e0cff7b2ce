// The way up of a session: what waits goes out over the way that works, and again until it is known to
// be handled. Over HTTP one send is on its way at a time, and after a failure the same goes again; a
// WebSocket takes what it has not taken.

import { askNow, gone, pingLater } from "./asking.js";
import { after, cancel, patience, pause, urlOf } from "./fields.js";
import { write } from "./link.js";
import { batch, beginAnew, forget, last, settled } from "./outbox.js";
import { POLL } from "./policy.js";
import { finish, isFinal, lose } from "./reading.js";

/** @import { Session } from "./fields.js" */
/** @import { Link } from "./link.js" */

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

/** @param {unknown} holds of what the server told; it is no server of ours otherwise. */
export function check(holds) {
  if (!holds) throw new TypeError();
}

/** @param {unknown} value @returns {boolean} */
export const isCount = (value) => Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;

/**
 * Sends what waits, as far as the present way takes it.
 *
 * @param {Session} session
 */
export function pump(session) {
  const link = session._current;
  if (link?._sock) pumpPlain(session, link._sock);
  else if (link?._up) pumpWebSocket(session, link);
  else if (link || session._state === "open") pumpPost(session);
}

/**
 * @param {Session} session
 * @param {Link} link
 */
function pumpWebSocket(session, link) {
  link._upto = Math.max(link._upto, session._arrived);
  while (link._upto < last(session)) {
    const first = link._upto + 1;
    const messages = batch(session, first, session._budget);
    link._upto += messages.length;
    // The number is told where another way got some through meanwhile.
    write(link, first === link._expected ? messages : { first, messages });
    link._expected = link._upto + 1;
    // So long no sign of it may be missing.
    pingLater(session, link, patience(session, null, 4));
  }
  if (session._closing && !link._saidClose) {
    link._saidClose = true;
    write(link, { close: session._closing });
  }
}

/**
 * SockJS acknowledges nothing: what went out counts as handled.
 *
 * @param {Session} session
 * @param {{ send: (text: string) => void }} sock
 */
function pumpPlain(session, sock) {
  for (const { _receipt } of session._waiting) sock.send(_receipt.text);
  forget(session, last(session));
  beginAnew(session, false);
  session._tell("handled", settled(session));
  if (session._closing) finish(session, "stopped", session._closing);
}

/**
 * What each request says, and acknowledges by that.
 *
 * @param {Session} session
 * @param {number} budget bytes of messages that go with it.
 * @param {number} least so many go all the same.
 * @param {[number, string]} [close] goes with it if all that waits does.
 */
export function bodyOf(session, budget, least, close) {
  const first = session._arrived + 1;
  const messages = batch(session, first, budget, least);
  cancel(session, acknowledge);
  session._unacknowledged = 0;
  return {
    key: session._key,
    incarnation: session._incarnation,
    received: session._received,
    first,
    messages: messages.length ? messages : undefined,
    close: first + messages.length > last(session) ? close : undefined,
  };
}

/**
 * @param {Session} session
 * @param {object} body
 * @param {{ keepalive: boolean }} [options]
 */
export function xhrSend(session, body, options) {
  const request = session._request(
    urlOf(session, "xhr_send"),
    JSON.stringify(body),
    {
      _end(status, text) {
        if (session._post === request) answered(session, status, text);
      },
    },
    options,
  );
  return request;
}

/** @param {Session} session */
function pumpPost(session) {
  // A poll tells what was handled only when it ends.
  const { _arrived, _closing, _current, _handled, _timers, _unacknowledged } = session;
  const asks = _current?._way === POLL && _handled < last(session) && !_timers.has(pump);
  const waits = _arrived < last(session) || asks || _unacknowledged >= ACK_SIZE || _closing;
  if (session._post || _timers.has(pumpPost) || !waits) return;
  const sentAt = session._now();
  const request = xhrSend(session, bodyOf(session, session._budget, 1, session._closing));
  session._post = request;
  // A slow way up needs more time for the same.
  const wait = (THOUGHT + patience(session, null, 4)) * 2 ** session._unanswered;
  after(session, answered, Math.min(MAX_WAIT, wait), () => {
    request.close();
    const link = session._current;
    answered(session, 0, "");
    if (link && !link._up && link._heardAt <= sentAt) gone(session, link);
  });
}

/**
 * @param {Session} session
 * @param {number} status 0: nobody knows whether it arrived.
 * @param {string} text
 */
function answered(session, status, text) {
  cancel(session, answered);
  session._post = null;
  if (isFinal(session, status)) return;
  const before = session._arrived + session._handled;
  let told;
  try {
    told = status === 200 && JSON.parse(text);
  } catch {
    // Nobody knows what it was.
  }
  const { arrived, received, lost, closed } = told || {};
  if (!isCount(arrived) || !isCount(received)) {
    after(session, pumpPost, pause(session, session._unanswered++), pump);
    // That alone says nothing: a receive request decides.
    if (status === 404) askNow(session);
    return;
  }
  session._unanswered = 0;
  session._arrived = Math.max(session._arrived, Math.min(arrived, last(session)));
  confirm(session, received);
  const progress = session._arrived + session._handled > before;
  if (progress) {
    worked(session);
    session._asked = 0;
  }
  if (lost) {
    lose(session, lost.received);
    return;
  }
  // What was sent before the end may be under way: a receive request tells both.
  if (closed) askNow(session);
  const lacks = session._arrived < last(session);
  const ends = session._closing || closed;
  const wait = Math.min(MAX_ASK, ASK * 2 ** session._asked);
  // It takes nothing now, or has yet to handle what the end waits for, and says so at once.
  if (!progress && (lacks || ends)) after(session, pumpPost, wait, pump);
  else if (!lacks && session._handled < last(session)) after(session, pump, wait);
  session._asked++;
  pump(session);
}

/**
 * @param {Session} session
 * @param {number} handled so many messages of this session were.
 */
export function confirm(session, handled) {
  if (forget(session, handled)) {
    worked(session);
    session._tell("handled", settled(session));
  }
}

/**
 * Messages flow.
 *
 * @param {Session} session
 */
export function active(session) {
  session._activeUntil = session._now() + ACTIVE;
}

/**
 * Something came or went.
 *
 * @param {Session} session
 */
export function worked(session) {
  session._failures = 0;
  if (session._current) session._known.way = session._current._way;
}

/**
 * A message came: acknowledges it where that is due.
 *
 * @param {Session} session
 * @param {number} size
 */
export function got(session, size) {
  active(session);
  worked(session);
  session._unacknowledged += size + ACK_EACH;
  if (!session._current?._up) return;
  if (session._unacknowledged >= ACK_SIZE) acknowledge(session);
  else if (!session._timers.has(acknowledge)) after(session, acknowledge, ACK_AFTER);
}

/**
 * Says what has come, by the way that there is.
 *
 * @param {Session} session
 */
export function acknowledge(session) {
  if (session._current?._up) {
    const { received } = bodyOf(session, 0, 0);
    write(session._current, { received });
  } else if (session._unacknowledged) {
    session._unacknowledged = ACK_SIZE;
    pump(session);
  }
}
