// The list of rooms.

import { arrange, icon, make, presentFace } from "./dom.js";

const HASH = "M9.5 4 8 20M16 4l-1.5 16M4.5 9h15.5M4 15h15.5";
const LOCK = "M6.5 11h11v8.5h-11zM8.8 11V8a3.2 3.2 0 0 1 6.4 0v3";
const MOST_SHOWN = 99;

const byName = (a, b) => a.name.localeCompare(b.name) || a.id - b.id;

export class RoomList {
  #nav;
  #lists;
  #links = new Map();
  #address;

  /**
   * @param {Element} nav
   * @param {{rooms: Element, direct: Element}} lists
   * @param {(id: number) => string} address of a room.
   * @param {(id: number) => void} choose
   */
  constructor(nav, lists, address, choose) {
    this.#nav = nav;
    this.#lists = lists;
    this.#address = address;
    nav.addEventListener("click", (event) => {
      const link = event.target.closest("a.room");
      // With a modifier the browser opens a tab or a window, as with every link.
      if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      choose(Number(link.dataset.room));
    });
    nav.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {object[]} rooms to list, as the store has them.
   * @param {object} options
   * @param {number | null} options.current
   * @param {(id: number) => number} options.unread
   * @param {(id: number) => boolean} options.isOnline
   */
  show(rooms, { current, unread, isOnline }) {
    const ids = new Set(rooms.map((room) => room.id));
    for (const id of this.#links.keys()) if (!ids.has(id)) this.#links.delete(id);
    const items = (of) => of.sort(byName).map((room) => {
      const online = room.kind === "direct" && room.person ? isOnline(room.person.id) : null;
      return this.#item(room, room.id === current, unread(room.id), online);
    });
    arrange(this.#lists.rooms, items(rooms.filter((room) => room.kind !== "direct")));
    arrange(this.#lists.direct, items(rooms.filter((room) => room.kind === "direct")));
  }

  /** The room above or below the current one, or null. */
  neighbour(step) {
    const links = [...this.#nav.querySelectorAll("a.room")];
    const at = links.findIndex((link) => link.hasAttribute("aria-current"));
    const next = links[at + step];
    return next ? Number(next.dataset.room) : null;
  }

  #item(room, isCurrent, unread, online) {
    const state = JSON.stringify([room.kind, room.name, room.member, isCurrent, unread, online]);
    let known = this.#links.get(room.id);
    if (!known) {
      const link = make("a", { class: "room", href: this.#address(room.id), "data-room": room.id });
      known = { item: make("li", {}, link), link, state: null };
      this.#links.set(room.id, known);
    }
    if (known.state !== state) {
      known.state = state;
      this.#fill(known.link, room, { isCurrent, unread, online });
    }
    return known.item;
  }

  #fill(link, room, { isCurrent, unread, online }) {
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.classList.toggle("preview", !room.member);
    link.classList.toggle("has-unread", unread > 0);
    const badge = make("span", { class: "unread", hidden: unread === 0 },
      unread > MOST_SHOWN ? `${MOST_SHOWN}+` : String(unread),
      make("span", { class: "unseen" }, " unread"));
    const sign = room.kind === "direct"
      ? make("span", { class: "sign person", "data-online": String(Boolean(online)) }, presentFace(room.name))
      : make("span", { class: "sign" }, icon(room.kind === "private" ? LOCK : HASH));
    const hint = [room.kind === "private" && "private", online && "online", !room.member && "preview"]
      .filter(Boolean).join(", ");
    link.replaceChildren(
      sign,
      make("bdi", { class: "room-name" }, room.name),
      make("span", { class: "unseen" }, hint && ` (${hint})`),
      badge,
    );
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.altKey || !event.target.matches("a.room")) return;
    const links = [...this.#nav.querySelectorAll("a.room")];
    const next = links[links.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}
