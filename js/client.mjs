// Builds the client for browsers, one file without dependencies, and what npm packs:
//   node client.mjs dist   the file, its types and the licence, in dist/

import { build } from "esbuild";
import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const js = fileURLToPath(new URL(".", import.meta.url));

/** What all files for browsers have in common. */
export const common = {
  absWorkingDir: js,
  bundle: true,
  format: "esm",
  target: "es2022",
  // tsconfig.json is for the checker only.
  tsconfigRaw: {},
  minify: true,
  sourcemap: true,
  metafile: true,
  logLevel: "warning",
};

/** Builds the client into a folder. */
export function buildClient(outdir) {
  return build({
    ...common,
    entryPoints: [{ in: "src/client/index.js", out: "sockjs-bridge-client" }],
    outdir,
    // The client's own fields, none of which a page or a server sees.
    mangleProps: /^_/,
    banner: { js: "/* The client of sockjs_bridge. MIT license. */" },
  });
}

/** Builds what npm packs into a folder, and nothing else is left in it. */
export async function buildPackage(outdir) {
  await rm(outdir, { recursive: true, force: true });
  await buildClient(outdir);
  const types = path.join(outdir, "types");
  await mkdir(types);
  // The compiler makes types of the sources, and leaves those alone that are written by hand.
  const compiler = path.join(js, "node_modules", "typescript", "bin", "tsc");
  const project = path.join(js, "tsconfig.types.json");
  await promisify(execFile)(process.execPath, [compiler, "-p", project, "--outDir", types]);
  const sources = path.join(js, "src", "client");
  for (const name of await readdir(sources)) {
    if (name.endsWith(".d.ts")) await copyFile(path.join(sources, name), path.join(types, name));
  }
  await copyFile(path.join(js, "..", "LICENSE"), path.join(outdir, "LICENSE"));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildPackage(path.resolve(process.argv[2]));
}
