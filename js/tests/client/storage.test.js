// What a page of ReconnectingSockJS leaves to the next one, and what the browser says of a page.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { browse, client, opened, URL } from "./page.js";

const settled = () => new Promise((resolve) => setImmediate(resolve));
const KEY = `sockjs ${URL}`;

/** Web Locks of one browser: who asks for a held one waits, or gives up when the test says so. */
function lockManager() {
  const held = new Map();
  const asked = [];
  const waiting = [];
  const request = (name, { signal }, callback) => {
    asked.push(name);
    const before = held.get(name) ?? Promise.resolve();
    const given = new Promise((_, reject) => {
      const giveUp = () => reject(new DOMException("", "TimeoutError"));
      signal.addEventListener("abort", giveUp);
      waiting.push(giveUp);
    });
    const mine = Promise.race([before, given]).then(callback);
    held.set(name, before.then(() => mine).catch(() => {}));
    return mine;
  };
  return { request, asked, giveUp: () => waiting.forEach((giveUp) => giveUp()) };
}

describe("a reload", () => {
  test("what is not handled goes out from the next page, under its ids", (t) => {
    const { say, storage } = browse(t);
    const former = opened();
    const ids = ["one", "two", "three"].map((text) => former.sock.send(text).id);
    former.host.took(1);
    const [{ session, body }] = former.host.asked;
    assert.equal(storage.size, 0);
    say("pagehide", { persisted: false });
    // The session ends by a request that outlives the page, and no connection is left.
    const farewell = former.host.asked.at(-1);
    assert.deepEqual([farewell.last, farewell.options, farewell.body.close], ["xhr_send", { keepalive: true }, [1000, ""]]);
    assert.deepEqual([former.host.open("xhr"), former.host.timers], [[], []]);
    assert.equal(storage.size, 1);

    const next = client();
    assert.equal(storage.size, 0);
    assert.deepEqual(next.sock.outbox.map(({ id, text }) => [id, text]), [[ids[1], "two"], [ids[2], "three"]]);
    const own = next.sock.send("four");
    next.sock.connect();
    const { body: hello, session: other } = next.host.newest("xhr");
    assert.notEqual(other, session);
    assert.deepEqual(hello.replaces, { session, key: body.key });
    assert.deepEqual([hello.client, hello.base, hello.repeated], [body.client, 2, 2]);
    assert.deepEqual(hello.messages, ["two", "three", "four"]);
    assert.equal(own.id, `${body.client}-4`);
    next.host.welcome({ received: 3 });
    assert.deepEqual([next.sock.outbox, next.sock.unsaved], [[], 0]);
  });

  test("what one page sent, the next one hears to be handled bit by bit", (t) => {
    const { say } = browse(t);
    const former = opened();
    for (const text of ["one", "two", "three", "four"]) former.sock.send(text);
    former.host.took(1);
    say("pagehide", { persisted: false });
    const { host, sock } = client();
    sock.connect();
    const waiting = () => sock.outbox.map(({ text }) => text);
    host.welcome({ received: 0 });
    assert.deepEqual(waiting(), ["two", "three", "four"]);
    host.welcome({ received: 1 });
    assert.deepEqual(waiting(), ["three", "four"]);
  });

  test("a page that was never connected hands on what it got", (t) => {
    const { say, storage } = browse(t);
    const { id } = client().sock.send("one");
    say("pagehide");
    const { sock } = client();
    say("pagehide");
    assert.deepEqual(sock.outbox.map((receipt) => receipt.id), [id]);
    assert.deepEqual(client().sock.outbox.map((receipt) => receipt.id), [id]);
    assert.equal(storage.size, 0);
  });

  test("what is too much is told, but what may have been handled is kept", (t) => {
    const { say, storage } = browse(t);
    const first = client();
    const text = "x".repeat(60000);
    for (let count = 0; count < 6; count++) first.sock.send(text);
    say("pagehide");
    assert(storage.get(KEY).length < 2 ** 18 + 1000);
    const second = client();
    assert.deepEqual([second.sock.outbox.length, second.sock.unsaved], [4, 2]);
    second.sock.connect();
    second.host.welcome({ received: 0 });
    for (let count = 0; count < 6; count++) second.sock.send(text);
    for (let count = 0; count < 9; count++) second.host.took(count + 1, 0);
    second.sock.send("y");
    say("pagehide");
    // All but the last one were on their way.
    const third = client();
    assert.deepEqual([third.sock.outbox.length, third.sock.unsaved], [10, 1]);
  });

  test("what worked is tried first for half an hour", (t) => {
    t.mock.timers.enable({ apis: ["Date"] });
    const { say } = browse(t);
    const transports = [];
    const first = client({ transports });
    first.sock.connect();
    first.host.fail(first.host.newest("websocket"));
    first.host.welcome({}, 'a["it works"]');
    for (const [minutes, tried] of [[29, ["xhr"]], [31, ["websocket"]]]) {
      say("pagehide");
      t.mock.timers.tick(minutes * 60e3);
      const { host, sock } = client({ transports });
      sock.connect();
      assert.deepEqual(host.asked.map(({ last }) => last), tried);
    }
  });

  test("it stops where it is told so, and where storage is forbidden or not ours", (t) => {
    const { say, storage } = browse(t);
    client({ storageKey: null }).sock.send("one");
    say("pagehide");
    assert.equal(storage.size, 0);
    client({ storageKey: "mine" }).sock.send("two");
    say("pagehide");
    assert.deepEqual([...storage.keys()], ["mine"]);
    storage.set("mine", "{not JSON");
    assert.deepEqual(client({ storageKey: "mine" }).sock.outbox, []);
    globalThis.sessionStorage.getItem = globalThis.sessionStorage.setItem = () => {
      throw new DOMException("no", "SecurityError");
    };
    const { host, sock } = opened();
    sock.send("three");
    say("pagehide", { persisted: true });
    say("pageshow", { persisted: true });
    host.welcome({ received: 1 });
    assert.deepEqual([sock.state, sock.outbox], ["open", []]);
  });

  test("close() leaves nothing, and hears nothing of the page", (t) => {
    const { say, storage } = browse(t);
    const { host, sock, events } = opened();
    sock.close();
    host.answer(host.newest("xhr"), 'c[1000,""]');
    assert.equal(sock.state, "closed");
    say("online");
    say("pagehide");
    assert.deepEqual([storage.size, events()], [0, ["connecting", "open", "stopped"]]);
    sock.connect();
    say("pagehide");
    assert.equal(storage.size, 1);
  });

  test("a worker has neither pages nor storage", () => {
    assert.equal(globalThis.sessionStorage, undefined);
    const { host, sock } = opened();
    sock.send("one");
    host.took(1);
    assert.deepEqual(sock.outbox, []);
  });
});

