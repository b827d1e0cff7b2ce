import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { failAll, FakeSock, PING, setUp, tick } from "./setup.js";

const MINUTES = 60_000;

suite("transports", () => {
  const die = ({ last }, transport = "websocket") => {
    last().open(transport);
    last().lose();
    tick(30_000);
  };
  // What the next attempt may use, if nothing opens.
  const list = (all) => {
    const before = all.socks.length;
    all.client.reconnect();
    failAll(all);
    tick(30_000);
    return all.socks.slice(before, -1).map(({ options }) => options.transports[0]);
  };
  const usual = ["websocket", "xhr-streaming", "eventsource", "htmlfile", "xhr-polling"];

  test("are tried one by one, each by a SockJS that knows no other", (t) => {
    const { client, events, socks, last } = setUp(t);
    client.connect();
    last().lose(2000, "All transports failed");
    last().lose(2000, "All transports failed");
    last().open("eventsource");
    const tried = socks.map(({ options }) => options);
    assert.deepEqual(tried, usual.slice(0, 3).map((name) => ({ transports: [name], timeout: 1000 })));
    assert.deepEqual(events, [
      ["connecting", null],
      ["open", { transport: "eventsource", attempts: 1 }],
    ]);
    last().message("hello");
    assert.deepEqual(events.at(-1), ["message", "hello"]);
  });

  test("have failed when the last one has; it has the most time to open", (t) => {
    const all = setUp(t);
    all.client.connect();
    failAll(all);
    assert.deepEqual(all.socks.map(({ options: { transports } }) => transports[0]), usual);
    assert.deepEqual(all.socks.map(({ options: { timeout } }) => timeout), [
      1000, 1000, 1000, 1000, 8000,
    ]);
    const detail = { code: 2000, reason: "All transports failed", delay: 1000 };
    assert.deepEqual(all.taken(), [["connecting", null], ["lost", detail]]);
  });

  const silence = {
    "xhr-streaming": ["xhr-polling"],
    "eventsource": ["xhr-polling"],
    "websocket": ["xhr-streaming", "eventsource", "htmlfile", "xhr-polling"],
  };
  for (const [name, left] of Object.entries(silence)) {
    test(`that are left after a silent ${name}: ${left}`, (t) => {
      const all = setUp(t);
      all.client.connect();
      while (all.last().options.transports[0] !== name) all.last().lose(2000);
      const before = all.socks.length;
      tick(1000);
      failAll(all);
      assert.deepEqual(all.socks.slice(before).map(({ options }) => options.transports[0]), left);
    });
  }

  test("are not tried any more when the server refuses, or does not answer at all", (t) => {
    const { client, socks, last } = setUp(t);
    client.connect();
    last().lose(1002, "Cannot connect to server");
    assert.deepEqual([client.state, socks.length], ["lost", 1]);
    tick(1000);
    last().lose(4403, "Forbidden");
    assert.deepEqual([client.state, socks.length], ["stopped", 2]);
  });

  test("end it where SockJS cannot be made, also after the first", (t) => {
    class Limited extends FakeSock {
      constructor(url, protocols, options) {
        if (options.transports[0] !== "websocket") throw new Error("Forbidden");
        super(url, protocols, options);
        setTimeout(() => this.lose(2000), 1);
      }
    }
    const { client, taken } = setUp(t, { SockJS: Limited });
    client.connect();
    assert.equal(client.state, "connecting");
    tick(1);
    assert.deepEqual(taken().at(-1), ["stopped", { code: 1006, reason: "Error: Forbidden" }]);
  });

  test("that are left are not tried after close()", (t) => {
    const { client, socks, last } = setUp(t);
    client.connect();
    last().lose(2000);
    client.close();
    last().lose(2000);
    assert.deepEqual([socks.length, socks[1].readyState], [2, 3]);
  });

  test("are limited by the option, and by the setter from the next attempt on", (t) => {
    const all = setUp(t, { transports: ["xhr-polling"] });
    all.client.connect();
    const { options } = all.last();
    assert.deepEqual(options, { transports: ["xhr-polling"], timeout: 8000 });
    all.client.transports = ["eventsource"];
    assert.deepEqual(all.client.transports, ["eventsource"]);
    assert.equal(all.socks.length, 1);
    assert.deepEqual(list(all), ["eventsource"]);
    all.client.transports = [];
    assert.deepEqual(list(all), usual);
  });

  test("of a list are tried in SockJS's order, also those that help old browsers only", (t) => {
    const all = setUp(t, { transports: ["jsonp-polling", "nonsense", "xhr-polling", "websocket"] });
    all.client.connect();
    assert.deepEqual(list(all), ["websocket", "xhr-polling", "jsonp-polling"]);
  });

  test("that nobody knows fail", (t) => {
    const { client, socks, taken } = setUp(t, { transports: ["nonsense"] });
    client.connect();
    assert.deepEqual([client.state, socks.length], ["lost", 0]);
    assert.equal(taken().at(-1)[1].code, 2000);
  });

  test("that died twice before a sign of life are left out for five minutes", (t) => {
    const all = setUp(t);
    const first = () => all.last().options.transports[0];
    all.client.connect();
    die(all);
    assert.equal(first(), "websocket");
    die(all);
    assert.equal(first(), "xhr-streaming");
    tick(5 * MINUTES);
    all.last().lose();
    tick(30_000);
    assert.equal(first(), "websocket");
  });

  test("of a list are left out too, but not the last one", (t) => {
    const all = setUp(t, { transports: ["websocket", "xhr-polling"] });
    const allowed = () => all.last().options;
    all.client.connect();
    die(all);
    die(all);
    assert.deepEqual(allowed(), { transports: ["xhr-polling"], timeout: 8000 });
    die(all, "xhr-polling");
    die(all, "xhr-polling");
    assert.equal(allowed().transports[0], "websocket");
    assert.deepEqual(all.taken().filter(([, detail]) => detail?.code === 2000), []);
    assert.deepEqual(list(all), ["websocket", "xhr-polling"]);
  });

  const lives = {
    "a message": (all) => all.last().message("hello"),
    "a heartbeat": (all) => all.last().heartbeat(),
    "a close frame": (all) => all.last().lose(3000, "Go away!", true),
    "a confirmation": (all) => all.client.confirm(all.client.outbox[0].id),
  };
  for (const [name, live] of Object.entries(lives)) {
    test(`are not left out after ${name}`, (t) => {
      const all = setUp(t);
      all.client.connect();
      for (let n = 0; n < 4; n += 1) {
        all.client.post(`${n}`, "");
        all.last().open();
        live(all);
        all.last().lose();
        tick(30_000);
      }
      assert.equal(all.last().options.transports[0], "websocket");
    });
  }

  test("are only left out when they died one time after the other", (t) => {
    const all = setUp(t);
    all.client.connect();
    die(all);
    all.last().open();
    all.last().heartbeat();
    all.last().lose();
    tick(30_000);
    die(all);
    assert.equal(all.last().options.transports[0], "websocket");
  });

  test("that take no ping are left out, though heartbeats come", (t) => {
    const all = setUp(t, { ping: PING });
    all.client.connect();
    for (let n = 0; n < 2; n += 1) {
      all.last().open();
      all.last().heartbeat();
      tick(3000);
      all.last().heartbeat();
      tick(3500);
      assert.equal(all.client.state, "lost");
      tick(30_000);
    }
    assert.equal(all.last().options.transports[0], "xhr-streaming");
  });

  for (const [lived, leftOut] of [["within a minute", true], ["after it", false]]) {
    test(`that fall silent twice ${lived} are ${leftOut ? "" : "not "}left out`, (t) => {
      const all = setUp(t, { ping: PING });
      all.client.connect();
      for (let n = 0; n < 2; n += 1) {
        all.last().open();
        for (let answers = 0; answers < (leftOut ? 1 : 25); answers += 1) {
          all.last().message("pong");
          tick(2_500);
        }
        tick(6500);
        assert.equal(all.client.state, "lost");
        tick(30_000);
      }
      const next = leftOut ? "xhr-streaming" : "websocket";
      assert.equal(all.last().options.transports[0], next);
    });
  }

  test("are all tried again when those that are left fail", (t) => {
    const all = setUp(t);
    all.client.connect();
    die(all);
    die(all);
    assert.deepEqual(list(all), usual.slice(1));
    assert.deepEqual(list(all), usual);
  });

  test("have more time to open each time that all have failed, until one has worked", (t) => {
    const all = setUp(t, { ping: PING });
    const { client, last } = all;
    client.connect();
    const fail = () => {
      failAll(all);
      tick(30_000);
      return last().options.timeout;
    };
    assert.equal(last().options.timeout, 1000);
    assert.deepEqual([fail(), fail(), fail(), fail()], [2000, 4000, 8000, 8000]);
    last().lose();
    tick(30_000);
    assert.equal(last().options.timeout, 8000);
    last().open();
    last().message("pong");
    last().lose();
    tick(1000);
    assert.equal(last().options.timeout, 1000);
  });
});
