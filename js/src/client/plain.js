// What a session has where the server does not know ~r1: SockJS, which acknowledges nothing, and whose
// session ends with its connection. At each reconnection ~r1 is asked for again: by then the server may be
// a newer one.

import { leaveAll, tryAgain } from "./asking.js";
import { after, enter } from "./fields.js";
import { newLink } from "./link.js";
import { SETTLED } from "./policy.js";
import { finish, isFinal } from "./reading.js";
import { pump } from "./sending.js";
import { SockJS } from "./sockjs.js";

/** @import { Session } from "./fields.js" */
/** @import { Way } from "./session.js" */

// Ms of silence after which nobody is there: heartbeats come more often.
const SILENCE = 90e3;
const NORMAL = 1000;
// Codes by which servers close, and not their applications.
const GO_AWAY = 3000;
const SLOW_CONSUMER = 4008;

/**
 * Goes on over SockJS.
 *
 * @param {Session} session
 */
export function goOnPlain(session) {
  const { _address, _ways, _credentials } = session;
  const sock = new SockJS(_address, null, { transports: _ways, credentials: _credentials });
  const link = newLink(_ways[0], 0);
  link._sock = sock;
  link._wire = sock;
  link._welcomedAt = Infinity;
  session._links.push(link);
  const broke = () => {
    leaveAll(session);
    if (session._now() >= link._welcomedAt + SETTLED) session._failures = 0;
    enter(session, "break");
    tryAgain(session);
  };
  const heard = () => after(session, link, SILENCE, broke);
  sock.onheartbeat = heard;
  sock.onopen = () => {
    heard();
    link._welcomedAt = session._now();
    link._way = /** @type {Way} */ (sock.transport);
    session._current = link;
    session._plain = true;
    session._tell("transport", link._way);
    enter(session, "welcome");
    pump(session);
  };
  sock.onmessage = ({ data }) => {
    heard();
    session._tell("message", data);
  };
  sock.onclose = ({ code, reason, wasClean }) => {
    const ends = wasClean && (code === NORMAL || code > GO_AWAY) && code !== SLOW_CONSUMER;
    if (link._over || isFinal(session, code)) return;
    if (ends) finish(session, "stopped", [code, reason]);
    else broke();
  };
}
