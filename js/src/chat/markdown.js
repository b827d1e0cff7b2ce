// Texts with their markup, as nodes: whatever is not known here is shown as the text that it is. A text is
// never read as HTML.

import { codeBlock } from "./code-block.js";
import { make } from "./dom.js";
import { addressAt, anchor, linked } from "./links.js";

/** @import { Parse } from "./markdown-parser.js" */

/** @typedef {NonNullable<ReturnType<Parse>>} Tokens */

// What may be markup: what has none of it needs no parser.
const MARKUP = /[*_`~\\]|\]\(|^[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t])/m;
// Code in a block costs nothing to read, whatever it consists of.
const FENCED = /^(`{3,}|~{3,})[^]*?^\1/gm;
const MARKS = /[*_~`[\]\\]/g;
// Marks beside code, of which some thousand take the parser long.
const MOST_MARKS = 1000;
// Elements within each other.
const DEEPEST = 24;
const LANGUAGE = /^\s*[\w+#.-]*\s*$/;
const ALLOWED = /^(?:https?:\/\/|mailto:)/iu;
// They turn what stands behind them around.
const BIDI = /[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/u;

/** @type {Record<string, "blockquote" | "em" | "li" | "ol" | "p" | "s" | "strong" | "ul">} */
const TAGS = {
  blockquote_open: "blockquote", bullet_list_open: "ul", em_open: "em", list_item_open: "li",
  ordered_list_open: "ol", paragraph_open: "p", s_open: "s", strong_open: "strong",
};

/** @param {string} address */
const isAllowed = (address) => ALLOWED.test(address) && URL.canParse(address);

/** @type {Parse | null} */
let parse = null;
/** @type {Promise<void> | null} */
let loading = null;

/**
 * Whether a text may have markup.
 *
 * @param {string} text
 */
export const isMarkup = (text) => MARKUP.test(text);

/** Whether markup can be read: until then texts are shown as they were written. */
export const isReady = () => parse !== null;

let wake = () => {};

/**
 * Says what is to be called when markup can be read.
 *
 * @param {() => void} act
 */
export function whenReady(act) {
  wake = act;
}

/** Loads what reads markup. */
export function load() {
  loading ??= import("./markdown-parser.js").then(
    ({ makeParser }) => {
      parse = makeParser({ addressAt, isAllowed });
      wake();
    },
    // The next text tries again.
    () => { loading = null; },
  );
  return loading;
}

/**
 * Reads the markup of a text; null: there is none that can be shown.
 *
 * @param {string} text
 */
function tokensOf(text) {
  if (!isMarkup(text)) return null;
  if (!parse) {
    load();
    return null;
  }
  if ((text.replace(FENCED, "").match(MARKS)?.length ?? 0) > MOST_MARKS) return null;
  return parse(text);
}

/**
 * Makes the element that shows a text.
 *
 * @param {string} text
 */
export function textElement(text) {
  const tokens = tokensOf(text);
  const blocks = tokens ? blocksOf(tokens) : null;
  const [first] = blocks ?? [];
  if (!blocks || !first) return make("p", { class: "text", dir: "auto" }, ...linked(text));
  // Like any other text, where the only block is one of lines.
  if (blocks.length === 1 && first.nodeName === "P") {
    return make("p", { class: "text", dir: "auto" }, ...first.childNodes);
  }
  return make("div", { class: "text blocks", dir: "auto" }, ...blocks);
}

/**
 * Returns a text without its markup, on one line.
 *
 * @param {string} text
 */
export function plain(text) {
  const tokens = tokensOf(text);
  const all = (tokens ?? []).flatMap((token) => (
    token.type === "inline" ? [" ", ...(token.children ?? []).map((child) => leafText(child))]
      : [" ", token.type === "fence" ? codeOf(token) : token.content]
  ));
  return (tokens ? all.join("") : text).replace(/\s+/g, " ").trim();
}

/**
 * Returns the code of a block. Where what stands behind the fence names no language, it is code as well.
 *
 * @param {Tokens[number]} token
 */
function codeOf({ info, content }) {
  return content.trim() && LANGUAGE.test(info) ? content : [info, content].filter(Boolean).join("\n");
}

/** @param {Tokens[number]} token */
const leafText = ({ type, content }) => (type === "hardbreak" || type === "softbreak" ? "\n" : content);

/**
 * Makes the blocks of a text. Paragraphs that follow each other are one, with the lines between them.
 *
 * @param {Tokens} tokens
 */
function blocksOf(tokens) {
  const root = make("div");
  /** @type {Element[]} */
  const stack = [root];
  let end = 0;
  for (const token of tokens) {
    const parent = stack[stack.length - 1];
    if (token.nesting > 0) {
      const before = parent.lastElementChild;
      if (parent === root && token.type === "paragraph_open" && before?.nodeName === "P") {
        before.append("\n".repeat((token.map?.[0] ?? end) - end + 1));
        stack.push(before);
      } else {
        stack.push(opened(token, parent, parent === root));
      }
    } else if (token.nesting < 0) {
      stack.pop();
    } else if (token.type === "inline") {
      fillInline(parent, token.children ?? []);
    } else if (token.type === "fence") {
      parent.append(codeBlock(codeOf(token)));
    } else {
      parent.append(token.content);
    }
    if (parent === root && token.map) end = token.map[1];
  }
  return [...root.children];
}

/**
 * Makes the element of what begins, where it is one.
 *
 * @param {Tokens[number]} token
 * @param {Element} parent
 * @param {boolean} [isOutermost] whether it is a block that is in no other one.
 */
function opened({ type, hidden, attrs }, parent, isOutermost = false) {
  if (hidden || !Object.hasOwn(TAGS, type)) return parent;
  const tag = TAGS[type];
  // By its first letter, in all of its parts alike.
  const element = make(tag, { dir: isOutermost && "auto" });
  const start = attrs?.find(([name]) => name === "start");
  if (tag === "ol" && start) element.setAttribute("start", String(start[1]));
  parent.append(element);
  return element;
}

/**
 * @param {Element} parent
 * @param {Tokens} tokens of a line, or some.
 */
function fillInline(parent, tokens) {
  /** @type {Element[]} */
  const stack = [parent];
  /** @type {ReturnType<typeof linkOf> | null} */
  let link = null;
  for (const [index, token] of tokens.entries()) {
    const here = stack[stack.length - 1];
    if (token.type === "link_open") {
      link = linkOf(tokens, index);
      here.append(link.element ?? link.before);
      stack.push(link.element ?? here);
    } else if (token.type === "link_close") {
      stack.pop();
      stack[stack.length - 1].append(...(link?.after ?? []));
      link = null;
    } else if (token.nesting > 0) {
      stack.push(stack.length < DEEPEST ? opened(token, here) : here);
    } else if (token.nesting < 0) {
      stack.pop();
    } else if (token.type === "code_inline") {
      here.append(make("code", {}, token.content));
    } else if (token.type === "address") {
      here.append((link ? null : anchor(token.content)) ?? token.content);
    } else {
      here.append(leafText(token));
    }
  }
}

/**
 * Makes the link that begins at a token. Where its text pretends to be another address than its own, or
 * turns itself around, it is no link: the address stands behind it, as it was written.
 *
 * @param {Tokens} tokens
 * @param {number} index
 * @returns {{ element: Element | null, before: string, after: (Node | string)[] }}
 */
function linkOf(tokens, index) {
  const address = String(tokens[index].attrs?.find(([name]) => name === "href")?.[1] ?? "");
  const end = tokens.findIndex(({ type }, at) => at > index && type === "link_close");
  const text = tokens.slice(index + 1, end).map((token) => leafText(token)).join("");
  const pretends = text !== address && linked(text).some(({ nodeName }) => nodeName === "A");
  const isLink = isAllowed(address) && text.trim() !== "" && !pretends && !BIDI.test(text + address);
  const element = isLink ? anchor(address) : null;
  if (!element) return { element, before: "[", after: ["](", ...linked(address), ")"] };
  element.textContent = "";
  element.title = address;
  return { element, before: "", after: [] };
}
