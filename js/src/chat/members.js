// The people of a room.

import { arrange, make, presentFace, setText, within } from "./dom.js";

/** @import { Person } from "./protocol.js" */

export class MemberList {
  #list;
  #count;
  #me;
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();

  /**
   * @param {Record<"list" | "count", HTMLElement>} elements
   * @param {{id: number}} me
   * @param {(name: string) => void} write opens a conversation with somebody.
   */
  constructor({ list, count }, me, write) {
    this.#list = list;
    this.#count = count;
    this.#me = me;
    list.addEventListener("click", (event) => {
      const button = within(event, "button");
      if (button) write(button.dataset.name ?? "");
    });
  }

  /**
   * Shows the members; null while they are not known.
   *
   * @param {Map<number, Person> | null} members
   * @param {(id: number) => boolean} isOnline
   */
  show(members, isOnline) {
    const people = [...(members?.values() ?? [])].map((person) => (
      { ...person, online: person.id === this.#me.id || isOnline(person.id) }
    ));
    people.sort((a, b) => Number(b.online) - Number(a.online) || a.name.localeCompare(b.name) || a.id - b.id);
    const here = people.filter((person) => person.online).length;
    setText(this.#count, members ? String(here) : "–");
    const rows = new Map(people.map((person) => [person.id, this.#row(person)]));
    this.#rows = rows;
    arrange(this.#list, [...rows.values()]);
  }

  /** @param {Person & { online: boolean }} person */
  #row({ id, name, online }) {
    const row = this.#rows.get(id) ?? make("li", { "data-user": id });
    if (row.dataset.name !== name) {
      row.dataset.name = name;
      const label = make("bdi", { class: "person-name" }, name);
      const state = make("span", { class: "unseen presence" });
      row.replaceChildren(id === this.#me.id
        ? make("span", { class: "person" }, presentFace(name), label, make("span", { class: "you" }, "you"), state)
        : make("button", { class: "person", type: "button", "data-name": name, title: "Write to this person" },
          presentFace(name), label, state));
    }
    row.dataset.online = String(online);
    setText(row.querySelector(".presence"), online ? " (online)" : " (offline)");
    return row;
  }
}
