// The list of rooms.

import { arrange, icon, make, presentFace, within } from "./dom.js";

/** @import { ToldRoom } from "./protocol.js" */

const HASH = "M9.5 4 8 20M16 4l-1.5 16M4.5 9h15.5M4 15h15.5";
const LOCK = "M6.5 11h11v8.5h-11zM8.8 11V8a3.2 3.2 0 0 1 6.4 0v3";
const MUTED = "M9 6.2a5.5 5.5 0 0 1 8.5 4.8v3.5M6.6 10.5v6L5 18h13M10 18.5a2 2 0 0 0 4 0M4 4l16 16";
const MOST_SHOWN = 99;

/** @param {number} count */
const shownCount = (count) => (count > MOST_SHOWN ? `${MOST_SHOWN}+` : String(count));

/**
 * @param {ToldRoom} a
 * @param {ToldRoom} b
 */
const byName = (a, b) => a.name.localeCompare(b.name) || a.id - b.id;

/**
 * The step in a list for which an arrow key stands; 0 for another key.
 *
 * @param {KeyboardEvent} event
 */
export const stepOf = ({ key }) => Number(key === "ArrowDown") - Number(key === "ArrowUp");

/**
 * @typedef {object} State What the list shows of a room beside what the server tells of it.
 * @property {boolean} isCurrent
 * @property {number} unread
 * @property {number} mentions those that are unread.
 * @property {boolean | null} online null: it is no conversation with one person.
 */

export class RoomList {
  #nav;
  #lists;
  /** @type {Map<number, { item: HTMLElement, link: HTMLElement, state: string | null }>} */
  #links = new Map();
  #address;

  /**
   * @param {HTMLElement} nav
   * @param {{rooms: Element, direct: Element}} lists
   * @param {(id: number) => string} address of a room.
   * @param {(id: number) => void} choose
   */
  constructor(nav, lists, address, choose) {
    this.#nav = nav;
    this.#lists = lists;
    this.#address = address;
    nav.addEventListener("click", (event) => {
      const link = within(event, "a.room");
      // With a modifier the browser opens a tab or a window, as with every link.
      if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      choose(Number(link.dataset.room));
    });
    nav.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {ToldRoom[]} rooms to list.
   * @param {object} options
   * @param {number | null} options.current
   * @param {(id: number) => number} options.unread
   * @param {(id: number) => number} options.mentions unread ones.
   * @param {(id: number) => boolean} options.isOnline
   */
  show(rooms, { current, unread, mentions, isOnline }) {
    const ids = new Set(rooms.map((room) => room.id));
    for (const id of this.#links.keys()) if (!ids.has(id)) this.#links.delete(id);
    /** @param {ToldRoom[]} of */
    const items = (of) => of.sort(byName).map((room) => {
      const online = room.kind === "direct" && room.person ? isOnline(room.person.id) : null;
      return this.#item(room, {
        isCurrent: room.id === current, unread: unread(room.id), mentions: mentions(room.id), online,
      });
    });
    arrange(this.#lists.rooms, items(rooms.filter((room) => room.kind !== "direct")));
    arrange(this.#lists.direct, items(rooms.filter((room) => room.kind === "direct")));
  }

  /**
   * The room above or below the current one, or null.
   *
   * @param {number} step -1 or 1.
   */
  neighbour(step) {
    const links = this.#all;
    const at = links.findIndex((link) => link.hasAttribute("aria-current"));
    const next = links[at + step];
    return next ? Number(next.dataset.room) : null;
  }

  get #all() {
    /** @type {NodeListOf<HTMLElement>} */
    const links = this.#nav.querySelectorAll("a.room");
    return [...links];
  }

  /**
   * @param {ToldRoom} room
   * @param {State} shown
   */
  #item(room, shown) {
    const state = JSON.stringify([room.kind, room.name, room.member, room.muted, shown]);
    let known = this.#links.get(room.id);
    if (!known) {
      const link = make("a", { class: "room", href: this.#address(room.id), "data-room": room.id });
      known = { item: make("li", {}, link), link, state: null };
      this.#links.set(room.id, known);
    }
    if (known.state !== state) {
      known.state = state;
      this.#fill(known.link, room, shown);
    }
    return known.item;
  }

  /**
   * @param {HTMLElement} link
   * @param {ToldRoom} room
   * @param {State} state
   */
  #fill(link, room, { isCurrent, unread, mentions, online }) {
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.classList.toggle("preview", !room.member);
    link.classList.toggle("has-unread", unread > 0 && (!room.muted || mentions > 0));
    link.classList.toggle("muted", Boolean(room.muted));
    const badge = make("span", { class: "unread", hidden: unread === 0 },
      shownCount(unread),
      make("span", { class: "unseen" }, " unread"));
    const sign = room.kind === "direct"
      ? make("span", { class: "sign person", "data-online": String(Boolean(online)) }, presentFace(room.name))
      : make("span", { class: "sign" }, icon(room.kind === "private" ? LOCK : HASH));
    const hint = [room.kind === "private" && "private", online && "online", !room.member && "preview"]
      .filter(Boolean).join(", ");
    const signs = [
      room.muted && make("span", { class: "muted-sign", title: "Muted" }, icon(MUTED),
        make("span", { class: "unseen" }, " muted")),
      mentions && make("span", { class: "mention-count" }, `@${shownCount(mentions)}`,
        make("span", { class: "unseen" }, mentions === 1 ? " mention" : " mentions")),
    ].filter((each) => typeof each === "object");
    link.replaceChildren(
      sign,
      make("bdi", { class: "room-name" }, room.name),
      make("span", { class: "unseen" }, hint && ` (${hint})`),
      ...signs,
      badge,
    );
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = stepOf(event);
    const link = within(event, "a.room");
    if (!step || event.altKey || !link) return;
    const links = this.#all;
    const next = links[links.indexOf(link) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}
