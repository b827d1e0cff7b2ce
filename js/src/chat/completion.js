// Completes names behind an @ while a message is written, by the people of the room. The text carries
// what everybody can read: who is meant by it, the server finds out.

import { $, setText } from "./dom.js";
import { Suggestions } from "./suggestions.js";

/** @import { Person } from "./protocol.js" */

// People who are suggested at once.
const MOST = 8;
// A sign that begins a word, and a part of a name up to the caret.
const BEGUN = /(?:^|[^\p{L}\p{N}\p{M}]|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}])@([^\s@][^\n@]{0,31})?$/u;

/** @param {string} name */
const folded = (name) => name.normalize("NFKC").toLowerCase();

/**
 * Finds the people whose name, or a word of it, begins like a text: names that begin so first.
 *
 * @template {Person} Someone
 * @param {Someone[]} people
 * @param {string} begun
 * @returns {Someone[]}
 */
export function matching(people, begun) {
  const text = folded(begun);
  /** @param {Person} person */
  const rank = ({ name }) => {
    const whole = folded(name);
    if (whole.startsWith(text)) return 0;
    return whole.includes(` ${text}`) ? 1 : 2;
  };
  return people.map((person) => ({ person, at: rank(person) })).filter(({ at }) => at < 2)
    .sort((a, b) => a.at - b.at || a.person.name.localeCompare(b.person.name))
    .slice(0, MOST).map(({ person }) => person);
}

export class Completion {
  #field;
  #people;
  #suggestions;
  /**
   * What was chosen or refused: it is left alone while more is written behind it.
   *
   * @type {{ start: number, name: string } | null}
   */
  #done = null;

  /**
   * @param {object} options
   * @param {HTMLTextAreaElement} options.field
   * @param {HTMLElement} options.list its listbox.
   * @param {() => import("./suggestions.js").Suggestion[]} options.people who may be meant.
   */
  constructor({ field, list, people }) {
    this.#field = field;
    this.#people = people;
    this.#suggestions = new Suggestions(field, list, (name) => this.#complete(name));
    for (const type of ["input", "click"]) field.addEventListener(type, () => this.#look());
    field.addEventListener("keyup", ({ key }) => {
      if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(key)) this.#look();
    });
    field.addEventListener("blur", () => this.clear());
    // Before the field itself hears it: there Enter sends.
    field.form?.addEventListener("keydown", (event) => this.#key(event), true);
  }

  /** Suggests nobody. */
  clear() {
    this.#suggest([]);
  }

  /** What stands between the sign and the caret; null: there is no sign, or the name is done. */
  get #begun() {
    const { value, selectionStart: caret, selectionEnd: end } = this.#field;
    const begun = caret === end ? BEGUN.exec(value.slice(0, caret)) : null;
    if (!begun) {
      this.#done = null;
      return null;
    }
    const name = begun[1] ?? "";
    const start = caret - name.length - 1;
    if (start === this.#done?.start && name.startsWith(this.#done.name)) return null;
    this.#done = null;
    return { start, name };
  }

  #look() {
    const begun = this.#begun;
    const found = begun ? matching(this.#people(), begun.name) : [];
    const known = found.length === 1 && found[0].name === begun?.name;
    // Behind a space the message may go on: there Enter sends.
    this.#suggest(known ? [] : found, begun?.name && !begun.name.endsWith(" ") ? 0 : -1);
  }

  /**
   * @param {import("./suggestions.js").Suggestion[]} people
   * @param {number} [active]
   */
  #suggest(people, active) {
    this.#suggestions.show(people, active);
    const count = people.length;
    setText($("mention-status"), count ? `${count} ${count === 1 ? "person" : "people"} to mention` : "");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.#field) return;
    const begun = this.#begun;
    const tab = event.key === "Tab" && this.#field.hasAttribute("aria-activedescendant");
    const handled = tab ? this.#suggestions.take() : this.#suggestions.key(event);
    if (handled) {
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") this.#done = begun;
    }
    // An Enter that chooses nobody sends.
    if (!this.#suggestions.open || (event.key === "Enter" && !handled)) this.clear();
  }

  /** @param {string} name */
  #complete(name) {
    const begun = this.#begun;
    if (!begun) return;
    const { selectionStart: caret, value } = this.#field;
    const space = /^\s/u.test(value.slice(caret)) ? "" : " ";
    this.#field.setRangeText(`@${name}${space}`, begun.start, caret, "end");
    this.#done = { start: begun.start, name };
    // For the draft, and the size of the field.
    this.#field.dispatchEvent(new window.Event("input", { bubbles: true }));
  }
}
