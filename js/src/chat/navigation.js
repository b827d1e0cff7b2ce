// From room to room: which one the address names, and what is heard of it.

/**
 * Returns the id of the room that an address names, or null.
 *
 * @param {{ pathname: string }} address
 */
export function roomOf({ pathname }) {
  const match = /\/rooms\/(\d+)\/?$/.exec(pathname);
  return match ? Number(match[1]) : null;
}

export class Navigation {
  #root;
  #store;
  #connection;
  #memory;
  #entered;
  #chosen;

  /**
   * @param {object} options
   * @param {string} options.root path of the application, with a slash at its end.
   * @param {import("./store.js").Store} options.store
   * @param {Pick<import("./connection.js").Connection, "open" | "close">} options.connection
   * @param {import("./storage.js").Memory} options.memory keeps which room was looked at last.
   * @param {(isOther: boolean) => void} options.entered called in each room that is entered, or in
   *   none; isOther: another one than before.
   * @param {() => void} options.chosen called when the user went to a room.
   */
  constructor({ root, store, connection, memory, entered, chosen }) {
    this.#root = root;
    this.#store = store;
    this.#connection = connection;
    this.#memory = memory;
    this.#entered = entered;
    this.#chosen = chosen;
    addEventListener("popstate", ({ state }) => {
      const id = roomOf(location) ?? state?.room ?? null;
      if (id === null) this.goHome();
      else this.enter(id);
    });
  }

  /** @param {number} id */
  addressOf(id) {
    return `${this.#root}rooms/${id}`;
  }

  /**
   * Looks at a room; null looks at none.
   *
   * @param {number | null} id
   */
  enter(id) {
    const { current, room: before } = this.#store;
    if (current !== id) {
      if (current !== null) this.#connection.close(current, before?.member ?? false);
      this.#store.select(id);
      if (id !== null) this.#connection.open(id);
    }
    if (id !== null) {
      this.#memory.set("room", id);
      // An address that names no room leads back to the one that was shown there.
      if (roomOf(location) === null) history.replaceState({ room: id }, "");
    }
    this.#entered(current !== id);
  }

  /**
   * Goes to a room, and has the address say so.
   *
   * @param {number} id
   */
  go(id) {
    if (id !== roomOf(location)) history.pushState(null, "", this.addressOf(id) + location.search);
    this.enter(id);
    this.#chosen();
  }

  /**
   * Enters the first room: the one that the page was asked for, else the last one.
   *
   * @param {number | null} named
   */
  start(named) {
    const first = named ?? this.#memory.get("room");
    if (first !== null) this.enter(first);
  }

  /** Enters the room of an address that names none: the last one, else the first. */
  goHome() {
    const mine = this.#mine;
    const last = mine.find((room) => room.id === this.#memory.get("room"));
    const first = mine.find((room) => room.kind === "public") ?? mine[0];
    this.enter((last ?? first)?.id ?? null);
  }

  /** Where the current room cannot be looked at: goes home, unless the address names it. */
  refused() {
    // The room of the last visit may be gone: nobody asked for it.
    if (roomOf(location) === null) this.goHome();
  }

  /** The user has left the current room: goes to another one. */
  goOn() {
    this.#memory.set("room", null);
    const other = this.#mine.find((room) => room.id !== this.#store.current);
    if (other) this.go(other.id);
  }

  get #mine() {
    return [...this.#store.rooms.values()].filter((room) => room.member);
  }
}
