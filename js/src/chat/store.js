// What the page knows: rooms, messages, what is unread. No DOM and no connection: the server's
// events come in by `apply`, requests go out by `ask`, and `changed` says what is to be shown anew.

import { Timeline } from "./timeline.js";

// A room that misses more versions than that is loaded afresh.
const MOST_MISSED = 500;
// Milliseconds that a version may come late before it is asked for: neighbours overtake each other.
const PATIENCE = 250;
// Milliseconds until a refused question is asked again, where the server names no time.
const AGAIN = 2000;
// Rooms whose messages are kept in memory, and messages of one that nobody scrolls back in.
const ROOMS_KEPT = 12;
const MESSAGES_KEPT = 300;

export class Store {
  #ask;
  #changed;
  #later;
  #recent = [];

  /** Rooms by id. To what the server tells come: timeline, members (null: not told yet). */
  rooms = new Map();

  /** The id of the room that is looked at, or null. */
  current = null;

  /** Why the current room cannot be looked at, or null. */
  refusal = null;

  /** Whether the server has welcomed this connection. */
  ready = false;

  /**
   * @param {object} options
   * @param {{id: number, name: string}} options.me
   * @param {(request: object) => void} options.ask sends a request.
   * @param {(what: object) => void} options.changed {kind: "rooms"}, {kind: "room", room} or
   *   {kind: "message", room, message, fresh}; fresh: somebody else said it just now.
   * @param {(act: () => void, ms: number) => void} options.later a timer.
   */
  constructor({ me, ask, changed, later = (act, ms) => setTimeout(act, ms) }) {
    this.me = me;
    this.#ask = ask;
    this.#changed = changed;
    this.#later = later;
  }

  get room() {
    return this.rooms.get(this.current) ?? null;
  }

  /** Takes an event of the server. */
  apply(event) {
    switch (event.type) {
      case "welcome": return this.#welcome(event);
      case "opened": return this.#opened(event);
      case "message": return this.#message(event);
      case "history": return this.#history(event);
      case "since": return this.#since(event);
      case "room": return this.#room(event.room);
      case "left": return this.#left(event.room);
      case "member": return this.#member(event);
      case "read": return this.#readTold(event.room, event.number);
      case "error": return this.#error(event);
    }
  }

  /** The connection is gone: what was asked is not answered any more. */
  lost() {
    this.ready = false;
    for (const room of this.rooms.values()) room.asked = {};
  }

  /** Looks at a room; null looks at none. */
  select(id) {
    const before = this.room;
    if (before && before.id !== id && !before.member) this.rooms.delete(before.id);
    this.current = id;
    this.refusal = null;
    if (id !== null) this.#keep(id);
    if (this.ready && this.room?.timeline.loaded === false) this.#load(this.room);
    this.#changed({ kind: "rooms" });
  }

  /** Asks for the messages before the oldest one that is known. */
  older(id) {
    const room = this.rooms.get(id);
    if (!this.ready || !room?.timeline.loaded || !room.timeline.more || room.asked.history) return;
    this.#askHistory(room, room.timeline.oldest?.number ?? null);
  }

  /** Marks messages as read up to the newest one. */
  readAll(id) {
    const room = this.rooms.get(id);
    const newest = room?.timeline.newest?.number;
    if (!this.ready || !room?.member || newest === undefined || newest <= room.read) return;
    this.#ask({ type: "read", room: id, number: newest });
    this.#read(id, newest);
  }

  /** Forgets old messages of a room whose end is looked at. */
  trim(id) {
    const timeline = this.rooms.get(id)?.timeline;
    if (timeline?.size > 2 * MESSAGES_KEPT) timeline.trim(MESSAGES_KEPT);
  }

  /** Counts the unread messages of a room. */
  unread(id) {
    const room = this.rooms.get(id);
    if (!room?.member) return 0;
    const { timeline } = room;
    if (timeline.loaded && (!timeline.more || timeline.oldest?.number <= room.read + 1)) {
      return timeline.messages.filter(
        (message) => message.number > room.read && !message.deleted && !this.#own(message),
      ).length;
    }
    return room.told + room.counted.size;
  }

