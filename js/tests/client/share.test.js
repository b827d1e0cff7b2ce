// Tabs that share one way: each has a network of its own here, and all have one browser.

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { MUX } from "../../src/client/mux.js";
import { Sharing, share } from "../../src/client/share.js";
import { Browser, Locks } from "./locks.js";
import { FakeHost, URL, browse, client } from "./page.js";

const WELCOME = 'r{"from":1,"received":0}';
const ID = "s".repeat(22);
let names = 0;

/** Waits until something is true: messages between tabs take their time. */
async function until(what) {
  for (let turns = 0; !what(); turns++) {
    assert(turns < 2000, `${what}`);
    await turn();
  }
}

/** Lets all messages come that are under way. */
async function settle() {
  for (let turns = 0; turns < 20; turns++) await turn();
}

/** Lets time pass for one tab, and lets it hear others meanwhile. */
async function wait(tab, ms) {
  for (let waited = 0; waited < ms; waited += 100) {
    tab.host.tick(100);
    await settle();
  }
}

/** A tab with one session, and what its network was asked for. */
class Tab {
  hidden = false;
  channels = [];

  constructor(browser, check = () => {}) {
    const { channels } = this;
    this.host = new FakeHost();
    this.locks = new Locks(browser);
    class Channel extends BroadcastChannel {
      constructor(name) {
        check();
        super(name);
        channels.push(this);
      }
    }
    this.session = { _newest: 0, _state: "open", _heartbeat: 25e3, _known: { rtt: 100 } };
    const place = { locks: this.locks, Channel, isHidden: () => this.hidden };
    this.sharing = new Sharing(this.host, browser.name, place);
    this.request = this.sharing.requestOf(this.session);
  }

  /** Makes a receive request, and returns what the session is told of it. */
  ask(way = "xhr_streaming", body = {}, options = undefined) {
    const told = [];
    const on = {
      _part: () => told.push("part"),
      _line: (line) => told.push(line),
      _end: (status) => told.push(status),
    };
    if (body.probe === undefined) this.session._newest++;
    const all = { key: "k", request: this.session._newest, received: 0, ...body };
    const { close } = this.request(`http://host/chat/~r1/${ID}/${way}`, JSON.stringify(all), on, options);
    return { told, close };
  }

  /** The requests that are not over, as what their bodies have. */
  open(field) {
    return this.host.asked.filter(({ over, body }) => !over && field in body);
  }

  /** The response that carries all, where this tab holds it. */
  get mux() {
    return this.open("mux").find(({ body }) => typeof body.mux === "string");
  }

  /** Receive requests that name one. */
  get going() {
    return this.open("key").filter(({ body }) => body.mux);
  }

  /** Answers as a server does that has the session where it has the mux; returns the port. */
  accept() {
    const [one] = this.going;
    this.host.answer(one, MUX);
    return one.body.mux.port;
  }
}

/** Some tabs of one browser, the first of which leads and carries its own session. */
async function opened(t, count = 2) {
  const browser = new Browser();
  browser.name = `test ${names++}`;
  const tabs = Array.from({ length: count }, () => new Tab(browser));
  t.after(() => tabs.forEach(({ channels }) => channels.forEach((channel) => channel.close())));
  const askings = [];
  for (const tab of tabs) {
    askings.push(tab.ask());
    if (tab === tabs[0]) {
      await until(() => tab.mux);
      tab.mux.on._line(MUX);
    }
    await until(() => tab.going.length);
    const port = tab.accept();
    tabs[0].mux.on._line(`${port} ${WELCOME}`);
    await until(() => askings.at(-1).told.length);
  }
  return { browser, tabs, askings };
}

test("the lines of all come over one response, each to its session", async (t) => {
  const { tabs, askings } = await opened(t, 3);
  assert.deepEqual(tabs.map(({ mux }) => Boolean(mux)), [true, false, false]);
  assert(askings.every(({ told }) => told.length === 1 && told[0] === WELCOME));
  const [, , port] = tabs.map(({ host }) => host.asked.at(-1).body.mux.port);
  const { mux } = tabs[0];
  mux.on._line(`${port} a["x"]`);
  mux.on._line(`${port} `);
  await until(() => askings[2].told.length === 3);
  assert.deepEqual(askings[2].told, [WELCOME, 'a["x"]', 200]);
  mux.on._part();
  await until(() => askings[1].told.length > 1);
  assert.deepEqual(askings[1].told, [WELCOME, "part"]);
  assert.deepEqual(askings[0].told, [WELCOME, "part"]);
});

