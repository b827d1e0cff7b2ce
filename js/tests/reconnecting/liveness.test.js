import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { PING, setUpOpen, tick } from "./setup.js";

suite("pings", () => {
  test("measure the round trip, and are not given out", (t) => {
    const { client, taken, last } = setUpOpen(t, { ping: PING });
    assert.deepEqual(last().sent, ["ping"]);
    tick(120);
    last().message("pong");
    assert.deepEqual([taken(), client.rtt], [[["rtt", 120]], 120]);
    tick(2_499);
    assert.equal(last().sent.length, 1);
    tick(1);
    assert.equal(last().sent.length, 2);
    tick(30);
    last().message("pong");
    last().message("pong");
    assert.deepEqual([taken(), client.rtt], [[["rtt", 30]], 30]);
    last().lose();
    assert.equal(client.rtt, null);
  });

  test("come as often, and are waited for as long, as the options say", (t) => {
    const ping = { ...PING, interval: 100, timeout: 50 };
    const { client, taken, last } = setUpOpen(t, { ping });
    last().message("pong");
    tick(100);
    assert.equal(last().sent.length, 2);
    tick(49);
    assert.equal(client.state, "open");
    tick(1);
    assert.deepEqual(taken().at(-1), ["lost", { code: 1006, reason: "No answer", delay: 1000 }]);
    assert.equal(last().readyState, 3);
  });

  const ends = { "in both directions": () => {}, "towards the server": (sock) => {
    sock.heartbeat();
    sock.message("hello");
  } };
  for (const [where, still] of Object.entries(ends)) {
    for (let died = 0; died < 3_000; died += 500) {
      test(`notice within 10 s what died ${where} ${died} ms after an answer`, (t) => {
        const { taken, last } = setUpOpen(t, { ping: PING });
        last().message("pong");
        for (let n = 0; n < died / 500; n += 1) tick(500);
        if (died >= 2_500) last().message("pong");
        taken();
        for (let n = 0; n < 20; n += 1) {
          still(last());
          tick(500);
        }
        assert.equal(taken().find(([type]) => type === "lost")?.[1].reason, "No answer");
      });
    }
  }

  test("wait once more where much came, on a connection that has worked", (t) => {
    const { client, last } = setUpOpen(t, { ping: PING });
    last().message("pong");
    tick(2_500);
    tick(3_000);
    for (let n = 0; n < 2; n += 1) last().message("x".repeat(8_192));
    tick(3_500);
    tick(6_499);
    assert.equal(client.state, "open");
    last().message("x".repeat(16_384));
    tick(1);
    assert.equal(client.state, "lost");
  });

  test("do not wait for what came before them, nor on a connection that has never worked", (t) => {
    const { client, last } = setUpOpen(t, { ping: PING });
    const much = "x".repeat(16_384);
    last().message(much);
    tick(6_500);
    assert.equal(client.state, "lost");
    tick(1_000);
    last().open();
    last().message("pong");
    last().message(much);
    tick(2_500);
    tick(6_500);
    assert.equal(client.state, "lost");
  });
});

suite("without pings", () => {
  test("90 s of silence are an end as well", (t) => {
    const { client, last } = setUpOpen(t);
    tick(80_000);
    last().heartbeat();
    tick(89_999);
    assert.equal(client.state, "open");
    tick(1);
    assert.equal(client.state, "lost");
  });

  test("9 s of silence are one after something was posted", (t) => {
    const { client, last } = setUpOpen(t);
    tick(1_000);
    client.post("a", "A");
    tick(5_000);
    assert.deepEqual(last().sent, ["A", "A"]);
    tick(3_999);
    assert.equal(client.state, "open");
    tick(1);
    assert.equal(client.state, "lost");
  });

  for (const sign of ["message", "heartbeat"]) {
    test(`a ${sign} shows that who does not confirm is there`, (t) => {
      const { client, last } = setUpOpen(t);
      client.post("a", "A");
      tick(3_000);
      last()[sign]("hello");
      // The repeated one is another question.
      tick(2_000);
      assert.equal(last().sent.length, 2);
      tick(8_999);
      assert.equal(client.state, "open");
      tick(1);
      assert.equal(client.state, "lost");
    });
  }

  test("a confirmation is an answer, whichever way it came", (t) => {
    const { client, last } = setUpOpen(t);
    client.post("a", "A");
    client.confirm("a");
    tick(80_000);
    assert.deepEqual([client.state, last().sent], ["open", ["A"]]);
  });
});
