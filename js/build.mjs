// Builds what browsers get:
//   sockjs_bridge/static      the SockJS client as it is, and our own
//   pyramid_chat/static/dist  the page of the chat, under names that change with the content
// Scripts and stylesheets are there compressed, too.
// What is left of an earlier build is removed.

import { build } from "esbuild";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { buildClient, common, written } from "./client.mjs";
import { compress } from "./compress.mjs";

const js = fileURLToPath(new URL(".", import.meta.url));
const bridge = path.join(js, "..", "sockjs_bridge", "static");
const chat = path.join(js, "..", "pyramid_chat", "static", "dist");

// What the page imports when it needs it, each with all that it imports itself.
const LATER = ["chat/markdown-parser", "client/connection", "client/share"];

async function removeOthers(folder, keep) {
  for (const name of await readdir(folder)) {
    if (!keep.includes(name)) await rm(path.join(folder, name), { recursive: true });
  }
}

async function buildBridge() {
  // The script names its source map by a relative URL.
  const client = path.join(js, "node_modules", "sockjs-client");
  const copies = {
    "sockjs.LICENSE": "LICENSE",
    "sockjs.min.js.map": "dist/sockjs.min.js.map",
    "sockjs.min.js": "dist/sockjs.min.js",
  };
  await mkdir(bridge, { recursive: true });
  for (const [name, source] of Object.entries(copies)) {
    await copyFile(path.join(client, source), path.join(bridge, name));
  }
  const files = [...Object.keys(copies), ...(await buildClient(bridge))];
  await removeOthers(bridge, [...files, ...(await compress(bridge, files))]);
}

/** Writes the licences of the packages that are in a bundle; returns the file's name. */
async function writeLicences(name, { inputs }) {
  const folders = Object.keys(inputs).flatMap((input) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []);
  const texts = [];
  for (const folder of [...new Set(folders)].sort()) {
    const file = (await readdir(path.join(js, folder))).find((found) => /^licen[cs]e/i.test(found));
    texts.push(`${path.basename(folder)}\n\n${await readFile(path.join(js, folder, file), "utf8")}`);
  }
  await writeFile(path.join(chat, name), texts.join("\n"));
  return name;
}

/** Builds what is imported later, and has the page import it by its name. */
async function buildLater() {
  const { metafile } = await build({
    ...common,
    entryPoints: LATER.map((name) => `src/${name}.js`),
    outdir: chat,
    entryNames: "[name]-[hash]",
  });
  const names = new Map();
  for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint) names.set(path.basename(entryPoint), path.basename(file));
  }
  const plugin = {
    name: "later",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\/[\w-]+\.js$/ }, ({ kind, path: imported }) => (
        kind === "dynamic-import" ? { path: `./${names.get(path.basename(imported))}`, external: true } : null
      ));
    },
  };
  return { plugin, files: [...written(metafile), await writeLicences("markdown-parser.LICENSE", metafile)] };
}

async function buildChat() {
  const later = await buildLater();
  const result = await build({
    ...common,
    plugins: [later.plugin],
    entryPoints: [
      { in: "src/chat/main.js", out: "chat" },
      { in: "src/chat/chat.css", out: "chat" },
    ],
    outdir: chat,
    entryNames: "[name]-[hash]",
  });
  const manifest = {};
  for (const [file, { entryPoint }] of Object.entries(result.metafile.outputs)) {
    if (entryPoint) manifest[`chat${path.extname(file)}`] = path.basename(file);
  }
  await writeFile(path.join(chat, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  const files = [...later.files, ...written(result.metafile)];
  await removeOthers(chat, ["manifest.json", ...files, ...(await compress(chat, files))]);
}

// What is wrong in a script of the page shows at once.
await buildChat();
await buildBridge();
