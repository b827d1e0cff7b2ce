// What a session of ~r1 knows, and the small things that all its parts do with it. The parts are functions
// that take the session first: sending.js (the way up), asking.js (the ways), reading.js (what comes down),
// resumable.js (what the page calls). They call each other.

import { draw } from "./network.js";
import { newOutbox } from "./outbox.js";
import { newPolicy, PROBATION, WAYS } from "./policy.js";
import { TRANSITIONS } from "./states.js";
import { below, lastOf } from "./urls.js";

/** @import { Host, Request } from "./host.js" */
/** @import { Link } from "./link.js" */
/** @import { Options, State, Tell, Way } from "./session.js" */
/** @import { Event } from "./states.js" */
/**
 * What a session has besides, as soon as there is a value: the former session of this client, which the next
 * one ends; the code and reason by which the page has closed it; the send that is on its way; how many ms
 * after each other ways are begun; until when messages are said to flow.
 *
 * @typedef {{
 *   _replaces?: object,
 *   _closing?: [number, string],
 *   _post?: ?Request,
 *   _hedge: number,
 *   _activeUntil: number,
 * }} Later
 * @typedef {ReturnType<typeof create> & Later} Session
 */
/** @typedef {Link | Function} Key What a timer is for: a link, or what is done then. */

// Bytes of a request, before the server has told its limit; what each takes beside its messages.
const LIMIT = 65536;
export const OVERHEAD = 1024;
// How long a sign is waited for: at least, and on a way that is over its probation.
const PATIENCE = 2e3;
const STEADY_PATIENCE = 4e3;
// Bounds of the pauses where nothing works.
const MIN_PAUSE = 500;
const MAX_PAUSE = 30e3;

/** @param {Host} host @returns {string} 16 bytes by chance as base64url, of which 108 bits were drawn. */
export const token = (host) => `${draw(host, 21)}A`;

/**
 * What begins anew with each session of this client.
 *
 * @param {Host} host
 */
export const newTerms = (host) => ({
  /** The session's id, and its key. */
  _id: token(host),
  _key: token(host),
  /** It had a welcome: when, first. */
  _welcomed: false,
  _begunAt: Infinity,
  /** Tells it from another one of the same id. @type {string | undefined} */
  _incarnation: undefined,
  /** Where it is at home, with a hyphen before it. */
  _home: "",
  /** How many of its messages came. */
  _received: 0,
  /** What came since the server was told so, in characters; from ACK_SIZE on it is to be told. */
  _unacknowledged: 0,
  /** Rooms whose gap was told: a session tells each once. */
  _missed: new Set(),
  /** The number of the newest receive request. */
  _newest: 0,
  _stales: 0,
});

/**
 * @param {Host} host
 * @param {string} url of the endpoint, absolute.
 * @param {Options} options
 * @param {Tell} tell
 */
export const create = (host, url, { ways = WAYS, known, _fallsBack = false }, tell) => ({
  ...host,
  _tell: tell,
  _address: url,
  _ways: ways,
  ...newPolicy(known),
  ...newOutbox(),
  ...newTerms(host),
  _client: token(host),
  _state: /** @type {State} */ ("connecting"),
  /** How many sessions in a row were over too soon. */
  _short: 0,
  /** Who hears `unsupported` goes on over SockJS. */
  _fallsBack,

  /** Bytes of messages that a request may have. */
  _budget: LIMIT - OVERHEAD,
  /** How many sends in a row failed, and how many brought nothing on. */
  _unanswered: 0,
  _asked: 0,
  /** The last place of each room with history, by its key; what was heard last is last. */
  _rooms: /** @type {Map<string, string>} */ (new Map()),

  /** @type {Link[]} */
  _links: [],
  /** The one that was welcomed last. @type {?Link} */
  _current: null,
  /** Ms of silence that the server allows itself. */
  _heartbeat: 25e3,
  /** The ways that are begun next. @type {Way[]} */
  _attempts: [],
  _pings: 0,
  /** How often in a row it was tried in vain to get a way. */
  _failures: 0,
  /** @type {Map<Key, object>} */
  _timers: new Map(),
});

/** @param {Session} session @returns {boolean} it is over. */
export const isOver = ({ _state }) => !TRANSITIONS[_state].end;

/**
 * @param {Session} session
 * @param {string} transport a way, or `xhr_send`.
 * @param {string} [query]
 */
export const urlOf = ({ _address, _home, _id }, transport, query) =>
  below(_address, `/~r1${_home}/${_id}/${lastOf(transport)}`, query);

/**
 * Moves on.
 *
 * @param {Session} session
 * @param {Event} event
 * @returns {unknown} nothing where it means nothing in this state.
 */
export function enter(session, event) {
  const next = TRANSITIONS[session._state][event];
  if (next) session._state = next[0];
  if (next?.[1]) session._tell(next[1]);
  return next;
}

/**
 * Calls later, in place of what was to be called for the same.
 *
 * @param {Session} session
 * @param {Key} key
 * @param {number} ms
 * @param {(session: Session) => void} [call] the key, where it is a function.
 */
export function after(session, key, ms, call = /** @type {any} */ (key)) {
  cancel(session, key);
  session._timers.set(
    key,
    session._after(ms, () => {
      session._timers.delete(key);
      call(session);
    }),
  );
}

/**
 * @param {Session} session
 * @param {Key} key
 */
export function cancel(session, key) {
  session._cancel(session._timers.get(key));
  session._timers.delete(key);
}

/**
 * @param {Session} session
 * @param {number} failures in a row.
 * @returns {number} how long to wait after them: full jitter.
 */
export const pause = (session, failures) =>
  session._random() * Math.min(MAX_PAUSE, MIN_PAUSE * 2 ** failures);

/**
 * @param {Session} session
 * @param {Link} link
 * @returns {boolean} it is over its probation.
 */
export const isSteady = (session, link) => session._now() >= link._welcomedAt + PROBATION;

/**
 * @param {Session} session
 * @param {?Link} [link] over which it goes.
 * @param {number} [trips]
 * @returns {number} how long a sign is waited for.
 */
export const patience = (session, link, trips = 3) =>
  link && isSteady(session, link) ? STEADY_PATIENCE : Math.max(PATIENCE, trips * session._known.rtt);
