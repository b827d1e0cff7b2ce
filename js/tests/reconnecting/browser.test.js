import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { JSDOM } from "jsdom";

import { PING, setUp, setUpOpen, tick } from "./setup.js";

/** Gives the test a window; returns what the browser may say. */
function browser(t) {
  const { window } = new JSDOM("", { pretendToBeVisual: true });
  const put = (name, value) => {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => {
      if (before) Object.defineProperty(globalThis, name, before);
      else delete globalThis[name];
    });
  };
  const navigator = { onLine: true };
  let visible = "visible";
  Object.defineProperty(window.document, "visibilityState", { get: () => visible });
  put("document", window.document);
  put("navigator", navigator);
  put("addEventListener", window.addEventListener.bind(window));
  put("removeEventListener", window.removeEventListener.bind(window));
  const say = (type) => window.dispatchEvent(new window.Event(type));
  return {
    say,
    goOnline(on) {
      navigator.onLine = on;
      say(on ? "online" : "offline");
    },
    show(on) {
      visible = on ? "visible" : "hidden";
      window.document.dispatchEvent(new window.Event("visibilitychange"));
    },
  };
}

suite("the browser says", () => {
  test("online: the next attempt is made at once, with short delays after it", (t) => {
    const { goOnline } = browser(t);
    const { client, socks, taken, last } = setUp(t);
    client.connect();
    for (const delay of [1000, 2000, 4000]) {
      last().lose();
      if (delay < 4000) tick(delay);
    }
    taken();
    goOnline(true);
    assert.deepEqual([client.state, socks.length], ["connecting", 4]);
    last().lose();
    assert.deepEqual(taken().at(-1)[1].delay, 1000);
    tick(4000);
    assert.equal(socks.length, 5);
  });

  test("online: an attempt that was begun before is not waited for", (t) => {
    const { goOnline } = browser(t);
    const { client, socks } = setUp(t);
    client.connect();
    goOnline(true);
    assert.deepEqual([client.state, socks.length], ["connecting", 2]);
    assert.equal(socks[0].readyState, 3);
  });

  test("visible: the next attempt is made at once; hidden: nothing", (t) => {
    const { show } = browser(t);
    const { client, socks, last } = setUpOpen(t);
    last().lose();
    show(false);
    assert.equal(client.state, "lost");
    show(true);
    assert.deepEqual([client.state, socks.length], ["connecting", 2]);
    show(true);
    assert.equal(socks.length, 2);
  });

  for (const what of ["online", "visible"]) {
    test(`${what}: an open connection is asked, with little patience`, (t) => {
      const { goOnline, show } = browser(t);
      const { client, taken, last } = setUpOpen(t, { ping: PING });
      last().message("pong");
      tick(1000);
      if (what === "online") goOnline(true);
      else show(true);
      assert.equal(last().sent.length, 2);
      tick(20);
      last().message("pong");
      assert.deepEqual(taken().at(-1), ["rtt", 20]);
      tick(2_499);
      assert.equal(last().sent.length, 2);
      show(true);
      tick(3_999);
      assert.equal(client.state, "open");
      tick(1);
      assert.equal(taken().at(-1)[1].reason, "No answer");
    });
  }

  test("visible, during a ping: both answers are taken for what they are", (t) => {
    const { show } = browser(t);
    const { client, taken, last } = setUpOpen(t, { ping: PING });
    tick(3000);
    show(true);
    tick(500);
    last().message("pong");
    last().message("pong");
    assert.deepEqual(taken(), [["rtt", 3500], ["rtt", 500]]);
    tick(9_000);
    assert.equal(client.state, "open");
  });

  test("visible, without pings: an open connection stays as it is", (t) => {
    const { show } = browser(t);
    const { client, last } = setUpOpen(t);
    show(true);
    assert.deepEqual([client.state, last().sent], ["open", []]);
  });

  test("offline: the connection is lost, and attempts do not count", (t) => {
    const { goOnline } = browser(t);
    const { client, socks, taken, last } = setUpOpen(t);
    goOnline(false);
    assert.deepEqual(taken(), [["lost", { code: 1006, reason: "Offline", delay: 30_000 }]]);
    assert.equal(socks[0].readyState, 3);
    for (let n = 0; n < 5; n += 1) {
      tick(30_000);
      last().lose(1002, "Cannot connect to server");
      assert.equal(taken().at(-1)[1].delay, 30_000);
    }
    assert.equal(socks.length, 6);
    goOnline(true);
    assert.equal(socks.length, 7);
    last().lose();
    assert.equal(taken().at(-1)[1].delay, 1000);
    assert.equal(client.state, "lost");
  });

  test("offline, wrongly: an attempt that gets through is used", (t) => {
    const { goOnline } = browser(t);
    const { client, last } = setUpOpen(t);
    goOnline(false);
    tick(30_000);
    last().open();
    assert.equal(client.state, "open");
  });

  for (const state of ["connecting", "open", "lost"]) {
    test(`pagehide and pageshow: what was ${state} gives way, and comes back`, (t) => {
      const { say, goOnline, show } = browser(t);
      const { client, socks, taken, last } = setUp(t, { ping: PING });
      client.post("a", "A");
      client.connect();
      if (state === "open") last().open();
      if (state === "open") client.defer("a", 5000);
      if (state === "lost") last().lose();
      taken();
      say("pagehide");
      assert.deepEqual([client.state, last().readyState], ["lost", 3]);
      assert.deepEqual(taken(), [["lost", { code: 1001, reason: "Page hidden", delay: 0 }]]);
      goOnline(false);
      goOnline(true);
      show(true);
      tick(600_000);
      assert.deepEqual([socks.length, taken()], [1, []]);
      say("pageshow");
      assert.deepEqual([client.state, socks.length], ["connecting", 2]);
      last().open();
      assert.deepEqual(last().sent, ["ping", "A"]);
    });
  }

  for (const state of ["stopped", "closed", "never connected"]) {
    test(`anything: what is ${state} stays so`, (t) => {
      const { say, goOnline, show } = browser(t);
      const { client, socks, taken, last } = setUp(t);
      if (state !== "never connected") client.connect();
      if (state === "closed") client.close();
      if (state === "stopped") last().lose(4403);
      taken();
      const before = socks.length;
      goOnline(false);
      goOnline(true);
      show(true);
      say("pagehide");
      say("pageshow");
      tick(600_000);
      assert.deepEqual([socks.length, taken()], [before, []]);
    });
  }

  test("pageshow after loading: nothing happens", (t) => {
    const { say } = browser(t);
    const { client, socks, last } = setUpOpen(t, { ping: PING });
    say("pageshow");
    assert.deepEqual([client.state, socks.length, last().sent], ["open", 1, ["ping"]]);
  });

  test("pagehide, and the application connects all the same", (t) => {
    const { say } = browser(t);
    const { client, socks, last } = setUpOpen(t);
    say("pagehide");
    client.connect();
    last().open();
    say("pageshow");
    assert.deepEqual([client.state, socks.length], ["open", 2]);
  });

  test("nothing to a client that is closed: no listener stays", (t) => {
    browser(t);
    const on = t.mock.method(globalThis, "addEventListener");
    const off = t.mock.method(globalThis, "removeEventListener");
    const { client } = setUp(t);
    client.connect();
    client.reconnect();
    client.close();
    client.close();
    const of = (method) => method.mock.calls.map((call) => call.arguments);
    assert.deepEqual(of(on), of(off));
    assert.equal(of(on).length, 4);
  });
});