test("what is short goes its own way", (t) => {
  const browser = new Browser();
  const tab = new Tab(browser);
  t.after(() => assert.equal(tab.channels.length, 0));
  tab.ask("xhr", { new: true });
  tab.ask("xhr", { now: true });
  tab.ask("xhr_send", {}, { keepalive: true });
  assert.deepEqual(tab.host.asked.map(({ last }) => last), ["xhr", "xhr", "xhr_send"]);
  assert.equal(tab.host.asked[2].options.keepalive, true);
});

test("the stream that carries others answers a probe", async (t) => {
  const { tabs } = await opened(t);
  const probe = tabs[1].ask("xhr_streaming", { probe: 7 });
  await until(() => probe.told.length);
  assert.deepEqual(probe.told, ['r{"pong":7}']);
  probe.close();
  assert.equal(tabs[1].open("probe").length, 0);
});

test("polls go over a stream that there is, or over polls", async (t) => {
  const { tabs } = await opened(t);
  const held = tabs[1].ask("xhr");
  await until(() => tabs[1].going.length);
  assert.equal(tabs[1].going[0].body.mux.key, tabs[0].mux.body.mux);
  const port = tabs[1].accept();
  tabs[0].mux.on._line(`${port} a["x"]`);
  tabs[0].mux.on._line(`${port} `);
  await until(() => held.told.length === 2);
  assert.deepEqual(held.told, ['a["x"]', 200]);

  const other = new Tab({ ...new Browser(), name: `test ${names++}`, next: Browser.prototype.next });
  t.after(() => other.channels[0].close());
  other.ask("xhr");
  await until(() => other.mux);
  assert.equal(other.mux.last, "xhr");
});

test("a server that does not know of it answers each by itself", async (t) => {
  const tab = new Tab(Object.assign(new Browser(), { name: `test ${names++}` }));
  t.after(() => tab.channels[0].close());
  tab.ask();
  await until(() => tab.mux);
  tab.host.refuse(tab.mux, 400);
  await until(() => tab.open("key").length);
  assert.equal(tab.going.length, 0);
  // It is not asked again soon.
  tab.ask();
  await until(() => tab.open("key").length === 2);
  assert.equal(tab.mux, undefined);
  tab.host.tick(60e3);
  tab.ask();
  await until(() => tab.mux);
});

test("a server that has the session elsewhere answers by itself", async (t) => {
  const { tabs } = await opened(t);
  const { told } = tabs[1].ask();
  await until(() => tabs[1].going.length);
  const [own] = tabs[1].going;
  own.on._part();
  own.on._line(WELCOME);
  // Which has nothing to do with who leads.
  tabs[0].sharing.pageSaid("pagehide");
  await settle();
  tabs[1].host.answer(own, 'a["x"]');
  assert.deepEqual(told, ["part", WELCOME, 'a["x"]', 200]);
});

test("where no stream gets through, no probe has to find that out", async (t) => {
  const tab = new Tab(Object.assign(new Browser(), { name: `test ${names++}` }));
  t.after(() => tab.channels[0].close());
  const { told } = tab.ask("xhr_streaming", { probe: 1 });
  await until(() => tab.mux);
  tab.host.tick(4000);
  await until(() => told.length);
  assert.deepEqual(told, [0]);
});

test("the next one leads when the leader leaves, and all ask anew", async (t) => {
  const { tabs, askings } = await opened(t, 3);
  tabs[0].sharing.pageSaid("pagehide");
  assert.equal(tabs[0].mux, undefined);
  await until(() => askings[1].told.length > 1 && askings[2].told.length > 1);
  assert.deepEqual(askings[2].told, [WELCOME, 200]);
  tabs[1].ask();
  await until(() => tabs[1].mux);
  tabs[2].ask();
  tabs[1].mux.on._line(MUX);
  await until(() => tabs[2].going.length);
  assert.equal(tabs[2].going[0].body.mux.key, tabs[1].mux.body.mux);
});

test("what has not been answered goes on by itself", async (t) => {
  const { tabs } = await opened(t, 2);
  const { told } = tabs[1].ask();
  await until(() => tabs[1].going.length);
  const { request } = tabs[1].going[0].body;
  tabs[0].sharing.pageSaid("pagehide");
  await until(() => tabs[1].mux);
  tabs[1].mux.on._line(MUX);
  await until(() => tabs[1].going.length === 1);
  assert.equal(tabs[1].going[0].body.request, request);
  assert.deepEqual(told, []);
});

