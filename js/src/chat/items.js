// What the log shows of a room, as a plain list: days, the mark of what is new, and messages with
// what is on its way. No DOM.

import { reactionsOf } from "./reactions.js";
import { dayName, dayOf } from "./times.js";

/** @import { Entry } from "./outbox.js" */
/** @import { Message, Person, Quote, ToldFile } from "./protocol.js" */
/** @import { ReactionItem } from "./reactions.js" */

/**
 * @typedef {{ kind: "day", id: string, text: string }} Day
 * @typedef {{ kind: "mark", id: string }} Mark
 *
 * @typedef {object} MessageItem A message, or what is to become one.
 * @property {"message"} kind
 * @property {number} room
 * @property {string} id
 * @property {string} key
 * @property {number | null} number null while the server has not told one.
 * @property {Person} author
 * @property {boolean} own
 * @property {boolean} together whether it shares the heading of the one before.
 * @property {string} text
 * @property {Quote | { number: number } | null} quote what it answers; its number alone, where no more is
 *   known of it.
 * @property {boolean} rich whether its text, or that of the quote, has markup that can be read.
 * @property {import("./mention-marks.js").Mark[]} mentions in the text.
 * @property {boolean} mentioned whether somebody else mentions the user.
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
 * @property {boolean} answerable
 * @property {boolean} reactable
 * @property {ReactionItem[]} reactions
 *
 * @typedef {Day | Mark | MessageItem} Item
 */

// Messages of one person that follow within that time (milliseconds) share one heading.
const TOGETHER = 5 * 60 * 1000;

/**
 * The items that were made last, and of what: an item is the same object as long as nothing of it has
 * changed, so that nobody needs to look for a change.
 *
 * @type {WeakMap<Message, { item: MessageItem } & Around>}
 */
const made = new WeakMap();
/** @type {WeakMap<Message, string>} */
const days = new WeakMap();

/**
 * @param {object} options
 * @param {Message[]} options.messages of the room by number, as the server told them.
 * @param {Entry[]} options.entries of the outbox for this room.
 * @param {Person} options.me
 * @param {number | null} options.mark the number of the last message that had been read when the
 *   room was entered, or null for no mark.
 * @param {boolean} options.mayPost whether one's own messages may be changed and deleted.
 * @param {boolean} [options.mayModerate] whether all may be deleted.
 * @param {number} options.room the id of the room.
 * @param {(number: number) => Quote | null} options.quoteOf returns what is known of a message that is
 *   answered.
 * @param {(text: string) => boolean} [options.isRich] whether a text has markup that can be read.
 * @param {Date} [options.now]
 * @returns {Item[]} items with an id each that stays the same while its message does. What a message
 *   is shown by is the same object as the last time, where it would be equal.
 */
export function itemsOf({
  messages, entries, me, room, mark, quoteOf, mayPost, mayModerate = false, isRich = never, now = new Date(),
}) {
  /** @type {Item[]} */
  const items = [];
  const changes = changesIn(entries);
  const wishes = wishesIn(entries);
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
    const quote = message.quote ? quoteOf(message.quote.number) ?? message.quote : null;
    items.push(shown(message, {
      me, own, before, quote, isRich, change, wishes: wishes.get(message.number), mayPost, mayModerate,
    }));
    before = message;
  }
  for (const entry of entries) {
    if (!unsaid.has(entry.key)) continue;
    const text = entry.text ?? "";
    const quote = entry.reply_to === undefined ? null
      : quoteOf(entry.reply_to) ?? { number: entry.reply_to };
    items.push({
      kind: "message", room, id: `own ${entry.key}`, key: entry.key, number: null, author: me, own: true,
      together: isTogether(before, me, now), text, quote, rich: hasMarkup(isRich, text, quote),
      mentions: [], mentioned: false, ...(entry.files && { files: entry.files }),
      time: null, edited: false, deleted: false, remover: null, state: entry.state,
      reason: entry.reason, pending: entry.key, doing: null, editable: false, deletable: false, answerable: false,
      reactable: false, reactions: [],
    });
    before = { author: me, time: now };
  }
  return items;
}

const never = () => false;

/**
 * @param {(text: string) => boolean} isRich
 * @param {string} text
 * @param {MessageItem["quote"]} quote
 */
function hasMarkup(isRich, text, quote) {
  return isRich(text) || (quote !== null && "text" in quote && isRich(quote.text));
}

/**
 * By the message's number, the edit or deletion of it; or a reaction that the server refused.
 *
 * @param {Entry[]} entries
 */
function changesIn(entries) {
  const refused = entries.filter(({ type, state }) => type === "react" && state === "failed");
  const edits = entries.filter(({ type }) => type === "edit" || type === "delete");
  return new Map([...refused, ...edits].map((entry) => [entry.number, entry]));
}

/**
 * By the message's number, the reactions that are on their way.
 *
 * @param {Entry[]} entries
 */
function wishesIn(entries) {
  /** @type {Map<number | undefined, Entry[]>} */
  const wishes = new Map();
  for (const entry of entries) {
    if (entry.type !== "react" || entry.state === "failed") continue;
    wishes.set(entry.number, [...wishes.get(entry.number) ?? [], entry]);
  }
  return wishes;
}

/**
 * @typedef {{ author: Person, time: string | Date }} Before The message above.
 *
 * @typedef {object} Around What an item depends on beside its message.
 * @property {Person} me
 * @property {boolean} own
 * @property {Before | null} before
 * @property {Quote | null} quote
 * @property {(text: string) => boolean} isRich
 * @property {Entry} [change]
 * @property {Entry[]} [wishes] reactions that are on their way.
 * @property {boolean} mayPost
 * @property {boolean} mayModerate
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
 * @param {Around} around
 * @returns {MessageItem}
 */
function shown(message, around) {
  const known = made.get(message);
  const keys = /** @type {(keyof Around)[]} */ (Object.keys(around));
  const isOnItsWay = around.change !== undefined || around.wishes !== undefined;
  if (known && !isOnItsWay && keys.every((key) => known[key] === around[key])) return known.item;
  const item = itemOf(message, around);
  if (isOnItsWay) made.delete(message);
  else made.set(message, { item, ...around });
  return item;
}

/**
 * @param {Message} message
 * @param {Around} around
 * @returns {MessageItem}
 */
function itemOf(message, { me, own, before, quote, isRich, change, wishes = [], mayPost, mayModerate }) {
  const { key, number, author, time } = message;
  const settled = !message.deleted && (!change || change.type === "react");
  const text = change?.type === "edit" && change.text !== undefined ? change.text : message.text;
  // Who is meant in another text, the server says when it has it.
  const mentions = (change?.type === "edit" ? [] : message.mentions ?? []).map(
    ({ user, start, length }) => ({ start, length, name: user.name, mine: user.id === me.id }),
  );
  return {
    kind: "message",
    room: message.room,
    // What was sent keeps its row when the server confirms it.
    id: own && key ? `own ${key}` : `number ${number}`,
    key: key ?? "",
    number,
    author,
    own,
    together: isTogether(before, author, new Date(time)),
    text,
    quote,
    rich: hasMarkup(isRich, text, quote),
    mentions,
    mentioned: !own && mentions.some(({ mine }) => mine),
    ...(message.files && { files: message.files }),
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
    answerable: mayPost && settled,
    reactable: mayPost && settled,
    reactions: message.deleted ? [] : reactionsOf(message, wishes, me),
  };
}
