// Builds the client for browsers, one file without dependencies, and what npm packs:
//   node client.mjs dist   the file, its types and the licence, in dist/

import { build } from "esbuild";
import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { minify } from "terser";

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

// Names of one letter, then of two: the letters in the order in which JavaScript has them, so that what is
// compressed grows least.
const LETTERS = "etnsoiardclupmhfgvybwkxqjzETNSOIARDCLUPMHFGVYBWKXQJZ_$";
const nameOf = (n) => (n < LETTERS.length ? "" : LETTERS[Math.floor(n / LETTERS.length) - 1]) + LETTERS[n % LETTERS.length];

/**
 * The client's own fields, none of which a page or a server sees, with names: the shortest for the most used,
 * behind those that have one.
 */
function fieldsOf(text, known) {
  const uses = new Map();
  for (const [name] of text.matchAll(/\b_\w+/g)) uses.set(name, (uses.get(name) ?? 0) + 1);
  const names = [...uses.keys()].filter((name) => !known[`$${name}`]);
  names.sort((one, other) => uses.get(other) - uses.get(one));
  const count = Object.keys(known).length;
  return { ...known, ...Object.fromEntries(names.map((name, n) => [`$${name}`, nameOf(count + n)])) };
}

/** The names of the files that a build wrote. */
export const written = ({ outputs }) => Object.keys(outputs).map((file) => path.basename(file));

// What is loaded where it is asked for: the built file beside the main one.
const SHARE = "sockjs-bridge-share.js";
const later = {
  name: "later",
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/share\.js$/ }, ({ kind }) =>
      kind === "dynamic-import" ? { path: `./${SHARE}`, external: true } : undefined,
    ),
};

/**
 * Builds the client into a folder: bundled by one tool, made small by another one, which does that
 * better.
 */
export async function buildClient(outdir) {
  // Both work on the same objects.
  const names = { props: { props: {} } };
  const client = await buildFile(outdir, "src/client/index.js", "sockjs-bridge-client.js", names);
  const share = await buildFile(outdir, "src/client/share.js", SHARE, names);
  return [...client, ...share];
}

/** Returns the names of the files that it wrote. */
async function buildFile(outdir, source, name, nameCache) {
  const { metafile, outputFiles } = await build({
    ...common,
    minify: false,
    write: false,
    entryPoints: [{ in: source, out: path.parse(name).name }],
    plugins: [later],
    outdir,
  });
  const [map, bundle] = outputFiles;
  // One keyword in place of two compresses better. As long, so that the map holds.
  const text = bundle.text.replace(/\bconst /g, "let   ");
  nameCache.props.props = fieldsOf(text, nameCache.props.props);
  const small = await minify(text, {
    module: true,
    ecma: 2022,
    compress: {
      passes: 3,
      hoist_funs: true,
      pure_getters: true,
      unsafe: true,
      unsafe_arrows: true,
      unsafe_comps: true,
      unsafe_methods: true,
    },
    mangle: { nth_identifier: { get: nameOf }, properties: { regex: /^_/ } },
    nameCache,
    format: { preamble: "/* sockjs_bridge, MIT license */" },
    sourceMap: { content: map.text, includeSources: true, filename: name, url: `${name}.map` },
  });
  await mkdir(outdir, { recursive: true });
  await writeFile(bundle.path, small.code);
  await writeFile(map.path, small.map);
  return written(metafile);
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