test("from a leader that says nothing the lock is stolen within three seconds", async (t) => {
  const { tabs, askings } = await opened(t);
  const [channel] = tabs[0].channels;
  const { onmessage } = channel;
  channel.onmessage = null;
  await wait(tabs[1], 3000);
  await until(() => askings[1].told.includes(200));
  tabs[1].ask();
  await until(() => tabs[1].mux);
  // It hears so by its lock.
  await until(() => !tabs[0].mux);
  channel.onmessage = onmessage;
});

test("a leader that answers leads on; a hidden tab does not ask", async (t) => {
  const { tabs, askings } = await opened(t);
  for (const hidden of [false, true]) {
    tabs[1].hidden = hidden;
    await wait(tabs[1], 10_000);
  }
  assert.deepEqual(askings[1].told, [WELCOME]);
  tabs[1].hidden = false;
  tabs[1].sharing.pageSaid("visibilitychange");
  tabs[0].channels[0].onmessage = null;
  await wait(tabs[1], 3000);
  await until(() => askings[1].told.includes(200));
});

test("who waits for five seconds goes on alone", async (t) => {
  const browser = Object.assign(new Browser(), { name: `test ${names++}` });
  const tab = new Tab(browser);
  tab.locks.request = () => new Promise(() => {});
  t.after(() => tab.channels[0].close());
  const { told } = tab.ask();
  tab.host.tick(5000);
  tab.host.answer(tab.host.asked[0], WELCOME);
  assert.deepEqual(told, [WELCOME, 200]);
});

test("where channels are forbidden all go alone", () => {
  const tab = new Tab(new Browser(), () => {
    throw new DOMException("no", "SecurityError");
  });
  tab.ask();
  tab.ask();
  assert.equal(tab.host.asked.length, 2);
});

test("where locks are forbidden all go alone", async (t) => {
  const tab = new Tab(Object.assign(new Browser(), { name: `test ${names++}` }));
  tab.locks.request = () => Promise.reject(new DOMException("no", "SecurityError"));
  t.after(() => tab.channels[0].close());
  tab.ask();
  await until(() => tab.host.asked.length === 1);
  tab.ask();
  assert.equal(tab.host.asked.length, 2);
});

test("the server is told who receives no more", async (t) => {
  const { tabs, askings } = await opened(t);
  const { request } = tabs[1].host.asked.at(-1).body;
  askings[1].close();
  askings[1].close();
  await null;
  const { last, body, options } = tabs[1].host.asked.at(-1);
  assert.equal(last, "xhr");
  assert.deepEqual(body, { key: "k", request, received: 0, now: true });
  assert.deepEqual(options, { keepalive: true });
});

test("it is not told where the session asks anew, or is closed", async (t) => {
  const { tabs, askings } = await opened(t, 3);
  askings[1].close();
  tabs[1].ask();
  tabs[2].session._state = "closed";
  askings[2].close();
  await settle();
  assert.equal(tabs[1].open("now").length, 0);
  assert.equal(tabs[2].open("now").length, 0);
});

test("what waits may be given up", async (t) => {
  const { tabs } = await opened(t);
  const waiting = tabs[1].ask();
  waiting.close();
  const going = tabs[1].ask();
  await until(() => tabs[1].going.length === 1);
  going.close();
  await settle();
  assert.equal(tabs[1].going.length, 0);
  assert.equal(tabs[1].open("now").length, 0);
});

test("a stream over which nothing comes is begun anew", async (t) => {
  const { tabs, askings } = await opened(t);
  const { key } = tabs[1].host.asked.at(-1).body.mux;
  const second = tabs[1].ask();
  await until(() => tabs[1].going.length);
  tabs[1].accept();
  await wait(tabs[1], 3000);
  // The other one was heard over it.
  await until(() => askings[0].told.at(-1) === 0);
  await until(() => tabs[0].mux && tabs[0].mux.body.mux !== key);
  tabs[0].mux.on._line(MUX);
  await until(() => tabs[1].going.length);
  assert.deepEqual(second.told, []);
});

