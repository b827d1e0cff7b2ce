// What a page of ReconnectingSockJS leaves to the next one, and what the browser says of a page.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { browse, client, opened, URL } from "./page.js";

const KEY = `sockjs ${URL}`;

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

  test("the next page goes on with the session", (t) => {
    const { say } = browse(t);
    const former = opened(options);
    former.sock.send("one");
    former.host.took(1, 0);
    const [{ session }] = former.host.asked;
    say("pagehide", { persisted: false });
    assert.equal(former.host.asked.filter(({ options: how }) => how?.keepalive).length, 0);
    const resumed = client(options);
    assert.deepEqual(resumed.sock.outbox.map(({ text }) => text), ["one"]);
    resumed.sock.connect();
    const poll = resumed.host.newest("xhr");
    assert.deepEqual([poll.session, poll.body.new, poll.body.messages], [session, undefined, ["one"]]);
    resumed.host.welcome({ received: 1 });
    assert.deepEqual([resumed.sock.state, resumed.sock.outbox], ["open", []]);
  });
});

for (const resumeOverReload of [false, true]) {
  describe(`a tab that was duplicated between two pages, resumeOverReload ${resumeOverReload}`, () => {
    const options = { resumeOverReload };

    /** A page that was left with a text on its way, and what a copy of its tab has then. */
    function left(t) {
      const window = browse(t);
      const page = opened(options);
      page.sock.subscribe("key", "said");
      const { id } = page.sock.send("one");
      page.host.took(1, 0);
      window.say("pagehide", { persisted: true });
      return { ...page, id, ...window, copy: new Map(window.storage) };
    }

    /** The storage is that of the other tab now. */
    function turnTo(storage, other) {
      storage.clear();
      for (const [key, value] of other) storage.set(key, value);
    }

    test("the page of the copy comes first: the one in the cache begins as another client", (t) => {
      const { host, sock, told, events, id, say, storage, copy } = left(t);
      const other = client(options);
      assert.deepEqual(other.sock.outbox.map((receipt) => receipt.id), [`${id.slice(0, 22)}-1`, id]);
      turnTo(storage, copy);
      told.length = 0;
      say("pageshow", { persisted: true });
      assert.deepEqual([storage.size, events()], [0, ["lost", "connecting"]]);
      const { body } = host.newest("xhr");
      assert.notEqual(body.client, id.slice(0, 22));
      assert.deepEqual([body.new, body.base, body.replaces, body.messages], [true, 1, undefined, ["said"]]);
      assert.deepEqual(sock.outbox.map(({ text }) => text), ["said"]);
    });

    test("the page in the cache comes first: that of the copy has nothing of it", (t) => {
      const { host, id, say, storage, copy } = left(t);
      const [{ session }] = host.asked;
      say("pageshow", { persisted: true });
      assert.deepEqual([host.newest("xhr").session, host.newest("xhr").body.new], [session, undefined]);
      turnTo(storage, copy);
      const other = client(options);
      assert.deepEqual([other.sock.outbox, other.sock.unsaved, storage.size], [[], 0, 0]);
      const own = other.sock.send("own");
      other.sock.connect();
      const { body, session: theirs } = other.host.newest("xhr");
      assert.notEqual(own.id.slice(0, 22), id.slice(0, 22));
      assert.notEqual(theirs, session);
      assert.deepEqual([body.new, body.base, body.replaces, body.messages], [true, 1, undefined, ["own"]]);
    });

    test("where it cannot be noted who took it, it is a reload as any other", (t) => {
      const { id } = left(t);
      globalThis.localStorage.setItem = () => {
        throw new DOMException("full", "QuotaExceededError");
      };
      assert.deepEqual(client(options).sock.outbox.at(-1).id, id);
    });
  });
}

test("what is noted of who took what does not grow for ever", (t) => {
  const { say, local } = browse(t);
  const reload = () => {
    client();
    say("pagehide");
  };
  reload();
  reload();
  const [[key, noted]] = local;
  local.set(key, noted.padEnd(10_000, "-"));
  reload();
  const [[, after]] = local;
  assert.deepEqual([local.size, after.length, after.includes(noted)], [1, 10_000, true]);
  assert.notEqual(after.indexOf(noted), 0);
});
