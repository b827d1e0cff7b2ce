import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { add, batch, beginAnew, bytesOf, forget, last, newOutbox, repeated, settled } from "../../src/client/outbox.js";

/** An outbox with so many texts: "0", "1", … */
function filled(count) {
  const outbox = { ...newOutbox(), _client: "me" };
  for (let n = 0; n < count; n += 1) add(outbox, String(n));
  return outbox;
}

suite("the outbox", () => {
  test("bytes are those of UTF-8, with the quotes and a comma", () => {
    assert.deepEqual(["a", "ä", "€", "\u{1f600}", '"', "\ud800"].map(bytesOf), [4, 5, 6, 7, 5, 9]);
  });

  test("numbers go on over sessions", () => {
    const outbox = filled(3);
    assert.equal(add(outbox, "x").id, "me-4");
    assert.equal(forget(outbox, 2), 2);
    beginAnew(outbox, true);
    assert.deepEqual([outbox._base, last(outbox), settled(outbox)], [3, 2, 2]);
    assert.equal(add(outbox, "y").id, "me-5");
    assert.deepEqual(batch(outbox, 1, 100), ["2", "x", "y"]);
  });

  test("an older count tells nothing", () => {
    const outbox = filled(3);
    assert.equal(forget(outbox, 2), 2);
    assert.equal(forget(outbox, 1), 0);
    assert.deepEqual([outbox._handled, outbox._arrived, outbox._size], [2, 2, 4]);
  });

  test("batches are cut to the budget, and hold one at least", () => {
    const outbox = filled(9);
    assert.deepEqual(batch(outbox, 3, 8), ["2", "3"]);
    assert.deepEqual(batch(outbox, 3, 1), ["2"]);
    assert.deepEqual(batch(outbox, 3, 1, 0), []);
  });

  test("what was on its way is doubtful after a loss, and what was doubtful before", () => {
    const outbox = filled(5);
    batch(outbox, 1, 12);
    forget(outbox, 1);
    assert.equal(repeated(outbox), 2);
    beginAnew(outbox, true);
    assert.equal(repeated(outbox), 2);
    batch(outbox, 1, 100);
    beginAnew(outbox, false);
    assert.equal(repeated(outbox), 2);
  });
});