describe("the last word of a page", () => {
  test("is that of close() where that waits", (t) => {
    const { say } = browse(t);
    const { host, sock } = opened();
    sock.send("one");
    sock.close(3001, "Bye");
    say("pagehide", { persisted: false });
    assert.deepEqual(host.asked.at(-1).body.close, [3001, "Bye"]);
  });

  test("is not said to a session that is over", (t) => {
    const { say } = browse(t);
    const { host } = opened();
    host.welcome({}, 'c[3500,"Enough"]');
    const { length } = host.asked;
    say("pagehide", { persisted: false });
    assert.equal(host.asked.length, length);
  });
});

describe("the back/forward cache", () => {
  test("the page goes on with its session", (t) => {
    const { say, storage, show } = browse(t);
    const { host, sock, events } = opened();
    const before = host.newest("xhr");
    say("pageshow", { persisted: false });
    assert.equal(before.over, false);
    sock.send("one");
    say("pagehide", { persisted: true });
    assert.deepEqual([sock.state, host.open("xhr"), host.timers], ["suspended", [], []]);
    assert.equal(storage.size, 1);
    // What the browser says of a page in the cache means nothing.
    say("online");
    show("visible");
    assert.deepEqual(host.open("xhr"), []);
    say("pageshow", { persisted: true });
    assert.equal(storage.size, 0);
    const after = host.newest("xhr");
    assert.deepEqual([after.session, after.body.new], [before.session, undefined]);
    host.welcome({ received: 1 });
    assert.deepEqual(events(), ["connecting", "open", "suspended", "resumed"]);
    assert.deepEqual(sock.outbox, []);
  });

  test("another page of the tab has gone on: this one goes on with what that one left", async (t) => {
    const { say } = browse(t);
    const first = opened();
    const own = ["one", "two"].map((text) => first.sock.send(text));
    say("pagehide", { persisted: true });
    const second = client();
    second.sock.connect();
    second.host.welcome({ received: 1 });
    const third = second.sock.send("three");
    second.host.took(2, 1);
    second.host.took(3, 1);
    say("pagehide", { persisted: true });
    const { session, key } = { ...second.host.asked[0], ...second.host.asked[0].body };
    first.told.length = 0;
    say("pageshow", { persisted: true });
    assert.deepEqual(first.told, [
      ["lost", { handled: 1, repeated: 2 }, "connecting"],
      ["connecting", null, "connecting"],
    ]);
    const { body } = first.host.newest("xhr");
    assert.deepEqual([body.replaces, body.base, body.messages], [{ session, key }, 2, ["two", "three"]]);
    assert.deepEqual(first.sock.outbox.map(({ id }) => id), [own[1].id, third.id]);
    first.host.welcome({ received: 2 });
    assert.deepEqual(await Promise.all(own.map(({ handled }) => handled)), [true, true]);
  });

  test("where another page has gone on, what this one was about to do is dropped", (t) => {
    const { say } = browse(t);
    const { host } = opened();
    host.welcome({}, 'r{"moved":5}');
    say("pagehide", { persisted: true });
    client();
    say("pagehide", { persisted: true });
    // That one has no session, but left what it took: this one's own.
    say("pageshow", { persisted: true });
    host.tick(5000);
    host.welcome();
    assert.equal(new Set(host.asked.slice(2).map(({ session }) => session)).size, 1);
  });

  test("another page of the tab has closed: this one begins anew", (t) => {
    const { say } = browse(t);
    const first = opened();
    const { id } = first.sock.send("x".repeat(60_000));
    first.host.took(1, 0);
    say("pagehide", { persisted: true });
    const second = client();
    second.sock.connect();
    second.host.welcome({ received: 1 });
    second.sock.close();
    second.host.answer(second.host.newest("xhr"), 'c[1000,""]');
    say("pageshow", { persisted: true });
    const { body } = first.host.newest("xhr");
    assert.notEqual(body.client, id.slice(0, 22));
    assert.deepEqual([body.messages, first.sock.outbox], [undefined, []]);
    // What is forgotten takes no room: 1 MiB may wait.
    for (let count = 0; count < 17; count += 1) first.sock.send("x".repeat(60_000));
    assert.deepEqual(first.events(), ["connecting", "open", "suspended", "lost", "connecting"]);
  });

  test("a page that was stopped stays so", (t) => {
    const { say } = browse(t);
    const { host, sock } = opened();
    host.welcome({}, 'c[3500,"Enough"]');
    const { length } = host.asked;
    say("pagehide", { persisted: true });
    client();
    say("pageshow", { persisted: true });
    say("online");
    assert.deepEqual([sock.state, host.asked.length], ["stopped", length]);
  });
});

