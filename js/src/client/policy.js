// When which way is tried, and how long it is trusted: numbers, and decisions on them.
// Source: docs/protocol.rst, "The client: hedged, proven, remembered". All times are ms.

/** @import { Known, Way } from "./session.js" */

// The ways by the names that SockJS gives to its transports.
export const WEBSOCKET = "websocket";
export const STREAM = "xhr-streaming";
export const POLL = "xhr-polling";
/** In the order of preference. @type {Way[]} */
export const WAYS = [WEBSOCKET, STREAM, POLL];

/** A way, or a session, that lived for so long has worked. */
export const SETTLED = 5e3;
/** A way is on probation for so long after its welcome. */
export const PROBATION = 60e3;
/** What did not come up, or broke often on probation, is left out, at first. */
export const LEFT_OUT = 300e3;

// That at last.
const MAX_LEFT_OUT = 3600e3;
// The second way begins so much later where nothing is known, or two round trips and a bit.
const HEDGE = 150;
const MAX_HEDGE = 800;
// What is asked for where silence kills: a part of what it took; the bounds of what can be asked.
const SILENCE_PART = 0.7;
export const MIN_HEARTBEAT = 5e3;
const MAX_HEARTBEAT = 25e3;

/**
 * @param {string[]} [names]
 * @returns {Way[]} the ways of these names; all, where there are none.
 */
export function waysOf(names = []) {
  const ways = WAYS.filter((way) => names.includes(way));
  return ways.length ? ways : WAYS;
}

/**
 * @typedef {ReturnType<typeof newPolicy>} Policy
 * @param {Known} [known]
 */
export const newPolicy = (known) => ({
  /** What is known of the network. @type {Known} */
  _known: { way: null, net: null, rtt: 100, heartbeat: MAX_HEARTBEAT, ...known },
  /**
   * What is known of a way: until when it is left out, for how long the next time, and how long it had
   * been silent when it broke last.
   *
   * @type {{ [way in Way]?: { _until: number, _pause: number, _silence: number } }}
   */
  _records: {},
});

/**
 * @param {Policy} policy
 * @param {Way} way
 */
export function recordOf(policy, way) {
  return (policy._records[way] ??= { _until: 0, _pause: 0, _silence: 0 });
}

/**
 * @param {Policy} policy
 * @param {Way[]} ways
 * @param {number} now
 * @param {boolean} all none worked, so that none is left out.
 * @returns {[Way[], number]} what is tried where there is no way, and how long after each other.
 */
export function plan(policy, ways, now, all) {
  const { way, rtt } = policy._known;
  const fit = ways.filter((one) => recordOf(policy, one)._until <= now);
  // Those that were left out come last: one may be welcomed each time, and break.
  const some = all || !fit.length ? [...new Set([...fit, ...ways])] : fit;
  // A stream is proved beside a poll, it is no way in where there is one, unless it has been.
  const rest = some.filter((one) => one !== STREAM || !ways.includes(POLL));
  const order = rest.length ? rest : some;
  return way && fit.includes(way)
    ? [[...new Set([way, ...order])], Math.min(MAX_HEDGE, Math.max(HEDGE, 2 * rtt + 100))]
    : [order, HEDGE];
}

/**
 * @param {Policy} policy
 * @param {string} net by which the server sees this client: of another one nothing is known.
 */
export function enterNet(policy, net) {
  const known = policy._known;
  if (known.net !== null && known.net !== net) {
    policy._records = {};
    known.way = null;
    known.heartbeat = MAX_HEARTBEAT;
  }
  known.net = net;
}

/**
 * Leaves a way out for some time, twice as long the next time.
 *
 * @param {Policy} policy
 * @param {Way} way
 * @param {number} now
 * @param {number} [least]
 */
export function leaveOut(policy, way, now, least = LEFT_OUT) {
  const record = recordOf(policy, way);
  const pause = Math.max(least, record._pause);
  record._until = now + pause;
  record._pause = Math.min(MAX_LEFT_OUT, 2 * pause || LEFT_OUT);
}

/**
 * Hears that a way broke which had a welcome.
 *
 * @param {Policy} policy
 * @param {Way} way
 * @param {number} now
 * @param {number} lived since its welcome.
 * @param {number} silence how long nothing had come.
 */
export function brokeOn(policy, way, now, lived, silence) {
  const record = recordOf(policy, way);
  // The poll is the way in: there is none to fall back on. The first time it is left out for no time.
  if (lived >= PROBATION) record._pause = 0;
  else if (way !== POLL) leaveOut(policy, way, now, 0);
  const both = Math.min(record._silence, silence);
  record._silence = silence;
  if (both >= MIN_HEARTBEAT) {
    policy._known.heartbeat = Math.min(MAX_HEARTBEAT, Math.max(MIN_HEARTBEAT, SILENCE_PART * both));
  }
}
