// The dialog of the links that invite to a room: made, copied, ended.

import { $, make, setText, within } from "./dom.js";
import { Refused, messageOf } from "./http.js";
import { exactOf } from "./times.js";

/** @import { Invitation, ToldRoom } from "./protocol.js" */

export class InvitationDialog {
  #api;
  #dialog = $("invitations-dialog");
  #form = /** @type {HTMLFormElement} */ (this.#dialog.querySelector("form"));
  /** Of the server, below the address of the room. */
  #path = "";

  /** @param {import("./http.js").Api} api */
  constructor(api) {
    this.#api = api;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(() => this.#make());
    });
    this.#form.querySelector(".cancel")?.addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("pointerdown", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    $("invitations-copy").addEventListener("click", () => this.#copy());
    $("invitations-list").addEventListener("click", (event) => {
      const id = within(event, "button")?.dataset.invitation;
      if (id) this.#try(() => this.#end(id));
    });
  }

  /**
   * Shows the links of a room.
   *
   * @param {ToldRoom} room
   */
  open(room) {
    this.#path = `rooms/${room.id}/invitations`;
    this.#form.reset();
    $("invitations-new").hidden = true;
    $("invitations-list").replaceChildren();
    this.#say("");
    this.#dialog.showModal();
    return this.#try(() => this.#list());
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    const path = this.#path;
    this.#error("");
    this.#form.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (error) {
      // The dialog may be that of another room by now.
      if (path === this.#path) this.#error(messageOf(error), error instanceof Refused ? error.field : "");
    } finally {
      this.#form.removeAttribute("aria-busy");
    }
  }

  async #list() {
    const path = this.#path;
    const { invitations, may_admit: mayAdmit } = await this.#api.get(path);
    if (path !== this.#path) return;
    $("invitations-admits-field").hidden = !mayAdmit;
    $("invitations-list").replaceChildren(...invitations.map(rowOf));
  }

  async #make() {
    const made = await this.#api.post(this.#path, {
      uses: $("invitations-uses").value.trim(),
      admits: String($("invitations-admits").checked),
    });
    this.#form.reset();
    $("invitations-new").hidden = false;
    this.#say("The link is made.");
    $("invitations-url").value = new URL(made.path, location.href).href;
    $("invitations-copy").focus();
    await this.#list();
  }

  /** @param {string} id */
  async #end(id) {
    await this.#api.post(`${this.#path}/${id}/revoke`);
    this.#say("The link is ended.");
    await this.#list();
    // The button that had the focus is gone.
    /** @type {HTMLElement | null} */
    const next = $("invitations-list").querySelector("button") ?? this.#form.querySelector(".cancel");
    next?.focus();
  }

  async #copy() {
    const field = $("invitations-url");
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      this.#say("Copied.");
    } catch {
      // A page that came by plain HTTP may not; the text is selected.
      this.#say("Your browser does not let this page copy. The link is selected: copy it with the keyboard.");
      field.focus();
    }
  }

  /** @param {string} text */
  #say(text) {
    setText($("invitations-note"), text);
  }

  /**
   * @param {string} text
   * @param {string} [wrong] the name of the field.
   */
  #error(text, wrong) {
    setText(this.#form.querySelector(".error"), text);
    $("invitations-uses").setAttribute("aria-invalid", String(wrong === "uses"));
    if (wrong === "uses") $("invitations-uses").focus();
  }
}

/** @param {Invitation} invitation */
function rowOf({ id, maker, expires, uses, used, admits }) {
  const people = used === 1 ? "1 person" : `${used} people`;
  const about = [
    `until ${exactOf(expires)}`,
    uses === null ? `used by ${people}` : `used by ${used} of ${uses}`,
    ...(admits ? ["for new people too"] : []),
  ].join(", ");
  return make("li", {},
    make("span", { class: "about" },
      make("span", {}, "By ", make("bdi", {}, maker.name)),
      make("span", { class: "help" }, about)),
    make("button", {
      type: "button", class: "quiet", "data-invitation": id, "aria-label": `End the link by ${maker.name}, ${about}`,
    }, "End"));
}
