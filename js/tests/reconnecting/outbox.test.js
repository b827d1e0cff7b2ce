import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { ReconnectingSockJS } from "../../src/reconnecting/index.js";
import { FakeSock, setUp, setUpOpen, tick } from "./setup.js";

class FakeStorage {
  items = new Map();

  getItem(key) {
    return this.items.get(key) ?? null;
  }

  setItem(key, value) {
    this.items.set(key, value);
  }

  removeItem(key) {
    this.items.delete(key);
  }
}

const ids = (client) => client.outbox.map(({ id }) => id);
const post = (client, ...all) => all.forEach((id) => client.post(id, id.toUpperCase()));

suite("the outbox", () => {
  test("sends one at a time, in order", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b", "c");
    assert.deepEqual(last().sent, ["A"]);
    assert.deepEqual(client.outbox, [
      { id: "a", text: "A" }, { id: "b", text: "B" }, { id: "c", text: "C" },
    ]);
    client.confirm("a");
    assert.deepEqual(last().sent, ["A", "B"]);
    client.confirm("b");
    client.confirm("c");
    assert.deepEqual([last().sent, client.outbox], [["A", "B", "C"], []]);
  });

  test("waits for a connection, and sends after the subscriptions and the listeners", (t) => {
    const { client, last } = setUp(t);
    post(client, "a");
    client.subscribe("room", "open");
    client.addEventListener("open", () => client.send("hello"));
    client.connect();
    assert.deepEqual(last().sent, []);
    last().open();
    assert.deepEqual(last().sent, ["open", "hello", "A"]);
  });

  test("cannot be changed from outside", (t) => {
    const { client } = setUp(t);
    post(client, "a");
    client.outbox.pop().text = "X";
    assert.deepEqual(client.outbox, [{ id: "a", text: "A" }]);
  });

  test("takes an id once", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b", "a", "b");
    assert.deepEqual(ids(client), ["a", "b"]);
    assert.deepEqual(last().sent, ["A"]);
  });

  test("sends the first unconfirmed one again after a reconnection, and no other", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b", "c");
    client.confirm("a");
    last().lose();
    post(client, "d");
    tick(1000);
    last().open();
    assert.deepEqual(last().sent, ["B"]);
    client.confirm("b");
    assert.deepEqual(last().sent, ["B", "C"]);
  });

  test("keeps what SockJS would swallow after a close frame", (t) => {
    const { client, last } = setUpOpen(t);
    last().readyState = 2;
    post(client, "a");
    last().lose(3000, "Go away!", true);
    tick(1000);
    last().open();
    assert.deepEqual(last().sent, ["A"]);
  });

  test("takes a confirmation that comes while the text is being sent", (t) => {
    const { client, last } = setUpOpen(t);
    last().send = function (text) {
      this.sent.push(text);
      client.confirm(text.toLowerCase());
    };
    post(client, "a", "b");
    assert.deepEqual([last().sent, client.outbox], [["A", "B"], []]);
  });

  test("takes a confirmation out of turn, while the connection is away, and twice", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b", "c", "d");
    client.confirm("c");
    client.confirm("unknown");
    assert.deepEqual([ids(client), last().sent], [["a", "b", "d"], ["A"]]);
    last().lose();
    client.confirm("a");
    tick(1000);
    last().open();
    client.confirm("a");
    assert.deepEqual(last().sent, ["B"]);
  });

  test("goes on after one that is rejected", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b");
    client.reject("a");
    assert.deepEqual([ids(client), last().sent], [["b"], ["A", "B"]]);
  });

  test("asks again for a confirmation that does not come, ever more seldom", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b");
    const sentAfter = (ms) => {
      last().heartbeat();
      tick(ms);
      return last().sent.length;
    };
    assert.deepEqual([4_999, 1, 9_999, 1, 19_999, 1].map(sentAfter), [1, 2, 2, 3, 3, 4]);
    assert.deepEqual([39_999, 1, 39_999, 1].map(sentAfter), [4, 5, 5, 6]);
    assert.deepEqual(new Set(last().sent), new Set(["A"]));
    client.confirm("a");
    assert.deepEqual(last().sent.slice(6), ["B"]);
    assert.deepEqual([4_999, 1].map(sentAfter), [7, 8]);
  });

  test("asks for nothing again that is away, deferred or paused", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a");
    client.defer("a", 30_000);
    tick(5_000);
    assert.deepEqual(last().sent, ["A"]);
    client.confirm("a");
    post(client, "b");
    client.pause();
    tick(5_000);
    assert.deepEqual(last().sent, ["A", "B"]);
    client.resume();
    assert.deepEqual(last().sent, ["A", "B", "B"]);
    last().lose();
    tick(1_000);
    last().open();
    assert.deepEqual(last().sent, ["B"]);
    tick(4_999);
    assert.deepEqual(last().sent, ["B"]);
    tick(1);
    assert.deepEqual(last().sent, ["B", "B"]);
  });

  test("sends a deferred one again later, and those behind it wait", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a", "b");
    client.defer("b", 10);
    client.defer("a", 3000);
    post(client, "c");
    tick(2999);
    assert.deepEqual(last().sent, ["A"]);
    tick(1);
    assert.deepEqual(last().sent, ["A", "A"]);
    client.confirm("a");
    assert.deepEqual(last().sent, ["A", "A", "B"]);
  });

  test("keeps a deferral over a reconnection", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a");
    client.defer("a", 3000);
    last().lose();
    tick(1000);
    last().open();
    assert.deepEqual(last().sent, []);
    tick(2000);
    assert.deepEqual(last().sent, ["A"]);
  });

  for (const method of ["confirm", "reject"]) {
    test(`forgets a deferral with ${method}()`, (t) => {
      const { client, last } = setUpOpen(t);
      post(client, "a", "b");
      client.defer("a", 3000);
      client[method]("a");
      assert.deepEqual(last().sent, ["A", "B"]);
      tick(3000);
      assert.deepEqual(last().sent, ["A", "B"]);
    });
  }

  test("waits from pause() to resume(), over reconnections", (t) => {
    const { client, last } = setUpOpen(t);
    client.pause();
    post(client, "a", "b");
    last().lose();
    tick(1000);
    last().open();
    assert.deepEqual(last().sent, []);
    client.resume();
    assert.deepEqual(last().sent, ["A"]);
    client.pause();
    client.confirm("a");
    assert.deepEqual(last().sent, ["A"]);
    client.resume();
    client.resume();
    assert.deepEqual(last().sent, ["A", "B"]);
  });

  test("may be paused by a listener to \"open\"", (t) => {
    const { client, last } = setUp(t);
    client.addEventListener("open", () => client.pause());
    client.connect();
    post(client, "a");
    last().open();
    assert.deepEqual(last().sent, []);
  });

  test("stays over close() and connect()", (t) => {
    const { client, last } = setUpOpen(t);
    post(client, "a");
    client.defer("a", 1000);
    client.close();
    client.connect();
    last().open();
    assert.deepEqual(last().sent, ["A"]);
  });
});

