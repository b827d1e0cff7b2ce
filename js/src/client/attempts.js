// Which transport a SockJS uses: what is tried, beside what, and for how long.

import { WEBSOCKET } from "./policy.js";
import { below, TRANSPORTS } from "./transports.js";

/** @import { Host } from "./host.js" */
/** @import { Link } from "./transports.js" */

// Milliseconds.
// What each transport has for itself at least; then the next one is begun beside it.
const HEDGE = 300;
// What the last one has.
const LIMIT = 15_000;
const INFO_LIMIT = 8_000;

/**
 * @typedef {object} Way What is known of the server.
 * @property {string} url Of the endpoint.
 * @property {string[]} names The transports that may be used.
 * @property {number} timeout ms that each has at least.
 * @property {boolean} ask Whether `/info` is asked first.
 * @property {RequestCredentials} credentials
 * @property {() => string} session The part of the URL of a new session.
 *
 * @typedef {object} Events What is told, until close() is called.
 * @property {(frame: string, name: string) => void} frame With the name of its transport.
 * @property {(code: number, reason: string) => void} lost The last call. 1002: there is no server.
 *
 * @typedef {object} Attempt A transport that is tried, and then the one that is used.
 * @property {string} _name
 * @property {number} _began ms.
 * @property {number} [_rtt] ms until it opened.
 * @property {string[]} _frames What came since.
 * @property {Link} _link
 */

/**
 * @param {string | URL} url
 * @param {string} [base]
 * @returns {?URL} None where it cannot be.
 */
export function absolute(url, base) {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
}

/** @param {URL} url Its path gets no slash at its end. */
export const trimmed = ({ href }) => href.replace(/^([^?]*?)\/+(?=\?|$)/, "$1");

/**
 * Connects to a SockJS server, over the best transport that works.
 *
 * @param {Host} host
 * @param {Way} way
 * @param {Events} on
 * @returns {Link}
 */
export function connect(host, { url, names, timeout, ask, credentials, session }, on) {
  let patience = Math.max(timeout, HEDGE);
  let informed = false;
  let over = false;
  // Those that are begun and have not failed, the best first.
  /** @type {Attempt[]} */
  let attempts = [];
  // The one of them that is used.
  /** @type {Attempt | undefined} */
  let chosen;
  // For the one thing that is waited for.
  /** @type {object | undefined} */
  let timer;

  /**
   * @param {number} ms
   * @param {() => void} act
   */
  function after(ms, act) {
    host._cancel(timer);
    timer = host._after(ms, act);
  }

  /** Asks whether there is a server, and where, and goes on with what it says. */
  async function inform() {
    const began = host._now();
    const signal = AbortSignal.timeout(INFO_LIMIT);
    const options = { credentials, signal, cache: /** @type {RequestCache} */ ("no-store") };
    const response = await fetch(below(url, "/info"), options).catch(() => null);
    const info = response?.ok && (await response.json().catch(() => ({})));
    if (over) return;
    if (!info) {
      on.lost(1002, "Cannot connect to server");
      return;
    }
    informed = true;
    patience = Math.max(patience, 2 * (host._now() - began));
    const base = info.base_url && absolute(info.base_url, url);
    if (base) url = trimmed(base);
    if (info.websocket === false) names = names.filter((name) => name !== WEBSOCKET);
    next();
  }

  /** Begins the next transport. The one behind it follows when all have failed, or after a while. */
  function next() {
    const name = names.shift();
    if (name) {
      begin(name);
      after(patience, next);
    } else if (attempts.length) {
      after(LIMIT, () => attempts.forEach(drop));
    } else if (informed) {
      on.lost(2000, "All transports failed");
    } else {
      // Whether there is a server at all makes the difference.
      inform();
    }
  }

  /** @param {string} name */
  function begin(name) {
    const attempt = /** @type {Attempt} */ ({ _name: name, _began: host._now() });
    attempt._frames = [];
    attempts.push(attempt);
    attempt._link = TRANSPORTS[name][0](host, below(url, session()), {
      frame: (frame) => heard(attempt, frame),
      lost: (code, reason) => lost(attempt, code, reason),
    });
  }

  /**
   * @param {Attempt} attempt
   * @param {string} frame
   */
  function heard(attempt, frame) {
    if (attempt === chosen) {
      on.frame(frame, attempt._name);
    } else if (attempt._rtt !== undefined || /^(o$|c\[)/.test(frame)) {
      attempt._rtt ??= host._now() - attempt._began;
      attempt._frames.push(frame);
      choose();
    } else if (frame[0] !== "h") {
      // The page of a proxy, or a form to sign in. Before `o` a stream brings its prelude, and no more.
      drop(attempt);
    }
  }

  /** @param {Attempt} attempt */
  function drop(attempt) {
    attempt._link.close(false);
    lost(attempt, 0, "");
  }

  /**
   * @param {Attempt} attempt
   * @param {number} code
   * @param {string} reason
   */
  function lost(attempt, code, reason) {
    if (attempt === chosen) {
      on.lost(code, reason);
      return;
    }
    attempts = attempts.filter((other) => other !== attempt);
    const opened = choose();
    // While one that had opened was waited with, nothing else was begun.
    if (!opened && (!attempts.length || attempt._rtt !== undefined)) next();
  }

  /**
   * Uses the best one that has opened, as soon as no better one can be hoped for.
   *
   * @returns {boolean} whether there is one.
   */
  function choose() {
    const [first] = attempts;
    const best = attempts.find(({ _rtt }) => _rtt !== undefined);
    if (!best) return false;
    const left = first._began + TRANSPORTS[first._name][1] * (best._rtt ?? 0) - host._now();
    if (best !== first && left > 0) {
      after(left, choose);
      return true;
    }
    host._cancel(timer);
    for (const attempt of attempts) if (attempt !== best) attempt._link.close(false);
    attempts = [best];
    chosen = best;
    for (const frame of best._frames) if (!over) on.frame(frame, best._name);
    return true;
  }

  if (ask) inform();
  else next();
  return {
    send: (text) => chosen?._link.send(text),
    close(flush) {
      over = true;
      host._cancel(timer);
      for (const { _link } of attempts) _link.close(flush);
    },
  };
}
