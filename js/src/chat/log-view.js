// The conversation of the room that is looked at: what the log shows, and up to where it was read.

import { $, make, setText } from "./dom.js";
import { wordsOf } from "./files.js";
import { itemsOf } from "./items.js";
import { Log } from "./log.js";

/** @import { Wishes } from "./log.js" */
/** @import { Message, Person } from "./protocol.js" */
/** @import { Room } from "./room.js" */
/** @import { Store } from "./store.js" */

// Messages that a screen reader is given at most at a time.
const ANNOUNCED = 3;

export class LogView {
  #me;
  #store;
  #outbox;
  #log;
  /**
   * Up to which message all was read when the room was entered: null for no mark, undefined while
   * it is not known.
   *
   * @type {number | null | undefined}
   */
  #mark;
  #following = false;
  #fresh = false;

  /**
   * @param {object} parts
   * @param {Person} parts.me
   * @param {Store} parts.store
   * @param {import("./outbox.js").Outbox} parts.outbox
   * @param {(number: number) => void} parts.edit changes a message of the current room.
   * @param {(message: Message, confirmed: () => void) => void} parts.confirmDelete asks first.
   */
  constructor({ me, store, outbox, edit, confirmDelete }) {
    this.#me = me;
    this.#store = store;
    this.#outbox = outbox;
    this.#log = new Log({ list: $("log"), scroller: $("scroller"), newest: $("newest") });
    /**
     * @template {keyof Wishes & string} Type
     * @param {Type} type
     * @param {(wish: Wishes[Type]) => void} act
     */
    const on = (type, act) => this.#log.addEventListener(type, (event) => {
      act(/** @type {CustomEvent<Wishes[Type]>} */ (event).detail);
    });
    on("top", () => store.older(store.current));
    on("end", () => this.#read());
    on("edit", ({ number }) => edit(number));
    on("delete", ({ number }) => {
      const { room } = store;
      const message = room?.timeline.get(number);
      if (!room || !message) return;
      confirmDelete(message, () => outbox.remove(room.id, number));
    });
    on("retry", ({ key }) => outbox.retry(key));
    on("discard", ({ key }) => outbox.discard(key));
  }

  /** Another room is entered. */
  enter() {
    this.#mark = undefined;
  }

  /** The user says something: there the reader is now. */
  follow() {
    this.#mark = null;
    this.#following = true;
  }

  /**
   * Somebody said something in the current room.
   *
   * @param {Room} room
   * @param {Message} message
   */
  heard(room, message) {
    this.#fresh = true;
    if (document.hidden) {
      this.#mark ??= room.read;
      return;
    }
    const announced = make("p", {}, `${message.author.name}: ${wordsOf(message)}`);
    $("announcer").append(announced);
    if ($("announcer").children.length > ANNOUNCED) $("announcer").firstElementChild?.remove();
  }

  /** Shows what there is. */
  show() {
    const { room, current } = this.#store;
    const entries = current === null ? [] : this.#outbox.entriesOf(current);
    const loaded = room?.timeline.loaded ?? false;
    const entered = room !== null && loaded && this.#mark === undefined;
    if (entered) this.#mark = this.#store.unread(room.id) > 0 ? room.read : null;
    this.#showAround(room, entries.length);
    if (current === null) {
      this.#log.clear();
      return;
    }
    const mark = room && loaded ? this.#markIn(room) : null;
    const items = itemsOf({
      room: current, messages: room?.timeline.messages ?? [], entries, me: this.#me, mark,
      mayPost: room?.can.includes("post") ?? false,
      mayModerate: room?.can.includes("moderate") ?? false,
    });
    this.#log.show(current, items, {
      follow: this.#following, fresh: this.#fresh, toMark: entered && mark !== null,
    });
    this.#following = this.#fresh = false;
    this.#read();
  }

  /**
   * Shows what stands in place of messages, or above them.
   *
   * @param {Room | null} room
   * @param {number} waiting
   */
  #showAround(room, waiting) {
    const loaded = room !== null && room.timeline.loaded;
    $("history-loading").hidden = !room
      || (loaded && !(room.asked.history && room.timeline.more));
    $("beginning").hidden = !loaded || room.timeline.more || room.timeline.size === 0;
    setText($("beginning"), room?.kind === "direct"
      ? `Your conversation with ${room.name} begins here.` : `${room?.name ?? ""} begins here.`);
    $("empty").hidden = !loaded || room.timeline.size > 0 || waiting > 0;
  }

  /**
   * Returns the mark, where it is known at which message what is new begins: the last read one is.
   *
   * @param {Room} room
   */
  #markIn({ timeline }) {
    const mark = this.#mark ?? null;
    if (mark === null) return null;
    return !timeline.more || timeline.reaches(mark) ? mark : null;
  }

  #read() {
    const { current } = this.#store;
    if (document.hidden || !this.#log.followed || current === null) return;
    this.#store.trim(current);
    this.#store.readAll(current);
  }
}
