// A field for somebody's name, which suggests the people whom the server knows.

import { make, presentFace, within } from "./dom.js";

/** @typedef {import("./protocol.js").Person & { online?: boolean }} Suggestion */

// Milliseconds without a further key after which the server is asked.
const PAUSE = 150;

export class PeopleField {
  #field;
  #list;
  #api;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asked = 0;
  #active = -1;

  /**
   * @param {HTMLInputElement} field a combobox.
   * @param {HTMLElement} list its listbox.
   * @param {import("./http.js").Api} api
   */
  constructor(field, list, api) {
    this.#field = field;
    this.#list = list;
    this.#api = api;
    field.addEventListener("input", () => this.#askSoon());
    field.addEventListener("focus", () => this.#askSoon());
    // A button that moves away while it is pressed, because the list closes, is not clicked.
    let pressed = false;
    document.addEventListener("pointerdown", () => { pressed = true; }, true);
    for (const type of ["pointerup", "pointercancel"]) {
      document.addEventListener(type, () => {
        pressed = false;
        if (document.activeElement !== field) setTimeout(() => this.#show([]));
      }, true);
    }
    field.addEventListener("blur", () => {
      if (!pressed) this.#show([]);
    });
    field.addEventListener("keydown", (event) => this.#key(event));
    // Before the field loses the focus, with which the list closes.
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const option = within(event, "[role=option]");
      if (option) this.#choose(option);
    });
  }

  /** Forgets what was suggested. */
  clear() {
    this.#show([]);
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), PAUSE);
  }

  async #ask() {
    const asked = ++this.#asked;
    const wanted = this.#field.value.trim();
    /** @type {Suggestion[]} */
    let people = [];
    try {
      ({ people } = await this.#api.get(`people?${new URLSearchParams({ q: wanted })}`));
    } catch {
      // Suggestions are a courtesy: the name can be written.
    }
    if (asked !== this.#asked || document.activeElement !== this.#field) return;
    const known = people.length === 1 && people[0].name === wanted;
    this.#show(known ? [] : people);
  }

  /** @param {Suggestion[]} people */
  #show(people) {
    clearTimeout(this.#timer);
    this.#asked += people.length ? 0 : 1;
    this.#list.replaceChildren(...people.map(({ name, online }, index) => make("li", {
      role: "option", id: `${this.#list.id}-${index}`, "data-name": name, "aria-selected": "false",
      "data-online": String(Boolean(online)), class: "person",
    }, presentFace(name), make("bdi", {}, name), make("span", { class: "unseen" }, online ? " (online)" : ""))));
    this.#list.hidden = people.length === 0;
    this.#field.setAttribute("aria-expanded", String(people.length > 0));
    this.#activate(-1);
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
  #choose(option) {
    this.#field.value = option.dataset.name ?? "";
    this.#show([]);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { length } = this.#list.children;
    if (!length || event.isComposing) return;
    if (event.key === "ArrowDown") this.#activate((this.#active + 1) % length);
    else if (event.key === "ArrowUp") this.#activate((Math.max(this.#active, 0) + length - 1) % length);
    else if (event.key === "Enter" && this.#active >= 0) {
      this.#choose(/** @type {HTMLElement} */ (this.#list.children[this.#active]));
    } else if (event.key === "Escape") this.#show([]);
    else return;
    event.preventDefault();
  }
}
