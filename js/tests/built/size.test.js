// The files that browsers get are small, have what they should, and do what they can where one is missing.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { buildClient } from "../../client.mjs";
import { pageOf, scripted, story } from "../client/peers.js";

// Bytes of each file, compressed as servers do it: what a page loads has less than 8 KB, what is loaded on
// demand comes beside it.
const BUDGETS = { client: 8191, connection: 1800, share: 3400 };

let folder;
const fileOf = (name) => path.join(folder, `sockjs-bridge-${name}.js`);
const load = () => import(pathToFileURL(fileOf("client")).href);

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "client-"));
  await buildClient(folder);
});

after(() => rm(folder, { recursive: true }));

for (const [name, budget] of Object.entries(BUDGETS)) {
  test(`${name} is below its budget`, async () => {
    const size = gzipSync(await readFile(fileOf(name)), { level: 9 }).length;
    assert(size <= budget, `${size} bytes`);
  });
}

test("it is complete", async () => {
  const built = await load();
  const sources = await import("../../src/client/index.js");
  assert.deepEqual(Object.keys(built), Object.keys(sources));
  assert(built.SockJS.prototype.send);
});

test("bundlers leave alone what is tried where the file for SockJS was not loaded", async () => {
  const text = await readFile(fileOf("client"), "utf8");
  assert.match(text, /import\(\s*\/\* webpackIgnore: true \*\/\s*\/\* @vite-ignore \*\//);
});

test("without the file for SockJS there is no server, and what resumes asks again", { timeout: 60_000 }, async (t) => {
  await rm(fileOf("connection"));
  const { ReconnectingSockJS, SockJS } = await load();
  let told = () => {};
  const server = await scripted(({ response, socket, last }) => {
    if (last === "xhr") told();
    if (response) response.writeHead(404).end();
    else socket.end("HTTP/1.1 404 Not Found\r\n\r\n");
  });
  t.after(() => server.stop());
  pageOf(t, server.url);
  const heard = story(new SockJS("/chat"));
  assert.deepEqual(await heard.until("close"), [1002, "Cannot connect to server", false]);
  assert.deepEqual(heard.events[0], ["error"]);
  assert.deepEqual(server.seen, []);
  const sock = new ReconnectingSockJS("/chat");
  t.after(() => sock.close());
  const asked = new Promise((resolve) => (told = () => server.of("xhr").length > 2 && resolve()));
  sock.connect();
  await asked;
  assert.equal(sock.state, "connecting");
});
