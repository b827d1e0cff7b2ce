import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { ReconnectingSockJS } from "../../src/reconnecting/index.js";
import { PING, settle, setUp, setUpOpen, tick } from "./setup.js";

const MINUTES = 60_000;

/** As setUp(), with a connection that opened at the third attempt. */
function setUpThird(t, options) {
  const all = setUp(t, options);
  all.client.connect();
  for (const delay of [1000, 2000]) {
    all.last().lose();
    tick(delay);
  }
  all.last().open();
  return all;
}

suite("a connection", () => {
  test("is closed, connecting and open, and gives out messages", (t) => {
    const { client, events, last } = setUp(t);
    assert.equal(client.state, "closed");
    client.connect();
    assert.equal(client.state, "connecting");
    assert.equal(client.transport, null);
    assert.equal(client.send("too early"), false);
    const options = { transports: ["websocket"], timeout: 1000 };
    assert.deepEqual([last().url, last().options], ["/chat", options]);
    last().open();
    assert.deepEqual([client.state, client.transport], ["open", "websocket"]);
    last().message("hello");
    assert.equal(client.send("hi"), true);
    assert.deepEqual(last().sent, ["hi"]);
    assert.deepEqual(events, [
      ["connecting", null],
      ["open", { transport: "websocket", attempts: 1 }],
      ["message", "hello"],
    ]);
  });

  test("is made once, however often connect() is called", (t) => {
    const { client, socks, last } = setUp(t);
    client.connect();
    client.connect();
    last().open();
    client.connect();
    assert.equal(socks.length, 1);
  });

  test("says false when SockJS would swallow a text", (t) => {
    const { client, last } = setUpOpen(t);
    last().readyState = 2;
    assert.equal(client.send("lost"), false);
    assert.deepEqual(last().sent, []);
  });

  test("comes back, and counts the attempts", (t) => {
    const { client, taken, socks, last } = setUpOpen(t);
    last().lose(1006, "gone");
    assert.equal(client.state, "lost");
    assert.equal(client.transport, null);
    assert.deepEqual(taken(), [["lost", { code: 1006, reason: "gone", delay: 1000 }]]);
    tick(999);
    assert.equal(socks.length, 1);
    tick(1);
    assert.equal(socks.length, 2);
    last().lose(1002, "Cannot connect to server");
    tick(2000);
    last().open("xhr-polling");
    assert.deepEqual(taken().at(-1), ["open", { transport: "xhr-polling", attempts: 2 }]);
  });

  test("waits longer each time, at most maxDelay", (t) => {
    const { client, taken, last } = setUp(t, { minDelay: 100, maxDelay: 1000 });
    client.connect();
    const delays = [];
    for (let n = 0; n < 6; n += 1) {
      last().lose();
      delays.push(taken().at(-1)[1].delay);
      tick(1000);
    }
    assert.deepEqual(delays, [100, 200, 400, 800, 1000, 1000]);
  });

  test("draws the delay from the whole range", (t) => {
    const { client, taken, last } = setUp(t);
    client.connect();
    t.mock.method(Math, "random", () => 0.25);
    last().lose();
    tick(250);
    last().lose();
    assert.deepEqual(taken().filter(([type]) => type === "lost").map(([, { delay }]) => delay), [
      250, 500,
    ]);
  });

  for (const [lasted, delay] of [[4_999, 4000], [5_000, 1000]]) {
    test(`of ${lasted} ms makes the next delay ${delay} ms at most`, (t) => {
      const { taken, last } = setUpThird(t);
      tick(lasted);
      last().lose();
      assert.equal(taken().at(-1)[1].delay, delay);
    });
  }

  const proofs = {
    "the answer to a ping": ({ last }) => last().message("pong"),
    "a confirmation": ({ client }) => client.confirm("a"),
    "a rejection": ({ client }) => client.reject("a"),
    "a deferral": ({ client }) => client.defer("a", 1000),
  };
  for (const [name, prove] of Object.entries(proofs)) {
    for (const [how, saidGoodbye, delay] of [["broke off", false, 1000], ["was closed", true, 4000]]) {
      test(`that carried ${name} and ${how} makes the next delay ${delay} ms at most`, (t) => {
        const all = setUpThird(t, { ping: PING });
        all.client.post("a", "A");
        prove(all);
        all.last().lose(saidGoodbye ? 4500 : 1006, "gone", saidGoodbye);
        assert.equal(all.taken().at(-1)[1].delay, delay);
      });
    }
  }

  const noProofs = {
    "a message": ({ last }) => last().message("hello"),
    "a heartbeat": ({ last }) => last().heartbeat(),
    "the confirmation of what it did not carry": ({ client }) => client.confirm("b"),
  };
  for (const [name, act] of Object.entries(noProofs)) {
    test(`that carried only ${name} does not make the next delay shorter`, (t) => {
      const all = setUpThird(t, { ping: PING });
      for (const id of ["a", "b"]) all.client.post(id, id);
      act(all);
      all.last().lose();
      assert.equal(all.taken().at(-1)[1].delay, 4000);
    });
  }

  test("that never opens is given up after a minute", (t) => {
    const { client, taken, last, socks } = setUp(t);
    client.connect();
    tick(MINUTES);
    const detail = { code: 1006, reason: "No connection", delay: 1000 };
    assert.deepEqual(taken().at(-1), ["lost", detail]);
    assert.equal(last().readyState, 3);
    tick(1000);
    assert.equal(socks.length, 2);
  });

  test("tells nothing of an abandoned socket", (t) => {
    const { client, socks, taken, last } = setUpOpen(t);
    client.reconnect();
    const [old] = socks;
    assert.equal(old.readyState, 3);
    assert.deepEqual(taken(), [
      ["lost", { code: 1000, reason: "Reconnecting", delay: 0 }],
      ["connecting", null],
    ]);
    old.message("late");
    old.heartbeat();
    old.lose();
    old.open();
    assert.deepEqual([client.state, taken()], ["connecting", []]);
    last().open();
    old.lose();
    assert.equal(client.state, "open");
  });
});

