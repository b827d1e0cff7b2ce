// A part of the page at its side: beside the conversation where there is room, over it elsewhere.

export class Drawer {
  #panel;
  #toggle;
  #shade;
  #media;
  #main;
  #open = false;

  /**
   * @param {Record<"panel" | "toggle" | "close" | "shade" | "main", HTMLElement>} elements main: what
   *   a drawer covers.
   * @param {object} options
   * @param {string} options.beside media query under which there is room beside the conversation.
   * @param {boolean} options.always whether it is always open there.
   * @param {import("./storage.js").Memory} [options.memory] keeps whether it is open there.
   */
  constructor({ panel, toggle, close, shade, main }, { beside, always, memory }) {
    this.#panel = panel;
    this.#toggle = toggle;
    this.#shade = shade;
    this.#main = main;
    this.#media = matchMedia(beside);
    const start = () => this.#show(this.#media.matches && (always || memory?.get(panel.id) !== false));
    toggle.addEventListener("click", () => {
      this.#show(!this.#open);
      if (this.#media.matches) memory?.set(panel.id, this.#open);
      else if (this.#open) close.focus();
    });
    close.addEventListener("click", () => {
      if (this.#media.matches) memory?.set(panel.id, false);
      this.#leave();
    });
    shade.addEventListener("click", () => this.hide());
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#covers) this.#leave();
    });
    this.#media.addEventListener("change", start);
    start();
  }

  /** Closes it where it covers the conversation. */
  hide() {
    if (this.#covers) this.#show(false);
  }

  get #covers() {
    return this.#open && !this.#media.matches;
  }

  #leave() {
    this.#show(false);
    this.#toggle.focus();
  }

  /** @param {boolean} open */
  #show(open) {
    this.#open = open;
    this.#panel.hidden = !open;
    this.#panel.classList.toggle("over", this.#covers);
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#main.inert = this.#covers;
    this.#shade.hidden = !this.#covers;
  }
}
