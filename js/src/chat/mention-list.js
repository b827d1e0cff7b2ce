// The list of the messages that mention the user: the server tells a page of them at a time.

import { FormDialog } from "./dialogs.js";
import { $, face, make, setText, within } from "./dom.js";
import { messageOf } from "./http.js";
import { clockOf, dayName, exactOf } from "./times.js";

/** @import { Message } from "./protocol.js" */

// Characters of a message that the list shows, and how many of them are before the mention at most.
const MOST = 200;
const BEFORE = 80;

/**
 * Returns the part of a text around a place.
 *
 * @param {string} text
 * @param {number} [place]
 */
function excerpt(text, place = 0) {
  const from = place > BEFORE ? place - BEFORE : 0;
  const part = text.slice(from, from + MOST);
  return `${from ? "…" : ""}${part}${from + MOST < text.length ? "…" : ""}`;
}

export class MentionList {
  #api;
  #store;
  #addressOf;
  #dialog;
  /** @type {Message[]} */
  #messages = [];
  #asked = 0;

  /**
   * @param {import("./http.js").Api} api
   * @param {import("./store.js").Store} store knows the rooms, and what was read there.
   * @param {(room: number, message: number) => string} addressOf a message.
   */
  constructor(api, store, addressOf) {
    this.#api = api;
    this.#store = store;
    this.#addressOf = addressOf;
    this.#dialog = new FormDialog($("mentions-dialog"), async () => null);
    $("mentions-more").addEventListener("click", () => this.#more());
    $("mentions-list").addEventListener("click", (event) => {
      const elsewhere = event.button || event.metaKey || event.ctrlKey || event.shiftKey;
      if (within(event, "a") && !elsewhere) this.#dialog.dialog.close();
    });
  }

  /** Shows the list from its beginning. */
  async open() {
    this.#messages = [];
    this.#show(false);
    setText($("mentions-note"), "Loading…");
    this.#dialog.open();
    await this.#load(false);
  }

  async #more() {
    const before = this.#messages.length;
    await this.#load(true);
    // The button that had the focus may be gone.
    $("mentions-list").children[before]?.querySelector("a")?.focus();
  }

  /** @param {boolean} further whether what is shown stays. */
  async #load(further) {
    const asked = ++this.#asked;
    const last = further ? this.#messages.at(-1) : undefined;
    try {
      const { mentions, more } = await this.#api.get(
        last ? `mentions?before=${last.room}-${last.number}` : "mentions",
      );
      if (asked !== this.#asked) return;
      this.#messages = [...(last ? this.#messages : []), ...mentions];
      this.#dialog.error("");
      this.#show(more);
    } catch (error) {
      if (asked !== this.#asked) return;
      setText($("mentions-note"), "");
      this.#dialog.error(messageOf(error));
    }
  }

  /** @param {boolean} more whether there are more. */
  #show(more) {
    $("mentions-list").replaceChildren(...this.#messages.map((message) => this.#entry(message)));
    $("mentions-more").hidden = !more;
    setText($("mentions-note"), this.#messages.length
      ? "" : "Nobody has mentioned you yet. Somebody who writes @ and your name does.");
  }

  /** @param {Message} message */
  #entry({ room: id, number, author, text, time, mentions = [] }) {
    const room = this.#store.rooms.get(id);
    const unread = room !== undefined && number > room.read;
    const where = room?.kind === "direct" ? "to you" : `in ${room?.name ?? "a room"}`;
    return make("li", {}, make("a", {
      class: unread ? "mention-entry new" : "mention-entry",
      href: this.#addressOf(id, number),
    },
    face(author.name),
    make("span", { class: "about" },
      make("span", {}, make("bdi", { class: "person-name" }, author.name), " ", make("bdi", { class: "help" }, where)),
      make("span", { class: "excerpt", dir: "auto" }, excerpt(text, mentions.find(({ user }) => user.id === this.#store.me.id)?.start)),
      make("span", { class: "help" },
        make("time", { datetime: time, title: exactOf(time) }, `${dayName(time)}, ${clockOf(time)}`),
        unread ? make("span", { class: "new-word" }, " · not read yet") : ""))));
  }
}
