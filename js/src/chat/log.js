// The conversation: shows the items of a room, and keeps the place where the reader is.

import { arrange, setText, within } from "./dom.js";
import { showReactions } from "./reaction-view.js";
import { fillRow, hasActions, makeRow } from "./row.js";

/** @import { Item } from "./items.js" */

/** @typedef {{ row: HTMLElement, below: number }} Anchor A row, and how far below the edge it is. */

/**
 * @typedef {object} Wishes What the user wants, told by events: with the message, as their detail,
 *   where it concerns one.
 * @property {null} top earlier messages.
 * @property {null} end the end is reached.
 * @property {null} bottom later messages, where those that are shown are not the newest.
 * @property {null} newest the newest messages in place of them.
 * @property {{ number: number }} permalink the address of a message.
 * @property {{ number: number }} edit
 * @property {{ number: number }} reply
 * @property {{ number: number }} delete
 * @property {{ key: string }} retry
 * @property {{ key: string }} discard
 * @property {{ number: number, button: HTMLElement }} react wants to choose an emoji.
 * @property {{ number: number, emoji: string }} reaction puts one there, or takes it away.
 */

// What the Tab key stops at in a message.
const BUTTONS = ".actions button, .reactions button";

// Pixels from the end at which the reader counts as being there.
const NEAR = 48;
// Pixels from the top at which earlier messages are asked for.
const EARLY = 400;
// Milliseconds for which a message is marked that the reader wanted to see.
const MARKED = 4000;

export class Log extends EventTarget {
  #list;
  #scroller;
  #newest;
  /** @type {Map<string, { row: HTMLElement, item: Item, content: string, reactions: string }>} */
  #rows = new Map();
  /**
   * The message at whose buttons the Tab key stops.
   *
   * @type {Element | null}
   */
  #offered = null;
  /** @type {number | null} */
  #room = null;
  // Where the reader was in each room; null: at the end.
  /** @type {Map<number, { id: string | undefined, below: number } | null>} */
  #places = new Map();
  #followed = true;
  #detached = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #marked;
  #size = "";

