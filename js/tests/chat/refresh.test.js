import assert from "node:assert/strict";
import { test } from "node:test";
import { refresher } from "../../src/chat/refresh.js";

const soon = () => new Promise((resolve) => { queueMicrotask(resolve); });

test("what is asked for at a time is shown once, in the table's order", async () => {
  const shown = [];
  const refresh = refresher({ a: () => shown.push("a"), b: () => shown.push("b"), c: () => shown.push("c") });
  refresh("c");
  refresh("a", "c");
  assert.deepEqual(shown, []);
  await soon();
  assert.deepEqual(shown, ["a", "c"]);
});

test("what is asked for while something is shown is shown after it", async () => {
  const shown = [];
  const refresh = refresher({
    a: () => shown.push("a"),
    b() {
      shown.push("b");
      if (shown.length < 4) refresh("a", "b");
    },
  });
  refresh("b");
  await soon();
  await soon();
  assert.deepEqual(shown, ["b", "a", "b", "a", "b"]);
});
