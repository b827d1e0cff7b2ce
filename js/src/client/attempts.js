// Which transport a SockJS uses: what is tried, beside what, and for how long.

import { WAYS, WEBSOCKET } from "./policy.js";
import { openLink } from "./transports.js";
import { absolute, below, trimmed } from "./urls.js";

/** @import { Host } from "./host.js" */
/** @import { Way } from "./session.js" */
/** @import { Link } from "./transports.js" */

// Milliseconds.
// What each transport has for itself at least; then the next one is begun beside it.
const HEDGE = 300;
// What the last one has.
const LIMIT = 15_000;
const INFO_LIMIT = 8_000;
const LOST = "Connection lost";

/**
 * @typedef {object} Attempt A transport that is tried, and then the one that is used.
 * @property {Way} _name
 * @property {number} _began ms.
 * @property {number} _rtt ms until it opened.
 * @property {string[]} _frames What came since.
 * @property {Link} _link
 */

/**
 * Connects to a SockJS server, over the best transport that works. Who has closed it takes no notice of what
 * it still tells.
 *
 * @param {Host} host
 * @param {string} url Of the endpoint.
 * @param {Way[]} names The transports that may be used, the best first.
 * @param {number} patience ms that each has at least.
 * @param {boolean} ask Whether `/info` is asked first.
 * @param {() => string} session The part of the URL of a new session.
 * @param {(frame: string, name: string) => void} take Told a frame, with the name of its transport.
 * @param {(code: number, reason: string) => void} end Told that it is over. 1002: there is no server.
 * @returns {Link}
 */
export function connect(host, url, names, patience, ask, session, take, end) {
  let informed = false;
  patience = Math.max(patience, HEDGE);
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
    const info = await fetch(below(url, "/info"), {
      credentials: host._credentials,
      signal: AbortSignal.timeout(INFO_LIMIT),
      cache: "no-store",
    }).then(
      (response) => response.ok && response.json().catch(() => ({})),
      () => false,
    );
    if (!info) {
      end(1002, "Cannot connect to server");
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
      end(2000, "All transports failed");
    } else {
      // Whether there is a server at all makes the difference.
      inform();
    }
  }

  /** @param {Way} name */
  function begin(name) {
    const attempt = /** @type {Attempt} */ ({ _name: name, _began: host._now() });
    attempt._frames = [];
    attempts.push(attempt);
    attempt._link = openLink(host, name, below(url, session()), {
      frame: (frame) => heard(attempt, frame),
      lost: (code, reason) => lost(attempt, code, reason),
    });
  }

  /**
   * @param {Attempt} attempt
   * @param {string} frame
   */
  function heard(attempt, frame) {
    const { _frames } = attempt;
    if (!attempts.includes(attempt)) return;
    if (attempt === chosen) {
      take(frame, attempt._name);
    } else if (_frames.length || /^(o$|c\[)/.test(frame)) {
      attempt._rtt ??= host._now() - attempt._began;
      _frames.push(frame);
      choose();
    } else if (frame[0] !== "h") {
      // The page of a proxy, or a form to sign in. Before `o` a stream brings its prelude, and no more.
      drop(attempt);
    }
  }

  /** @param {Attempt} attempt */
  function drop(attempt) {
    attempt._link.close();
    lost(attempt, 0, "");
  }

  /**
   * @param {Attempt} attempt
   * @param {number} code
   * @param {string} reason
   */
  function lost(attempt, code, reason) {
    if (!attempts.includes(attempt)) return;
    if (attempt === chosen) {
      end(code, reason || LOST);
      return;
    }
    attempts = attempts.filter((other) => other !== attempt);
    // While one that had opened was waited with, nothing else was begun.
    if (!choose() && (!attempts.length || attempt._frames.length)) next();
  }

  /**
   * Uses the best one that has opened, as soon as no better one can be hoped for: a WebSocket, which has a
   * TCP connection and TLS of its own to make, may take four round trips of one behind it, a stream two.
   *
   * @returns {unknown} whether there is one.
   */
  function choose() {
    const [first] = attempts;
    const best = attempts.find(({ _frames }) => _frames.length);
    if (!best) return false;
    const left = first._began + (4 - 2 * WAYS.indexOf(first._name)) * best._rtt - host._now();
    if (best !== first && left > 0) {
      after(left, choose);
    } else {
      const others = attempts.filter((other) => other !== best);
      attempts = [(chosen = best)];
      leave(false, others);
      for (const frame of best._frames) take(frame, best._name);
    }
    return true;
  }

  /**
   * @param {boolean} [flush]
   * @param {Attempt[]} [some]
   */
  function leave(flush, some = attempts) {
    names = [];
    informed = true;
    host._cancel(timer);
    for (const { _link } of some) _link.close(flush);
  }

  if (ask) inform();
  else next();
  return { send: (text) => chosen?._link.send(text), close: leave };
}
