// What the user writes in the room that is looked at.

import { Attachments } from "./attachments.js";
import { Composer } from "./composer.js";
import { $ } from "./dom.js";
import { Replying } from "./replying.js";

/** @import { Written } from "./composer.js" */
/** @import { Uploads } from "./uploads.js" */

export class Writing {
  #store;
  #outbox;
  #memory;
  #most;
  #said;
  #uploads;
  #attachments;
  #composer;
  #replying;

  /**
   * @param {object} parts
   * @param {import("./store.js").Store} parts.store
   * @param {import("./outbox.js").Outbox} parts.outbox
   * @param {import("./typing.js").Typing} parts.typing
   * @param {import("./storage.js").Memory} parts.memory keeps the drafts.
   * @param {number} parts.most characters of a message.
   * @param {(number: number) => import("./protocol.js").Quote | null} parts.quoteOf returns what is known
   *   of a message of the current room.
   * @param {Uploads | null} parts.uploads null: there are no files here.
   * @param {HTMLElement} parts.target where files may be dropped.
   * @param {() => void} parts.said called when something new goes out.
   */
  constructor({ store, outbox, typing, memory, most, quoteOf, uploads, target, said }) {
    this.#store = store;
    this.#outbox = outbox;
    this.#memory = memory;
    this.#most = most;
    this.#said = said;
    this.#uploads = uploads;
    this.#attachments = uploads && new Attachments({
      uploads, target, current: () => store.current, chosen: () => this.focus(),
    });
    const composer = new Composer({
      form: $("say"), field: $("text"), submit: $("send"), counter: $("counter"),
      editing: $("editing"), cancel: $("cancel-edit"),
    }, memory, most);
    this.#composer = composer;
    this.#replying = new Replying({ bar: $("replying"), field: $("text"), cancel: $("cancel-reply") }, {
      memory, quote: quoteOf, canceled: () => composer.focus(),
    });
    /**
     * Listens to what the composer tells of the current room.
     *
     * @template {keyof Written & string} Type
     * @param {Type} type
     * @param {(room: number, detail: Written[Type], event: Event) => void} act
     */
    const on = (type, act) => composer.addEventListener(type, (event) => {
      const { detail } = /** @type {CustomEvent<Written[Type]>} */ (event);
      if (store.current !== null) act(store.current, detail, event);
    });
    on("say", (room, { text }, event) => {
      if (uploads && !uploads.ready(room)) {
        event.preventDefault();
        return;
      }
      said();
      typing.said(room);
      outbox.say(room, text, this.#replying.take(), uploads?.take(room));
    });
    on("change", (room, { number, text }) => {
      if (store.room?.timeline.get(number)?.text !== text) outbox.edit(room, number, text);
    });
    on("typing", (room) => {
      if (store.ready && composer.edited === null) typing.typed(room);
    });
    on("last", (room) => {
      const message = store.lastOwn(room);
      if (message) this.edit(message);
    });
  }

  /**
   * Goes to a room, with what had been written there.
   *
   * @param {number} room
   */
  enter(room) {
    this.#composer.enter(room);
    this.#replying.enter(room);
  }

  /** Shows the files that are to go with the next message. */
  showFiles() {
    const { current } = this.#store;
    this.#composer.hasFiles = current !== null && Boolean(this.#uploads?.of(current).length);
    this.#attachments?.show();
  }

  /**
   * The files are ready of a message that the user has sent already.
   *
   * @param {number} room
   */
  complete(room) {
    if (room === this.#store.current && this.#composer.edited === null) {
      this.#composer.send();
      return;
    }
    // The user is elsewhere by now.
    const text = (this.#memory.get(`draft.${room}`) ?? "").trim();
    if ([...text].length > this.#most) return;
    if (room === this.#store.current) this.#said();
    this.#memory.set(`draft.${room}`, null);
    this.#outbox.say(room, text, this.#replying.take(room), this.#uploads?.take(room));
  }

  /**
   * Changes a message of one's own.
   *
   * @param {import("./protocol.js").Message} message
   */
  edit(message) {
    if (!message.deleted) this.#composer.edit(message);
  }

  /**
   * Begins a reply to a message.
   *
   * @param {number} number
   */
  reply(number) {
    this.#composer.cancel();
    this.#replying.begin(number);
    this.#composer.focus();
  }

  /** Shows the message that is answered, as it is now. */
  showReply() {
    this.#replying.show();
  }

  /**
   * Shows the field, or hides it.
   *
   * @param {boolean} possible
   */
  show(possible) {
    $("say").hidden = !possible;
    this.#attachments?.allow(possible);
    if (!possible) this.#composer.cancel();
  }

  /** Gives the field the focus, where that helps. */
  focus() {
    // On a phone the keyboard would cover half of what one came to read.
    if (!$("say").hidden && !matchMedia("(pointer: coarse)").matches) this.#composer.focus();
  }
}