suite("with storage, the outbox", () => {
  test("survives a reload", (t) => {
    const storage = new FakeStorage();
    const { client } = setUpOpen(t, { storage });
    post(client, "a", "b");
    client.confirm("a");
    client.close();
    const again = new ReconnectingSockJS("/chat", { storage: () => storage, SockJS: FakeSock });
    assert.deepEqual(again.outbox, [{ id: "b", text: "B" }]);
    again.confirm("b");
    assert.equal(storage.items.size, 0);
  });

  test("has the key that the options say", (t) => {
    const storage = new FakeStorage();
    const { client } = setUp(t, { storage, storageKey: "mine" });
    post(client, "a");
    assert.deepEqual([...storage.items.keys()], ["mine"]);
    const other = new ReconnectingSockJS("/chat", { storage });
    assert.deepEqual(other.outbox, []);
  });

  for (const text of ["", "{", "null", "7", '"a"', "{}", "[null, 7, {}, {\"id\": \"x\"}]"]) {
    test(`reads over rubbish: ${text}`, () => {
      const storage = new FakeStorage();
      storage.setItem("sockjs-outbox", text);
      const client = new ReconnectingSockJS("/chat", { storage });
      assert.deepEqual(client.outbox, []);
      post(client, "a");
      assert.deepEqual(JSON.parse(storage.getItem("sockjs-outbox")), [{ id: "a", text: "A" }]);
    });
  }

  const refuse = () => {
    throw new DOMException("no", "SecurityError");
  };
  const forbidden = {
    "is forbidden": refuse,
    "can only be read": Object.assign(new FakeStorage(), { setItem: refuse, removeItem: refuse }),
    "cannot even be read": { getItem: refuse, setItem: refuse, removeItem: refuse },
    "is full": Object.assign(new FakeStorage(), { setItem: refuse }),
    "is not there": () => undefined,
  };
  for (const [name, storage] of Object.entries(forbidden)) {
    test(`works where it ${name}`, (t) => {
      const { client, last } = setUpOpen(t, { storage });
      post(client, "a", "b");
      client.confirm("a");
      client.confirm("b");
      assert.deepEqual([last().sent, client.outbox], [["A", "B"], []]);
    });
  }
});

// A pseudo-random sequence that is the same in each run.
function randomly(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

for (let seed = 1; seed <= 200; seed += 1) {
  test(`story ${seed}: exactly once and in order, whatever happens on the way`, (t) => {
    const { client, last } = setUp(t, { minDelay: 10, maxDelay: 10 });
    const random = randomly(seed);
    const posted = [];
    const received = [];
    // What the server has answered, and the client has not heard yet, over this connection.
    let answers = [];
    const serve = (sock) => {
      const text = sock.sent.shift();
      if (text === undefined) return;
      const refused = random(5) === 0;
      if (refused) {
        answers.push(() => client.defer(text, 5));
        return;
      }
      if (!received.includes(text)) received.push(text);
      answers.push(() => client.confirm(text));
    };
    const steps = [
      () => {
        posted.push(`m${posted.length}`);
        client.post(posted.at(-1), posted.at(-1));
      },
      () => serve(last()),
      () => answers.shift()?.(),
      () => {
        last().lose();
        answers = [];
        tick(10);
      },
      () => last().readyState === 0 && last().open(),
      () => client.pause(),
      () => client.resume(),
      () => tick(5),
      () => client.reconnect() ?? (answers = []),
    ];
    client.connect();
    for (let n = 0; n < 100; n += 1) {
      steps[random(steps.length)]();
      assert.ok(last().sent.length <= 1, "one on its way");
    }
    client.resume();
    for (let n = 0; n < 10_000 && client.outbox.length; n += 1) {
      if (last().readyState === 0) last().open();
      serve(last());
      answers.shift()?.();
      tick(5);
    }
    assert.deepEqual(received, posted);
    assert.deepEqual(client.outbox, []);
  });
}