describe("the network", () => {
  test("what is suspended is tried at once when the browser says so", (t) => {
    const { say, show } = browse(t);
    const { host, sock } = opened();
    for (const wake of [() => say("online"), () => show("visible")]) {
      host.fail(host.newest("xhr"));
      if (host.open("xhr").length) host.fail(host.newest("xhr"));
      assert.equal(sock.state, "suspended");
      const { length } = host.asked;
      show("hidden");
      assert.equal(host.asked.length, length);
      wake();
      assert.equal(host.open("xhr").length, 1);
      host.welcome();
    }
  });
});

describe("resumeOverReload", () => {
  const options = { resumeOverReload: true };

  async function open(how = options) {
    const all = client(how);
    all.sock.connect();
    await settled();
    all.host.welcome();
    return all;
  }

  test("the next page goes on with the session, as soon as the page before lets go", async (t) => {
    const locks = lockManager();
    const { say } = browse(t, { locks });
    const former = await open();
    former.sock.send("one");
    former.host.took(1, 0);
    const { session, body } = former.host.asked[0];
    assert.deepEqual(locks.asked, [`sockjs ${body.client}`]);
    say("pagehide", { persisted: false });
    assert.equal(former.host.asked.filter(({ options: how }) => how?.keepalive).length, 0);
    const resumed = client(options);
    assert.deepEqual(resumed.sock.outbox.map(({ text }) => text), ["one"]);
    resumed.sock.connect();
    await settled();
    const poll = resumed.host.newest("xhr");
    assert.deepEqual([poll.session, poll.body.new, poll.body.messages], [session, undefined, ["one"]]);
    resumed.host.welcome({ received: 1 });
    assert.deepEqual([resumed.sock.state, resumed.sock.outbox], ["open", []]);
  });

  test("where another page has the session, nothing is shared with it", async (t) => {
    const locks = lockManager();
    const { say, storage } = browse(t, { locks });
    const former = await open();
    const theirs = former.sock.send("theirs");
    former.sock.subscribe("key", "said");
    const { client: name } = former.host.asked[0].body;
    say("pagehide", { persisted: true });
    const copy = new Map(storage);
    say("pageshow", { persisted: true });
    await settled();
    storage.set(...[...copy][0]);
    const other = client(options);
    assert.deepEqual(other.sock.outbox.map(({ id }) => id), [theirs.id, `${name}-2`]);
    const own = other.sock.send("own");
    other.sock.subscribe("key", "said");
    other.sock.connect();
    await settled();
    assert.deepEqual([other.host.asked, other.sock.state], [[], "connecting"]);
    locks.giveUp();
    await settled();
    const { body } = other.host.newest("xhr");
    assert.deepEqual([body.new, body.base, body.messages], [true, 1, ["own", "said"]]);
    assert.notEqual(body.client, name);
    assert.equal(own.id, `${body.client}-1`);
    other.host.welcome({ received: 2 });
    assert.equal(await own.handled, true);
    other.host.answer(other.host.newest("xhr"), 'r{"lost":{"received":2}}');
    other.host.tick(3000);
    assert.deepEqual(other.host.newest("xhr").body.messages, ["said"]);
  });

  test("without Web Locks it is a reload as any other", async (t) => {
    const { say } = browse(t);
    const former = await open();
    say("pagehide", { persisted: false });
    assert.deepEqual(former.host.asked.at(-1).body.close, [1000, ""]);
    const next = client(options);
    next.sock.connect();
    const poll = next.host.newest("xhr");
    assert.notEqual(poll.session, former.host.asked[0].session);
    assert.deepEqual(poll.body.replaces.session, former.host.asked[0].session);
  });

  test("who begins again while it waits for the lock begins one session", async (t) => {
    const locks = lockManager();
    const first = browse(t, { locks });
    const former = await open();
    const { id } = former.sock.send("one");
    former.host.took(1, 0);
    first.say("pagehide", { persisted: false });
    browse(t, { locks, storage: first.storage });
    let letGo;
    const name = `sockjs ${id.slice(0, 22)}`;
    locks.request(name, { signal: new AbortController().signal }, () => new Promise((free) => (letGo = free)));
    const { host, sock } = client(options);
    sock.connect();
    sock.close();
    sock.connect();
    await settled();
    assert.deepEqual(host.asked, []);
    letGo();
    await settled();
    await settled();
    const { body } = host.newest("xhr");
    assert.deepEqual([body.messages, body.replaces.session], [["one"], former.host.asked[0].session]);
    assert.deepEqual(sock.outbox.map((receipt) => receipt.id), [id]);
    assert.equal(host.asked.length, 1);
  });

  test("who waits in vain for a lock that it needs no more goes on", async (t) => {
    const locks = lockManager();
    const { say, storage } = browse(t, { locks });
    const { id } = client(options).sock.send("one");
    say("pagehide", { persisted: false });
    browse(t, { locks, storage });
    const name = `sockjs ${id.slice(0, 22)}`;
    locks.request(name, { signal: new AbortController().signal }, () => new Promise(() => {}));
    const window = browse(t, { locks, storage });
    const { host, sock } = client(options);
    sock.connect();
    window.say("pagehide", { persisted: true });
    storage.clear();
    window.say("pageshow", { persisted: true });
    await settled();
    host.welcome();
    locks.giveUp();
    await settled();
    assert.deepEqual([sock.state, host.asked.filter(({ body }) => body.new).length], ["open", 1]);
  });

  test("where locks are forbidden it goes on without", async (t) => {
    let asked = 0;
    const request = async () => {
      asked += 1;
      if (asked < 9) throw new DOMException("", "SecurityError");
    };
    browse(t, { locks: { request } });
    const { host, sock, events } = client(options);
    sock.connect();
    await settled();
    host.welcome();
    assert.deepEqual([asked, sock.state, events()], [1, "open", ["connecting", "open"]]);
  });

  test("who is stopped, or begins anew, lets go of the lock", async (t) => {
    const locks = lockManager();
    browse(t, { locks });
    const { host, sock } = await open();
    sock.send("one");
    sock.close();
    sock.connect();
    await settled();
    host.welcome({ received: 1 }, 'c[3500,"Enough"]');
    assert.equal(sock.state, "stopped");
    let free = false;
    locks.request(locks.asked[0], { signal: new AbortController().signal }, () => (free = true));
    await settled();
    assert.ok(free);
  });

  test("nothing is begun before the lock is there", async (t) => {
    let give;
    const request = (_, __, hold) => new Promise((resolve) => (give = () => resolve(hold())));
    const { say, show } = browse(t, { locks: { request } });
    const { host, sock } = client(options);
    const hasty = () => {
      sock.connect();
      say("online");
      show("visible");
    };
    sock.connect();
    hasty();
    assert.deepEqual(host.asked, []);
    give();
    await settled();
    assert.equal(host.asked.length, 1);
    host.welcome();
    say("pagehide", { persisted: true });
    const { length } = host.asked;
    say("pageshow", { persisted: true });
    hasty();
    assert.equal(host.asked.length, length);
    give();
    await settled();
    host.welcome();
    assert.equal(sock.state, "open");
  });

  test("who closes while it waits for the lock begins nothing", async (t) => {
    browse(t, { locks: lockManager() });
    const { host, sock, last } = client(options);
    sock.connect();
    sock.close();
    await settled();
    assert.deepEqual([host.asked, sock.state, last("stopped")], [[], "closed", { code: 1000, reason: "" }]);
  });
});
