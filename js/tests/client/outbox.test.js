import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { Outbox, bytesOf } from "../../src/client/outbox.js";

/** An outbox with so many texts: "0", "1", … */
function filled(count) {
  const outbox = new Outbox();
  for (let n = 0; n < count; n += 1) outbox._add(String(n));
  return outbox;
}

suite("the outbox", () => {
  test("bytes are those of UTF-8, with the quotes and a comma", () => {
    assert.deepEqual(["a", "ä", "€", "\u{1f600}", '"', "\ud800"].map(bytesOf), [4, 5, 6, 7, 5, 9]);
  });

  test("numbers go on over sessions", () => {
    const outbox = filled(3);
    assert.equal(outbox._add("x"), 4);
    assert.equal(outbox._confirm(2), 2);
    outbox._renew(true);
    assert.deepEqual([outbox._base, outbox._last, outbox._settled], [3, 2, 2]);
    assert.equal(outbox._add("y"), 5);
    assert.deepEqual(outbox._take(1, 100), ["2", "x", "y"]);
  });

  test("an older count tells nothing", () => {
    const outbox = filled(3);
    assert.equal(outbox._confirm(2), 2);
    assert.equal(outbox._confirm(1), 0);
    assert.deepEqual([outbox._handled, outbox._arrived, outbox._size], [2, 2, 4]);
  });

  test("batches are cut to the budget, and hold one at least", () => {
    const outbox = filled(9);
    assert.deepEqual(outbox._take(3, 8), ["2", "3"]);
    assert.deepEqual(outbox._take(3, 1), ["2"]);
    assert.deepEqual(outbox._take(3, 1, 0), []);
  });

  test("what was on its way is doubtful after a loss, and what was doubtful before", () => {
    const outbox = filled(5);
    outbox._take(1, 12);
    outbox._confirm(1);
    assert.equal(outbox._repeated, 2);
    outbox._renew(true);
    assert.equal(outbox._repeated, 2);
    outbox._take(1, 100);
    outbox._renew(false);
    assert.equal(outbox._repeated, 2);
  });
});
