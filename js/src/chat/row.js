// One row of the log. Texts and names enter the page as text, never as markup.

import { face, hueOf, icon, make } from "./dom.js";
import { shownFiles } from "./files.js";
import { linked } from "./links.js";
import { clockOf, exactOf } from "./times.js";

/** @import { Item, MessageItem } from "./items.js" */

const PENCIL = "M4 20l1-4L16.5 4.5a1.8 1.8 0 0 1 2.5 0l.5.5a1.8 1.8 0 0 1 0 2.5L8 19l-4 1Z";
const BIN = "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v6M13.7 10.5v6";

/** @type {Record<string, Record<import("./outbox.js").Entry["type"], string>>} */
const PROGRESS = {
  sending: { edit: "saving…", delete: "deleting…", message: "sending…" },
  waiting: { edit: "will be saved", delete: "will be deleted", message: "will be sent" },
  failed: { edit: "not saved", delete: "not deleted", message: "not sent" },
};

// A text whose first letter is one of these is read from right to left, and so is its bubble.
const RIGHT_TO_LEFT = new RegExp(`^\\P{L}*[${
  ["Hebrew", "Arabic", "Syriac", "Thaana", "Nko", "Adlam"].map((name) => `\\p{Script=${name}}`).join("")
}]`, "u");

/**
 * Makes a row for an item.
 *
 * @param {Item} item
 */
export function makeRow(item) {
  return fillRow(make("li"), item);
}

/**
 * Gives a row the content of an item.
 *
 * @param {HTMLElement} row
 * @param {Item} item
 */
export function fillRow(row, item) {
  if (item.kind === "day") return fillSeparator(row, "day", item.text);
  if (item.kind === "mark") return fillSeparator(row, "new-mark", "New");
  return fillMessage(row, item);
}

/**
 * @param {HTMLElement} row
 * @param {string} className
 * @param {string} text
 */
function fillSeparator(row, className, text) {
  row.className = className;
  row.replaceChildren(make("span", {}, text));
  return row;
}

/**
 * @param {HTMLElement} row
 * @param {MessageItem} item
 */
function fillMessage(row, item) {
  row.className = "message";
  row.classList.toggle("own", item.own);
  row.classList.toggle("together", item.together);
  Object.assign(row.dataset, {
    number: item.number ?? "", key: item.key, state: item.state, author: item.author.id,
  });
  const dir = RIGHT_TO_LEFT.test(item.text) ? "rtl" : "ltr";
  const bubble = make("div", { class: "bubble", dir }, nameOf(item), " ", textOf(item), " ", footOf(item));
  if (item.files) bubble.insertBefore(shownFiles(item.room ?? 0, item.files), bubble.lastChild);
  /** @type {Element[]} */
  const parts = [face(item.author.name), bubble];
  if (item.deletable) parts.push(actions(item));
  if (item.state === "failed" || item.reason) parts.push(trouble(item));
  row.replaceChildren(...parts);
  return row;
}

/** @param {MessageItem} item */
function nameOf({ author }) {
  const name = make("bdi", { class: "name" }, author.name);
  name.style.setProperty("--hue", String(hueOf(author.name)));
  return name;
}

/** @param {MessageItem} item */
function textOf(item) {
  if (item.remover !== null) {
    return make("p", { class: "text" }, "This message was removed by ", make("bdi", {}, item.remover), ".");
  }
  if (item.deleted) return make("p", { class: "text" }, "This message was deleted.");
  // A message without a text had files, which went with its author's account.
  if (!item.text && !item.files) return make("p", { class: "text" }, "The files of this message were removed.");
  return make("p", { class: "text", dir: "auto" }, ...linked(item.text));
}

/** @param {MessageItem} item */
function footOf(item) {
  const foot = make("span", { class: "foot", dir: "auto" });
  if (item.edited && !item.deleted) foot.append(make("span", { class: "edited" }, "edited"), " ");
  const progress = PROGRESS[item.state]?.[item.doing ?? "message"];
  if (progress) foot.append(make("span", { class: "progress" }, progress), " ");
  if (item.time) {
    foot.append(make("time", { datetime: item.time, title: exactOf(item.time) }, clockOf(item.time)));
  }
  return foot;
}

/** @param {MessageItem} item */
function actions({ editable, own }) {
  const made = make("div", { class: "actions" });
  if (editable) made.append(action("edit", "Edit", PENCIL));
  made.append(action("delete", own ? "Delete" : "Remove", BIN));
  return made;
}

/**
 * @param {string} name
 * @param {string} label
 * @param {string} path
 */
function action(name, label, path) {
  return make("button",
    { class: name, type: "button", tabindex: -1, "aria-label": label, title: label }, icon(path));
}

/** @param {MessageItem} item */
function trouble(item) {
  const made = make("div", { class: "trouble" },
    make("span", { class: "reason", dir: "auto" }, item.reason));
  if (item.state === "failed") {
    made.append(make("span", { class: "choices" },
      make("button", { class: "retry", type: "button" }, "Retry"),
      make("button", { class: "discard", type: "button" }, "Discard")));
  }
  return made;
}
