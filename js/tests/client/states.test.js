import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { TRANSITIONS } from "../../src/client/states.js";

const LIVE = { lost: "connecting", moved: "moving", close: "closing", end: "stopped" };
const WANTED = {
  connecting: { ...LIVE, welcome: "open" },
  open: { ...LIVE, break: "suspended" },
  suspended: { ...LIVE, welcome: "open" },
  moving: { due: "connecting", close: "closing", end: "stopped" },
  closing: { end: "closed", begin: "connecting" },
  stopped: { close: "closed", begin: "connecting" },
  closed: { begin: "connecting" },
};

suite("the table of states", () => {
  for (const [state, row] of Object.entries(WANTED)) {
    test(`${state}: every event`, () => {
      const found = Object.entries(TRANSITIONS[state]).map(([event, [next]]) => [event, next]);
      assert.deepEqual(Object.fromEntries(found), row);
    });
  }

  test("the page is told of a way that breaks, and of one that works again", () => {
    const told = Object.entries(TRANSITIONS).flatMap(([state, row]) =>
      Object.entries(row).flatMap(([event, [, name]]) => (name ? [`${state} ${event}: ${name}`] : [])));
    const wanted = ["connecting welcome: open", "open break: suspended", "suspended welcome: resumed"];
    assert.deepEqual(told, wanted);
  });
});
