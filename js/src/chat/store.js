// What the page knows: rooms, messages, what is unread. No DOM and no connection: the server's
// events come in by `apply`, requests go out by `ask`, and `changed` says what is to be shown anew.

import { count, markRead, unreadIn, updated } from "./room.js";

/** @import { Events, HistoryPage, Message, Person, Refusal, Request } from "./protocol.js" */
/** @import { SincePage, ToldRoom } from "./protocol.js" */
/** @import { Room } from "./room.js" */

/**
 * @typedef {{ kind: "rooms" } | { kind: "room" | "read", room: Room }
 *   | { kind: "message", room: Room, message: Message, fresh: boolean }} Change
 *   What is to be shown anew; read: only what is unread; fresh: somebody else said it just now.
 */

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
  /** @type {number[]} */
  #recent = [];

  /**
   * Rooms by id.
   *
   * @type {Map<number, Room>}
   */
  rooms = new Map();

  /**
   * The id of the room that is looked at, or null.
   *
   * @type {number | null}
   */
  current = null;

  /**
   * Why the current room cannot be looked at, or null.
   *
   * @type {string | null}
   */
  refusal = null;

  /** Whether the server has welcomed this session. */
  ready = false;

  /**
   * @param {object} options
   * @param {Person} options.me
   * @param {(request: Request) => void} options.ask sends a request.
   * @param {(what: Change) => void} options.changed
   * @param {(act: () => void, ms: number) => void} [options.later] a timer.
   */
  constructor({ me, ask, changed, later = (act, ms) => setTimeout(act, ms) }) {
    this.me = me;
    this.#ask = ask;
    this.#changed = changed;
    this.#later = later;
  }

  get room() {
    return this.#find(this.current) ?? null;
  }

  /** The session is over: what was asked is not answered any more. */
  lost() {
    this.ready = false;
    for (const room of this.rooms.values()) room.asked = {};
  }

  /**
   * Looks at a room; null looks at none.
   *
   * @param {number | null} id
   */
  select(id) {
    const before = this.room;
    if (before && before.id !== id && !before.member) this.rooms.delete(before.id);
    this.current = id;
    this.refusal = null;
    if (id !== null) this.#keep(id);
    if (this.ready && this.room?.timeline.loaded === false) this.#load(this.room);
    this.#changed({ kind: "rooms" });
  }

  /**
   * Asks for the messages before the oldest one that is known.
   *
   * @param {number | null} id of a room, as everywhere; of none, nothing is known.
   */
  older(id) {
    const room = this.#find(id);
    if (!this.ready || !room?.timeline.loaded || !room.timeline.more || room.asked.history) return;
    this.#askHistory(room, room.timeline.oldest?.number ?? null);
  }

  /**
   * Marks messages as read up to the newest one.
   *
   * @param {number} id
   */
  readAll(id) {
    const room = this.rooms.get(id);
    const newest = room?.timeline.newest?.number;
    if (!this.ready || !room?.member || newest === undefined || newest <= room.read) return;
    this.#ask({ type: "read", room: id, number: newest });
    this.#read(id, newest);
  }

  /**
   * Forgets old messages of a room whose end is looked at.
   *
   * @param {number} id
   */
  trim(id) {
    const timeline = this.rooms.get(id)?.timeline;
    if (timeline && timeline.size > 2 * MESSAGES_KEPT) timeline.trim(MESSAGES_KEPT);
  }

  /**
   * Counts the unread messages of a room.
   *
   * @param {number | null} id
   */
  unread(id) {
    const room = this.#find(id);
    return room ? unreadIn(room, this.me) : 0;
  }

  /** Counts the unread messages of all rooms that are not muted. */
  get allUnread() {
    let sum = 0;
    for (const [id, { muted }] of this.rooms) if (!muted) sum += this.unread(id);
    return sum;
  }

  /**
   * The newest message of the user in a room that can be edited, or null.
   *
   * @param {number} id
   */
  lastOwn(id) {
    const messages = this.rooms.get(id)?.timeline.messages ?? [];
    return messages.findLast((message) => this.#own(message) && !message.deleted) ?? null;
  }

  // ---- events of the server ----------------------------------------------------------------

  /** @param {Pick<Events["welcome"], "rooms">} event */
  welcome({ rooms }) {
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
      if ((room.timeline.version ?? 0) > told.version) room.timeline.clear();
      room.version = told.version;
      // What the room's history in the server has comes by itself.
      this.#fillLater(room);
    }
    if (this.room?.timeline.loaded === false) this.#load(this.room);
    this.#changed({ kind: "rooms" });
  }

  /** @param {number} id of a room of which the server does not remember all that was missed. */
  missed(id) {
    const room = this.rooms.get(id);
    if (this.ready && room) this.#catchUp(room);
  }

  /** @param {Pick<Events["opened"], "room" | "members">} event */
  opened({ room: told, members }) {
    // The preview of a room that was left again before the answer came.
    if (!told.member && told.id !== this.current) return;
    const room = this.#take(told);
    room.members = new Map(members.map((person) => [person.id, person]));
    if (room.id === this.current) this.refusal = null;
    if (room.timeline.loaded) this.#catchUp(room);
    else if (room.id === this.current) this.#load(room);
    this.#changed({ kind: "rooms" });
  }

  /** @param {Message} message */
  message(message) {
    const room = this.rooms.get(message.room);
    if (!room) return;
    const isNews = message.version > room.version;
    room.version = Math.max(room.version, message.version);
    if (!this.#own(message)) count(room, message);
    const { timeline } = room;
    // Where nothing was loaded there is nothing to complete.
    const changed = (timeline.loaded || Boolean(room.asked.history)) && timeline.live(message);
    if (timeline.gap) this.#fillLater(room);
    const fresh = !message.deleted && message.number === message.version
      && !this.#own(message) && (changed || (isNews && !timeline.loaded));
    this.#changed({ kind: "message", room, message, fresh });
  }

  /** @param {HistoryPage} event */
  history(event) {
    const room = this.rooms.get(event.room);
    if (!room) return;
    room.asked.history = false;
    room.timeline.history(event);
    if (room.timeline.gap) this.#fillLater(room);
    // It was the answer to a question from before everything was forgotten.
    if (!room.timeline.loaded && room.id === this.current) this.#load(room);
    this.#changed({ kind: "room", room });
  }

  /** @param {SincePage} event */
  since(event) {
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

  /** @param {Events["room"]} event */
  roomChanged({ room: told }) {
    const room = this.#take(told);
    if (room.timeline.loaded && room.version > (room.timeline.version ?? 0)) this.#fillLater(room);
    this.#changed({ kind: "rooms" });
  }

  /** @param {Events["left"]} event */
  left({ room: id, removed_by: admin }) {
    const room = this.rooms.get(id);
    if (!room) return;
    room.member = false;
    if (id === this.current && admin) this.refusal = `${admin.name} has removed ${room.name}.`;
    // What may be done there is another matter now, and perhaps nothing.
    if (id === this.current && !admin) this.#ask({ type: "open", room: id });
    else this.rooms.delete(id);
    this.#changed({ kind: "rooms" });
  }

  /** @param {Events["member"]} event */
  member({ room: id, user, joined }) {
    const room = this.rooms.get(id);
    if (!room?.members) return;
    if (joined) room.members.set(user.id, user);
    else room.members.delete(user.id);
    this.#changed({ kind: "room", room });
  }

  /** @param {Events["read"]} event */
  readElsewhere({ room: id, number }) {
    const room = this.rooms.get(id);
    if (room) room.readTold = Math.max(room.readTold, number);
    this.#read(id, number);
  }

  /**
   * @param {number} id
   * @param {number} number
   */
  #read(id, number) {
    const room = this.rooms.get(id);
    if (!room || number <= room.read) return;
    markRead(room, number);
    this.#changed({ kind: "read", room });
  }

  /** @param {Refusal} refusal */
  error({ room: id, key, code, text, retry_after: after }) {
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

  /** @param {Room} room */
  #load(room) {
    if (!room.asked.history) this.#askHistory(room, null);
  }

  /**
   * @param {Room} room
   * @param {number | null} before
   */
  #askHistory(room, before) {
    room.asked.history = { before };
    this.#ask({ type: "history", room: room.id, before });
  }

  /** @param {Room} room */
  #askSince(room) {
    room.asked.since = true;
    this.#ask({ type: "since", room: room.id, version: room.timeline.version ?? 0 });
  }

  /** @param {number} id */
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

  /** @param {Room} room */
  #catchUp(room) {
    const { timeline } = room;
    if (timeline.version === null || room.asked.since) return;
    const missed = room.version - timeline.version;
    if (missed > MOST_MISSED) {
      timeline.clear();
      if (room.id === this.current) this.#load(room);
    } else if (missed > 0) {
      this.#askSince(room);
    }
  }

  /** @param {Room} room */
  #fillLater(room) {
    if (room.filling) return;
    room.filling = true;
    this.#later(() => {
      room.filling = false;
      if (this.ready && this.rooms.get(room.id) === room) this.#catchUp(room);
    }, PATIENCE);
  }

  // ---- rooms -------------------------------------------------------------------------------

  /** @param {number | null} id */
  #find(id) {
    return id === null ? undefined : this.rooms.get(id);
  }

  /** @param {ToldRoom} told */
  #take(told) {
    const room = updated(this.rooms.get(told.id), told);
    this.rooms.set(told.id, room);
    return room;
  }

  /** @param {Message} message */
  #own(message) {
    return message.author.id === this.me.id;
  }

  /**
   * Keeps the rooms that were looked at last; of the others only the number of unread messages.
   *
   * @param {number} id
   */
  #keep(id) {
    this.#recent = [id, ...this.#recent.filter((other) => other !== id)];
    for (const old of this.#recent.splice(ROOMS_KEPT)) this.rooms.get(old)?.timeline.clear();
  }
}
