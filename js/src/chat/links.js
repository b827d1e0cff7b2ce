// Text with its links. Nothing of a text is ever read as markup.

const LINK = /\bhttps?:\/\/[^\s<>"'`\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]+/giu;
// What ends a sentence does not end an address.
const TRAILING = new Set(".,:;!?…»”’*_~");
// A closing bracket belongs to the address only where it was opened in it.
/** @type {Record<string, string>} */
const OPENING = { ")": "(", "]": "[", "}": "{" };

/** @param {string} found */
function trim(found) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const char of found) counts[char] = (counts[char] ?? 0) + 1;
  let end = found.length;
  for (; end > 0; end -= 1) {
    const char = found[end - 1];
    if (TRAILING.has(char)) continue;
    if (!(counts[char] > (counts[OPENING[char]] ?? 0)) || !OPENING[char]) break;
    counts[char] -= 1;
  }
  return found.slice(0, end);
}

/**
 * Returns a link that has its address as its text, or null, where that is none.
 *
 * @param {string} address
 */
export function anchor(address) {
  if (!URL.canParse(address)) return null;
  const made = document.createElement("a");
  made.href = address;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  made.textContent = address;
  return made;
}

/**
 * Returns the address of the web that begins at a place of a text, or "".
 *
 * @param {string} text
 * @param {number} start
 */
export function addressAt(text, start) {
  const here = new RegExp(LINK, "iuy");
  here.lastIndex = start;
  return trim(here.exec(text)?.[0] ?? "");
}

/**
 * Returns a text as nodes: text nodes, and links where it holds addresses of the web.
 *
 * @param {string} text
 * @returns {Node[]}
 */
export function linked(text) {
  /** @type {Node[]} */
  const nodes = [];
  let done = 0;
  /** @param {number} end */
  const plain = (end) => {
    if (end > done) nodes.push(document.createTextNode(text.slice(done, end)));
  };
  for (const match of text.matchAll(LINK)) {
    const address = trim(match[0]);
    const link = anchor(address);
    if (!link) continue;
    plain(match.index);
    nodes.push(link);
    done = match.index + address.length;
  }
  plain(text.length);
  return nodes;
}
