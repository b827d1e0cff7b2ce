// Files as the log shows them: pictures in small, which lead to the whole one, and all others by name.

import { icon, make } from "./dom.js";

/** @import { ToldFile } from "./protocol.js" */

const SHEET = "M7 3.5h7l4 4v13H7ZM14 3.5v4h4";
// CSS pixels that a picture takes at most in the log.
const WIDEST = 320;
const HIGHEST = 240;
const UNITS = ["KB", "MB", "GB"];
const STEP = 1024;

/**
 * Returns a size as people read it: "340 KB", "1.2 MB".
 *
 * @param {number} bytes
 */
export function sizeOf(bytes) {
  let size = bytes / STEP;
  let unit = 0;
  while (size >= STEP && unit < UNITS.length - 1) {
    size /= STEP;
    unit += 1;
  }
  return `${size < 10 && unit ? size.toFixed(1) : Math.ceil(size)} ${UNITS[unit]}`;
}

/**
 * Returns a message in words: its text, or what its files are called.
 *
 * @param {{ text: string, files?: ToldFile[] }} message
 */
export const wordsOf = ({ text, files = [] }) => text || files.map(({ name }) => name).join(", ");

/**
 * Returns the address of a file.
 *
 * @param {number} room
 * @param {ToldFile} file
 */
export const addressOf = (room, { id }) => `${document.body.dataset.root}rooms/${room}/files/${id}`;

/**
 * Makes what the log shows of the files of a message.
 *
 * @param {number} room
 * @param {ToldFile[]} files
 */
export function shownFiles(room, files) {
  return make("div", { class: "files", dir: "auto" },
    ...files.map((file) => (file.width ? picture(room, file) : sheet(room, file))));
}

/**
 * @param {number} room
 * @param {ToldFile} file
 */
function picture(room, file) {
  const { name, width = 1, height = 1 } = file;
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  const address = addressOf(room, file);
  return make("a", { class: "picture", href: address, target: "_blank", rel: "noopener", title: name },
    // With its size it takes its place before it is there.
    make("img", {
      src: `${address}/thumbnail`, alt: name, loading: "lazy",
      width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)),
    }));
}

/**
 * @param {number} room
 * @param {ToldFile} file
 */
function sheet(room, file) {
  return make("a", { class: "file", href: addressOf(room, file), download: file.name }, icon(SHEET),
    make("bdi", {}, file.name), " ", make("span", { class: "size" }, sizeOf(file.size)));
}