suite("the end", () => {
  for (const [code, ends] of [
    [1000, false], [1006, false], [3000, false], [4000, false], [4001, true], [4399, false],
    [4400, true], [4403, true], [4499, true], [4500, false], [4503, false],
  ]) {
    test(`${ends ? "comes" : "does not come"} with code ${code}`, (t) => {
      const { client, socks, taken, last } = setUpOpen(t);
      last().lose(code, "because", true);
      assert.equal(client.state, ends ? "stopped" : "lost");
      if (ends) assert.deepEqual(taken(), [["stopped", { code, reason: "because" }]]);
      tick(1000);
      assert.equal(socks.length, ends ? 1 : 2);
    });
  }

  test("is the application's to define", (t) => {
    const { client, last } = setUpOpen(t, { isFinal: (code) => code === 3000 });
    last().lose(4403);
    assert.equal(client.state, "lost");
    tick(1000);
    last().lose(3000);
    assert.equal(client.state, "stopped");
    client.connect();
    last().open();
    assert.equal(client.state, "open");
  });

  const states = {
    connecting: () => {},
    open: ({ last }) => last().open(),
    lost: ({ last }) => last().lose(),
    pinging: ({ last }) => {
      last().open();
      last().message("pong");
    },
    stopped: ({ last }) => last().lose(4403),
    deferred: ({ client, last }) => {
      client.post("a", "A");
      last().open();
      client.defer("a", 1000);
    },
    asking: ({ last }) => {
      last().lose();
      tick(1000);
    },
  };
  for (const [name, reach] of Object.entries(states)) {
    test(`of all timers comes with close(), when ${name}`, async (t) => {
      const authorized = () => new Promise(() => {});
      const all = setUp(t, { ping: PING, authorized });
      all.client.connect();
      reach(all);
      all.client.close();
      all.taken();
      const sockets = all.socks.length;
      const sent = all.last().sent.length;
      assert.equal(all.client.state, "closed");
      assert.equal(all.last().readyState, 3);
      tick(60 * MINUTES);
      await settle();
      assert.deepEqual([all.socks.length, all.taken(), all.client.state], [sockets, [], "closed"]);
      assert.equal(all.last().sent.length, sent);
      all.client.connect();
      all.last().open();
      assert.equal(all.client.state, "open");
    });
  }

  test("comes when the constructor throws", (t) => {
    class SockJS {
      constructor(url) {
        throw new SyntaxError(`The URL '${url}' is invalid`);
      }
    }
    const { client, taken } = setUp(t, { SockJS });
    client.connect();
    assert.equal(client.state, "stopped");
    const reason = "SyntaxError: The URL '/chat' is invalid";
    assert.deepEqual(taken().at(-1), ["stopped", { code: 1006, reason }]);
  });

  test("comes when there is no SockJS", (t) => {
    const { client, taken } = setUp(t, { SockJS: undefined });
    client.connect();
    const [type, { code, reason }] = taken().at(-1);
    assert.deepEqual([type, code], ["stopped", 1006]);
    assert.match(reason, /TypeError: SockJS is not a constructor/);
  });

  for (const type of ["connecting", "open", "lost", "rtt", "message"]) {
    test(`may be decided by a listener to "${type}"`, (t) => {
      const { client, socks, last } = setUp(t, { ping: PING });
      client.post("a", "A");
      client.addEventListener(type, () => client.close());
      client.connect();
      last()?.open();
      last()?.message("pong");
      last()?.message("hello");
      last()?.lose();
      assert.equal(client.state, "closed");
      tick(10 * MINUTES);
      assert.equal(client.state, "closed");
      assert.equal(socks.length, type === "connecting" ? 0 : 1);
    });
  }

  test("decided while reconnect() tells of the loss stays", (t) => {
    const { client, socks } = setUpOpen(t);
    client.addEventListener("lost", () => client.close());
    client.reconnect();
    assert.deepEqual([client.state, socks.length], ["closed", 1]);
  });
});

