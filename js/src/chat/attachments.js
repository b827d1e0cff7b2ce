// The files that are to go with the next message, above the field: how they are chosen, and how far
// they are.

import { $, arrange, make, setText } from "./dom.js";
import { addressOf, sizeOf } from "./files.js";

/** @import { Upload, Uploads } from "./uploads.js" */

/** @param {number} count */
const filesOf = (count) => `${count} ${count === 1 ? "file" : "files"}`;

export class Attachments {
  #uploads;
  #current;
  #possible = false;
  /** @type {Map<number, { row: HTMLElement, shown: string }>} */
  #rows = new Map();

  /**
   * @param {object} parts
   * @param {Uploads} parts.uploads
   * @param {() => number | null} parts.current the room that is looked at.
   * @param {HTMLElement} parts.target where files may be dropped.
   * @param {() => void} parts.chosen called when files were chosen.
   */
  constructor({ uploads, current, target, chosen }) {
    this.#uploads = uploads;
    this.#current = current;
    const input = $("attach-input");
    /** @param {Iterable<File>} files */
    const add = (files) => {
      const room = current();
      if (room === null || !this.#possible) return;
      uploads.add(room, files);
      chosen();
    };
    $("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      add([...input.files ?? []]);
      // The same file can be chosen again.
      input.value = "";
    });
    $("text").addEventListener("paste", (event) => {
      const { clipboardData: data } = event;
      // What was copied as text has pictures of itself in some programs.
      if (!this.#possible || !data?.files.length || data.types.includes("text/plain")) return;
      event.preventDefault();
      add(data.files);
    });
    this.#takeDropped(target, add);
    $("attachment-list").addEventListener("click", ({ target: clicked }) => {
      const button = /** @type {Element} */ (clicked).closest("button");
      const row = button?.closest("li");
      const upload = this.#shown.find(({ id }) => String(id) === row?.dataset.upload);
      if (!button || !upload) return;
      if (button.className === "retry") uploads.retry(upload);
      else uploads.remove(upload);
      chosen();
    });
  }

  get #shown() {
    const room = this.#current();
    return room === null ? [] : this.#uploads.of(room);
  }

  /**
   * Lets files be attached, or not.
   *
   * @param {boolean} possible
   */
  allow(possible) {
    this.#possible = possible;
    $("attach").hidden = !possible;
  }

  /** Shows the files of the room that is looked at. */
  show() {
    const shown = this.#shown;
    const rows = new Map();
    for (const upload of shown) rows.set(upload.id, this.#rowOf(upload));
    this.#rows = rows;
    arrange($("attachment-list"), [...rows.values()].map(({ row }) => row));
    $("attachments").hidden = shown.length === 0;
    setText($("attachment-note"), this.#note(shown));
  }

  /** @param {Upload[]} shown */
  #note(shown) {
    const room = this.#current();
    const left = shown.filter(({ state }) => state === "waiting" || state === "uploading").length;
    if (shown.some(({ state }) => state === "failed")) return "Not every file can be sent.";
    if (!left) return shown.length ? `${filesOf(shown.length)} ready to send` : "";
    if (!this.#uploads.connected) return "Not connected: the upload goes on later.";
    if (room !== null && this.#uploads.isArmed(room)) return "Your message goes out when its files are uploaded.";
    return `Uploading ${filesOf(left)}…`;
  }

  /** @param {Upload} upload */
  #rowOf(upload) {
    const shown = `${upload.state} ${upload.reason}`;
    const known = this.#rows.get(upload.id);
    const row = known?.row ?? make("li", { "data-upload": upload.id });
    if (known?.shown !== shown) fill(row, upload);
    const bar = row.querySelector("progress");
    if (bar) bar.value = upload.progress;
    return { row, shown };
  }

  /**
   * @param {HTMLElement} target
   * @param {(files: Iterable<File>) => void} add
   */
  #takeDropped(target, add) {
    /** @param {DragEvent} event */
    const has = ({ dataTransfer: data }) => Boolean(data?.types.includes("Files"));
    /** @param {boolean} over */
    const mark = (over) => target.classList.toggle("dropping", over);
    target.addEventListener("dragover", (event) => {
      if (!has(event)) return;
      // The browser would show the file in place of the page.
      event.preventDefault();
      mark(this.#possible);
    });
    target.addEventListener("dragleave", ({ relatedTarget: to }) => {
      if (!target.contains(/** @type {Node | null} */ (to))) mark(false);
    });
    target.addEventListener("drop", (event) => {
      mark(false);
      if (!has(event)) return;
      event.preventDefault();
      add(event.dataTransfer?.files ?? []);
    });
  }
}

/**
 * @param {HTMLElement} row
 * @param {Upload} upload
 */
function fill(row, { room, file, state, reason, final, told }) {
  const focused = row.contains(document.activeElement);
  row.className = state;
  row.replaceChildren();
  if (told?.width) row.append(make("img", { src: `${addressOf(room, told)}/thumbnail`, alt: "", width: 40, height: 40 }));
  row.append(make("bdi", { class: "file-name" }, told?.name ?? file.name));
  if (state === "failed") row.append(make("span", { class: "reason" }, reason));
  else if (state === "ready") row.append(make("span", { class: "size" }, sizeOf(told?.size ?? 0)));
  else row.append(make("progress", { "max": 1, "aria-label": `Upload of ${file.name}` }));
  if (state === "failed" && !final) row.append(make("button", { class: "retry", type: "button" }, "Try again"));
  const label = `${state === "uploading" ? "Cancel" : "Remove"} ${file.name}`;
  row.append(make("button", { class: "remove", type: "button", "aria-label": label, title: label }, "×"));
  if (focused) row.querySelector("button")?.focus();
}
