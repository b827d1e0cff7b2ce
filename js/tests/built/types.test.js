// An application in TypeScript that uses all of the API, and misuses it where that is an error.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildTypes } from "../../client.mjs";

const js = fileURLToPath(new URL("../../", import.meta.url));
const compiler = path.join(js, "node_modules", "typescript", "bin", "tsc");
const run = promisify(execFile);

let folder;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "types-"));
  const installed = path.join(folder, "node_modules", "sockjs-bridge-client");
  const types = path.join(installed, "dist", "types");
  await mkdir(types, { recursive: true });
  await copyFile(path.join(js, "package.json"), path.join(installed, "package.json"));
  await buildTypes(types);
  await writeFile(path.join(folder, "package.json"), '{ "type": "module" }');
  await copyFile(new URL("usage.ts", import.meta.url), path.join(folder, "usage.ts"));
});

after(() => rm(folder, { recursive: true }));

for (const how of [["--module", "esnext", "--moduleResolution", "bundler"], ["--module", "nodenext"]]) {
  test(`the types are those of the API: ${how.at(-1)}`, { timeout: 120_000 }, async () => {
    const options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--types", "",
      "--skipDefaultLibCheck"];
    const command = [compiler, ...options, ...how, "usage.ts"];
    const told = await run(process.execPath, command, { cwd: folder }).catch((error) => error);
    assert.equal(told.stdout, "");
  });
}
