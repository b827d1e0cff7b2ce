// What ReconnectingSockJS promises to a page, with the clock and the network in the test's hands.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ReconnectingSockJS } from "../../src/client/index.js";
import { client, opened, URL } from "./page.js";

/** Lets promises be fulfilled. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** What is known of receipts now: true, false or "waits". */
async function outcomes(...receipts) {
  await settled();
  return Promise.all(receipts.map(({ handled }) => Promise.race([handled, settled().then(() => "waits")])));
}

/** Has the server say that the session is no more; a new one is begun. */
function lose(host, received) {
  const poll = host.newest("xhr");
  host.answer(poll, `r${JSON.stringify({ lost: received === undefined ? {} : { received } })}`);
  host.tick(3000);
}

describe("receipts", () => {
  test("what is sent has an id, and waits until it is handled", async () => {
    const { host, sock } = client();
    const early = sock.send("early");
    assert.deepEqual(sock.outbox, [early]);
    sock.connect();
    const { body } = host.newest("xhr");
    assert.equal(early.id, `${body.client}-1`);
    assert.deepEqual([body.first, body.messages], [1, ["early"]]);
    host.welcome({ received: 0 });
    const late = sock.send("late");
    assert.equal(late.id, `${body.client}-2`);
    assert.deepEqual(sock.outbox.map(({ text }) => text), ["early", "late"]);
    assert.deepEqual(await outcomes(early, late), ["waits", "waits"]);
    host.took(2, 1);
    assert.deepEqual(await outcomes(early, late), [true, "waits"]);
    assert.deepEqual(sock.outbox, [late]);
    host.tick(100);
    host.took(2);
    assert.deepEqual(await outcomes(late), [true]);
    assert.deepEqual(sock.outbox, []);
  });

  test("what is no text is made one", () => {
    const { host, sock } = opened();
    const texts = [5, null, undefined, { toString: () => "words" }].map((value) => sock.send(value).text);
    sock.subscribe("key", 6);
    assert.deepEqual(texts, ["5", "null", "undefined", "words"]);
    host.took(1);
    assert.deepEqual(host.newest("xhr_send").body.messages, [...texts.slice(1), "6"]);
  });

  test("too large a text, and too much that waits, are refused", () => {
    const { sock } = opened();
    assert.throws(() => sock.send("x".repeat(65536)), RangeError);
    assert.throws(
      () => {
        for (;;) sock.send("x".repeat(60000));
      },
      { name: "QuotaExceededError" },
    );
    assert(sock.outbox.length * 60000 < 2 ** 20 && (sock.outbox.length + 1) * 60010 > 2 ** 20);
  });
});

