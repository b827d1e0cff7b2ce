// From room to room, and to messages: which one the address names, and what is heard of it.

import { isPlain, within } from "./dom.js";

// What the server takes for a number.
const MAX_NUMBER = 2 ** 31 - 1;

/**
 * Returns the id of the room that an address names, or null.
 *
 * @param {{ pathname: string }} address
 */
export function roomOf({ pathname }) {
  const match = /\/rooms\/(\d+)\/?$/.exec(pathname);
  return match ? Number(match[1]) : null;
}

/**
 * Returns the number of the message that an address names, or null.
 *
 * @param {{ search: string }} address
 */
export function messageIn({ search }) {
  const number = new URLSearchParams(search).get("message") ?? "";
  return /^[1-9]\d{0,9}$/.test(number) && Number(number) <= MAX_NUMBER ? Number(number) : null;
}

export class Navigation {
  #root;
  #store;
  #connection;
  #memory;
  #context;
  #entered;
  #chosen;

  /**
   * @param {object} options
   * @param {string} options.root path of the application, with a slash at its end.
   * @param {import("./store.js").Store} options.store
   * @param {Pick<import("./connection.js").Connection, "open" | "close">} options.connection
   * @param {import("./storage.js").Memory} options.memory keeps which room was looked at last.
   * @param {import("./context.js").Context} options.context
   * @param {(isOther: boolean) => void} options.entered called in each room that is entered, or in
   *   none; isOther: another one than before.
   * @param {() => void} options.chosen called when the user went to a room.
   */
  constructor({ root, store, connection, memory, context, entered, chosen }) {
    this.#root = root;
    this.#store = store;
    this.#connection = connection;
    this.#memory = memory;
    this.#context = context;
    this.#entered = entered;
    this.#chosen = chosen;
    addEventListener("popstate", ({ state }) => {
      const id = roomOf(location) ?? state?.room ?? null;
      if (id === null) this.goHome();
      else this.enter(id, messageIn(location));
    });
    document.addEventListener("click", (event) => this.#clicked(event));
  }

  /**
   * Returns the path of a room, or of a message in it.
   *
   * @param {number} id
   * @param {number} [number]
   */
  addressOf(id, number) {
    return `${this.#root}rooms/${id}${number === undefined ? "" : `?message=${number}`}`;
  }

  /**
   * Looks at a room; null looks at none.
   *
   * @param {number | null} id
   * @param {number | null} [number] of a message to go to; null: to the newest ones.
   */
  enter(id, number = null) {
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
    if (number === null) this.#context.leave();
    else this.#context.jump(number);
  }

  /**
   * Goes to a room, and has the address say so.
   *
   * @param {number} id
   */
  go(id) {
    this.#write("pushState", id, null);
    this.enter(id);
    this.#chosen();
  }

  /**
   * Goes to a message, and has the address say so.
   *
   * @param {number} id of its room.
   * @param {number} number
   */
  jumpTo(id, number) {
    this.#write("pushState", id, number);
    this.enter(id, number);
  }

  /** Goes back from a message to the newest ones of its room. */
  toNewest() {
    const room = roomOf(location);
    if (room !== null) this.#write("replaceState", room, null);
    this.#context.leave();
  }

  /**
   * Enters the first room: the one that the page was asked for, else the last one.
   *
   * @param {number | null} named
   */
  start(named) {
    const first = named ?? this.#memory.get("room");
    if (first !== null) this.enter(first, named === null ? null : messageIn(location));
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

  /**
   * Writes an address, where it is another one. What else it asks for stays.
   *
   * @param {"pushState" | "replaceState"} how
   * @param {number} id
   * @param {number | null} number
   */
  #write(how, id, number) {
    if (id === roomOf(location) && number === messageIn(location)) return;
    const query = new URLSearchParams(location.search);
    query.delete("message");
    if (number !== null) query.set("message", String(number));
    history[how](null, "", `${this.addressOf(id)}${query.size ? `?${query}` : ""}`);
  }

  /**
   * Follows a link to a message without loading the page anew.
   *
   * @param {MouseEvent} event
   */
  #clicked(event) {
    const link = /** @type {HTMLAnchorElement | null} */ (within(event, "a[href]"));
    if (!link || event.defaultPrevented || !isPlain(event) || link.origin !== location.origin) return;
    const [id, number] = [roomOf(link), messageIn(link)];
    if (id === null || number === null || link.pathname !== this.addressOf(id)) return;
    event.preventDefault();
    this.jumpTo(id, number);
  }

  get #mine() {
    return [...this.#store.rooms.values()].filter((room) => room.member);
  }
}
