// The state of the connection in words. What mends itself within some seconds is not spoken of.

import { setText } from "./dom.js";

// Milliseconds: a server that is restarted spreads the return of its clients over five seconds.
const CALM = 6000;

/** @type {Record<string, string>} */
const SENTENCES = {
  connecting: "Connecting…",
  open: "Connected",
  lost: "Reconnecting…",
  offline: "You are offline",
};

export class Status {
  #bar;
  #text;
  #again;
  #signIn;
  #troubled;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {Record<"bar" | "text" | "again" | "signIn", HTMLElement>} elements
   * @param {(troubled: boolean) => void} troubled told when what is shown changes: whether there
   *   is a loss that lasts.
   */
  constructor({ bar, text, again, signIn }, troubled) {
    this.#bar = bar;
    this.#text = text;
    this.#again = again;
    this.#signIn = signIn;
    this.#troubled = troubled;
  }

  get state() {
    return this.#bar.dataset.state ?? "";
  }

  /**
   * Shows a state: "connecting", "open", "lost", "offline" or "stopped".
   *
   * @param {string} state
   * @param {{code?: number, reason?: string}} [why] it stopped.
   */
  show(state, why = {}) {
    const before = this.state;
    this.#bar.dataset.state = state;
    if (state === "lost" || state === "offline") {
      // A loss that goes on does not start anew with each attempt.
      const going = before === "lost" || before === "offline" || before === "connecting";
      if (going && this.#timer === undefined) this.#tell(state, true);
      else this.#timer ??= setTimeout(() => this.#tell(this.state, true), CALM);
      return;
    }
    // Who has only just come does not wait: what they say goes out in a moment.
    this.#tell(state, state === "stopped", why);
  }

  /**
   * @param {string} state
   * @param {boolean} troubled
   * @param {{ code?: number, reason?: string }} [why]
   */
  #tell(state, troubled, { code, reason } = {}) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const signedOut = state === "stopped" && code === 4401;
    setText(this.#text, SENTENCES[state] ?? (signedOut ? "You are signed out." : refusal(code, reason)));
    this.#bar.dataset.shown = state;
    this.#signIn.hidden = !signedOut;
    this.#again.hidden = state !== "lost" && (state !== "stopped" || signedOut);
    this.#troubled(troubled);
  }
}

/**
 * @param {number} [code]
 * @param {string} [reason]
 */
function refusal(code, reason) {
  if (code === 4403) return "You are not allowed to connect.";
  return `Not connected${reason ? `: ${reason}` : ""}.`;
}
