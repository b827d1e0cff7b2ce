// A list of people that a field suggests: the keys choose among them while the field has the focus.

import { make, presentFace, within } from "./dom.js";

/** @typedef {import("./protocol.js").Person & { online?: boolean }} Suggestion */

export class Suggestions {
  #field;
  #list;
  #choose;
  #active = -1;

  /**
   * @param {HTMLElement} field
   * @param {HTMLElement} list its listbox.
   * @param {(name: string) => void} choose
   */
  constructor(field, list, choose) {
    this.#field = field;
    this.#list = list;
    this.#choose = choose;
    // Before the field loses the focus, with which the list closes.
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const option = within(event, "[role=option]");
      if (option) this.#take(option);
    });
  }

  /** Whether there is anybody to choose. */
  get open() {
    return this.#list.children.length > 0;
  }

  /**
   * Shows people; none closes the list.
   *
   * @param {Suggestion[]} people
   * @param {number} [active] the index of who is chosen by Enter; -1: nobody.
   */
  show(people, active = -1) {
    this.#list.replaceChildren(...people.map(({ name, online }, index) => make("li", {
      role: "option", id: `${this.#list.id}-${index}`, "data-name": name, "aria-selected": "false",
      "data-online": String(Boolean(online)), class: "person",
    }, presentFace(name), make("bdi", {}, name), make("span", { class: "unseen" }, online ? " (online)" : ""))));
    this.#list.hidden = people.length === 0;
    // A field of several lines is none that opens, to those who read it out.
    if (this.#field.getAttribute("role") === "combobox") {
      this.#field.setAttribute("aria-expanded", String(people.length > 0));
    }
    this.#activate(people.length ? active : -1);
  }

  /**
   * Does what a key does in the list.
   *
   * @param {KeyboardEvent} event
   * @returns {boolean} whether it was for the list: then it is for nobody else.
   */
  key(event) {
    const { length } = this.#list.children;
    if (!length || event.isComposing) return false;
    if (event.key === "ArrowDown") this.#activate((this.#active + 1) % length);
    else if (event.key === "ArrowUp") this.#activate((Math.max(this.#active, 0) + length - 1) % length);
    else if (event.key === "Escape") this.show([]);
    else if (event.key !== "Enter" || !this.take()) return false;
    event.preventDefault();
    return true;
  }

  /** Chooses who is active; returns whether anybody is. */
  take() {
    const option = /** @type {HTMLElement | undefined} */ (this.#list.children[this.#active]);
    if (option) this.#take(option);
    return Boolean(option);
  }

  /** @param {number} index of the option; -1: of none. */
  #activate(index) {
    const options = this.#list.children;
    this.#active = index;
    for (const [at, option] of [...options].entries()) {
      option.setAttribute("aria-selected", String(at === index));
    }
    if (index < 0) {
      this.#field.removeAttribute("aria-activedescendant");
    } else {
      this.#field.setAttribute("aria-activedescendant", options[index].id);
      options[index].scrollIntoView?.({ block: "nearest" });
    }
  }

  /** @param {HTMLElement} option */
  #take(option) {
    this.show([]);
    this.#choose(option.dataset.name ?? "");
  }
}
