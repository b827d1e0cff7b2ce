// What the log shows of a room, as a plain list: days, the mark of what is new, and messages with
// what is on its way. No DOM.

import { dayName, dayOf } from "./times.js";

// Messages of one person that follow within that time (milliseconds) share one heading.
const TOGETHER = 5 * 60 * 1000;

/**
 * @param {object} options
 * @param {object[]} options.messages of the room by number, as the server told them.
 * @param {object[]} options.entries of the outbox for this room.
 * @param {{id: number, name: string}} options.me
 * @param {number | null} options.mark the number of the last message that had been read when the
 *   room was entered, or null for no mark.
 * @param {boolean} options.mayPost whether messages may be changed and deleted.
 * @param {Date} [options.now]
 * @returns {object[]} items with an id each that stays the same while its message does.
 */
export function itemsOf({ messages, entries, me, mark, mayPost, now = new Date() }) {
  const items = [];
  const changes = new Map(
    entries.filter((entry) => entry.type !== "message").map((entry) => [entry.number, entry]),
  );
  const said = new Set();
  let before = null;
  let marked = mark === null;
  for (const message of messages) {
    if (message.key) said.add(`${message.author.id} ${message.key}`);
    const day = dayOf(message.time);
    if (!before || dayOf(before.time) !== day) {
      items.push({ kind: "day", id: `day ${day}`, text: dayName(message.time, now) });
      before = null;
    }
    const own = message.author.id === me.id;
    if (!marked && message.number > mark && !own) {
      items.push({ kind: "mark", id: "mark" });
      marked = true;
      before = null;
    }
    items.push(shown(message, { own, before, change: changes.get(message.number), mayPost }));
    before = message;
  }
  for (const entry of entries) {
    if (entry.type !== "message" || said.has(`${me.id} ${entry.key}`)) continue;
    items.push({
      kind: "message", id: `own ${entry.key}`, key: entry.key, number: null, author: me, own: true,
      together: before?.author.id === me.id && now - new Date(before.time) < TOGETHER,
      text: entry.text, time: null, edited: false, deleted: false, state: entry.state,
      reason: entry.reason, pending: entry.key, editable: false,
    });
    before = { author: me, time: now };
  }
  return items;
}

function shown(message, { own, before, change, mayPost }) {
  const { key, number, author, time } = message;
  return {
    kind: "message",
    // What was sent keeps its row when the server confirms it.
    id: own && key ? `own ${key}` : `number ${number}`,
    key: key ?? "",
    number,
    author,
    own,
    together: before !== null && before.author.id === author.id
      && new Date(time) - new Date(before.time) < TOGETHER,
    text: change?.type === "edit" ? change.text : message.text,
    time,
    edited: Boolean(message.edited),
    deleted: message.deleted,
    state: change?.state ?? (message.deleted ? "deleted" : ""),
    reason: change?.reason ?? "",
    pending: change?.key ?? null,
    doing: change?.type ?? null,
    editable: own && mayPost && !message.deleted && !change,
  };
}