describe("events", () => {
  test("a session opens, breaks and goes on", () => {
    const { host, sock, told, last } = client();
    assert.equal(sock.state, "closed");
    sock.connect();
    assert.deepEqual([sock.state, sock.transport, sock.rtt], ["connecting", null, null]);
    host.tick(40);
    host.welcome({}, 'a["one","two"]');
    assert.deepEqual([sock.state, sock.transport, sock.rtt], ["open", "xhr-polling", 40]);
    assert.deepEqual(told, [
      ["connecting", null, "connecting"],
      ["rtt", 40, "connecting"],
      ["transport", "xhr-polling", "connecting"],
      ["open", { transport: "xhr-polling" }, "open"],
      ["message", "one", "open"],
      ["message", "two", "open"],
    ]);
    host.welcome({}, 'a["three"]');
    assert.equal(last("message"), "three");
    // The same transport is not told again.
    assert.equal(told.filter(([type]) => type === "transport").length, 1);
    told.length = 0;
    host.fail(host.newest("xhr"));
    assert.deepEqual([sock.state, sock.transport, sock.rtt], ["suspended", null, null]);
    host.tick(500);
    host.welcome({});
    assert.deepEqual(told.map(([type, detail, state]) => (type === "rtt" ? type : [type, detail, state])), [
      ["suspended", null, "suspended"],
      "rtt",
      ["resumed", null, "open"],
    ]);
  });

  test("lost: what is not known, and what was not handled goes out again", async () => {
    const { host, sock, told, events } = opened();
    const receipts = ["one", "two", "three"].map((text) => sock.send(text));
    host.took(1, 1);
    lose(host);
    assert.deepEqual(events(), ["connecting", "open", "lost", "connecting"]);
    assert.deepEqual(told.findLast(([type]) => type === "lost"), ["lost", { handled: 1, repeated: 2 }, "connecting"]);
    const { body } = host.newest("xhr");
    assert.deepEqual([body.new, body.base, body.repeated, body.messages], [true, 2, 2, ["two", "three"]]);
    host.welcome({ received: 2 });
    assert.deepEqual(await outcomes(...receipts), [true, true, true]);
    assert.equal(sock.send("four").id, `${body.client}-4`);
  });

  test("moved: a new session follows", () => {
    const { host, sock, last, events } = opened();
    host.welcome({}, 'r{"moved":5}');
    assert.deepEqual([sock.state, last("moved")], ["moving", null]);
    sock.connect();
    sock.reconnect();
    assert.equal(sock.state, "moving");
    host.tick(5000);
    assert.equal(sock.state, "connecting");
    host.welcome();
    assert.deepEqual(events(), ["connecting", "open", "moved", "open"]);
  });

  test("missed: the room's name", () => {
    const { host, last } = opened();
    host.welcome({ missed: [["key", "notes"]] });
    assert.deepEqual(last("missed"), { room: "notes" });
  });

  test("denied: stopped, until it is connected again", async () => {
    const { host, sock, told, events } = opened();
    const receipt = sock.send("one");
    host.refuse(host.newest("xhr_send"), 403);
    assert.deepEqual(told.slice(-2), [
      ["denied", { status: 403 }, "stopped"],
      ["stopped", { code: 4403, reason: "" }, "stopped"],
    ]);
    assert.throws(() => sock.send("two"), { name: "InvalidStateError" });
    sock.subscribe("key", "said later");
    sock.unsubscribe("other", "nobody hears it");
    assert.deepEqual(await outcomes(receipt), ["waits"]);
    sock.connect();
    const { body } = host.newest("xhr");
    assert.deepEqual([`${body.client}-1`, body.base, body.repeated], [receipt.id, 1, 1]);
    assert.deepEqual(body.messages, ["one", "said later"]);
    host.welcome({ received: 2 });
    assert.deepEqual(await outcomes(receipt), [true]);
    assert.deepEqual(events().slice(-2), ["connecting", "open"]);
  });

  test("a listener that closes, or begins anew, is told nothing that is no more so", () => {
    const one = opened();
    one.sock.addEventListener("lost", () => one.sock.close());
    lose(one.host);
    assert.deepEqual(one.events().slice(-2), ["lost", "stopped"]);
    const other = opened();
    other.sock.addEventListener("denied", () => other.sock.connect());
    other.host.refuse(other.host.newest("xhr"), 403);
    assert.deepEqual(other.events().slice(-2), ["denied", "connecting"]);
    other.host.welcome();
    assert.equal(other.sock.state, "open");
  });

  test("a listener that gives up a connection leaves nothing of it", () => {
    const terms = { limit: 65536, heartbeat: 25, incarnation: "a", net: "n", home: "" };
    for (const when of ["welcome", "pong"]) {
      const { host, sock } = client({ transports: ["websocket"] });
      const giveUp = () => sock.addEventListener("rtt", () => sock.reconnect(), { once: true });
      sock.connect();
      if (when === "welcome") giveUp();
      const { on, sent } = host.newest("websocket");
      on.open();
      on.text(`r${JSON.stringify({ from: 1, received: 0, ...terms })}`);
      if (when === "pong") {
        giveUp();
        host.tick(2500);
        on.text('r{"pong":1}');
      }
      const { length } = sent;
      // The one of the handshake that has begun.
      assert.deepEqual([host.timers.length, host.open("websocket").length], [1, 1], when);
      host.tick(5000);
      assert.equal(sent.length, length);
    }
  });

  test("a listener that ends it all leaves no timer", () => {
    const { host, sock } = opened();
    host.fail(host.newest("xhr"));
    host.welcome();
    sock.addEventListener("suspended", () => {
      sock.close();
      sock.connect();
      sock.close();
    });
    host.fail(host.newest("xhr"));
    assert.deepEqual([sock.state, host.timers, host.open("xhr")], ["closed", [], []]);
  });

  test("the server closes: stopped", () => {
    const { host, sock, last } = opened();
    host.welcome({}, 'c[3500,"Enough"]');
    assert.deepEqual([last("stopped"), sock.state], [{ code: 3500, reason: "Enough" }, "stopped"]);
    sock.close();
    assert.equal(sock.state, "closed");
  });
});