test("a poll that is given up late, and was told nothing, makes it begun anew", async (t) => {
  const { tabs } = await opened(t);
  const { key } = tabs[1].host.asked.at(-1).body.mux;
  const poll = tabs[1].ask("xhr", { heartbeat: 5 });
  await until(() => tabs[1].going.length);
  tabs[1].accept();
  tabs[1].host.tick(4900);
  assert.equal(tabs[0].mux.body.mux, key);
  tabs[1].host.tick(200);
  poll.close();
  await until(() => tabs[0].mux?.body.mux !== key);
});

test("a tab that is gone without a word makes it begun anew, one that has left does not", async (t) => {
  const { tabs } = await opened(t, 3);
  const { key } = tabs[1].host.asked.at(-1).body.mux;
  tabs[2].sharing.pageSaid("pagehide");
  await settle();
  assert.equal(tabs[0].mux.body.mux, key);
  tabs[0].host.tick(500);
  assert.equal(tabs[0].mux.body.mux, key);
  tabs[1].locks.crash();
  await settle();
  tabs[0].host.tick(500);
  await until(() => tabs[0].mux?.body.mux !== key);
});

test("what breaks off breaks off for all", async (t) => {
  const { tabs, askings } = await opened(t);
  tabs[0].host.refuse(tabs[0].mux, 502);
  await until(() => askings[1].told.length > 1);
  assert.deepEqual(askings[1].told, [WELCOME, 0]);
  assert.deepEqual(askings[0].told, [WELCOME, 0]);
});

test("a server that has forgotten them hears from all again", async (t) => {
  const { tabs, askings } = await opened(t);
  const { key } = tabs[1].host.asked.at(-1).body.mux;
  tabs[0].host.answer(tabs[0].mux);
  assert.equal(tabs[0].mux.body.mux, key);
  tabs[0].mux.on._line(MUX);
  await until(() => askings[1].told.length > 1);
  assert.deepEqual(askings[1].told, [WELCOME, 200]);
  tabs[1].ask();
  await until(() => tabs[1].going.length);
  assert.equal(tabs[1].going[0].body.mux.key, key);
});

test("a page that is frozen lets go, and comes back as one that follows", async (t) => {
  const { tabs, askings } = await opened(t);
  tabs[0].sharing.pageSaid("freeze");
  assert.deepEqual(askings[0].told, [WELCOME, 200]);
  assert.equal(tabs[0].open("now").length, 1);
  await until(() => tabs[1].mux || askings[1].told.length > 1);
  const again = tabs[0].ask();
  await settle();
  assert.equal(tabs[0].channels.length, 1);
  tabs[1].ask();
  await until(() => tabs[1].mux);
  tabs[1].mux.on._line(MUX);
  tabs[0].sharing.pageSaid("resume");
  await until(() => tabs[0].going.length);
  const port = tabs[0].accept();
  tabs[1].mux.on._line(`${port} ${WELCOME}`);
  await until(() => again.told.length);
  assert.equal(tabs[0].mux, undefined);
});

test("sessions of a page share, where the browser can", (t) => {
  const listening = [];
  const define = (name, value) => {
    const former = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (former ? Object.defineProperty(globalThis, name, former) : delete globalThis[name]));
  };
  const _request = () => ({ close() {} });
  const sessions = Array.from({ length: 3 }, () => ({ ...new FakeHost(), _request, _address: "http://host/x" }));
  define("navigator", {});
  share(sessions[0]);
  assert.equal(sessions[0]._request, _request);
  define("navigator", { locks: new Locks(new Browser()) });
  define("addEventListener", (type) => listening.push(type));
  share(sessions[1]);
  share(sessions[2]);
  assert.notEqual(sessions[1]._request, _request);
  assert.notEqual(sessions[2]._request, _request);
  assert.deepEqual(listening, ["pagehide", "pageshow", "freeze", "resume", "visibilitychange"]);
});

test("a client is made to share by an option", async (t) => {
  const { say } = browse(t, { locks: new Locks(new Browser()) });
  t.after(() => say("pagehide"));
  const { host, sock } = client({ share: true }, `${URL}/${names++}`);
  sock.connect();
  await import("../../src/client/share.js");
  await settle();
  host.welcome();
  await until(() => host.asked.some(({ body }) => typeof body.mux === "string"));
  const alone = client({ share: false }, `${URL}/${names++}`);
  alone.sock.connect();
  await settle();
  alone.host.welcome();
  assert.equal(alone.host.newest("xhr").body.mux, undefined);
});
