// What the user sent and the server did not answer yet: new messages, edits, deletions and reactions,
// in order.
// One of them is on its way at a time: when the server refuses it for now, none may overtake it.

/** @import { Receipt, ReconnectingSockJS } from "../client/index.js" */
/** @import { Message, Refusal, ToldFile, Write } from "./protocol.js" */

/**
 * @typedef {Write & { key: string }} Keyed
 *
 * @typedef {object} Entry What is shown of one of these.
 * @property {string} key
 * @property {Write["type"]} type
 * @property {number} [number] of the message that is changed.
 * @property {string} [text]
 * @property {number} [reply_to] the number of the message that it answers.
 * @property {string} [emoji] of a reaction,
 * @property {boolean} [on] and whether it is to be there.
 * @property {ToldFile[]} [files]
 * @property {"sending" | "waiting" | "failed"} state
 * @property {string} reason why it is not sent, or not yet.
 */

/**
 * @typedef {object} Kept
 * @property {Keyed} request
 * @property {ToldFile[]} [files] of a new message.
 * @property {Receipt} [receipt] while it is on its way.
 * @property {?string} [failed] why the server refused it,
 * @property {string} [deferred] or why it did so for now.
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
  /** @type {Map<string, Kept>} */
  #entries = new Map();
  // Until a loss that lasts is told.
  #connected = true;
  #isWelcome = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {object} options
   * @param {Pick<ReconnectingSockJS, "send" | "outbox">} options.sock
   * @param {import("./storage.js").Memory} options.memory keeps all of it over a reload.
   * @param {{id: number}} options.me
   * @param {(room: number) => void} options.changed
   */
  constructor({ sock, memory, me, changed }) {
    this.#sock = sock;
    this.#memory = memory;
    this.#me = me;
    this.#changed = changed;
    for (const [request, failed, files] of memory.get("unsent") ?? []) {
      // The client sends by itself what the page before had given it.
      const receipt = sock.outbox.find(({ text }) => text === JSON.stringify(request));
      this.#entries.set(request.key, { request, receipt, failed, files });
    }
  }

  /**
   * Sends a new message; returns its key.
   *
   * @param {number} room
   * @param {string} text
   * @param {number | null} [replyTo] the number of the message that it answers; null: of none.
   * @param {ToldFile[]} [files] that were uploaded for it.
   */
  say(room, text, replyTo = null, files = []) {
    return this.#post({
      type: "message", room, text, ...(replyTo !== null && { reply_to: replyTo }),
      ...(files.length > 0 && { files: files.map(({ id }) => id) }),
    }, files.length ? files : undefined);
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
   * Puts an emoji below a message, or takes it away.
   *
   * @param {number} room
   * @param {number} number
   * @param {string} emoji
   * @param {boolean} on whether it is to be there.
   */
  react(room, number, emoji, on) {
    // The last of several wishes is the one that counts; the server need not hear of the others.
    for (const [key, { request, receipt }] of this.#entries) {
      if (request.type === "react" && request.room === room && request.number === number
          && request.emoji === emoji && !receipt) this.#entries.delete(key);
    }
    return this.#post({ type: "react", room, number, emoji, on });
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
    this.#add(entry.request, entry.files);
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
    this.#goOn(entry.request.room);
  }

  /**
   * Takes a message of the server, which may be the answer to one of these: to the message itself,
   * wherever it is met, or to the change of one that it names as its `request`.
   *
   * @param {Message} message
   */
  settle({ room, number, key, author, request }) {
    if (key && author.id === this.#me.id && this.#entries.delete(key)) this.#goOn(room);
    // An administrator deletes what others have said, too.
    const asked = this.#entries.get(request ?? "")?.request;
    if (request && asked?.room === room && asked.number === number) {
      this.#entries.delete(request);
      this.#goOn(room);
    }
  }

  /**
   * Takes an error of the server; returns whether it concerned one of these.
   *
   * @param {Refusal} refusal
   */
  refuse({ key, text, retry_after: after }) {
    const entry = this.#entries.get(key ?? "");
    if (!entry || entry.failed) return false;
    entry.receipt = undefined;
    if (after === undefined) {
      entry.failed = text || "The server refused it.";
    } else {
      entry.deferred = text || "It is sent in a moment.";
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#sendNext();
      }, after * 1000);
    }
    this.#goOn(entry.request.room);
    return true;
  }

  /** The server knows the page, in a new session: what the last one did not answer goes out again. */
  welcomed() {
    this.#isWelcome = true;
    const { outbox } = this.#sock;
    for (const entry of this.#entries.values()) {
      if (entry.receipt && !outbox.includes(entry.receipt)) entry.receipt = undefined;
    }
    this.#sendNext();
  }

  /** The session is over: nothing goes out before the next one is welcome. */
  lost() {
    this.#isWelcome = false;
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
    for (const [key, { request, failed, deferred, files }] of this.#entries) {
      // Those behind a deferred one wait with it.
      if (deferred && !failed) held = true;
      if (request.room !== room) continue;
      found.push({
        key,
        type: request.type,
        number: request.number,
        text: request.text,
        ...(request.type === "message" && { reply_to: request.reply_to }),
        ...(request.type === "react" && { emoji: request.emoji, on: request.on }),
        ...(files && { files }),
        state: failed ? "failed" : held ? "waiting" : "sending",
        reason: failed ?? deferred ?? "",
      });
    }
    return found;
  }

  /**
   * @param {Write} request
   * @param {ToldFile[]} [files]
   */
  #post(request, files) {
    const key = randomKey();
    this.#add({ ...request, key }, files);
    return key;
  }

  /**
   * @param {Keyed} request
   * @param {ToldFile[]} [files]
   */
  #add(request, files) {
    this.#entries.set(request.key, { request, files });
    this.#goOn(request.room);
  }

  /** @param {number} room where something has changed. */
  #goOn(room) {
    this.#sendNext();
    const kept = [...this.#entries.values()].map(
      ({ request, failed, files }) => (files ? [request, failed ?? null, files] : [request, failed]),
    );
    this.#memory.set("unsent", kept.length ? kept : null);
    this.#changed(room);
  }

  #sendNext() {
    if (!this.#isWelcome || this.#timer !== undefined) return;
    const next = [...this.#entries.values()].find((entry) => !entry.failed);
    if (next && !next.receipt) next.receipt = this.#sock.send(JSON.stringify(next.request));
  }
}
