// ReconnectingSockJS where the server does not know ~r1: plain SockJS, which comes back.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { browse, client } from "./page.js";
import { pageOf } from "./peers.js";

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

/** The WebSockets that SockJS makes. */
class FakeSocket {
  static made = [];
  static #tell = () => {};
  sent = [];
  closed = false;

  constructor(url) {
    this.url = url;
    FakeSocket.made.push(this);
    FakeSocket.#tell(this);
  }

  /** Has one be made: what SockJS needs is loaded before. */
  static making(cause) {
    return new Promise((resolve) => {
      FakeSocket.#tell = resolve;
      cause();
    });
  }

  send(text) {
    this.sent.push(...JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  frame(data) {
    this.onmessage({ data });
  }

  static get newest() {
    return FakeSocket.made.at(-1);
  }
}

/** A client at a server of plain SockJS. */
function connected(t, options) {
  pageOf(t, "http://host");
  const former = globalThis.WebSocket;
  globalThis.WebSocket = FakeSocket;
  FakeSocket.made.length = 0;
  t.after(() => (globalThis.WebSocket = former));
  const all = client({ transports: ["websocket", "xhr-polling"], ...options });
  /** Has ~r1 be refused, and SockJS open. */
  const open = async () => {
    while (!all.host.open("xhr").length) all.host.tick(50);
    await FakeSocket.making(() => all.host.refuse(all.host.newest("xhr"), 404));
    FakeSocket.newest.frame("o");
  };
  const lose = async (frame) => {
    if (frame) FakeSocket.newest.frame(frame);
    else FakeSocket.newest.onclose({ code: 1006, reason: "" });
    await turn();
  };
  all.sock.connect();
  return { ...all, open, lose };
}

describe("plain SockJS", () => {
  for (const status of [404, 405, 501]) {
    test(`it is used where ~r1 is ${status}`, async (t) => {
      const { host, sock, told, last } = connected(t);
      const early = sock.send("early");
      host.tick(150);
      assert.equal(FakeSocket.made.length, 0);
      await FakeSocket.making(() => host.refuse(host.newest("xhr"), status));
      assert.deepEqual(host.open("websocket"), []);
      assert.match(FakeSocket.newest.url, /^ws:\/\/host\/chat\/\d+\/\w+\/websocket$/);
      assert.deepEqual([sock.state, sock.transport], ["connecting", null]);
      const second = sock.send("second");
      FakeSocket.newest.frame("o");
      assert.deepEqual([sock.state, sock.transport, sock.rtt], ["open", "websocket", null]);
      assert.deepEqual(told.map(([type]) => type), ["connecting", "transport", "open"]);
      assert.deepEqual(last("open"), { transport: "websocket" });
      const late = sock.send("late");
      assert.deepEqual(FakeSocket.newest.sent, ["early", "second", "late"]);
      assert.deepEqual(await Promise.all([early, second, late].map(({ handled }) => handled)), [false, false, false]);
      assert.deepEqual(sock.outbox, []);
      FakeSocket.newest.frame('a["one","two"]');
      assert.equal(last("message"), "two");
    });
  }

  test("it is used where a session of SockJS opens in place of one of ~r1", async (t) => {
    const { host, sock } = connected(t);
    host.newest("websocket").on.open();
    await FakeSocket.making(() => host.newest("websocket").on.text("o"));
    FakeSocket.newest.frame("o");
    assert.equal(sock.state, "open");
  });

  test("it is tried where handshakes are refused, and there is no other way", async (t) => {
    const { host, sock } = connected(t, { transports: ["websocket"] });
    for (let n = 0; n < 3; n += 1) {
      assert.equal(sock.state, "connecting");
      const failed = () => host.fail(host.newest("websocket"));
      if (n === 2) await FakeSocket.making(failed);
      else failed();
      if (n < 2) while (!host.open("websocket").length) host.tick(1000);
    }
    FakeSocket.newest.frame("o");
    assert.deepEqual([sock.state, sock.transport], ["open", "websocket"]);
  });

  test("its requests carry cookies as the page says", async (t) => {
    const { host } = connected(t, { transports: ["xhr-polling"], credentials: "omit" });
    const fetched = new Promise((resolve) => {
      t.mock.method(globalThis, "fetch", (_, init) => new Promise(() => resolve(init)));
    });
    host.refuse(host.newest("xhr"), 404);
    assert.equal((await fetched).credentials, "omit");
  });

  test("a break ends the session, and ~r1 is asked for again", async (t) => {
    const { host, sock, open, lose, events, last } = connected(t);
    sock.subscribe("key", "said");
    await open();
    sock.send("one");
    await lose();
    assert.deepEqual(events(), ["connecting", "open", "suspended", "lost", "connecting"]);
    assert.deepEqual([last("lost"), sock.transport], [{ handled: 2, repeated: 0 }, null]);
    const receipt = sock.send("two");
    host.tick(150);
    host.welcome({ received: 0 });
    const { body } = host.asked.findLast(({ last: name }) => name === "xhr_send");
    assert.deepEqual([body.first, body.messages], [1, ["said", "two"]]);
    assert.equal(host.asked.find((one) => one.body?.new && one.body.base === 3)?.body.client, receipt.id.slice(0, 22));
    host.took(2);
    assert.equal(await receipt.handled, true);
    assert.deepEqual(events().slice(-1), ["open"]);
  });

  test("a session of ~r1 is lost where no server knows of it any more", (t) => {
    const { host, sock, events, last } = connected(t, { transports: ["xhr-polling"] });
    host.welcome();
    sock.send("one");
    let refused = 0;
    while (!last("lost")) {
      for (const name of ["xhr_send", "xhr"]) {
        if (!host.open(name).length) continue;
        host.refuse(host.newest(name), 404);
        refused += 1;
      }
      host.tick(1000);
    }
    assert(refused > 4, "as a newer server may answer next");
    assert.deepEqual([sock.state, last("lost")], ["connecting", { handled: 0, repeated: 1 }]);
    while (!host.open("xhr").length) host.tick(100);
    assert.equal(host.newest("xhr").body.new, true);
    assert.deepEqual(events(), ["connecting", "open", "suspended", "lost", "connecting"]);
  });

  test("breaks in a row take longer, until one lasted", async (t) => {
    const { host, open, lose } = connected(t);
    const waits = async () => {
      await lose();
      return host.open("xhr").length + host.open("websocket").length === 0;
    };
    await open();
    host.tick(4999);
    assert.equal(await waits(), false);
    await open();
    assert.equal(await waits(), true);
    await open();
    host.tick(5000);
    assert.equal(await waits(), false);
  });

  test("what does not open is tried again", async (t) => {
    const { host, sock, events } = connected(t, { transports: ["websocket"] });
    host.newest("websocket").on.open();
    await FakeSocket.making(() => host.newest("websocket").on.text("o"));
    t.mock.method(globalThis, "fetch", () => Promise.reject(new TypeError("no network")));
    for (const asked of [1, 0]) {
      host.tick(6000);
      FakeSocket.newest.onclose({ code: 1006, reason: "" });
      await turn();
      await turn();
      assert.equal(sock.state, "connecting");
      // The second time it waits.
      assert.equal(host.open("websocket").length, asked);
      if (!asked) break;
      host.newest("websocket").on.open();
      await FakeSocket.making(() => host.newest("websocket").on.text("o"));
    }
    assert.deepEqual(events(), ["connecting"]);
  });

  test("silence is an end", async (t) => {
    const { host, open, sock } = connected(t);
    await open();
    host.tick(80e3);
    FakeSocket.newest.frame("h");
    host.tick(80e3);
    FakeSocket.newest.frame('a["one"]');
    host.tick(80e3);
    assert.equal(sock.state, "open");
    host.tick(10e3);
    assert.equal(sock.state, "connecting");
    assert.equal(FakeSocket.newest.closed, true);
  });

  test("what the application closes stays closed", async (t) => {
    for (const [frame, state] of [
      ['c[1000,"Normal"]', "stopped"],
      ['c[4321,"Enough"]', "stopped"],
      ['c[4403,"Forbidden"]', "stopped"],
      // These are the server's.
      ['c[3000,"Go away!"]', "connecting"],
      ['c[4008,"Slow consumer"]', "connecting"],
      ['c[2010,"Another connection still open"]', "connecting"],
    ]) {
      const { sock, open, lose, last } = connected(t);
      await open();
      await lose(frame);
      assert.equal(sock.state, state, frame);
      if (state === "stopped") assert.equal(last("stopped").code, JSON.parse(frame.slice(1))[0]);
      if (frame.includes("Forbidden")) assert.deepEqual(last("denied"), { status: 403 });
    }
  });

  test("a connection that breaks by such a code is not closed by the application", async (t) => {
    const { sock, open } = connected(t);
    await open();
    FakeSocket.newest.onclose({ code: 4321, reason: "" });
    await turn();
    assert.equal(sock.state, "connecting");
  });

  test("close() closes what is open, or waits for what is to be sent", async (t) => {
    const { sock, open, last, host } = connected(t);
    await open();
    sock.close(3001, "Bye");
    assert.deepEqual([sock.state, last("stopped")], ["closed", { code: 3001, reason: "Bye" }]);
    assert.equal(FakeSocket.newest.closed, true);
    assert.deepEqual(host.timers, []);
    sock.connect();
    sock.send("last");
    sock.close();
    assert.equal(sock.state, "closing");
    await open();
    assert.deepEqual([FakeSocket.newest.sent, sock.state], [["last"], "closed"]);
  });

  test("reconnect() begins another session", async (t) => {
    const { sock, open, events } = connected(t);
    await open();
    const first = FakeSocket.newest;
    sock.reconnect();
    assert.equal(first.closed, true);
    // What SockJS tells of the end is not heard.
    await turn();
    await open();
    assert.deepEqual(events(), ["connecting", "open", "suspended", "lost", "connecting", "open"]);
  });

  test("it is left when the browser is offline, and else let alone", async (t) => {
    const { say, show } = browse(t);
    const { sock, open, host } = connected(t);
    await open();
    say("online");
    show("visible");
    assert.equal(sock.state, "open");
    say("offline");
    assert.deepEqual([sock.state, FakeSocket.newest.closed], ["connecting", true]);
    host.fail(host.newest("websocket"));
    say("online");
    await open();
    assert.equal(sock.state, "open");
  });

  test("a page out of the cache begins another session", async (t) => {
    const { say } = browse(t);
    const { sock, open, events } = connected(t);
    await open();
    say("pagehide", { persisted: true });
    assert.equal(FakeSocket.newest.closed, true);
    say("pageshow", { persisted: true });
    assert.deepEqual(events(), ["connecting", "open", "suspended", "lost", "connecting"]);
    await open();
    assert.equal(sock.state, "open");
  });

  test("a reload leaves what could not be sent", async (t) => {
    const { say } = browse(t);
    const { sock, open, host } = connected(t);
    await open();
    sock.send("sent");
    say("offline");
    const { id } = sock.send("not sent");
    say("pagehide", { persisted: false });
    assert.deepEqual(host.asked.filter(({ options }) => options), []);
    const next = client();
    assert.deepEqual(next.sock.outbox.map(({ id: other, text }) => [other, text]), [[id, "not sent"]]);
  });

  test("a listener that closes when it hears of the loss ends it", async (t) => {
    const { sock, open, lose, host } = connected(t);
    sock.addEventListener("lost", () => sock.close());
    await open();
    await lose();
    assert.equal(sock.state, "closed");
    assert.deepEqual([host.open("websocket"), host.open("xhr")], [[], []]);
  });
});
