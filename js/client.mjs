// Builds the client for browsers, one file without dependencies, and what npm packs:
//   node client.mjs dist   the file, its types and the licence, in dist/

import { build } from "esbuild";
import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
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
// The first ones are left to parameters, so that alike functions are alike to the last letter.
const PARAMETERS = 8;

/**
 * Names for names, the shortest for the most used.
 *
 * @param {Iterable<string>} names each as often as it is used.
 * @param {number} [first] the first name that is given.
 */
function shortNames(names, first = 0) {
  const uses = new Map();
  for (const name of names) uses.set(name, (uses.get(name) ?? 0) + 1);
  const sorted = [...uses.keys()].sort((one, other) => uses.get(other) - uses.get(one));
  return sorted.map((name, n) => [`$${name}`, nameOf(first + n)]);
}

/** Names for what stands outside of all functions. */
function topNames(text) {
  const names = [...text.matchAll(/^(?:(?:async )?function|class|var|let) +([\w$]+)/gm)].map(([, name]) => name);
  const uses = text.match(/(?<![.\w$])[\w$]+/g).filter((name) => names.includes(name));
  return Object.fromEntries(shortNames(uses, PARAMETERS));
}

/**
 * The client's own fields, none of which a page or a server sees, with names. A kind of object whose type
 * names its fields one by one (`@property`) has names of its own; all else shares the session's.
 *
 * @param {string} text the bundle.
 * @param {string[]} sources
 * @param {object} known those that have a name: another file of the client uses the same objects.
 * @throws {Error} A field is the session's and another object's.
 */
function fieldsOf(text, sources, known) {
  const used = [...text.matchAll(/\b_\w+/g)].map(String).filter((name) => !known[`$${name}`]);
  const count = Object.keys(known).length;
  if (count) return { ...known, ...Object.fromEntries(shortNames(used, count)) };
  const kinds = sources
    .flatMap((source) => source.split("@typedef"))
    .map((type) => [...type.matchAll(/@property \{.*\} \[?(_\w+)/g)].map(([, name]) => name))
    .filter((names) => names.length);
  const others = kinds.flat();
  const shared = text.match(/(?<=\b(session|outbox|policy|host)\.)_\w+/g);
  const twice = others.filter((name, n) => shared.includes(name) || others.indexOf(name) < n);
  if (twice.length) throw new Error(`fields of two kinds of objects: ${twice}`);
  const rest = used.filter((name) => !others.includes(name));
  const all = [rest, ...kinds.map((kind) => used.filter((name) => kind.includes(name)))];
  return Object.fromEntries(all.flatMap((names) => shortNames(names)));
}

// What tells bundlers to leave an import alone.
const FOR_BUNDLERS = /^ (webpackIgnore: true|@vite-ignore) $/;

/** The names of the files that a build wrote. */
export const written = ({ outputs }) => Object.keys(outputs).map((file) => path.basename(file));

// What is loaded where it is asked for: built files beside the main one.
const LATER = ["connection", "share"];
const fileOf = (name) => `sockjs-bridge-${name}.js`;
const later = {
  name: "later",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.\/\w+\.js$/ }, ({ kind, path: source }) =>
      kind === "dynamic-import" ? { path: `./${fileOf(path.parse(source).name)}`, external: true } : undefined,
    ),
};

/**
 * Builds the client into a folder: bundled by one tool, made small by another one, which does that
 * better.
 */
export async function buildClient(outdir) {
  // They work on the same objects.
  const fields = { known: {} };
  const built = await buildFile(outdir, "src/client/index.js", fileOf("client"), fields);
  for (const name of LATER) {
    built.push(...(await buildFile(outdir, `src/client/${name}.js`, fileOf(name), fields)));
  }
  return built;
}

/** Returns the names of the files that it wrote. */
async function buildFile(outdir, source, name, fields) {
  const { metafile, outputFiles } = await build({
    ...common,
    minify: false,
    write: false,
    entryPoints: [{ in: source, out: path.parse(name).name }],
    plugins: [later],
    outdir,
  });
  const [map, bundle] = outputFiles;
  const sources = await Promise.all(Object.keys(metafile.inputs).map((file) => readFile(path.join(js, file), "utf8")));
  // One keyword in place of two compresses better. As long, so that the map holds.
  const text = bundle.text.replace(/\bconst /g, "let   ");
  const options = { module: true, ecma: 2022 };
  const compress = {
    passes: 3,
    hoist_funs: true,
    pure_getters: true,
    unsafe: true,
    unsafe_arrows: true,
    unsafe_methods: true,
  };
  // Twice: only then it is known which names there are.
  const long = await minify(text, {
    ...options,
    compress: { ...compress, join_vars: false },
    mangle: false,
    format: { beautify: true, comments: FOR_BUNDLERS },
    sourceMap: { content: map.text, includeSources: true },
  });
  fields.known = fieldsOf(long.code, sources, fields.known);
  const small = await minify(long.code, {
    ...options,
    compress,
    mangle: { nth_identifier: { get: nameOf }, properties: { regex: /^_/ } },
    nameCache: { props: { props: fields.known }, vars: { props: topNames(long.code) } },
    format: { preamble: "/* sockjs_bridge, MIT license */", comments: FOR_BUNDLERS },
    sourceMap: { content: long.map, includeSources: true, filename: name, url: `${name}.map` },
  });
  await mkdir(outdir, { recursive: true });
  await writeFile(bundle.path, small.code);
  await writeFile(map.path, small.map);
  return written(metafile);
}

/** Makes the types of the client into a folder that is there. */
export async function buildTypes(outdir) {
  // The compiler makes types of the sources, and leaves those alone that are written by hand.
  const compiler = path.join(js, "node_modules", "typescript", "bin", "tsc");
  const project = path.join(js, "tsconfig.types.json");
  await promisify(execFile)(process.execPath, [compiler, "-p", project, "--outDir", outdir]);
  const sources = path.join(js, "src", "client");
  for (const name of await readdir(sources)) {
    if (name.endsWith(".d.ts")) await copyFile(path.join(sources, name), path.join(outdir, name));
  }
}

/** Builds what npm packs into a folder, and nothing else is left in it. */
export async function buildPackage(outdir) {
  await rm(outdir, { recursive: true, force: true });
  await buildClient(outdir);
  const types = path.join(outdir, "types");
  await mkdir(types);
  await buildTypes(types);
  await copyFile(path.join(js, "..", "LICENSE"), path.join(outdir, "LICENSE"));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildPackage(path.resolve(process.argv[2]));
}