  /** Counts the unread messages of all rooms. */
  get allUnread() {
    let sum = 0;
    for (const id of this.rooms.keys()) sum += this.unread(id);
    return sum;
  }

  /** The newest message of the user in a room that can be edited, or null. */
  lastOwn(id) {
    const messages = this.rooms.get(id)?.timeline.messages ?? [];
    return messages.findLast((message) => this.#own(message) && !message.deleted) ?? null;
  }

  // ---- events ------------------------------------------------------------------------------

  #welcome({ rooms }) {
    this.ready = true;
    const mine = new Set(rooms.map((room) => room.id));
    for (const [id, room] of this.rooms) {
      if (mine.has(id)) continue;
      if (id === this.current) room.member = false;
      else this.rooms.delete(id);
    }
    for (const told of rooms) {
      const room = this.#take(told);
      // What this page marked as read while nobody listened is marked again.
      room.read = told.read ?? 0;
      room.counted.clear();
      // A server that knows less than this page has another past.
      if (room.timeline.version > told.version) room.timeline.clear();
      room.version = told.version;
      this.#catchUp(room);
    }
    if (this.room?.timeline.loaded === false) this.#load(this.room);
    this.#changed({ kind: "rooms" });
  }

  #opened({ room: told, members }) {
    // The preview of a room that was left again before the answer came.
    if (!told.member && told.id !== this.current) return;
    const room = this.#take(told);
    room.members = new Map(members.map((person) => [person.id, person]));
    if (room.id === this.current) this.refusal = null;
    if (room.timeline.loaded) this.#catchUp(room);
    else if (room.id === this.current) this.#load(room);
    this.#changed({ kind: "rooms" });
  }

  #message(message) {
    const room = this.rooms.get(message.room);
    if (!room) return;
    const isNews = message.version > room.version;
    room.version = Math.max(room.version, message.version);
    this.#count(room, message);
    const { timeline } = room;
    // Where nothing was loaded there is nothing to complete.
    const changed = (timeline.loaded || room.asked.history) && timeline.live(message);
    if (timeline.gap) this.#fillLater(room);
    const fresh = !message.deleted && message.number === message.version
      && !this.#own(message) && (changed || (isNews && !timeline.loaded));
    this.#changed({ kind: "message", room, message, fresh });
  }

  #history(event) {
    const room = this.rooms.get(event.room);
    if (!room) return;
    room.asked.history = false;
    room.timeline.history(event);
    if (room.timeline.gap) this.#fillLater(room);
    // It was the answer to a question from before everything was forgotten.
    if (!room.timeline.loaded && room.id === this.current) this.#load(room);
    this.#changed({ kind: "room", room });
  }

  #since(event) {
    const room = this.rooms.get(event.room);
    if (!room) return;
    room.asked.since = false;
    room.timeline.since(event);
    room.version = Math.max(room.version, event.version);
    // An answer that brought nothing is not asked for again and again.
    if (event.version > event.from) {
      if (event.more) this.#askSince(room);
      else if (room.timeline.gap) this.#fillLater(room);
    }
    this.#changed({ kind: "room", room });
  }

  #room(told) {
    const room = this.#take(told);
    if (room.timeline.loaded && room.version > room.timeline.version) this.#fillLater(room);
    this.#changed({ kind: "rooms" });
  }

  #left(id) {
    const room = this.rooms.get(id);
    if (!room) return;
    room.member = false;
    // What may be done there is another matter now, and perhaps nothing.
    if (id === this.current) this.#ask({ type: "open", room: id });
    else this.rooms.delete(id);
    this.#changed({ kind: "rooms" });
  }

  #member({ room: id, user, joined }) {
    const room = this.rooms.get(id);
    if (!room?.members) return;
    if (joined) room.members.set(user.id, user);
    else room.members.delete(user.id);
    this.#changed({ kind: "room", room });
  }

  #readTold(id, number) {
    const room = this.rooms.get(id);
    if (room) room.readTold = Math.max(room.readTold, number);
    this.#read(id, number);
  }

  #read(id, number) {
    const room = this.rooms.get(id);
    if (!room || number <= room.read) return;
    room.read = number;
    if (number >= room.toldVersion) room.told = 0;
    for (const counted of room.counted) if (counted <= number) room.counted.delete(counted);
    this.#changed({ kind: "room", room });
  }

  #error({ room: id, key, code, text, retry_after: after }) {
    if (id === undefined || key !== undefined) return;
    const room = this.rooms.get(id);
    if (code === "bad-room" || code === "not-member") {
      if (code === "bad-room" && id === this.current) {
        this.refusal = text;
        this.rooms.delete(id);
      }
      if (room) room.asked = {};
      this.#changed({ kind: "rooms" });
      return;
    }
    if (after !== undefined) this.#later(() => this.#askAgain(id), after * 1000 || AGAIN);
    // There will be no answer: the next look at the room may ask again.
    else if (room) room.asked = {};
  }

  // ---- questions ---------------------------------------------------------------------------

  #load(room) {
    if (!room.asked.history) this.#askHistory(room, null);
  }

  #askHistory(room, before) {
    room.asked.history = { before };
    this.#ask({ type: "history", room: room.id, before });
  }

  #askSince(room) {
    room.asked.since = true;
    this.#ask({ type: "since", room: room.id, version: room.timeline.version });
  }

  #askAgain(id) {
    if (!this.ready) return;
    const room = this.rooms.get(id);
    if (!room) {
      if (id === this.current) this.#ask({ type: "open", room: id });
      return;
    }
    if (id === this.current && !room.members) this.#ask({ type: "open", room: id });
    if (room.asked.history) this.#askHistory(room, room.asked.history.before);
    if (room.asked.since) this.#askSince(room);
    if (room.member && room.read > room.readTold) {
      this.#ask({ type: "read", room: id, number: room.read });
    }
  }

  #catchUp(room) {
    const { timeline } = room;
    if (!timeline.loaded || room.asked.since) return;
    const missed = room.version - timeline.version;
    if (missed > MOST_MISSED) {
      timeline.clear();
      if (room.id === this.current) this.#load(room);
    } else if (missed > 0) {
      this.#askSince(room);
    }
  }

  #fillLater(room) {
    if (room.filling) return;
    room.filling = true;
    this.#later(() => {
      room.filling = false;
      if (this.ready && this.rooms.get(room.id) === room) this.#catchUp(room);
    }, PATIENCE);
  }

  // ---- rooms -------------------------------------------------------------------------------

  #take(told) {
    let room = this.rooms.get(told.id);
    if (!room) {
      room = { timeline: new Timeline(), members: null, asked: {}, counted: new Set(), read: 0 };
      this.rooms.set(told.id, room);
    }
    const version = Math.max(told.version, room.version ?? 0);
    const readTold = told.read ?? 0;
    const read = Math.max(readTold, room.read);
    Object.assign(room, told, { version, read, readTold, told: told.unread ?? 0, toldVersion: told.version });
    for (const number of room.counted) if (number <= told.version) room.counted.delete(number);
    return room;
  }

  // Counts what came after the server's own count, for rooms whose messages are not loaded.
  #count(room, message) {
    if (this.#own(message) || message.number <= room.read) return;
    if (message.deleted) {
      if (!room.counted.delete(message.number) && message.number <= room.toldVersion
          && message.version > room.toldVersion) room.told = Math.max(0, room.told - 1);
    } else if (message.number > room.toldVersion) {
      room.counted.add(message.number);
    }
  }

  #own(message) {
    return message.author.id === this.me.id;
  }

  // Keeps the rooms that were looked at last; of the others only the number of unread messages.
  #keep(id) {
    this.#recent = [id, ...this.#recent.filter((other) => other !== id)];
    for (const old of this.#recent.splice(ROOMS_KEPT)) this.rooms.get(old)?.timeline.clear();
  }
}
