// What the page knows of one room: what the server told of it, its messages, and what is unread.

import { Timeline } from "./timeline.js";

/** @import { Message, Person, ToldRoom } from "./protocol.js" */

/**
 * What is known of a room besides what the server tells of it.
 *
 * @typedef {object} Known
 * @property {Timeline} timeline
 * @property {Map<number, Person> | null} members by id; null: not told yet.
 * @property {{ history?: false | { before: number | null }, since?: boolean }} asked what is not
 *   answered yet.
 * @property {number} read the number of the last message that was read,
 * @property {number} readTold and of the last one of which the server knows that.
 * @property {number} told unread messages as the server counted them
 * @property {number} toldVersion when the room had this version;
 * @property {Set<number>} counted the numbers of those that came since.
 * @property {boolean} filling whether what is missing is asked for in a moment.
 *
 * @typedef {ToldRoom & Known} Room
 */

/**
 * Takes what the server tells of a room.
 *
 * @param {Room | undefined} known what was known before.
 * @param {ToldRoom} told
 * @returns {Room} the same object, where there was one.
 */
export function updated(known, told) {
  const readTold = told.read ?? 0;
  const room = Object.assign(known ?? {
    timeline: new Timeline(), members: null, asked: {}, counted: new Set(), filling: false,
  }, told, {
    version: Math.max(told.version, known?.version ?? 0),
    read: Math.max(readTold, known?.read ?? 0),
    readTold, told: told.unread ?? 0, toldVersion: told.version,
  });
  for (const number of room.counted) if (number <= told.version) room.counted.delete(number);
  return room;
}

/**
 * Calls somebody by another name.
 *
 * @param {Room} room
 * @param {Person} person
 */
export function rename(room, person) {
  if (room.members?.has(person.id)) room.members.set(person.id, person);
  if (room.person?.id === person.id) Object.assign(room, { person, name: person.name });
  room.timeline.rename(person);
}

/**
 * Counts a message that came after the server's own count: those of the room may not be loaded.
 *
 * @param {Room} room
 * @param {Message} message of somebody else.
 */
export function count(room, message) {
  if (message.number <= room.read) return;
  if (message.deleted) {
    if (!room.counted.delete(message.number) && message.number <= room.toldVersion
        && message.version > room.toldVersion) room.told = Math.max(0, room.told - 1);
  } else if (message.number > room.toldVersion) {
    room.counted.add(message.number);
  }
}

/**
 * Marks messages as read.
 *
 * @param {Room} room
 * @param {number} number of the last one.
 */
export function markRead(room, number) {
  room.read = number;
  if (number >= room.toldVersion) room.told = 0;
  for (const counted of room.counted) if (counted <= number) room.counted.delete(counted);
}

/**
 * Returns how many messages are unread.
 *
 * @param {Room} room
 * @param {Person} me whose own do not count.
 */
export function unreadIn({ timeline, read, told, counted, member }, me) {
  if (!member) return 0;
  if (timeline.loaded && (!timeline.more || timeline.reaches(read + 1))) {
    return timeline.messages.filter(
      ({ number, deleted, author }) => number > read && !deleted && author.id !== me.id,
    ).length;
  }
  return told + counted.size;
}