suite("authorized", () => {
  const answers = {
    true: [() => Promise.resolve(true), "connecting"],
    false: [() => Promise.resolve(false), "stopped"],
    "a rejection": [() => Promise.reject(false), "connecting"],
    "an exception": [() => { throw new Error("offline"); }, "connecting"],
    "no answer": [() => new Promise(() => {}), "connecting"],
  };
  for (const [name, [authorized, state]] of Object.entries(answers)) {
    test(`answers ${name}: ${state}`, async (t) => {
      const asked = t.mock.fn(authorized);
      const { client, socks, taken, last } = setUp(t, { authorized: asked });
      client.connect();
      assert.equal(asked.mock.callCount(), 0);
      last().lose();
      tick(1000);
      await settle();
      if (name === "no answer") tick(8000);
      assert.equal(asked.mock.callCount(), 1);
      assert.equal(client.state, state);
      assert.equal(socks.length, state === "stopped" ? 1 : 2);
      if (state === "stopped") {
        assert.deepEqual(taken().at(-1), ["stopped", { code: 4401, reason: "Unauthorized" }]);
      }
    });
  }

  test("is not asked when an open connection is lost", async (t) => {
    const asked = t.mock.fn(() => Promise.resolve(false));
    const { socks, last } = setUpOpen(t, { authorized: asked });
    last().lose();
    tick(1000);
    await settle();
    assert.deepEqual([asked.mock.callCount(), socks.length], [0, 2]);
  });

  test("may answer late: it is not heard any more", async (t) => {
    const late = [];
    const authorized = () => new Promise((resolve) => late.push(resolve));
    const { client, socks, last } = setUp(t, { authorized });
    client.connect();
    last().lose();
    tick(1000);
    await settle();
    client.reconnect();
    last().open();
    late[0](false);
    await settle();
    assert.deepEqual([client.state, socks.length], ["open", 2]);
  });
});

suite("subscriptions", () => {
  test("are sent at once, and after each reconnection in order", (t) => {
    const { client, last } = setUp(t);
    client.subscribe("a", "open a");
    client.connect();
    client.subscribe("b", "open b");
    last().open();
    assert.deepEqual(last().sent, ["open a", "open b"]);
    client.subscribe("c", "open c");
    client.unsubscribe("b", "close b");
    client.unsubscribe("a");
    client.unsubscribe("never", "close never");
    assert.deepEqual(last().sent.slice(2), ["open c", "close b"]);
    last().lose();
    client.subscribe("c", "open c since 7");
    tick(1000);
    last().open();
    assert.deepEqual(last().sent, ["open c since 7"]);
  });
});

test("an option that is undefined is as if it were not given", () => {
  const client = new ReconnectingSockJS("/chat", { minDelay: undefined, transports: undefined });
  assert.deepEqual(client.transports, []);
});
