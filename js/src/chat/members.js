// The people of a room.

import { arrange, make, presentFace, setText } from "./dom.js";

export class MemberList {
  #list;
  #count;
  #me;
  #rows = new Map();

  /**
   * @param {{list: Element, count: Element}} elements
   * @param {{id: number}} me
   * @param {(name: string) => void} write opens a conversation with somebody.
   */
  constructor({ list, count }, me, write) {
    this.#list = list;
    this.#count = count;
    this.#me = me;
    list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) write(button.dataset.name);
    });
  }

  /** Shows the members; null while they are not known. */
  show(members, isOnline) {
    const people = [...(members?.values() ?? [])].map((person) => (
      { ...person, online: person.id === this.#me.id || isOnline(person.id) }
    ));
    people.sort((a, b) => b.online - a.online || a.name.localeCompare(b.name) || a.id - b.id);
    const here = people.filter((person) => person.online).length;
    setText(this.#count, members ? String(here) : "–");
    const rows = new Map(people.map((person) => [person.id, this.#row(person)]));
    this.#rows = rows;
    arrange(this.#list, [...rows.values()]);
  }

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
