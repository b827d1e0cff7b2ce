// The dialogs. The browser keeps the focus inside of them, and gives it back afterwards.

import { Catalog } from "./catalog.js";
import { $, setText, within } from "./dom.js";
import { Refused, messageOf } from "./http.js";
import { PeopleField } from "./people.js";

/** @import { Message, Person, ToldRoom } from "./protocol.js" */
/** @import { Room } from "./room.js" */

/**
 * A dialog with one form: it closes when `submit` is done, and shows why where it is not.
 *
 * @template Result
 */
export class FormDialog {
  #submit;
  /** @type {((result: Result) => void) | null} */
  #done = null;
  #busy = false;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {() => Promise<Result>} submit
   */
  constructor(dialog, submit) {
    this.dialog = dialog;
    this.form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
    this.#submit = submit;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    dialog.querySelector(".cancel")?.addEventListener("click", () => dialog.close());
    // A click beside the dialog closes it; one that began inside (a selection) does not.
    dialog.addEventListener("pointerdown", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  /** @param {((result: Result) => void) | null} [done] */
  open(done = null) {
    this.#done = done;
    this.error("");
    if (!this.dialog.open) this.dialog.showModal();
  }

  /**
   * Closes the dialog: it is done.
   *
   * @param {Result} result
   */
  finish(result) {
    this.dialog.close();
    this.#done?.(result);
  }

  /**
   * Shows an error, and where it is; an empty text shows none.
   *
   * @param {string} text
   * @param {string} [wrong] the name of the field.
   */
  error(text, wrong) {
    setText(this.form.querySelector(".error"), text);
    for (const field of this.form.querySelectorAll("input")) {
      field.setAttribute("aria-invalid", String(Boolean(wrong) && field.name === wrong));
    }
    /** @type {HTMLElement | null} */
    const field = wrong ? this.form.querySelector(`[name="${CSS.escape(wrong)}"]`) : null;
    field?.focus();
  }

  /** @param {unknown} error */
  failed(error) {
    this.error(messageOf(error), error instanceof Refused ? error.field : undefined);
  }

  async #run() {
    if (this.#busy) return;
    const missing = [...this.form.querySelectorAll("input")]
      .find((field) => field.required && !field.value.trim());
    if (missing) {
      this.error("Please fill this in.", missing.name);
      return;
    }
    this.#busy = true;
    this.form.setAttribute("aria-busy", "true");
    this.error("");
    try {
      this.finish(await this.#submit());
    } catch (error) {
      this.failed(error);
    } finally {
      this.#busy = false;
      this.form.removeAttribute("aria-busy");
    }
  }
}

export class Dialogs {
  #api;
  #entered;
  /** @type {number | null} */
  #roomId = null;
  #room;
  #browse;
  #direct;
  #invite;
  #edit;
  #leave;
  #delete;
  /** @type {number | null} */
  #leaving = null;
  #people;
  #catalog;

  /**
   * @param {import("./http.js").Api} api
   * @param {(id: number) => void} entered goes to a room that was made, joined or found.
   */
  constructor(api, entered) {
    this.#api = api;
    this.#entered = entered;
    this.#room = new FormDialog($("room-dialog"), () => api.post("rooms", {
      name: $("room-dialog-name").value.trim(),
      topic: $("room-dialog-topic").value.trim(),
      kind: $("room-dialog-private").checked ? "private" : "public",
    }));
    this.#browse = new FormDialog($("browse-dialog"), () => this.#catalog.first());
    this.#direct = new FormDialog($("direct-dialog"),
      () => api.post("direct", { name: $("direct-name").value.trim() }));
    this.#invite = new FormDialog($("invite-dialog"),
      () => api.post(`rooms/${this.#roomId}/invite`, { name: $("invite-name").value.trim() }));
    this.#edit = new FormDialog($("edit-room-dialog"), () => {
      /** @type {Record<string, string>} */
      const fields = { topic: $("edit-room-topic").value.trim() };
      if (!$("edit-room-name").disabled) fields.name = $("edit-room-name").value.trim();
      return api.post(`rooms/${this.#roomId}/edit`, fields);
    });
    this.#leave = new FormDialog($("leave-dialog"), () => api.post(`rooms/${this.#leaving}/leave`));
    this.#delete = new FormDialog($("delete-dialog"), async () => null);
    this.#people = [
      new PeopleField($("direct-name"), $("direct-people"), api),
      new PeopleField($("invite-name"), $("invite-people"), api),
    ];
    this.#catalog = new Catalog(api, (error) => {
      if (error) this.#browse.failed(error);
      else this.#browse.error("");
    });
    $("browse-list").addEventListener("click", (event) => this.#pick(event));
  }

  /** Makes a room. */
  newRoom() {
    this.#room.form.reset();
    this.#room.open((room) => this.#entered(room.id));
  }

  /** Opens a conversation with one person. */
  newDirect() {
    this.#direct.form.reset();
    for (const field of this.#people) field.clear();
    this.#direct.open((room) => this.#entered(room.id));
  }

  /**
   * Invites somebody to a room.
   *
   * @param {ToldRoom} room
   */
  invite(room) {
    this.#roomId = room.id;
    this.#invite.form.reset();
    for (const field of this.#people) field.clear();
    this.#invite.open();
  }

  /**
   * Changes a room's name and topic.
   *
   * @param {ToldRoom} room
   */
  editRoom(room) {
    this.#roomId = room.id;
    this.#edit.form.reset();
    const mayRename = room.can.includes("rename");
    $("edit-room-name").value = room.name;
    $("edit-room-name").disabled = !mayRename;
    $("edit-room-help").hidden = mayRename;
    $("edit-room-topic").value = room.topic;
    this.#edit.open();
    (mayRename ? $("edit-room-name") : $("edit-room-topic")).focus();
  }

  /**
   * Leaves a room.
   *
   * @param {Room} room
   * @param {() => void} left called when that is done.
   */
  leave(room, left) {
    this.#leaving = room.id;
    const again = room.members?.size === 1
      ? `Nobody else is in ${room.name}: only who looks after this chat can open it again.`
      : `You see ${room.name} again only when somebody invites you.`;
    setText($("leave-text"), room.kind === "private"
      ? again : `You can join ${room.name} again at any time.`);
    this.#leave.open(left);
  }

  /**
   * Asks whether a message is to be deleted.
   *
   * @param {Message} message
   * @param {Person} me who asks: what others have said is removed by an administrator.
   * @param {() => void} confirmed called when it is.
   */
  confirmDelete({ text, author }, me, confirmed) {
    const own = author.id === me.id;
    setText($("delete-title"), own ? "Delete this message?" : `Remove this message of ${author.name}?`);
    $("delete-note").hidden = own;
    setText($("delete-ok"), own ? "Delete" : "Remove");
    setText($("delete-text"), text.length > 200 ? `${text.slice(0, 200)}…` : text);
    this.#delete.open(confirmed);
  }

  /** Lists the public rooms. */
  browse() {
    this.#browse.form.reset();
    this.#browse.open((room) => room && this.#entered(room.id));
    return this.#catalog.open();
  }

  /** @param {Event} event */
  async #pick(event) {
    const button = /** @type {HTMLButtonElement | null} */ (within(event, "button"));
    if (!button) return;
    const id = Number(within(event, "li")?.dataset.room);
    try {
      if (button.classList.contains("join")) {
        button.disabled = true;
        await this.#api.post(`rooms/${id}/join`);
      }
      this.#browse.dialog.close();
      this.#entered(id);
    } catch (error) {
      button.disabled = false;
      this.#browse.failed(error);
    }
  }
}
