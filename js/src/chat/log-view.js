// The conversation of the room that is looked at: what the log shows, and up to where it was read.

import { $, make, setText } from "./dom.js";
import { wordsOf } from "./files.js";
import { itemsOf } from "./items.js";
import { Log } from "./log.js";
import { isMarkup, isReady, plain } from "./markdown.js";
import { note } from "./note.js";
import { reactionsOf } from "./reactions.js";

/** @import { Wishes } from "./log.js" */
/** @import { Message, Person } from "./protocol.js" */
/** @import { Room } from "./room.js" */
/** @import { Store } from "./store.js" */
/** @import { Timeline } from "./timeline.js" */

// Messages that a screen reader is given at most at a time.
const ANNOUNCED = 3;

export class LogView {
  #me;
  #store;
  #outbox;
  #context;
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
   * @param {import("./context.js").Context} parts.context
   * @param {(message: Message) => void} parts.edit changes a message of the current room.
   * @param {(number: number) => void} parts.reply begins a reply to a message of the current room.
   * @param {(number: number) => void} parts.copyLink copies the address of one.
   * @param {() => void} parts.toNewest goes back from the messages around one.
   * @param {(message: Message, confirmed: () => void) => void} parts.confirmDelete asks first.
   * @param {(button: HTMLElement, chosen: (emoji: string) => void) => void} parts.chooseEmoji
   *   asks for one, near a button.
   */
  constructor({ me, store, outbox, context, edit, reply, copyLink, toNewest, confirmDelete, chooseEmoji }) {
    this.#me = me;
    this.#store = store;
    this.#outbox = outbox;
    this.#context = context;
    this.#log = new Log({ list: $("log"), scroller: $("scroller"), newest: $("newest") });
    /**
     * @template {keyof Wishes & string} Type
     * @param {Type} type
     * @param {(wish: Wishes[Type]) => void} act
     */
    const on = (type, act) => this.#log.addEventListener(type, (event) => {
      act(/** @type {CustomEvent<Wishes[Type]>} */ (event).detail);
    });
    on("top", () => (context.timeline ? context.older() : store.older(store.current)));
    on("bottom", () => context.newer());
    on("newest", toNewest);
    on("end", () => this.#read());
    on("permalink", ({ number }) => copyLink(number));
    on("edit", ({ number }) => {
      const message = this.#timeline?.get(number);
      if (message) edit(message);
    });
    on("reply", ({ number }) => reply(number));
    on("delete", ({ number }) => {
      const { room } = store;
      const message = this.#timeline?.get(number);
      if (!room || !message) return;
      confirmDelete(message, () => outbox.remove(room.id, number));
    });
    on("reaction", ({ number, emoji }) => this.#toggle(number, emoji));
    on("react", ({ number, button }) => chooseEmoji(button, (emoji) => this.#toggle(number, emoji)));
    on("retry", ({ key }) => outbox.retry(key));
    on("discard", ({ key }) => outbox.discard(key));
  }

  /**
   * Puts an emoji below a message of the current room, or takes it away where the user has put it there.
   *
   * @param {number} number
   * @param {string} emoji
   */
  #toggle(number, emoji) {
    const { room } = this.#store;
    const message = room?.timeline.get(number);
    if (!room || !message) return;
    const wishes = this.#outbox.entriesOf(room.id)
      .filter((entry) => entry.type === "react" && entry.number === number);
    const shown = reactionsOf(message, wishes, this.#me).find((reaction) => reaction.emoji === emoji);
    this.#outbox.react(room.id, number, emoji, !shown?.own);
  }

  /** Another room is entered. */
  enter() {
    this.#mark = undefined;
  }

  /** The number of the first message in sight, or null. */
  get place() {
    return this.#log.place;
  }

  /** What is shown of the current room, or null. */
  get #timeline() {
    return this.#context.timeline ?? this.#store.room?.timeline ?? null;
  }

  /** The user says something, or wants the newest: there the reader is now. */
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
    this.announce(`${message.author.name}: ${plain(wordsOf(message))}`);
  }

  /**
   * Has a screen reader say something.
   *
   * @param {string} text
   */
  announce(text) {
    const announced = make("p", {}, text);
    $("announcer").append(announced);
    if ($("announcer").children.length > ANNOUNCED) $("announcer").firstElementChild?.remove();
  }

  /** Shows what there is. */
  show() {
    const { room, current } = this.#store;
    const detached = this.#context.timeline !== null;
    const entries = (current === null ? [] : this.#outbox.entriesOf(current))
      .filter(({ type }) => !detached || type !== "message");
    const loaded = room?.timeline.loaded ?? false;
    const entered = !detached && room !== null && loaded && this.#mark === undefined;
    if (entered) this.#mark = this.#store.unread(room.id) > 0 ? room.read : null;
    this.#showAround(room, this.#timeline, entries.length);
    if (current === null) {
      this.#log.clear();
      return;
    }
    const mark = room && loaded && !detached ? this.#markIn(room) : null;
    const items = itemsOf({
      messages: this.#timeline?.messages ?? [], entries, me: this.#me, room: current, mark,
      quoteOf: (number) => this.#timeline?.quote(number) ?? null,
      isRich: isReady() ? isMarkup : undefined,
      mayPost: room?.can.includes("post") ?? false,
      mayModerate: room?.can.includes("moderate") ?? false,
    });
    this.#log.show(current, items, {
      follow: this.#following, fresh: this.#fresh, toMark: entered && mark !== null,
      detached, target: this.#reached(),
    });
    this.#following = this.#fresh = false;
    this.#read();
  }

  /** Returns the number of the message that the reader wanted to see, if that has come just now. */
  #reached() {
    const { target } = this.#context;
    this.#context.target = null;
    if (target?.message === null) note("There is no such message in this room.");
    if (target?.message?.deleted) note("That message was deleted.");
    return target?.message ? target.number : undefined;
  }

  /**
   * Shows what stands in place of messages, or above them.
   *
   * @param {Room | null} room
   * @param {Timeline | null} timeline
   * @param {number} waiting
   */
  #showAround(room, timeline, waiting) {
    const loaded = room !== null && timeline !== null && timeline.loaded;
    const growing = this.#context.timeline ? this.#context.isGrowing : Boolean(room?.asked.history);
    $("history-loading").hidden = !room || (loaded && !(growing && timeline.more));
    $("beginning").hidden = !loaded || timeline.more || timeline.size === 0;
    setText($("beginning"), room?.kind === "direct"
      ? `Your conversation with ${room.name} begins here.` : `${room?.name ?? ""} begins here.`);
    $("empty").hidden = !loaded || timeline.size > 0 || waiting > 0;
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
    if (document.hidden || !this.#log.followed || current === null || this.#context.isWaiting) return;
    this.#store.trim(current);
    this.#store.readAll(current);
  }
}
