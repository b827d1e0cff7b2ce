// The files that wait for their message: each is uploaded at once, one after the other. No DOM.

import { sizeOf } from "./files.js";
import { messageOf, Refused } from "./http.js";

/** @import { ToldFile } from "./protocol.js" */

/**
 * @typedef {object} Upload
 * @property {number} id of this page.
 * @property {number} room
 * @property {File} file
 * @property {"waiting" | "uploading" | "ready" | "failed"} state
 * @property {number} progress from 0 to 1.
 * @property {string} reason why it failed, or "".
 * @property {boolean} final whether it would fail again.
 * @property {ToldFile | null} told what the server knows it by, when it is ready.
 *
 * @typedef {(path: string, body: Blob, progress: (part: number) => void) =>
 *   { done: Promise<ToldFile>, abort: () => void }} Send
 */

/** Files of a message. */
export const MOST_FILES = 10;
// How often the server may be out of reach until an upload has failed, and milliseconds between.
const TRIES = 3;
const AGAIN = 3000;
const TOO_MANY_REQUESTS = 429;
const SERVER_ERROR = 500;

export class Uploads {
  #send;
  #discard;
  #most;
  #changed;
  #complete;
  #later;
  /** @type {Upload[]} */
  #uploads = [];
  /** @type {Set<number>} */
  #armed = new Set();
  /** @type {{ upload: Upload, abort: () => void } | null} */
  #current = null;
  #connected = true;
  #resting = false;
  #tries = 0;
  #ids = 0;

  /**
   * @param {object} options
   * @param {Send} options.send uploads a file.
   * @param {(path: string) => Promise<unknown>} options.discard tells the server that one is not
   *   wanted any more.
   * @param {number} options.most bytes of a file.
   * @param {() => void} options.changed
   * @param {(room: number) => void} options.complete called when all files are ready of a message that
   *   waits for them.
   * @param {(act: () => void, ms: number) => void} [options.later] a timer.
   */
  constructor({ send, discard, most, changed, complete, later = (act, ms) => setTimeout(act, ms) }) {
    this.#send = send;
    this.#discard = discard;
    this.#most = most;
    this.#changed = changed;
    this.#complete = complete;
    this.#later = later;
  }

  /**
   * Uploads files for the next message of a room.
   *
   * @param {number} room
   * @param {Iterable<File>} files
   */
  add(room, files) {
    for (const file of files) {
      const upload = /** @type {Upload} */ ({
        id: (this.#ids += 1), room, file, state: "waiting", progress: 0, reason: "", final: false, told: null,
      });
      if (this.of(room).length >= MOST_FILES) fail(upload, `A message has at most ${MOST_FILES} files.`);
      else if (file.size > this.#most) fail(upload, `It is larger than ${sizeOf(this.#most)}.`);
      else if (file.size === 0) fail(upload, "It is empty.");
      if (upload.final) this.#armed.delete(room);
      this.#uploads.push(upload);
    }
    this.#goOn();
  }

  /**
   * Returns the files for the next message of a room.
   *
   * @param {number} room
   */
  of(room) {
    return this.#uploads.filter((upload) => upload.room === room);
  }

  /**
   * Does without a file: stops it where it is on its way.
   *
   * @param {Upload} upload
   */
  remove(upload) {
    this.#uploads = this.#uploads.filter((other) => other !== upload);
    // What is left is sent when the user says so again.
    this.#armed.delete(upload.room);
    if (this.#current?.upload === upload) this.#current.abort();
    // An upload that nobody names goes by itself, too.
    if (upload.told) this.#discard(`rooms/${upload.room}/files/${upload.told.id}/discard`).catch(() => {});
    this.#goOn();
  }

  /**
   * Uploads what failed once more.
   *
   * @param {Upload} upload
   */
  retry(upload) {
    if (upload.state !== "failed" || upload.final) return;
    Object.assign(upload, { state: "waiting", reason: "" });
    this.#tries = 0;
    this.#goOn();
  }

  /**
   * Returns whether a message of a room can go out with its files; if not yet, `complete` tells when.
   * What has failed keeps it until the user decides.
   *
   * @param {number} room
   */
  ready(room) {
    const uploads = this.of(room);
    if (uploads.every(({ state }) => state === "ready")) return true;
    if (!uploads.some(({ state }) => state === "failed")) this.#armed.add(room);
    this.#changed();
    return false;
  }

  /**
   * Whether the message of a room goes out as soon as its files are ready.
   *
   * @param {number} room
   */
  isArmed(room) {
    return this.#armed.has(room);
  }

  /**
   * Hands out the files of a message that goes out now.
   *
   * @param {number} room
   * @returns {ToldFile[]}
   */
  take(room) {
    const taken = this.of(room).flatMap(({ told }) => told ?? []);
    this.#uploads = this.#uploads.filter((upload) => upload.room !== room);
    this.#armed.delete(room);
    this.#changed();
    return taken;
  }

  /** Whether something would be lost with the tab. */
  get waits() {
    return this.#uploads.some(({ final }) => !final);
  }

  /**
   * Whether there is a connection: without one, uploads wait.
   *
   * @param {boolean} connected
   */
  set connected(connected) {
    if (connected === this.#connected) return;
    this.#connected = connected;
    this.#tries = 0;
    this.#goOn();
  }

  get connected() {
    return this.#connected;
  }

  #goOn() {
    this.#next();
    this.#changed();
  }

  async #next() {
    if (this.#current || this.#resting || !this.#connected) return;
    const upload = this.#uploads.find(({ state }) => state === "waiting");
    if (!upload) return;
    const { room, file } = upload;
    upload.state = "uploading";
    const path = `rooms/${room}/files?name=${encodeURIComponent(file.name)}`;
    const { done, abort } = this.#send(path, file, (part) => {
      upload.progress = part;
      this.#changed();
    });
    this.#current = { upload, abort };
    try {
      Object.assign(upload, { told: await done, state: "ready", progress: 1 });
      this.#tries = 0;
    } catch (error) {
      this.#failed(upload, error);
    }
    this.#current = null;
    this.#goOn();
    const uploads = this.of(room);
    if (this.#armed.has(room) && uploads.every(({ state }) => state === "ready")) {
      this.#armed.delete(room);
      this.#complete(room);
    }
  }

  /**
   * @param {Upload} upload
   * @param {unknown} error
   */
  #failed(upload, error) {
    upload.progress = 0;
    const status = error instanceof Refused ? error.status : 0;
    if (status === 0 && (!this.#connected || (this.#tries += 1) < TRIES)) {
      upload.state = "waiting";
      this.#resting = true;
      this.#later(() => {
        this.#resting = false;
        this.#goOn();
      }, AGAIN);
      return;
    }
    fail(upload, messageOf(error));
    upload.final = status > 0 && status < SERVER_ERROR && status !== TOO_MANY_REQUESTS;
    this.#tries = 0;
    this.#armed.delete(upload.room);
  }
}

/**
 * @param {Upload} upload
 * @param {string} reason
 */
function fail(upload, reason) {
  Object.assign(upload, { state: "failed", reason, final: true });
}
