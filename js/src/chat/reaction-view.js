// Reactions in the page: the buttons below a message, and the dialog in which an emoji is chosen.

import { FormDialog } from "./dialogs.js";
import { $, arrange, make, setText, within } from "./dom.js";
import { emojiOf } from "./reactions.js";

/** @import { MessageItem } from "./items.js" */

/** Those that are offered first, and what they are called. */
const OFFERED = [
  ["👍", "Thumbs up"], ["❤️", "Heart"], ["😂", "Laughing"], ["🎉", "Party"],
  ["😮", "Surprised"], ["😢", "Sad"], ["👀", "Looking"], ["✅", "Done"],
];
// Pixels between the dialog and the button, and the edge of the window.
const GAP = 8;

/**
 * Shows the reactions to a message in its row; buttons that are there stay.
 *
 * @param {HTMLElement} row
 * @param {MessageItem} item
 */
export function showReactions(row, { reactions, reactable }) {
  let list = row.querySelector(".reactions");
  if (!reactions.length) {
    list?.remove();
    return;
  }
  if (!list) {
    list = make("div", { class: "reactions", role: "group", "aria-label": "Reactions" });
    row.querySelector(".bubble")?.after(list);
  }
  /** @type {Map<string | undefined, HTMLButtonElement>} */
  const known = new Map();
  for (const button of list.querySelectorAll("button")) known.set(button.dataset.emoji, button);
  arrange(list, reactions.map(({ emoji, count, own, names }) => {
    const button = known.get(emoji) ?? make("button", {
      class: "reaction", type: "button", tabindex: -1, "data-emoji": emoji,
    }, make("span", { class: "emoji" }, emoji), make("span", { class: "count" }));
    setText(button.querySelector(".count"), String(count));
    button.setAttribute("aria-pressed", String(own));
    button.setAttribute("aria-label", `${emoji} ${count}: ${names}`);
    button.title = names;
    button.disabled = !reactable;
    return button;
  }));
}

/** The dialog in which an emoji is chosen. */
export class EmojiDialog {
  /** @type {FormDialog<string>} */
  #form;

  constructor() {
    this.#form = new FormDialog($("react-dialog"), async () => {
      const emoji = emojiOf($("react-emoji").value);
      if (emoji === null) throw new Error("A reaction is one emoji.");
      return emoji;
    });
    $("react-choices").append(...OFFERED.map(([emoji, label]) => make("button", {
      type: "button", class: "emoji", "aria-label": label, title: label,
    }, emoji)));
    $("react-choices").addEventListener("click", (event) => {
      const button = within(event, "button");
      if (button) this.#form.finish(button.textContent ?? "");
    });
  }

  /**
   * Asks for an emoji.
   *
   * @param {HTMLElement} button beside which the dialog opens.
   * @param {(emoji: string) => void} chosen
   */
  open(button, chosen) {
    this.#form.form.reset();
    this.#form.open(chosen);
    const { style } = this.#form.dialog;
    const box = this.#form.dialog.getBoundingClientRect();
    const { left, top, bottom } = button.getBoundingClientRect();
    const above = top - box.height - GAP;
    const below = Math.min(bottom + GAP, innerHeight - box.height - GAP);
    style.setProperty("--left", `${Math.max(GAP, Math.min(left, innerWidth - box.width - GAP))}px`);
    style.setProperty("--top", `${above > GAP ? above : Math.max(GAP, below)}px`);
  }
}
