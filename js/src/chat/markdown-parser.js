// What a text's Markdown says, as a list of tokens: built into a file of its own, which is loaded when a
// text needs it. Its rules are CommonMark's but for those that are off: see `OFF`.

import MarkdownIt from "markdown-it";

/** @import { Token } from "markdown-it" */

/**
 * Reads a text; null: it nests too deep, and is to be shown as it was written.
 *
 * @typedef {(text: string) => Token[] | null} Parse
 */

// What is not in the subset stays the text that it is. "newline" would take the spaces around the end of
// a line away.
const OFF = [
  "autolink", "code", "entity", "heading", "hr", "html_block", "html_inline", "image", "lheading", "newline",
  "reference", "table",
];
// Quotes and lists within each other: what is deeper the parser would leave out.
const DEEPEST = 16;
const COLON = ":".charCodeAt(0);
const SCHEME = /https?$/i;

/**
 * @param {object} options
 * @param {(text: string, start: number) => string} options.addressAt returns the address of the web
 *   that begins at a place, or "".
 * @param {(address: string) => boolean} options.isAllowed says where a link may lead.
 * @returns {Parse}
 */
export function makeParser({ addressAt, isAllowed }) {
  const parser = new MarkdownIt({ maxNesting: DEEPEST });
  parser.disable(OFF);
  parser.validateLink = isAllowed;
  parser.normalizeLink = (address) => address;
  // Nothing within an address is markup.
  parser.inline.ruler.before("text", "address", (state, silent) => {
    const { src, pos } = state;
    if (src.charCodeAt(pos) !== COLON) return false;
    const scheme = SCHEME.exec(src.slice(Math.max(0, pos - 5), pos))?.[0] ?? "";
    if (!scheme || !(silent || state.pending.endsWith(scheme))) return false;
    // There the text of a link ends.
    const end = src.indexOf("](", pos);
    const address = addressAt(src.slice(0, end < 0 ? state.posMax : Math.min(end, state.posMax)), pos - scheme.length);
    if (!address) return false;
    if (!silent) {
      state.pending = state.pending.slice(0, -scheme.length);
      state.push("address", "", 0).content = address;
    }
    state.pos += address.length - scheme.length;
    return true;
  });
  return (text) => {
    const tokens = parser.parse(text, {});
    return tokens.some(({ level }) => level >= DEEPEST - 1) ? null : tokens;
  };
}