  /**
   * @param {Record<"list" | "scroller" | "newest", HTMLElement>} elements
   */
  constructor({ list, scroller, newest }) {
    super();
    this.#list = list;
    this.#scroller = scroller;
    this.#newest = newest;
    this.#size = this.#measure();
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    newest.addEventListener("click", () => {
      if (this.#detached) this.dispatchEvent(new Event("newest"));
      else this.toEnd();
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

  /** The number of the first message in sight, or null. */
  get place() {
    return Number(this.#anchor()?.row.dataset.number) || null;
  }

  /** Whether the reader is at the end. */
  get followed() {
    return this.#followed;
  }

  /**
   * Shows a room.
   *
   * @param {number} room its id.
   * @param {Item[]} items
   * @param {{follow?: boolean, fresh?: boolean, toMark?: boolean, detached?: boolean, target?: number}
   *   } [options] follow: go to the end; fresh: somebody said something, which a reader further up is
   *   told of; toMark: go to where the new messages begin, where they do not all fit; detached: these
   *   are not the newest messages; target: the number of a message to go to.
   */
  show(room, items, { follow = false, fresh = false, toMark = false, detached = false, target } = {}) {
    const entered = room !== this.#room;
    if (entered) this.#enter(room);
    const left = this.#detached && !detached;
    this.#detached = detached;
    if (detached) this.#followed = false;
    // It takes a layout, for nothing where the end is shown.
    const anchor = entered || follow || this.#followed ? null : this.#anchor();
    this.#fill(items);
    if (target !== undefined && this.#goTo(items, target)) this.#newest.hidden = this.#followed;
    else if (detached) this.#hold(anchor);
    else if (toMark && this.#goToMark()) this.#offerNewest();
    else if (entered) this.#goBack();
    else if (this.#followed || follow || (left && !anchor?.row.isConnected)) this.toEnd();
    else this.#hold(anchor);
    if (detached) this.#offerNewest();
    if (fresh && !this.#followed) this.#offerNewest();
    this.#askForMore();
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

  /** @param {Item[]} items */
  #fill(items) {
    const { activeElement: active } = document;
    const focused = this.#list.contains(active) ? active : null;
    const focusedRow = focused?.closest("li");
    const rows = new Map();
    for (const item of items) {
      const known = this.#rows.get(item.id);
      if (known?.item === item) {
        rows.set(item.id, known);
        continue;
      }
      const [content, reactions] = contentOf(item);
      rows.set(item.id, { row: this.#row(item, known, content, reactions), item, content, reactions });
    }
    this.#rows = rows;
    arrange(this.#list, [...rows.values()].map(({ row }) => row));
    this.#offerActions();
    // A button that was replaced while it had the focus gives it to its successor.
    if (focused && !focused.isConnected) {
      /** @type {HTMLElement | null | false | undefined} */
      const successor = focusedRow?.isConnected && focusedRow.querySelector(".actions button, .choices button");
      (successor || this.#scroller).focus({ preventScroll: true });
    }
  }

  /**
   * Returns the row of an item, in which nothing is drawn that was there before.
   *
   * @param {Item} item
   * @param {{ row: HTMLElement, content: string, reactions: string } | undefined} known
   * @param {string} content
   * @param {string} reactions
   */
  #row(item, known, content, reactions) {
    if (!known) return makeRow(item);
    if (known.content !== content) return fillRow(known.row, item);
    if (item.kind === "message" && known.reactions !== reactions) showReactions(known.row, item);
    return known.row;
  }

  /**
   * Has the Tab key stop at one message's buttons only; the arrow keys go on from there.
   *
   * @param {Element | null} [row]
   */
  #offerActions(row = null) {
    const active = document.activeElement?.closest?.("#log .message");
    const wanted = row ?? active;
    const chosen = wanted?.querySelector(BUTTONS) ? wanted : this.#lastRow;
    if (this.#offered !== chosen) stopTab(this.#offered, -1);
    // Some of its buttons may be new.
    stopTab(chosen, 0);
    this.#offered = chosen;
  }

  get #lastRow() {
    for (const { row, item } of [...this.#rows.values()].reverse()) {
      if (item.kind === "message" && hasActions(item)) return row;
    }
    return null;
  }

  /** @param {KeyboardEvent} event */
  #moved(event) {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    const button = within(event, BUTTONS);
    if (!button) return;
    event.preventDefault();
    // Of several in one message the first.
    const same = `.${button.classList[0]}`;
    const rows = [...this.#list.querySelectorAll(".message")]
      .filter((row) => row.contains(button) || row.querySelector(same));
    const at = rows.findIndex((row) => row.contains(button));
    const row = rows[at + (event.key === "ArrowUp" ? -1 : 1)];
    if (!row) return;
    this.#offerActions(row);
    /** @type {HTMLElement} */ (row.querySelector(same)).focus();
  }

  /** @param {Event} event */
  #clicked(event) {
    const row = within(event, ".message");
    const button = within(event, "button");
    // Where nothing can hover, a tap shows what can be done.
    for (const picked of this.#list.querySelectorAll(".picked")) {
      if (picked !== row) picked.classList.remove("picked");
    }
    if (row && !button && !within(event, "a")) row.classList.toggle("picked");
    if (!button) return;
    const item = [...this.#rows.values()].find((known) => known.row === row)?.item;
    if (item?.kind !== "message") return;
    this.dispatchEvent(new CustomEvent(button.classList[0], {
      detail: { number: item.number, key: item.pending, emoji: button.dataset.emoji, button },
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
    this.#followed = !this.#detached && scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#followed) {
      this.#newest.hidden = true;
      if (!was) this.dispatchEvent(new Event("end"));
    }
    this.#askForMore();
  }

  #askForMore() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollTop < EARLY) this.dispatchEvent(new Event("top"));
    if (this.#detached && scrollHeight - scrollTop - clientHeight < EARLY) {
      this.dispatchEvent(new Event("bottom"));
    }
  }

  #offerNewest() {
    this.#newest.hidden = false;
    setText(this.#newest, this.#detached ? "Back to the newest ↓" : "New messages ↓");
  }

  /** @param {Element} row */
  #offset(row) {
    return row.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top
      + this.#scroller.scrollTop;
  }

  /**
   * Returns the first message in sight.
   *
   * @returns {Anchor | null}
   */
  #anchor() {
    const { scrollTop } = this.#scroller;
    const rows = /** @type {HTMLCollectionOf<HTMLElement>} */ (this.#list.children);
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

  /** @param {Anchor | null} anchor */
  #hold(anchor) {
    if (anchor?.row.isConnected) this.#scroller.scrollTop = this.#offset(anchor.row) - anchor.below;
  }

  /** @param {number | null} room */
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

  /**
   * Goes to a message, and marks it for a moment; returns whether it is there.
   *
   * @param {Item[]} items
   * @param {number} number
   */
  #goTo(items, number) {
    const item = items.find((one) => one.kind === "message" && one.number === number);
    const row = item && this.#rows.get(item.id)?.row;
    if (!row) return false;
    const { clientHeight, scrollHeight } = this.#scroller;
    const top = this.#offset(row) - Math.max(0, clientHeight - row.offsetHeight) / 2;
    this.#scroller.scrollTop = top;
    this.#followed = !this.#detached && top >= scrollHeight - clientHeight - NEAR;
    clearTimeout(this.#marked);
    for (const marked of this.#list.querySelectorAll(".target")) marked.classList.remove("target");
    row.classList.add("target");
    this.#marked = setTimeout(() => row.classList.remove("target"), MARKED);
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
    return true;
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
    const place = this.#places.get(this.#room ?? NaN);
    const row = this.#rows.get(place?.id ?? "")?.row;
    if (!place || !row) {
      this.toEnd();
      return;
    }
    this.#followed = false;
    this.#offerNewest();
    this.#hold({ row, below: place.below });
  }
}

/**
 * @param {Element | null} message
 * @param {number} tabIndex of its buttons.
 */
function stopTab(message, tabIndex) {
  for (const button of /** @type {HTMLElement[]} */ ([...message?.querySelectorAll(BUTTONS) ?? []])) {
    if (button.tabIndex !== tabIndex) button.tabIndex = tabIndex;
  }
}

/**
 * What a row is made of, and what of it changes without the rest: two texts to compare.
 *
 * @param {Item} item
 */
function contentOf(item) {
  if (item.kind !== "message") return [JSON.stringify(item), ""];
  const { reactions, ...content } = item;
  return [JSON.stringify(content), JSON.stringify(reactions)];
}
