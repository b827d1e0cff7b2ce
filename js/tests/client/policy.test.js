import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { brokeOn, enterNet, leaveOut, newPolicy, plan, recordOf, WAYS } from "../../src/client/policy.js";

const KNOWN = { net: "n", rtt: 100, heartbeat: 25_000 };

suite("what is tried", () => {
  test("a WebSocket, a poll 150 ms later, and no stream", () => {
    assert.deepEqual(plan(newPolicy(), WAYS, 0, false), [["websocket", "xhr-polling"], 150]);
    assert.deepEqual(plan(newPolicy(), ["xhr-streaming"], 0, false), [["xhr-streaming"], 150]);
    assert.deepEqual(plan(newPolicy(), ["websocket", "xhr-streaming"], 0, false)[0], ["websocket", "xhr-streaming"]);
    assert.deepEqual(plan(newPolicy(), ["xhr-streaming", "xhr-polling"], 0, false), [["xhr-polling"], 150]);
  });

  for (const [rtt, later] of [[1, 150], [200, 500], [5000, 800]]) {
    test(`what worked comes first, the others after two round trips of ${rtt} ms and a bit`, () => {
      const policy = newPolicy({ ...KNOWN, way: "xhr-streaming", rtt });
      assert.deepEqual(plan(policy, WAYS, 0, false), [["xhr-streaming", "websocket", "xhr-polling"], later]);
    });
  }

  test("what did not come up is left out, twice as long each time, up to an hour", () => {
    const policy = newPolicy();
    const pauses = [];
    let now = 0;
    for (let n = 0; n < 6; n += 1) {
      leaveOut(policy, "websocket", now);
      assert.deepEqual(plan(policy, WAYS, now, false)[0], ["xhr-polling"]);
      pauses.push((recordOf(policy, "websocket")._until - now) / 60_000);
      now = recordOf(policy, "websocket")._until;
      assert.deepEqual(plan(policy, WAYS, now, false)[0], ["websocket", "xhr-polling"]);
    }
    assert.deepEqual(pauses, [5, 10, 20, 40, 60, 60]);
  });

  test("what broke twice on probation is left out", () => {
    const policy = newPolicy();
    brokeOn(policy, "websocket", 10, 5, 1);
    assert.equal(plan(policy, WAYS, 10, false)[0][0], "websocket");
    brokeOn(policy, "websocket", 20, 5, 1);
    assert.deepEqual(plan(policy, WAYS, 20, false)[0], ["xhr-polling"]);
    assert.deepEqual(plan(policy, ["websocket"], 20, false)[0], ["websocket"]);
    assert.deepEqual(plan(policy, WAYS, 20, true)[0], ["xhr-polling", "websocket"]);
  });

  test("a break after probation is none of those", () => {
    const policy = newPolicy();
    brokeOn(policy, "websocket", 10, 5, 1);
    brokeOn(policy, "websocket", 100_000, 60_000, 1);
    brokeOn(policy, "websocket", 100_010, 5, 1);
    assert.equal(plan(policy, WAYS, 100_010, false)[0][0], "websocket");
  });

  test("the poll is never left out for breaking", () => {
    const policy = newPolicy();
    for (let n = 0; n < 5; n += 1) brokeOn(policy, "xhr-polling", 0, 1, 1);
    assert.deepEqual(plan(policy, ["xhr-streaming", "xhr-polling"], 0, false)[0], ["xhr-polling"]);
  });

  test("silence that killed twice is kept below, within what can be asked for", () => {
    const policy = newPolicy();
    brokeOn(policy, "websocket", 0, 99_000, 20_000);
    assert.equal(policy._known.heartbeat, 25_000);
    brokeOn(policy, "websocket", 0, 99_000, 30_000);
    assert.equal(policy._known.heartbeat, 14_000);
    for (const [silence, heartbeat] of [[5000, 5000], [90_000, 25_000]]) {
      const other = newPolicy();
      brokeOn(other, "xhr-polling", 0, 1, silence);
      brokeOn(other, "xhr-polling", 0, 1, silence);
      assert.equal(other._known.heartbeat, heartbeat);
    }
    brokeOn(policy, "websocket", 0, 99_000, 100);
    brokeOn(policy, "websocket", 0, 99_000, 30_000);
    assert.equal(policy._known.heartbeat, 14_000);
  });

  test("of another network nothing is known", () => {
    const policy = newPolicy({ ...KNOWN, way: "xhr-polling", heartbeat: 7000 });
    leaveOut(policy, "websocket", 0);
    enterNet(policy, "n");
    assert.deepEqual(plan(policy, WAYS, 0, false)[0], ["xhr-polling"]);
    enterNet(policy, "m");
    assert.deepEqual(plan(policy, WAYS, 0, false)[0], ["websocket", "xhr-polling"]);
    assert.deepEqual(policy._known, { way: null, net: "m", rtt: 100, heartbeat: 25_000 });
  });
});
