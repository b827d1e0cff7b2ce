// What a page leaves to the next one of its tab: what was not handled, and what is known of the network.

import { snapshotOf } from "./resumable.js";

/** @import { Session } from "./fields.js" */
/** @import { Known, Snapshot } from "./session.js" */

/**
 * @typedef {object} Left
 * @property {number} [id] by which it is known who took it.
 * @property {number} [at] when, by Date.now().
 * @property {Known} [known]
 * @property {Snapshot} [snapshot]
 * @property {number} [unsaved] so many texts were too much.
 */

// By this name `localStorage` has what was taken last, so many characters of it: all pages of a browser see it.
const TAKEN = "sockjs taken";
const REMEMBERED = 1e4;

/**
 * Takes what is there. A tab that is duplicated while the page lives has nothing to copy; where it was duplicated in
 * between, one of the two takes it.
 *
 * @param {?string | undefined} key
 * @returns {Left}
 */
export function take(key) {
  let left;
  try {
    left = key && JSON.parse(/** @type {string} */ (sessionStorage.getItem(key)));
    if (left) {
      sessionStorage.removeItem(/** @type {string} */ (key));
      const taken = localStorage.getItem(TAKEN) || "";
      if (taken.includes(left.id)) left = null;
      else localStorage.setItem(TAKEN, `${left.id} ${taken}`.slice(0, REMEMBERED));
    }
  } catch {
    // Forbidden, or not ours.
  }
  return left || {};
}

/**
 * Leaves what the next page needs.
 *
 * @param {?string | undefined} key
 * @param {Session} session
 * @returns {boolean} whether it is kept.
 */
export function leave(key, session) {
  const snapshot = snapshotOf(session);
  const left = {
    id: Math.random(),
    at: Date.now(),
    known: session._known,
    snapshot,
    unsaved: session._waiting.length - snapshot.texts.length,
  };
  try {
    if (key) sessionStorage.setItem(key, JSON.stringify(left));
    return Boolean(key);
  } catch {
    // Forbidden, or full.
    return false;
  }
}
