// The files that browsers get are small, and have what they should.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { buildClient } from "../../client.mjs";

// Bytes, compressed as servers do it.
const BUDGET = 9210;

// Of the file that is loaded only where tabs share.
const SHARE_BUDGET = 3500;

test("the client is below its budget, and complete", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "client-"));
  t.after(() => rm(folder, { recursive: true }));
  await buildClient(folder);
  const file = path.join(folder, "sockjs-bridge-client.js");
  const size = gzipSync(await readFile(file), { level: 9 }).length;
  assert(size <= BUDGET, `${size} bytes`);
  const share = gzipSync(await readFile(path.join(folder, "sockjs-bridge-share.js")), { level: 9 }).length;
  assert(share <= SHARE_BUDGET, `${share} bytes`);
  const built = await import(pathToFileURL(file).href);
  const sources = await import("../../src/client/index.js");
  assert.deepEqual(Object.keys(built), Object.keys(sources));
  assert(built.SockJS.prototype.send);
});
