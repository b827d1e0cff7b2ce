import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { Policy, WAYS } from "../../src/client/policy.js";

const KNOWN = { net: "n", rtt: 100, heartbeat: 25_000 };

suite("what is tried", () => {
  test("a WebSocket, a poll 150 ms later, and no stream", () => {
    assert.deepEqual(new Policy()._plan(WAYS, 0, false), [["websocket", "xhr"], 150]);
    assert.deepEqual(new Policy()._plan(["xhr_streaming"], 0, false), [["xhr_streaming"], 150]);
    assert.deepEqual(new Policy()._plan(["xhr_streaming", "xhr"], 0, false), [["xhr"], 150]);
  });

  for (const [rtt, later] of [[1, 150], [200, 500], [5000, 800]]) {
    test(`what worked comes first, the others after two round trips of ${rtt} ms and a bit`, () => {
      const policy = new Policy({ ...KNOWN, way: "xhr_streaming", rtt });
      assert.deepEqual(policy._plan(WAYS, 0, false), [["xhr_streaming", "websocket", "xhr"], later]);
    });
  }

  test("what did not come up is left out, twice as long each time, up to an hour", () => {
    const policy = new Policy();
    const pauses = [];
    let now = 0;
    for (let n = 0; n < 6; n += 1) {
      policy._leaveOut("websocket", now);
      assert.deepEqual(policy._plan(WAYS, now, false)[0], ["xhr"]);
      pauses.push((policy._record("websocket")._until - now) / 60_000);
      now = policy._record("websocket")._until;
      assert.deepEqual(policy._plan(WAYS, now, false)[0], ["websocket", "xhr"]);
    }
    assert.deepEqual(pauses, [5, 10, 20, 40, 60, 60]);
  });

  test("what broke twice on probation is left out", () => {
    const policy = new Policy();
    policy._broke("websocket", 10, 5, 1);
    assert.equal(policy._plan(WAYS, 10, false)[0][0], "websocket");
    policy._broke("websocket", 20, 5, 1);
    assert.deepEqual(policy._plan(WAYS, 20, false)[0], ["xhr"]);
    assert.deepEqual(policy._plan(["websocket"], 20, false)[0], ["websocket"]);
    assert.deepEqual(policy._plan(WAYS, 20, true)[0], ["websocket", "xhr"]);
  });

  test("a break after probation is none of those", () => {
    const policy = new Policy();
    policy._broke("websocket", 10, 5, 1);
    policy._broke("websocket", 100_000, 60_000, 1);
    policy._broke("websocket", 100_010, 5, 1);
    assert.equal(policy._plan(WAYS, 100_010, false)[0][0], "websocket");
  });

  test("the poll is never left out for breaking", () => {
    const policy = new Policy();
    for (let n = 0; n < 5; n += 1) policy._broke("xhr", 0, 1, 1);
    assert.deepEqual(policy._plan(["xhr_streaming", "xhr"], 0, false)[0], ["xhr"]);
  });

  test("silence that killed twice is kept below, within what can be asked for", () => {
    const policy = new Policy();
    policy._broke("websocket", 0, 99_000, 20_000);
    assert.equal(policy._known.heartbeat, 25_000);
    policy._broke("websocket", 0, 99_000, 30_000);
    assert.equal(policy._known.heartbeat, 14_000);
    for (const [silence, heartbeat] of [[5000, 5000], [90_000, 25_000]]) {
      const other = new Policy();
      other._broke("xhr", 0, 1, silence);
      other._broke("xhr", 0, 1, silence);
      assert.equal(other._known.heartbeat, heartbeat);
    }
    policy._broke("websocket", 0, 99_000, 100);
    policy._broke("websocket", 0, 99_000, 30_000);
    assert.equal(policy._known.heartbeat, 14_000);
  });

  test("of another network nothing is known", () => {
    const policy = new Policy({ ...KNOWN, way: "xhr", heartbeat: 7000 });
    policy._leaveOut("websocket", 0);
    policy._entered("n");
    assert.deepEqual(policy._plan(WAYS, 0, false)[0], ["xhr"]);
    policy._entered("m");
    assert.deepEqual(policy._plan(WAYS, 0, false)[0], ["websocket", "xhr"]);
    assert.deepEqual(policy._known, { way: null, net: "m", rtt: 100, heartbeat: 25_000 });
  });
});
