// Mentions in a text that is shown: the server says where they are, nothing here looks for names.

import { make } from "./dom.js";

/**
 * @typedef {object} Mark A mention as a row shows it.
 * @property {number} start of it in the text, as the server told it.
 * @property {number} length
 * @property {string} name of the person by now.
 * @property {boolean} mine whether it is the user.
 */

const SIGN = "@";
// NodeFilter.SHOW_TEXT.
const TEXTS = 4;

/** @param {string} text */
const signsIn = (text) => text.split(SIGN).length - 1;

/**
 * Marks mentions in the text nodes of an element, whatever markup is between them. A mention is found
 * by its sign: the text as it was written and the text that is shown have the same signs in the same
 * order. What does not stand there as it was written, or stands in code or in a link, is not marked.
 *
 * @template {Element} Shown
 * @param {Shown} element
 * @param {string} text as it was written.
 * @param {Mark[]} marks
 * @returns {Shown} the same.
 */
export function markMentions(element, text, marks) {
  if (!marks.length) return element;
  const bySign = new Map(marks.map((mark) => [signsIn(text.slice(0, mark.start)), mark]));
  const walker = document.createTreeWalker(element, TEXTS);
  /** @type {Text[]} */
  const nodes = [];
  while (walker.nextNode()) nodes.push(/** @type {Text} */ (walker.currentNode));
  let sign = 0;
  for (const node of nodes) sign += markIn(node, sign, bySign, text);
  return element;
}

/**
 * @param {Text} node
 * @param {number} before signs before the node.
 * @param {Map<number, Mark>} bySign
 * @param {string} text
 * @returns {number} signs in the node.
 */
function markIn(node, before, bySign, text) {
  const signs = signsIn(node.data);
  if (node.parentElement?.closest("a, code, pre")) return signs;
  let rest = node;
  let from = 0;
  for (let sign = before; sign < before + signs; sign += 1) {
    const at = rest.data.indexOf(SIGN, from);
    const mark = bySign.get(sign);
    const written = mark && text.slice(mark.start, mark.start + mark.length);
    if (!mark || !written || !rest.data.startsWith(written, at)) {
      from = at + 1;
      continue;
    }
    const found = rest.splitText(at);
    rest = found.splitText(written.length);
    found.replaceWith(marked(mark, written));
    // A name may have signs in it.
    sign += signsIn(written) - 1;
    from = 0;
  }
  return signs;
}

/**
 * @param {Mark} mark
 * @param {string} written
 */
function marked({ name, mine }, written) {
  const now = written === SIGN + name ? null : `${name} by now`;
  return make("bdi", { class: mine ? "mention mine" : "mention", title: now }, written);
}
