import assert from "node:assert/strict";
import { test } from "node:test";

import { ReconnectingSockJS } from "../../src/reconnecting/index.js";

test("it is an event target", () => {
  assert.ok(new ReconnectingSockJS() instanceof EventTarget);
});
