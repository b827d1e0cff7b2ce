// The conversation: shows the items of a room, and keeps the place where the reader is.

import { arrange } from "./dom.js";
import { fillRow, makeRow } from "./row.js";

// Pixels from the end at which the reader counts as being there.
const NEAR = 48;
// Pixels from the top at which earlier messages are asked for.
const EARLY = 400;

export class Log extends EventTarget {
  #list;
  #scroller;
  #newest;
  #rows = new Map();
  #room = null;
  #places = new Map();
  #followed = true;
  #size = "";

  /**
   * Tells by events what the user wants: "top" (earlier messages), "end" (the end is reached), and
   * with the message's detail {key, number} "edit", "delete", "retry" and "discard".
   *
   * @param {{list: Element, scroller: Element, newest: Element}} elements
   */
  constructor({ list, scroller, newest }) {
    super();
    this.#list = list;
    this.#scroller = scroller;
    this.#newest = newest;
    this.#size = this.#measure();
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    newest.addEventListener("click", () => {
      this.toEnd();
      this.#scroller.focus({ preventScroll: true });
    });
    list.addEventListener("click", (event) => this.#clicked(event));
    list.addEventListener("keydown", (event) => this.#moved(event));
    if (globalThis.ResizeObserver) {
      new ResizeObserver(() => {
        this.#size = this.#measure();
        if (this.#followed) this.toEnd();
      }).observe(scroller);
    }
  }

  /** Whether the reader is at the end. */
  get followed() {
    return this.#followed;
  }

  /**
   * Shows a room.
   *
   * @param {number} room its id.
   * @param {object[]} items (see items.js).
   * @param {{follow?: boolean, fresh?: boolean, toMark?: boolean}} [options] follow: go to the end;
   *   fresh: somebody said something, which a reader further up is told of; toMark: go to where the
   *   new messages begin, where they do not all fit.
   */
  show(room, items, { follow = false, fresh = false, toMark = false } = {}) {
    const entered = room !== this.#room;
    if (entered) this.#enter(room);
    const anchor = this.#anchor();
    this.#fill(items);
    if (toMark && this.#goToMark()) this.#newest.hidden = false;
    else if (entered) this.#goBack();
    else if (this.#followed || follow) this.toEnd();
    else this.#hold(anchor);
    if (fresh && !this.#followed) this.#newest.hidden = false;
    if (this.#scroller.scrollTop < EARLY) this.dispatchEvent(new Event("top"));
  }

  /** Shows nothing. */
  clear() {
    this.#enter(null);
    this.#fill([]);
  }

  /** Scrolls to the newest message. */
  toEnd() {
    this.#followed = true;
    this.#newest.hidden = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.dispatchEvent(new Event("end"));
  }

  // ---- rows --------------------------------------------------------------------------------

  #fill(items) {
    const focused = this.#list.contains(document.activeElement) ? document.activeElement : null;
    const focusedRow = focused?.closest("li");
    const rows = new Map();
    for (const item of items) {
      const content = JSON.stringify(item);
      const known = this.#rows.get(item.id);
      if (!known) rows.set(item.id, { row: makeRow(item), content });
      else if (known.content === content) rows.set(item.id, known);
      else rows.set(item.id, { row: fillRow(known.row, item), content });
    }
    this.#rows = rows;
    arrange(this.#list, [...rows.values()].map(({ row }) => row));
    this.#offerActions();
    // A button that was replaced while it had the focus gives it to its successor.
    if (focused && !focused.isConnected) {
      const successor = focusedRow.isConnected && focusedRow.querySelector("button");
      (successor || this.#scroller).focus({ preventScroll: true });
    }
  }

  // Only one message's buttons are a stop of the Tab key; the arrow keys go on from there.
  #offerActions(row = null) {
    const active = document.activeElement?.closest?.("#log .message");
    const all = [...this.#list.querySelectorAll(".actions")];
    const chosen = (row ?? active)?.querySelector(".actions") ?? all.at(-1);
    for (const actions of all) {
      for (const button of actions.children) button.tabIndex = actions === chosen ? 0 : -1;
    }
  }

  #moved(event) {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const button = event.target.closest(".actions button");
    if (!button) return;
    event.preventDefault();
    const all = [...this.#list.querySelectorAll(`.actions .${button.className}`)];
    const next = all[all.indexOf(button) + (event.key === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    this.#offerActions(next.closest(".message"));
    next.focus();
  }

  #clicked(event) {
    const row = event.target.closest(".message");
    const button = event.target.closest("button");
    // Where nothing can hover, a tap shows what can be done.
    for (const picked of this.#list.querySelectorAll(".picked")) {
      if (picked !== row) picked.classList.remove("picked");
    }
    if (row && !button && !event.target.closest("a")) row.classList.toggle("picked");
    if (!button) return;
    const item = JSON.parse([...this.#rows.values()].find((known) => known.row === row).content);
    this.dispatchEvent(new CustomEvent(button.classList[0], {
      detail: { number: item.number, key: item.pending },
    }));
  }

  // ---- the reader's place ------------------------------------------------------------------

  #measure() {
    return `${this.#scroller.clientWidth} ${this.#scroller.clientHeight}`;
  }

  #scrolled() {
    // A new size scrolls too (the on-screen keyboard, a growing text field): that was no reader.
    if (this.#measure() !== this.#size) return;
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const was = this.#followed;
    this.#followed = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#followed) {
      this.#newest.hidden = true;
      if (!was) this.dispatchEvent(new Event("end"));
    }
    if (scrollTop < EARLY) this.dispatchEvent(new Event("top"));
  }

  #offset(row) {
    return row.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top
      + this.#scroller.scrollTop;
  }

  // The first row in sight, and how far below the upper edge it is.
  #anchor() {
    const { scrollTop } = this.#scroller;
    const rows = this.#list.children;
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offset(rows[middle]) + rows[middle].offsetHeight > scrollTop) high = middle;
      else low = middle + 1;
    }
    // A day's separator may come to stand elsewhere.
    while (low < rows.length && !rows[low].classList.contains("message")) low += 1;
    const row = rows[low];
    return row ? { row, below: this.#offset(row) - scrollTop } : null;
  }

  #hold(anchor) {
    if (anchor?.row.isConnected) this.#scroller.scrollTop = this.#offset(anchor.row) - anchor.below;
  }

  #enter(room) {
    if (this.#room !== null) {
      const anchor = this.#anchor();
      this.#places.set(this.#room, this.#followed || !anchor ? null : {
        id: [...this.#rows].find(([, { row }]) => row === anchor.row)?.[0],
        below: anchor.below,
      });
    }
    this.#room = room;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#newest.hidden = true;
    this.#followed = true;
  }

  #goToMark() {
    const mark = this.#list.querySelector(".new-mark");
    if (!mark) return false;
    const { clientHeight, scrollHeight } = this.#scroller;
    const top = this.#offset(mark) - clientHeight / 4;
    if (top >= scrollHeight - clientHeight - NEAR) return false;
    this.#scroller.scrollTop = top;
    this.#followed = false;
    return true;
  }

  #goBack() {
    const place = this.#places.get(this.#room);
    const row = place && this.#rows.get(place.id)?.row;
    if (!row) {
      this.toEnd();
      return;
    }
    this.#followed = false;
    this.#newest.hidden = false;
    this.#hold({ row, below: place.below });
  }
}
