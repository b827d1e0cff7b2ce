// What the log shows of a room, as a plain list: days, the mark of what is new, and messages with
// what is on its way. No DOM.

import { dayName, dayOf } from "./times.js";

/** @import { Entry } from "./outbox.js" */
/** @import { Message, Person, ToldFile } from "./protocol.js" */

/**
 * @typedef {{ kind: "day", id: string, text: string }} Day
 * @typedef {{ kind: "mark", id: string }} Mark
 *
 * @typedef {object} MessageItem A message, or what is to become one.
 * @property {"message"} kind
 * @property {string} id
 * @property {string} key
 * @property {number | null} number null while the server has not told one.
 * @property {Person} author
 * @property {boolean} own
 * @property {boolean} together whether it shares the heading of the one before.
 * @property {string} text
 * @property {number} [room] where its files are, if it has some.
 * @property {ToldFile[]} [files]
 * @property {string | null} time ISO 8601.
 * @property {boolean} edited
 * @property {boolean} deleted
 * @property {string | null} remover the name of the administrator who deleted it.
 * @property {Entry["state"] | "deleted" | ""} state
 * @property {string} reason
 * @property {string | null} pending the key of what is on its way.
 * @property {Entry["type"] | null} doing what that does.
 * @property {boolean} editable
 * @property {boolean} deletable
 *
 * @typedef {Day | Mark | MessageItem} Item
 */

// Messages of one person that follow within that time (milliseconds) share one heading.
const TOGETHER = 5 * 60 * 1000;

/**
 * The items that were made last, and of what: an item is the same object as long as nothing of it has
 * changed, so that nobody needs to look for a change.
 *
 * @type {WeakMap<Message, { item: MessageItem, before: Before | null, mayPost: boolean, mayModerate: boolean }>}
 */
const made = new WeakMap();
/** @type {WeakMap<Message, string>} */
const days = new WeakMap();

/**
 * @param {object} options
 * @param {number} [options.room] of all that.
 * @param {Message[]} options.messages of the room by number, as the server told them.
 * @param {Entry[]} options.entries of the outbox for this room.
 * @param {Person} options.me
 * @param {number | null} options.mark the number of the last message that had been read when the
 *   room was entered, or null for no mark.
 * @param {boolean} options.mayPost whether one's own messages may be changed and deleted.
 * @param {boolean} [options.mayModerate] whether all may be deleted.
 * @param {Date} [options.now]
 * @returns {Item[]} items with an id each that stays the same while its message does. What a message
 *   is shown by is the same object as the last time, where it would be equal.
 */
export function itemsOf({ room, messages, entries, me, mark, mayPost, mayModerate = false, now = new Date() }) {
  /** @type {Item[]} */
  const items = [];
  const changes = new Map(
    entries.filter((entry) => entry.type !== "message").map((entry) => [entry.number, entry]),
  );
  // What is told already is not on its way any more.
  const unsaid = new Set(entries.filter((entry) => entry.type === "message").map((entry) => entry.key));
  /** @type {Before | null} */
  let before = null;
  let dayBefore = "";
  let marked = false;
  for (const message of messages) {
    const day = dayOfMessage(message);
    if (day !== dayBefore) {
      items.push({ kind: "day", id: `day ${day}`, text: dayName(message.time, now) });
      before = null;
      dayBefore = day;
    }
    const own = message.author.id === me.id;
    if (own && message.key) unsaid.delete(message.key);
    if (mark !== null && !marked && message.number > mark && !own) {
      items.push({ kind: "mark", id: "mark" });
      marked = true;
      before = null;
    }
    const change = changes.get(message.number);
    items.push(shown(message, { own, before, change, mayPost, mayModerate }));
    before = message;
  }
  for (const entry of entries) {
    if (!unsaid.has(entry.key)) continue;
    items.push({
      kind: "message", id: `own ${entry.key}`, key: entry.key, number: null, author: me, own: true,
      together: isTogether(before, me, now),
      text: entry.text ?? "", ...(entry.files && { room, files: entry.files }), time: null, edited: false, deleted: false, remover: null, state: entry.state,
      reason: entry.reason, pending: entry.key, doing: null, editable: false, deletable: false,
    });
    before = { author: me, time: now };
  }
  return items;
}

/**
 * @typedef {{ author: Person, time: string | Date }} Before The message above.
 *
 * @param {Before | null} before
 * @param {Person} author
 * @param {Date} time
 */
function isTogether(before, author, time) {
  return before !== null && before.author.id === author.id
    && time.getTime() - new Date(before.time).getTime() < TOGETHER;
}

/** @param {Message} message */
function dayOfMessage(message) {
  let day = days.get(message);
  if (day === undefined) days.set(message, day = dayOf(message.time));
  return day;
}

/**
 * @param {Message} message
 * @param {{ own: boolean, before: Before | null, change?: Entry, mayPost: boolean, mayModerate: boolean }} options
 * @returns {MessageItem}
 */
function shown(message, { own, before, change, mayPost, mayModerate }) {
  const known = made.get(message);
  if (
    known && !change && known.before === before && known.item.own === own
    && known.mayPost === mayPost && known.mayModerate === mayModerate
  ) {
    return known.item;
  }
  const item = itemOf(message, { own, before, change, mayPost, mayModerate });
  if (change) made.delete(message);
  else made.set(message, { item, before, mayPost, mayModerate });
  return item;
}

/**
 * @param {Message} message
 * @param {{ own: boolean, before: Before | null, change?: Entry, mayPost: boolean, mayModerate: boolean }} options
 * @returns {MessageItem}
 */
function itemOf(message, { own, before, change, mayPost, mayModerate }) {
  const { key, number, author, time } = message;
  const settled = !message.deleted && !change;
  return {
    kind: "message",
    // What was sent keeps its row when the server confirms it.
    id: own && key ? `own ${key}` : `number ${number}`,
    key: key ?? "",
    number,
    author,
    own,
    together: isTogether(before, author, new Date(time)),
    text: change?.type === "edit" && change.text !== undefined ? change.text : message.text,
    ...(message.files && { room: message.room, files: message.files }),
    time,
    edited: Boolean(message.edited),
    deleted: message.deleted,
    remover: message.removed_by?.name ?? null,
    state: change?.state ?? (message.deleted ? "deleted" : ""),
    reason: change?.reason ?? "",
    pending: change?.key ?? null,
    doing: change?.type ?? null,
    editable: own && mayPost && settled,
    deletable: ((own && mayPost) || mayModerate) && settled,
  };
}
