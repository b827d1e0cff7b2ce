// Which message the user is about to answer, in each room: kept with the draft, shown above the field.

import { setText } from "./dom.js";
import { quoteContent } from "./quote-row.js";

/** @import { Quote } from "./protocol.js" */

export class Replying {
  #bar;
  #memory;
  #quote;
  /** @type {number | null} */
  #room = null;

  /**
   * @param {{ bar: HTMLElement, field: HTMLElement, cancel: HTMLElement }} elements
   * @param {object} options
   * @param {import("./storage.js").Memory} options.memory keeps it over a reload.
   * @param {(number: number) => Quote | null} options.quote returns what is known of a message of the
   *   current room.
   * @param {() => void} options.canceled called when the user does not want to answer it any more.
   */
  constructor({ bar, field, cancel }, { memory, quote, canceled }) {
    this.#bar = bar;
    this.#memory = memory;
    this.#quote = quote;
    const stop = () => {
      this.#set(null);
      canceled();
    };
    cancel.addEventListener("click", stop);
    field.addEventListener("keydown", (event) => {
      // It may have ended an edit, or something else, already.
      if (event.key !== "Escape" || event.isComposing || event.defaultPrevented || this.number === null) return;
      event.preventDefault();
      stop();
    });
  }

  /**
   * The number of the message that is answered, or null.
   *
   * @returns {number | null}
   */
  get number() {
    return this.#room === null ? null : this.#memory.get(`reply.${this.#room}`);
  }

  /** @param {number} room */
  enter(room) {
    this.#room = room;
    this.show();
  }

  /** @param {number} number of the message that is to be answered. */
  begin(number) {
    this.#set(number);
  }

  /**
   * Returns the number of the message that is answered by what goes out now, or null.
   *
   * @param {number | null} [room] to which it goes; the user may look at another one by now.
   */
  take(room = this.#room) {
    if (room === null) return null;
    /** @type {number | null} */
    const number = this.#memory.get(`reply.${room}`);
    // What is known of messages is known of the current room alone.
    const isGone = number !== null && room === this.#room && this.#quote(number)?.deleted;
    this.#memory.set(`reply.${room}`, null);
    this.show();
    return isGone ? null : number;
  }

  /** Shows what is answered, as it is now. */
  show() {
    const { number } = this;
    this.#bar.hidden = number === null;
    if (number === null) return;
    const quote = this.#quote(number) ?? { number };
    const line = /** @type {HTMLElement} */ (this.#bar.querySelector(".replied"));
    const content = quoteContent(quote);
    // What stays is not read out again.
    const text = content.map((node) => (typeof node === "string" ? node : node.textContent)).join("");
    if (line.textContent !== text) line.replaceChildren(...content);
    setText(this.#bar.querySelector(".replying-note"),
      "deleted" in quote && quote.deleted ? "Yours will be sent as no reply." : "");
  }

  /** @param {number | null} number */
  #set(number) {
    if (this.#room === null) return;
    this.#memory.set(`reply.${this.#room}`, number);
    this.show();
  }
}
