// The list of public rooms: the server searches it, and tells a page at a time.

import { $, make, setText } from "./dom.js";

/** @import { ListedRoom } from "./protocol.js" */

// Milliseconds without a further key after which the server is asked.
const PAUSE = 150;

export class Catalog {
  #api;
  #failed;
  /** @type {ListedRoom[]} */
  #rooms = [];
  #page = 0;
  #asked = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {import("./http.js").Api} api
   * @param {(error: unknown) => void} failed told why there is no list; of null when there is one.
   */
  constructor(api, failed) {
    this.#api = api;
    this.#failed = failed;
    $("browse-filter").addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#show(0), PAUSE);
    });
    $("browse-more").addEventListener("click", () => this.#more());
  }

  /** Shows the list from its beginning. */
  open() {
    this.#list([], false);
    setText($("browse-note"), "Loading…");
    return this.#show(0);
  }

  /** Returns the first room that is wanted; raises `Refused`. */
  async first() {
    await this.#load(0);
    return this.#rooms[0];
  }

  async #more() {
    const before = this.#rooms.length;
    await this.#show(this.#page + 1);
    // The button that had the focus may be gone.
    $("browse-list").children[before]?.querySelector("button")?.focus();
  }

  /** @param {number} page */
  async #show(page) {
    try {
      await this.#load(page);
    } catch (error) {
      setText($("browse-note"), "");
      this.#failed(error);
    }
  }

  /** @param {number} page */
  async #load(page) {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    const query = new URLSearchParams({ q: $("browse-filter").value.trim(), page: String(page) });
    /** @type {{ rooms: ListedRoom[], more: boolean }} */
    const found = await this.#api.get(`rooms?${query}`);
    // Meanwhile something else may be wanted.
    if (asked !== this.#asked) return;
    this.#page = page;
    // A room that was made in between moves others to the next page.
    const known = new Set(page ? this.#rooms.map(({ id }) => id) : []);
    const rooms = found.rooms.filter(({ id }) => !known.has(id));
    this.#list(page ? [...this.#rooms, ...rooms] : rooms, found.more);
    setText($("browse-note"), this.#rooms.length ? "" : "There is no such room.");
    this.#failed(null);
  }

  /**
   * @param {ListedRoom[]} rooms
   * @param {boolean} more
   */
  #list(rooms, more) {
    this.#rooms = rooms;
    $("browse-list").replaceChildren(...rooms.map(row));
    $("browse-more").hidden = !more;
  }
}

/** @param {ListedRoom} room */
function row({ id, name, topic, members, member }) {
  const people = `${members} ${members === 1 ? "person" : "people"}`;
  /**
   * @param {string} className
   * @param {string} text
   * @param {string} label
   */
  const button = (className, text, label) => make("button", {
    type: "button", class: className, "aria-label": `${label} ${name}`,
  }, text);
  return make("li", { "data-room": id },
    make("div", { class: "about" },
      make("bdi", { class: "room-name" }, name),
      make("span", { class: "help", dir: "auto" }, topic ? `${people} · ${topic}` : people)),
    make("div", { class: "row" }, ...(member
      ? [button("quiet look", "Open", "Open")]
      : [button("quiet look", "Look", "Look into"), button("primary join", "Join", "Join")])));
}
