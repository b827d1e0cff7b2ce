import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Retries } from "../../src/reconnecting/retries.js";
import { MOST_PATIENCE, PATIENCE } from "../../src/reconnecting/search.js";

const OPTIONS = { minDelay: 1_000, maxDelay: 30_000 };

let retries;

beforeEach(() => {
  retries = new Retries();
});

/** Loses a connection that had been open. */
function lose({ works = false, answered = works, lasted = 1_000, silent = false, goodbye = false } = {}) {
  const liveness = { works, answered };
  retries.lost({ transport: "websocket", lasted, liveness, silent, saidGoodbye: goodbye });
}

test("the delays grow up to the longest one", (t) => {
  t.mock.method(Math, "random", () => 1);
  const delays = Array.from({ length: 7 }, () => retries.delay(OPTIONS));
  assert.deepEqual(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  retries.anew();
  assert.equal(retries.delay(OPTIONS), 1_000);
});

const cases = [
  ["one that carried an answer", { answered: true }, true],
  ["one that lasted", { lasted: 5_000 }, true],
  ["one that the server closed at once", { answered: true, goodbye: true }, false],
  ["one that showed nothing", {}, false],
];
for (const [which, connection, anew] of cases) {
  test(`the delays ${anew ? "begin anew" : "go on"} after ${which}`, (t) => {
    t.mock.method(Math, "random", () => 1);
    retries.delay(OPTIONS);
    lose(connection);
    assert.equal(retries.delay(OPTIONS), anew ? 1_000 : 2_000);
  });
}

test("patience grows while nothing opens, and is back when something has worked", () => {
  assert.equal(retries.patience, PATIENCE);
  retries.allFailed();
  assert.equal(retries.patience, 2 * PATIENCE);
  for (let times = 0; times < 9; times += 1) retries.allFailed();
  assert.equal(retries.patience, MOST_PATIENCE);
  lose({ answered: true });
  assert.equal(retries.patience, PATIENCE);
});

test("a transport that died twice is left out until no other opens", () => {
  lose();
  assert.equal(retries.transports.allowed[0], "websocket");
  lose();
  assert.notEqual(retries.transports.allowed[0], "websocket");
  retries.allFailed();
  assert.equal(retries.transports.allowed[0], "websocket");
});

test("one that fell silent soon has not worked, one that lasted a minute has", () => {
  lose({ works: true, silent: true });
  lose({ works: true, silent: true, lasted: 60_000 });
  lose({ works: true, silent: true });
  assert.equal(retries.transports.allowed[0], "websocket");
  lose({ works: true, silent: true });
  assert.notEqual(retries.transports.allowed[0], "websocket");
});
