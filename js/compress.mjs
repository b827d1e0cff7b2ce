// What servers send in place of a file to who takes it (RFC 9110, 8.4): made once, when the file is built.

import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

// By the extension that says so. Of the best quality, as nobody waits: brotli's is that by default.
const ENCODINGS = {
  ".br": promisify(brotliCompress),
  ".gz": (content) => promisify(gzip)(content, { level: constants.Z_BEST_COMPRESSION }),
};
// Nobody but a developer loads a source map.
const COMPRESSED = [".css", ".js"];

/**
 * Compresses scripts and stylesheets, each into files beside it.
 *
 * @param {string} folder
 * @param {string[]} names of its files; others than scripts and stylesheets are left as they are.
 * @returns {Promise<string[]>} the names of what was written.
 */
export async function compress(folder, names) {
  const sources = names.filter((name) => COMPRESSED.includes(path.extname(name)));
  const pairs = sources.flatMap((name) => Object.entries(ENCODINGS).map(([extension, encode]) => ({
    name, target: name + extension, encode,
  })));
  for (const { name, target, encode } of pairs) {
    await writeFile(path.join(folder, target), await encode(await readFile(path.join(folder, name))));
  }
  return pairs.map(({ target }) => target);
}
