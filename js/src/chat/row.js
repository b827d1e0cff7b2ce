// One row of the log. Texts and names enter the page as text, never as markup.

import { face, hueOf, icon, make } from "./dom.js";
import { shownFiles } from "./files.js";
import { textElement } from "./markdown.js";
import { markMentions } from "./mention-marks.js";
import { quoteLine } from "./quote-row.js";
import { showReactions } from "./reaction-view.js";
import { clockOf, exactOf } from "./times.js";

/** @import { Item, MessageItem } from "./items.js" */

const PENCIL = "M4 20l1-4L16.5 4.5a1.8 1.8 0 0 1 2.5 0l.5.5a1.8 1.8 0 0 1 0 2.5L8 19l-4 1Z";
const LINK = "M9.5 14.5 14.5 9.5M8 11.5 6 13.5a3.4 3.4 0 0 0 4.8 4.8l2-2M16 12.5l2-2a3.4 3.4 0 0 0-4.8-4.8l-2 2";
const ARROW = "M10 5.5 4 11.5l6 6M4.5 11.5H13c4.2 0 6.5 2.4 6.5 7";
const SMILE = "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17ZM8.5 14.2c1.8 2.6 5.2 2.6 7 0M9.2 9.3v.6M14.8 9.3v.6";
const BIN = "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.3 10.5v6M13.7 10.5v6";

/** @type {Record<string, Record<import("./outbox.js").Entry["type"], string>>} */
const PROGRESS = {
  sending: { edit: "saving…", delete: "deleting…", message: "sending…", react: "" },
  waiting: { edit: "will be saved", delete: "will be deleted", message: "will be sent", react: "" },
  failed: { edit: "not saved", delete: "not deleted", message: "not sent", react: "reaction not sent" },
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
  row.classList.toggle("mentioned", item.mentioned);
  Object.assign(row.dataset, {
    number: item.number ?? "", key: item.key, state: item.state, author: item.author.id,
  });
  const dir = RIGHT_TO_LEFT.test(item.text) ? "rtl" : "ltr";
  const quote = item.quote && !item.deleted ? [quoteLine(item.room, item.quote), " "] : [];
  const bubble = make("div", { class: "bubble", dir }, nameOf(item), " ", ...quote, textOf(item), " ", footOf(item));
  if (item.files) bubble.insertBefore(shownFiles(item.room, item.files), bubble.lastChild);
  /** @type {Element[]} */
  const parts = [face(item.author.name), bubble];
  if (hasActions(item)) parts.push(actions(item));
  if (item.state === "failed" || item.reason) parts.push(trouble(item));
  row.replaceChildren(...parts);
  showReactions(row, item);
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
  return markMentions(textElement(item.text), item.text, item.mentions);
}

/** @param {MessageItem} item */
function footOf(item) {
  const foot = make("span", { class: "foot", dir: "auto" });
  if (item.mentioned) foot.append(make("span", { class: "mentions-you" }, "mentions you"), " ");
  if (item.edited && !item.deleted) foot.append(make("span", { class: "edited" }, "edited"), " ");
  const progress = PROGRESS[item.state]?.[item.doing ?? "message"];
  if (progress) foot.append(make("span", { class: "progress" }, progress), " ");
  if (item.time) {
    foot.append(make("time", { datetime: item.time, title: exactOf(item.time) }, clockOf(item.time)));
  }
  return foot;
}

/**
 * Whether something can be done with a message.
 *
 * @param {MessageItem} item
 */
export function hasActions({ number, deleted }) {
  return number !== null && !deleted;
}

/** @param {MessageItem} item */
function actions({ answerable, editable, deletable, reactable, own }) {
  const made = make("div", { class: "actions" });
  if (reactable) made.append(action("react", "React", SMILE));
  if (answerable) made.append(action("reply", "Reply", ARROW));
  made.append(action("permalink", "Copy link", LINK));
  if (editable) made.append(action("edit", "Edit", PENCIL));
  if (deletable) made.append(action("delete", own ? "Delete" : "Remove", BIN));
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
