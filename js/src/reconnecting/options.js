const REPLACED = 4001;

/** @param {number} code */
const isFinal = (code) => code === REPLACED || (code >= 4400 && code <= 4499);

/**
 * @typedef {object} Ping How to tell that a connection lives, and how long a round trip takes.
 * @property {() => string} message makes the text that is sent.
 * @property {(text: string) => boolean} isPong tells the answer; it is not given out as "message".
 * @property {number} [interval=2500] ms between an answer and the next ping.
 * @property {number} [timeout=6500] ms that the answer may take before the connection counts as
 *   lost: a dead one is noticed within the sum of both. Where much else has come meanwhile, which
 *   may hold the answer up on a slow line, it has as long again.
 *
 * @typedef {object} Options
 * @property {string[]} [transports=[]] that may be used, by SockJS's names, in whatever order; empty
 *   for those that help a browser which runs this: all but xdr-…, iframe-… and jsonp-polling.
 * @property {import("./sockjs.js").SockJSClass} [SockJS] the constructor; else the global one.
 * @property {number} [minDelay=1000] ms: the delay after the n-th failure in a row is drawn from 0
 *   to `min(maxDelay, minDelay * 2 ** (n - 1))`, so that the clients of a restarted server do not
 *   come all at once. A connection that has worked makes n begin anew: one that lasted 5 s, and one
 *   that carried the answer to a ping or a confirmation, unless the server itself closed it.
 * @property {number} [maxDelay=30000] ms.
 * @property {?Ping} [ping] without it, a connection is lost after 90 s of silence, and 9 s after
 *   something was posted.
 * @property {?Storage | (() => ?Storage)} [storage=null] where the outbox survives a reload:
 *   sessionStorage, as a function where the browser may forbid it. Not localStorage: two tabs would
 *   overwrite each other's. A tab that the user duplicates starts with a copy, and both send what
 *   was in it, which does no harm: the receiver drops doubles by id.
 * @property {string} [storageKey="sockjs-outbox"]
 * @property {(code: number) => boolean} [isFinal] tells the close codes after which no attempt is
 *   made; else 4001 and 4400 to 4499.
 * @property {() => Promise<boolean>} [authorized] asked before an attempt when the last one did
 *   not get through: a browser does not show why a WebSocket was refused. False stops with 4401; a
 *   rejection, or no answer within 8 s, says nothing.
 */

/** @typedef {Options & Required<Omit<Options, "SockJS" | "authorized">>} CompleteOptions */

/** @type {CompleteOptions} */
const DEFAULTS = {
  transports: [],
  minDelay: 1_000,
  maxDelay: 30_000,
  ping: null,
  storage: null,
  storageKey: "sockjs-outbox",
  isFinal,
};

/**
 * Puts the defaults where nothing, or undefined, was given.
 * @param {Options} options
 * @returns {CompleteOptions}
 */
export function complete(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}