describe("methods", () => {
  test("close() waits until all is handled", () => {
    const { host, sock, last, events } = opened();
    sock.send("one");
    host.took(1, 0);
    sock.close(3001, "Bye");
    assert.equal(sock.state, "closing");
    assert.throws(() => sock.send("two"), { name: "InvalidStateError" });
    host.tick(2000);
    assert.deepEqual(host.newest("xhr_send").body.close, [3001, "Bye"]);
    host.took(1, 1, { closed: [3001, "Bye"] });
    host.tick(2000);
    host.answer(host.newest("xhr"), 'r{"from":1,"received":1}', 'c[3001,"Bye"]');
    assert.deepEqual([sock.state, last("stopped")], ["closed", { code: 3001, reason: "Bye" }]);
    assert.deepEqual(events(), ["connecting", "open", "stopped"]);
    assert.deepEqual(host.timers, []);
  });

  test("connect() after close() begins a session of the same client", () => {
    const { host, sock } = opened();
    const [first] = host.asked;
    const held = host.newest("xhr");
    sock.close();
    sock.connect();
    const poll = host.newest("xhr");
    assert.equal(held.over, true);
    assert.equal(poll.body.client, first.body.client);
    assert.notEqual(poll.session, first.session);
    assert.deepEqual(poll.body.replaces, { session: first.session, key: first.body.key });
    host.welcome();
    assert.equal(sock.state, "open");
  });

  test("close() before connect() closes nothing", () => {
    const { host, sock, events } = client();
    sock.close();
    assert.deepEqual([sock.state, events(), host.asked], ["closed", [], []]);
  });

  test("close() refuses what cannot be a code or a reason", () => {
    const { sock } = opened();
    for (const code of [1001, 2999, 5000]) {
      assert.throws(() => sock.close(code), { name: "InvalidAccessError" });
    }
    for (const reason of ["ü".repeat(62), "\n"]) assert.throws(() => sock.close(1000, reason), SyntaxError);
    assert.equal(sock.state, "open");
    sock.close(4999, `"${"ü".repeat(60)}"`);
    assert.equal(sock.state, "closing");
  });

  test("connect() tries at once where it would wait", () => {
    const { host, sock } = client();
    sock.connect();
    host.fail(host.newest("xhr"));
    host.fail(host.newest("xhr"));
    assert.equal(host.open("xhr").length, 0);
    sock.connect();
    assert.equal(host.open("xhr").length, 1);
    host.welcome();
    const { length } = host.asked;
    sock.connect();
    assert.equal(host.asked.length, length);
  });

  test("reconnect() goes on with the same session over other connections", () => {
    const { host, sock, events } = opened();
    const before = host.newest("xhr");
    sock.reconnect();
    const after = host.newest("xhr");
    assert.deepEqual([before.over, after.session, after.body.now], [true, before.session, true]);
    assert.deepEqual(events(), ["connecting", "open"]);
    const other = client();
    other.sock.reconnect();
    assert.equal(other.sock.state, "connecting");
  });

  test("transports are those of SockJS, and may be changed", () => {
    const { host, sock } = client({ transports: [] });
    assert.deepEqual(sock.transports, ["websocket", "xhr-streaming", "xhr-polling"]);
    sock.transports = ["xhr-polling", "jsonp-polling", "websocket"];
    assert.deepEqual(sock.transports, ["websocket", "xhr-polling"]);
    sock.transports = ["xhr-streaming"];
    sock.connect();
    assert.deepEqual(host.asked.map(({ last }) => last), ["xhr_streaming"]);
    sock.transports = [];
    assert.equal(sock.transports.length, 3);
  });

  test("the URL is checked, and may have a slash and a query", () => {
    assert.throws(() => new ReconnectingSockJS("ws://host/chat"), SyntaxError);
    assert.throws(() => new ReconnectingSockJS(""), SyntaxError);
    const { host, sock } = client({}, `${URL}/?room=1?`);
    assert.equal(sock.url, `${URL}?room=1?`);
    sock.connect();
    assert.match(host.newest("xhr").url, /^http:\/\/host\/chat\/~r1\/[\w-]{22}\/xhr\?room=1\?$/);
  });
});

describe("subscriptions", () => {
  test("they are said now, and in each session that follows", () => {
    const { host, sock } = client();
    sock.subscribe("room", "open 1");
    sock.subscribe("other", "open 2");
    sock.subscribe("room", "open 3");
    sock.unsubscribe("other", "close 2");
    sock.connect();
    assert.deepEqual(host.newest("xhr").body.messages, ["open 1", "open 2", "open 3", "close 2"]);
    host.welcome({ received: 4 });
    sock.send("text");
    host.fail(host.newest("xhr"));
    host.tick(500);
    host.welcome({ received: 4 });
    lose(host, 4);
    const { body } = host.newest("xhr");
    assert.deepEqual(body.messages, ["text", "open 3"]);
    // It was not handled: it goes out again by itself, once.
    host.welcome({ received: 1 });
    lose(host, 1);
    assert.deepEqual(host.newest("xhr").body.messages, ["open 3"]);
    host.welcome({ received: 1 }, 'r{"moved":0}');
    host.tick(3000);
    assert.deepEqual(host.newest("xhr").body.messages, ["open 3"]);
    host.welcome({ received: 1 });
    sock.unsubscribe("room");
    sock.unsubscribe("room", "was not there");
    assert.deepEqual(sock.outbox, []);
  });

  test("one that is too large is refused, and forgotten", () => {
    const { host, sock } = opened();
    assert.throws(() => sock.subscribe("key", "x".repeat(65536)), RangeError);
    lose(host);
    assert.equal(host.newest("xhr").body.messages, undefined);
  });

  test("they go out however much waits", () => {
    const { host, sock } = opened();
    sock.subscribe("key", "said");
    host.took(1);
    assert.throws(() => {
      for (;;) sock.send("x".repeat(60000));
    });
    const { length } = sock.outbox;
    lose(host, 1);
    assert.deepEqual([sock.outbox.length, sock.outbox.at(-1).text], [length + 1, "said"]);
  });

  test("nothing is said while it is closing", () => {
    const { host, sock } = opened();
    sock.subscribe("key", "said");
    host.took(1);
    sock.close();
    host.took(1, 1, { lost: { received: 1 } });
    assert.deepEqual([sock.state, sock.outbox], ["closed", []]);
  });
});
