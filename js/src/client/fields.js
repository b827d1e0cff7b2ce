// What a session of ~r1 knows, and the small things that all its parts do with it. The parts are functions
// that take the session first: sending.js (the way up), asking.js (the ways), reading.js (what comes down),
// resumable.js (what the page calls). They call each other.

import { newOutbox } from "./outbox.js";
import { newPolicy, PROBATION, WAYS } from "./policy.js";
import { TRANSITIONS } from "./states.js";

/** @import { Host, Request } from "./host.js" */
/** @import { Link } from "./link.js" */
/** @import { Options, State, Tell, Way } from "./session.js" */
/** @import { Event } from "./states.js" */
/** @typedef {ReturnType<typeof create>} Session */

// Bytes of a request, before the server has told its limit; what each takes beside its messages.
const LIMIT = 65536;
export const OVERHEAD = 1024;
// How long a sign is waited for: at least, and on a way that is over its probation.
const PATIENCE = 2e3;
const STEADY_PATIENCE = 4e3;
// Bounds of the pauses where nothing works.
const MIN_PAUSE = 500;
const MAX_PAUSE = 30e3;

/** @param {Host} host @returns {string} 16 random bytes as base64url. */
export function token({ _random }) {
  const bytes = Array.from({ length: 16 }, () => _random() * 256);
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").slice(0, 22);
}

/**
 * @param {Host} host
 * @param {string} url of the endpoint, absolute.
 * @param {Options} options
 * @param {Tell} tell
 */
export function create(host, url, { ways = WAYS, known, snapshot, _fallsBack = false }, tell) {
  return {
    ...host,
    _tell: tell,
    _address: url,
    _ways: ways,
    ...newPolicy(known),
    ...newOutbox(),
    _state: /** @type {State} */ ("connecting"),
    /** The client's id, which outlives sessions. */
    _client: snapshot?.client ?? token(host),
    /** The present session's id, and its key. */
    _id: token(host),
    _key: token(host),
    /** The former session of this client, which the first one here ends. @type {object | undefined} */
    _replaces: undefined,
    /** The present session had a welcome. */
    _welcomed: false,
    /** Tells this session from another one of the same id. @type {string | undefined} */
    _incarnation: undefined,
    /** Where the session is at home, with a hyphen before it. */
    _home: "",
    /** When the present session was welcomed first, and how many in a row were over too soon. */
    _begunAt: Infinity,
    _short: 0,
    /** The code and reason by which the page has closed it. @type {[number, string] | undefined} */
    _closing: undefined,
    /** Who hears `unsupported` goes on over SockJS. */
    _fallsBack,
    /** SockJS was open, and nothing has come in its place. */
    _plain: false,

    /** Bytes of messages that a request may have. */
    _budget: LIMIT - OVERHEAD,
    /** The send that is on its way. @type {?Request} */
    _post: null,
    /** How many sends in a row failed, and how many brought nothing on. */
    _unanswered: 0,
    _asked: 0,

    /** How many messages of this session came. */
    _received: 0,
    /** What came since the server was told so, in characters; from ACK_SIZE on it is to be told. */
    _unacknowledged: 0,
    /** The last place of each room with history, by its key; what was heard last is last. */
    _rooms: /** @type {Map<string, string>} */ (new Map()),
    /** Rooms whose gap was told: a session tells each once. */
    _missed: new Set(),
    _stales: 0,

    /** @type {Link[]} */
    _links: [],
    /** The one that was welcomed last. @type {?Link} */
    _current: null,
    /** The number of the newest receive request. */
    _newest: 0,
    /** Ms of silence that the server allows itself. */
    _heartbeat: 25e3,
    /** The ways that are begun next, and how long after each other. @type {Way[]} */
    _attempts: [],
    _hedge: 0,
    _pings: 0,
    /** How often in a row it was tried in vain to get a way. */
    _failures: 0,
    /** Until when messages are said to flow. */
    _activeUntil: 0,
    /** By a name, or a link. @type {Map<unknown, object>} */
    _timers: new Map(),
  };
}

/**
 * @param {Session} session
 * @param {string} transport a way, or `xhr_send`.
 * @param {string} [query]
 */
export function urlOf({ _address, _home, _id }, transport, query) {
  const [path, ...own] = _address.split("?");
  const all = [query, own.join("?")].filter(Boolean).join("&");
  const name = transport.replace("-polling", "").replace("-", "_");
  return `${path}/~r1${_home}/${_id}/${name}${all && `?${all}`}`;
}

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
 * @param {unknown} key
 * @param {number} ms
 * @param {() => void} call
 */
export function after(session, key, ms, call) {
  cancel(session, key);
  session._timers.set(
    key,
    session._after(ms, () => {
      session._timers.delete(key);
      call();
    }),
  );
}

/**
 * @param {Session} session
 * @param {unknown} key
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
