// The field where messages are written: drafts, editing, and what the keys do there.

import { setText } from "./dom.js";
import { format } from "./formatting.js";

// The part of the longest message from which on the length is shown.
const NEARLY_FULL = 0.9;

// There the key that sends is the button beside the field.
const TOUCH_KEYBOARD = "(hover: none) and (pointer: coarse)";

/** @param {number} count */
const characters = (count) => `${count} ${count === 1 ? "character" : "characters"}`;

/**
 * @typedef {object} Written What the user does in the field, told by events with this detail.
 * @property {{ text: string }} say
 * @property {{ number: number, text: string }} change
 * @property {null} typing
 * @property {null} last wants to edit the last message.
 */

export class Composer extends EventTarget {
  #field;
  #counter;
  #editing;
  #submit;
  #most;
  #memory;
  #touch = matchMedia(TOUCH_KEYBOARD);
  /** @type {number | null} */
  #room = null;
  /** @type {number | null} */
  #edited = null;

  /** Whether there are files to send: then there need not be a text. */
  hasFiles = false;

  /**
   * @param {{ form: HTMLElement, field: HTMLTextAreaElement, submit: HTMLElement,
   *   counter: HTMLElement, editing: HTMLElement, cancel: HTMLElement }} elements
   * @param {import("./storage.js").Memory} memory keeps the drafts.
   * @param {number} most characters of a message.
   */
  constructor({ form, field, submit, counter, editing, cancel }, memory, most) {
    super();
    this.#field = field;
    this.#counter = counter;
    this.#editing = editing;
    this.#submit = submit;
    this.#memory = memory;
    this.#most = most;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    field.addEventListener("keydown", (event) => this.#key(event));
    const hint = () => { field.enterKeyHint = this.#touch.matches ? "enter" : "send"; };
    this.#touch.addEventListener("change", hint);
    hint();
    field.addEventListener("input", () => {
      this.#keepDraft();
      this.#fit();
      if (field.value.trim()) this.dispatchEvent(new Event("typing"));
    });
    cancel.addEventListener("click", () => this.cancel());
  }

  /**
   * Goes to a room, with what had been written there.
   *
   * @param {number} room
   */
  enter(room) {
    if (room === this.#room) return;
    this.#room = room;
    this.#change(null);
    this.#write(this.#memory.get(`draft.${room}`) ?? "");
  }

  /**
   * Changes a message of one's own; the draft comes back afterwards.
   *
   * @param {{ number: number, text: string }} message
   */
  edit({ number, text }) {
    this.#change(number);
    this.#write(text);
    this.focus();
    this.#field.setSelectionRange(text.length, text.length);
  }

  /** Stops editing. */
  cancel() {
    if (this.#edited === null) return;
    this.#change(null);
    this.#write(this.#memory.get(`draft.${this.#room}`) ?? "");
    this.focus();
  }

  /** The number of the message that is edited, or null. */
  get edited() {
    return this.#edited;
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  /** @param {number | null} number */
  #change(number) {
    this.#edited = number;
    this.#editing.hidden = number === null;
    const label = number === null ? "Send" : "Save";
    this.#submit.setAttribute("aria-label", label);
    setText(this.#submit.querySelector("span"), label);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While an input method composes, Enter takes its suggestion and Escape drops it.
    if (event.isComposing) return;
    const makesLine = event.shiftKey || (this.#touch.matches && !event.ctrlKey && !event.metaKey);
    if (event.key === "Enter" && !makesLine) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape" && this.#edited !== null) {
      event.preventDefault();
      this.cancel();
    } else if (event.key === "ArrowUp" && this.#field.value === "" && this.#edited === null) {
      event.preventDefault();
      this.dispatchEvent(new Event("last"));
    } else if (format(this.#field, event)) {
      event.preventDefault();
    }
  }

  /** Sends what is written, or saves the change. */
  send() {
    const text = this.#field.value.trim();
    const enough = text || (this.hasFiles && this.#edited === null);
    if (!enough || this.#room === null) return;
    if (this.#length(text) > this.#most) {
      this.#fit();
      return;
    }
    if (this.#edited === null) {
      // It stays as it is where its files are not there yet.
      const say = new CustomEvent("say", { detail: { text }, cancelable: true });
      if (!this.dispatchEvent(say)) return;
      this.#memory.set(`draft.${this.#room}`, null);
      this.#write("");
    } else {
      const number = this.#edited;
      this.cancel();
      this.dispatchEvent(new CustomEvent("change", { detail: { number, text } }));
    }
    this.focus();
  }

  /** @param {string} text */
  #write(text) {
    this.#field.value = text;
    this.#fit();
  }

  #keepDraft() {
    if (this.#edited !== null || this.#room === null) return;
    this.#memory.set(`draft.${this.#room}`, this.#field.value || null);
  }

  /**
   * Counts as the server does: characters, not the halves of which some consist.
   *
   * @param {string} text
   */
  #length(text) {
    return text.length > this.#most ? [...text].length : text.length;
  }

  #fit() {
    const field = this.#field;
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
    const length = this.#length(field.value.trim());
    const over = length > this.#most;
    field.setAttribute("aria-invalid", String(over));
    this.#counter.hidden = length < NEARLY_FULL * this.#most;
    setText(this.#counter, over
      ? `Too long by ${characters(length - this.#most)}` : `${characters(this.#most - length)} left`);
    this.#counter.classList.toggle("over", over);
  }
}
