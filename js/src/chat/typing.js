// Who is typing: tells the others that the user is, and shows that others are.

// Milliseconds: the user's typing is told at most once in that time,
const TELL_EVERY = 3000;
// and others' is shown for that long after it was told.
const SHOWN = 5000;

/**
 * Says who is typing, in a sentence; an empty one for nobody.
 *
 * @param {string[]} names
 */
export function sentence(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return "Several people are typing…";
}

export class Typing {
  #tell;
  #changed;
  /** @type {Map<number, number>} */
  #told = new Map();
  /** @type {Map<number, Map<number, { name: string, timer: ReturnType<typeof setTimeout> }>>} */
  #others = new Map();

  /**
   * @param {(room: number) => void} tell the server that the user is typing.
   * @param {(room: number) => void} changed shows the names anew.
   */
  constructor(tell, changed) {
    this.#tell = tell;
    this.#changed = changed;
  }

  /**
   * The user typed something in a room.
   *
   * @param {number} room
   * @param {number} [now] ms.
   */
  typed(room, now = performance.now()) {
    if (now - (this.#told.get(room) ?? -Infinity) < TELL_EVERY) return;
    this.#told.set(room, now);
    this.#tell(room);
  }

  /**
   * The user's message went out: the next one is told at once.
   *
   * @param {number} room
   */
  said(room) {
    this.#told.delete(room);
  }

  /**
   * Somebody types in a room.
   *
   * @param {number} room
   * @param {import("./protocol.js").Person} user
   */
  started(room, user) {
    this.#end(room, user.id);
    const timer = setTimeout(() => this.stopped(room, user.id), SHOWN);
    const people = this.#others.get(room) ?? new Map();
    this.#others.set(room, people.set(user.id, { name: user.name, timer }));
    this.#changed(room);
  }

  /**
   * Somebody's message is there, or the time is over.
   *
   * @param {number} room
   * @param {number} id
   */
  stopped(room, id) {
    if (this.#end(room, id)) this.#changed(room);
  }

  /**
   * Returns who types in a room, in the order in which they began.
   *
   * @param {number | null} room null: in none.
   */
  names(room) {
    return [...(this.#others.get(room ?? NaN)?.values() ?? [])].map(({ name }) => name);
  }

  /**
   * @param {number} room
   * @param {number} id
   */
  #end(room, id) {
    const people = this.#others.get(room);
    const known = people?.get(id);
    if (!people || !known) return false;
    clearTimeout(known.timer);
    return people.delete(id);
  }
}
