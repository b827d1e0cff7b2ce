// What a reply shows above its text: whom it answers, in one line.

import { make } from "./dom.js";
import { plain } from "./markdown.js";

/** @import { Quote } from "./protocol.js" */

/**
 * The address of a message.
 *
 * @param {number} room
 * @param {number} number
 */
const addressOf = (room, number) => `${document.body.dataset.root}rooms/${room}?message=${number}`;

/**
 * Makes the line, which leads to the message that is answered.
 *
 * @param {number} room
 * @param {Quote | { number: number }} quote with its number alone, where no more is known of it.
 */
export function quoteLine(room, quote) {
  return make("a", { class: "quote", href: addressOf(room, quote.number) },
    make("span", { class: "unseen" }, "In reply to "), ...quoteContent(quote));
}

/**
 * Makes the content of such a line: author and excerpt.
 *
 * @param {Quote | { number: number }} quote
 */
export function quoteContent(quote) {
  if (!("author" in quote)) return [make("span", { class: "quote-text" }, "an earlier message")];
  const { author, edited, deleted, removed_by: remover } = quote;
  const text = make("span", { class: "quote-text" });
  if (remover) text.append("This message was removed by ", make("bdi", {}, remover.name), ".");
  else if (deleted) text.append("This message was deleted.");
  else text.append(make("bdi", {}, quote.text ? plain(quote.text) : "Files"), edited ? " (edited)" : "");
  return [make("bdi", { class: "quote-name" }, author.name), " ", text];
}
