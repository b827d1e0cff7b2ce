// A field for somebody's name, which suggests the people whom the server knows.

import { Suggestions } from "./suggestions.js";

/** @import { Suggestion } from "./suggestions.js" */

// Milliseconds without a further key after which the server is asked.
const PAUSE = 150;

export class PeopleField {
  #field;
  #suggestions;
  #api;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asked = 0;

  /**
   * @param {HTMLInputElement} field a combobox.
   * @param {HTMLElement} list its listbox.
   * @param {import("./http.js").Api} api
   */
  constructor(field, list, api) {
    this.#field = field;
    this.#suggestions = new Suggestions(field, list, (name) => {
      field.value = name;
      this.#show([]);
    });
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
    field.addEventListener("keydown", (event) => {
      if (this.#suggestions.key(event) && !this.#suggestions.open) this.#show([]);
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
    // What is asked already comes too late.
    this.#asked += people.length ? 0 : 1;
    this.#suggestions.show(people);
  }
}
