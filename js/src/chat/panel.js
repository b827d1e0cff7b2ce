// The connection panel: by which way messages come, how fast, and another way by force.

import { setText } from "./dom.js";

/**
 * Ways to connect, by SockJS's names, with what people may call them.
 *
 * @type {Record<string, string>}
 */
export const TRANSPORTS = {
  "websocket": "WebSocket",
  "xhr-streaming": "HTTP streaming",
  "xhr-polling": "HTTP polling",
};

/**
 * Reads the ways that an address allows: `?transport=a,b`.
 *
 * @param {string} search
 */
export function wanted(search) {
  const names = new URLSearchParams(search).getAll("transport").join(",").split(",");
  return names.map((name) => name.trim()).filter((name) => Object.hasOwn(TRANSPORTS, name));
}

export class Panel {
  #button;
  #panel;
  #fields;

  /**
   * @param {{ button: HTMLElement, panel: HTMLElement, transport: HTMLElement, rtt: HTMLElement,
   *   interruptions: HTMLElement, force: HTMLSelectElement, apply: HTMLElement, label: HTMLElement }}
   *   elements
   * @param {(transports: string[]) => void} force connects anew by these ways; empty: by all.
   */
  constructor({ button, panel, ...fields }, force) {
    this.#button = button;
    this.#panel = panel;
    this.#fields = fields;
    button.addEventListener("click", () => this.#open(Boolean(panel.hidden)));
    fields.apply.addEventListener("click", () => {
      const name = fields.force.value;
      force(name ? [name] : []);
    });
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#close();
    });
    button.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#close();
    });
    document.addEventListener("click", (event) => {
      const target = /** @type {Node} */ (event.target);
      if (!panel.contains(target) && !button.contains(target)) this.#open(false);
    });
  }

  /**
   * Shows which way is forced; null for several or for none.
   *
   * @param {string | null} name
   */
  set forced(name) {
    this.#fields.force.value = name ?? "";
  }

  /**
   * Shows the connection; null for what is not known.
   *
   * @param {{ transport: string | null, rtt: number | null, interruptions: number }} connection
   */
  show({ transport, rtt, interruptions }) {
    const { label } = this.#fields;
    setText(this.#fields.transport, transport ?? "none");
    setText(this.#fields.rtt, rtt === null ? "not measured yet" : `${Math.round(rtt)} ms`);
    setText(this.#fields.interruptions, String(interruptions));
    setText(label, transport ? TRANSPORTS[transport] ?? transport : "Connection");
  }

  /** @param {boolean} open */
  #open(open) {
    if (this.#panel.hidden === !open) return;
    this.#panel.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) this.#fields.force.focus({ preventScroll: true });
  }

  #close() {
    this.#open(false);
    this.#button.focus();
  }
}
