// What the user sent and the server did not confirm yet: new messages, edits and deletions. The
// connection keeps and sends them in order; here is what of that is shown.

/** @import { Message, Refusal, Write } from "./protocol.js" */

/**
 * @typedef {Write & { key: string }} Keyed
 *
 * @typedef {object} Entry What is shown of one of these.
 * @property {string} key
 * @property {Write["type"]} type
 * @property {number} [number] of the message that is changed.
 * @property {string} [text]
 * @property {"sending" | "waiting" | "failed"} state
 * @property {string} reason why it is not sent, or not yet.
 */

const KEY_BYTES = 12;

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  #sock;
  #memory;
  #me;
  #changed;
  /** @type {Map<string, { request: Keyed, failed?: string, deferred?: string }>} */
  #entries = new Map();
  #connected = false;

  /**
   * @param {object} options
   * @param {Pick<import("../reconnecting/index.js").ReconnectingSockJS,
   *   "post" | "confirm" | "reject" | "defer" | "outbox">} options.sock
   * @param {import("./storage.js").Memory} options.memory for what failed, across a reload.
   * @param {{id: number}} options.me
   * @param {(room: number) => void} options.changed
   */
  constructor({ sock, memory, me, changed }) {
    this.#sock = sock;
    this.#memory = memory;
    this.#me = me;
    this.#changed = changed;
    for (const [request, reason] of memory.get("failed") ?? []) {
      this.#entries.set(request.key, { request, failed: reason });
    }
    for (const { text } of sock.outbox) {
      const request = JSON.parse(text);
      this.#entries.set(request.key, { request });
    }
  }

  /**
   * Sends a new message; returns its key.
   *
   * @param {number} room
   * @param {string} text
   */
  say(room, text) {
    return this.#post({ type: "message", room, text });
  }

  /**
   * Changes the text of a message of one's own.
   *
   * @param {number} room
   * @param {number} number
   * @param {string} text
   */
  edit(room, number, text) {
    return this.#post({ type: "edit", room, number, text });
  }

  /**
   * Deletes a message of one's own.
   *
   * @param {number} room
   * @param {number} number
   */
  remove(room, number) {
    return this.#post({ type: "delete", room, number });
  }

  /**
   * Sends what failed once more, after everything else.
   *
   * @param {string} key
   */
  retry(key) {
    const entry = this.#entries.get(key);
    if (!entry?.failed) return;
    this.#entries.delete(key);
    this.#entries.set(key, { request: entry.request });
    this.#sock.post(key, JSON.stringify(entry.request));
    this.#keepFailed();
    this.#changed(entry.request.room);
  }

  /**
   * Forgets what was not sent.
   *
   * @param {string} key
   */
  discard(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#sock.reject(key);
    this.#keepFailed();
    this.#changed(entry.request.room);
  }

  /**
   * Takes a message of the server, which may be the answer to one of these: to the message itself,
   * wherever it is met, or to the edit or deletion that it names as its `request`.
   *
   * @param {Message} message
   */
  settle(message) {
    if (message.author.id !== this.#me.id) return;
    for (const key of [message.key, message.request]) {
      if (!key || !this.#entries.delete(key)) continue;
      this.#sock.confirm(key);
      this.#keepFailed();
      this.#changed(message.room);
    }
  }

  /**
   * Takes an error of the server; returns whether it concerned one of these.
   *
   * @param {Refusal} refusal
   */
  refuse({ key, text, retry_after: after }) {
    const entry = key === undefined ? undefined : this.#entries.get(key);
    if (key === undefined || !entry || entry.failed) return false;
    if (after === undefined) {
      entry.failed = text || "The server refused it.";
      this.#sock.reject(key);
      this.#keepFailed();
    } else {
      entry.deferred = text || "It is sent in a moment.";
      this.#sock.defer(key, after * 1000);
    }
    this.#changed(entry.request.room);
    return true;
  }

  /** Whether something is on its way that would be lost with the tab. */
  get waits() {
    return [...this.#entries.values()].some((entry) => !entry.failed);
  }

  /**
   * Whether there is a connection that these go out by.
   *
   * @param {boolean} connected
   */
  set connected(connected) {
    if (connected === this.#connected) return;
    this.#connected = connected;
    for (const room of new Set([...this.#entries.values()].map(({ request }) => request.room))) {
      this.#changed(room);
    }
  }

  /**
   * Returns what is on its way to a room, in order.
   *
   * @param {number} room
   */
  entriesOf(room) {
    let held = !this.#connected;
    /** @type {Entry[]} */
    const found = [];
    for (const [key, { request, failed, deferred }] of this.#entries) {
      // Those behind a deferred one wait with it.
      if (deferred && !failed) held = true;
      if (request.room !== room) continue;
      found.push({
        key,
        type: request.type,
        number: request.number,
        text: request.text,
        state: failed ? "failed" : held ? "waiting" : "sending",
        reason: failed ?? deferred ?? "",
      });
    }
    return found;
  }

  /** @param {Write} request */
  #post(request) {
    const key = randomKey();
    const full = { ...request, key };
    this.#entries.set(key, { request: full });
    this.#sock.post(key, JSON.stringify(full));
    this.#changed(request.room);
    return key;
  }

  #keepFailed() {
    const failed = [...this.#entries.values()].filter((entry) => entry.failed);
    this.#memory.set("failed", failed.length
      ? failed.map(({ request, failed: reason }) => [request, reason]) : null);
  }
}
