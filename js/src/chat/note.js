// A quiet line above the conversation, for a moment.

import { $, setText } from "./dom.js";

// Milliseconds.
const SHOWN = 6000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * Says something that needs no answer.
 *
 * @param {string} text
 */
export function note(text) {
  clearTimeout(timer);
  setText($("note"), text);
  timer = setTimeout(() => setText($("note"), ""), SHOWN);
}

/**
 * Puts a text into the clipboard, and says so.
 *
 * @param {string} text
 * @param {string} done what is said then.
 */
export async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    note(done);
  } catch {
    // Over http browsers have no clipboard for pages; some ask, and the user says no.
    note(text);
  }
}
