// The search: messages of all rooms that the user may see, by their words. The server finds them, and
// tells a page at a time.

import { $, isPlain, make, setText, within } from "./dom.js";
import { messageOf } from "./http.js";
import { stepOf } from "./rooms.js";
import { clockOf, dayName } from "./times.js";

/** @import { Hit } from "./protocol.js" */
/** @import { Room } from "./room.js" */

// Milliseconds without a further key after which the server is asked.
const PAUSE = 250;

export class Search {
  #api;
  #room;
  #address;
  #dialog = $("search-dialog");
  #asked = 0;
  /** @type {number | null} */
  #next = null;
  /** @type {number | null} */
  #here = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} options
   * @param {import("./http.js").Api} options.api
   * @param {() => Room | null} options.room the one that is looked at.
   * @param {(room: number, message: number) => string} options.address of a message.
   */
  constructor({ api, room, address }) {
    this.#api = api;
    this.#room = room;
    this.#address = address;
    $("search").addEventListener("click", () => this.open());
    $("search-close").addEventListener("click", () => this.#dialog.close());
    $("search-more").addEventListener("click", () => this.#more());
    $("search-field").addEventListener("input", () => this.#askSoon());
    $("search-here").addEventListener("change", () => this.#first());
    this.#dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#firstAndFocus();
    });
    // A click beside the dialog closes it; one that began inside (a selection) does not.
    this.#dialog.addEventListener("pointerdown", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("keydown", (event) => this.#move(event));
    $("search-list").addEventListener("click", (event) => {
      // With a modifier the browser opens a tab or a window; else the page goes there.
      if (within(event, "a") && isPlain(event)) this.#dialog.close();
    });
    document.addEventListener("keydown", (event) => {
      if (!isShortcut(event) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      this.open();
    });
  }

  /** Shows the field, with what was looked for before. */
  open() {
    const room = this.#room();
    $("search-here").checked = false;
    $("search-here-label").hidden = room === null;
    setText($("search-here-name"), room?.name ?? "");
    this.#here = room?.id ?? null;
    this.#dialog.showModal();
    $("search-field").select();
    // There may be news.
    this.#first();
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#first(), PAUSE);
  }

  async #firstAndFocus() {
    await this.#first();
    this.#links[0]?.focus();
  }

  async #first() {
    const hits = await this.#ask(null);
    if (!hits) return;
    $("search-list").replaceChildren(...hits.map((hit) => this.#row(hit)));
    this.#dialog.scrollTop = 0;
    const wanted = $("search-field").value.trim();
    if (!wanted) setText($("search-note"), "");
    else if (!hits.length) setText($("search-note"), "No message has that.");
    else setText($("search-note"), this.#next === null ? count(hits.length) : `The newest ${hits.length}`);
  }

  async #more() {
    const hits = await this.#ask(this.#next);
    if (!hits) return;
    const before = this.#links.length;
    $("search-list").append(...hits.map((hit) => this.#row(hit)));
    setText($("search-note"), count(this.#links.length, this.#next !== null));
    // The button that had the focus may be gone.
    this.#links[before]?.focus();
  }

  /**
   * Returns a page of hits; null where something else is wanted meanwhile, or there is none.
   *
   * @param {number | null} before
   * @returns {Promise<Hit[] | null>}
   */
  async #ask(before) {
    clearTimeout(this.#timer);
    const asked = ++this.#asked;
    const error = this.#dialog.querySelector(".error");
    const query = new URLSearchParams({ q: $("search-field").value.trim() });
    if ($("search-here").checked && this.#here !== null) query.set("room", String(this.#here));
    if (before !== null) query.set("before", String(before));
    /** @type {{ hits: Hit[], next: number | null }} */
    let found = { hits: [], next: null };
    try {
      if (query.get("q")) found = await this.#api.get(`search?${query}`);
    } catch (problem) {
      if (asked === this.#asked) setText(error, messageOf(problem));
      return null;
    }
    if (asked !== this.#asked) return null;
    setText(error, "");
    this.#next = found.next;
    $("search-more").hidden = found.next === null;
    return found.hits;
  }

  /** @returns {HTMLElement[]} */
  get #links() {
    return [...$("search-list").querySelectorAll("a")];
  }

  /** @param {Hit} hit */
  #row({ room, number, author, time, excerpt }) {
    const parts = excerpt.map((text, index) => (index % 2 ? make("mark", {}, text) : text));
    return make("li", {}, make("a", { href: this.#address(room.id, number) },
      make("span", { class: "help" },
        make("bdi", { class: "room-name" }, room.name), " · ",
        // In a conversation with one person the room has that person's name.
        make("bdi", { class: "author" }, author.name), " · ",
        make("time", { datetime: time }, `${dayName(time)}, ${clockOf(time)}`)),
      make("span", { class: "excerpt", dir: "auto" }, ...parts)));
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const step = stepOf(event);
    const links = this.#links;
    const at = links.indexOf(/** @type {HTMLElement} */ (event.target));
    if (!step || (at < 0 && event.target !== $("search-field"))) return;
    event.preventDefault();
    if (at + step < 0) $("search-field").focus();
    else links[at + step]?.focus();
  }
}

/**
 * @param {number} hits
 * @param {boolean} [more] whether there are more of them.
 */
const count = (hits, more = false) => (
  more ? `The newest ${hits}` : `${hits} ${hits === 1 ? "message" : "messages"}`);

/**
 * Whether a key opens the search: Ctrl+K, ⌘K, or a slash where nothing is written.
 *
 * @param {KeyboardEvent} event
 */
function isShortcut(event) {
  const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
  if (ctrlKey !== metaKey) return key.toLowerCase() === "k" && !altKey && !shiftKey;
  return key === "/" && !ctrlKey && !within(event, "input, textarea, select");
}
