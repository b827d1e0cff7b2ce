// What tells of unread messages while the page is not looked at: its title, and notifications.

import { wordsOf } from "./files.js";
import { plain } from "./markdown.js";

/** @import { Message, ToldRoom } from "./protocol.js" */

// Characters of a message that a notification shows.
const MOST = 140;

/**
 * Returns the page's title: "(3) Lobby – Chat".
 *
 * @param {number} unread
 * @param {string} [name] of the room.
 */
export function titleOf(unread, name) {
  const where = name ? `${name} – Chat` : "Chat";
  return unread ? `(${unread}) ${where}` : where;
}

export class Notifier {
  #button;
  #memory;
  #open;

  /**
   * @param {HTMLButtonElement} button asks for the permission, and turns notifications on and off.
   * @param {import("./storage.js").Memory} memory keeps whether they are wanted.
   * @param {(room: number) => void} open shows a room when its notification is clicked.
   */
  constructor(button, memory, open) {
    this.#button = button;
    this.#memory = memory;
    this.#open = open;
    if (!("Notification" in globalThis)) return;
    button.hidden = false;
    button.addEventListener("click", () => this.#toggle());
    this.#show();
  }

  get #wanted() {
    return globalThis.Notification?.permission === "granted" && this.#memory.get("notify") === true;
  }

  /**
   * Tells of a message, where that is wanted and nobody looks.
   *
   * @param {Pick<Message, "room" | "author" | "text" | "files">} message
   * @param {Pick<ToldRoom, "name" | "kind">} room
   * @param {{ mentioned?: boolean, elsewhere?: boolean }} [options] mentioned: it mentions the user;
   *   elsewhere: another room is looked at. A mention there is told of, too.
   */
  tell({ room, author, text, files }, { name, kind }, { mentioned = false, elsewhere = false } = {}) {
    if (!this.#wanted || !(document.hidden || (mentioned && elsewhere))) return;
    const who = mentioned ? `${author.name} mentioned you` : author.name;
    const title = kind === "direct" ? who : `${who} in ${name}`;
    const said = plain(wordsOf({ text, files }));
    const body = said.length > MOST ? `${said.slice(0, MOST)}…` : said;
    try {
      const shown = new Notification(title, { body, tag: `${mentioned ? "mention" : "room"} ${room}` });
      shown.addEventListener("click", () => {
        window.focus();
        this.#open(room);
        shown.close();
      });
    } catch {
      // Some browsers of phones have the name but not the thing.
    }
  }

  async #toggle() {
    if (Notification.permission === "default") {
      this.#memory.set("notify", await Notification.requestPermission() === "granted" || null);
    } else {
      this.#memory.set("notify", this.#wanted ? null : true);
    }
    this.#show();
  }

  #show() {
    const denied = Notification.permission === "denied";
    const label = denied ? "Notifications are blocked by the browser" : "Notifications";
    this.#button.setAttribute("aria-pressed", String(this.#wanted));
    this.#button.setAttribute("aria-label", label);
    this.#button.title = denied ? label : `Notifications: ${this.#wanted ? "on" : "off"}`;
    this.#button.disabled = denied;
  }
}
