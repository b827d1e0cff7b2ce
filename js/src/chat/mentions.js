// Messages that mention the user, as far as they are unread. The server says who is meant.

/** @import { Message, Person, ToldRoom } from "./protocol.js" */
/** @import { Store } from "./store.js" */

export class Mentions {
  #me;
  #store;
  /**
   * The numbers of messages by their room; those that were read since are left out when they are counted.
   *
   * @type {Map<number, Set<number>>}
   */
  #numbers = new Map();

  /**
   * @param {Person} me
   * @param {Store} store knows the rooms, and what was read there.
   */
  constructor(me, store) {
    this.#me = me;
    this.#store = store;
  }

  /**
   * Whether somebody else mentions the user.
   *
   * @param {Pick<Message, "author" | "deleted" | "mentions">} message
   */
  isMentioned({ author, deleted, mentions }) {
    return !deleted && author.id !== this.#me.id
      && (mentions ?? []).some(({ user }) => user.id === this.#me.id);
  }

  /**
   * Takes what the server tells of a room.
   *
   * @param {ToldRoom} room
   */
  told({ id, version, mentioned = [] }) {
    // What came since the server looked.
    const later = [...this.#of(id)].filter((number) => number > version);
    this.#numbers.set(id, new Set([...mentioned, ...later]));
  }

  /**
   * Takes a message that is new, or was changed.
   *
   * @param {Message} message
   */
  message(message) {
    const numbers = this.#of(message.room);
    const unread = message.number > (this.#store.rooms.get(message.room)?.read ?? 0);
    if (unread && this.isMentioned(message)) numbers.add(message.number);
    else numbers.delete(message.number);
    this.#numbers.set(message.room, numbers);
  }

  /**
   * Counts the unread messages of a room that mention the user.
   *
   * @param {number} id
   */
  unread(id) {
    const room = this.#store.rooms.get(id);
    if (!room?.member) return 0;
    return [...this.#of(id)].filter((number) => number > room.read).length;
  }

  /** Counts those of all rooms. */
  get allUnread() {
    return this.#sum(() => true);
  }

  /** Counts those of the rooms that are muted. */
  get inMuted() {
    return this.#sum(({ muted }) => muted);
  }

  /** @param {(room: ToldRoom) => boolean | undefined} condition */
  #sum(condition) {
    let sum = 0;
    for (const [id, room] of this.#store.rooms) if (condition(room)) sum += this.unread(id);
    return sum;
  }

  /** @param {number} id */
  #of(id) {
    return this.#numbers.get(id) ?? new Set();
  }
}
