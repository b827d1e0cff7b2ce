// What sockjs-client promises (its README), over each transport, against our server and sockjs-node.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { SockJS } from "../../src/client/index.js";
import { ours, sockjsNode, story } from "../client/peers.js";

const TRANSPORTS = ["websocket", "xhr-streaming", "xhr-polling"];
const limit = { timeout: 60_000 };

// Every code unit, lone surrogates too; a message of them has up to 6 bytes for each.
const CODE_UNITS = Array.from({ length: 16 }, (_, block) =>
  String.fromCharCode(...Array.from({ length: 4096 }, (__, index) => 4096 * block + index)),
);
const TEXTS = [
  "", " ", "o", "h", "a[\"b\"]", "c[3000,'x']", "\"'\\/", "%41 %80 %zz", "\r\n\n\r", "</script>",
  "ümläut – Ελληνικά – 日本語 – שלום", "\u{1f600} 👩\u200d🚀", "\ufeff\ufffe\uffff", "\0\x7f\x80\x9f",
  ...CODE_UNITS,
]; // prettier-ignore

for (const [name, start] of Object.entries({ "our server": ours, "sockjs-node": sockjsNode })) {
  describe(name, () => {
    let server;
    before(async () => (server = await start()));
    after(() => server.stop());

    test("uses a WebSocket where nothing else is said", limit, async () => {
      const sock = new SockJS(`${server.url}/echo`);
      const told = story(sock);
      await told.until("open");
      assert.equal(sock.transport, "websocket");
      sock.close();
      await told.until("close");
    });

    test("falls back to a stream where there are none", limit, async () => {
      const sock = new SockJS(`${server.url}/disabled_websocket_echo/`);
      const told = story(sock);
      await told.until("open");
      assert.equal(sock.transport, "xhr-streaming");
      sock.close();
      await told.until("close");
    });

    test("tells that no transport works, or that there is no server", limit, async () => {
      const failed = story(
        new SockJS(`${server.url}/disabled_websocket_echo`, null, { transports: ["websocket"] }),
      );
      assert.deepEqual(await failed.until("close"), [2000, "All transports failed", false]);
      assert.deepEqual(failed.events.length, 1);
      const none = story(new SockJS(`${server.url}/nothing`));
      assert.deepEqual(await none.until("close"), [1002, "Cannot connect to server", false]);
      assert.deepEqual(none.events[0], ["error"]);
    });

    for (const transport of TRANSPORTS) {
      const connect = (path) => {
        const sock = new SockJS(server.url + path, null, { transports: transport });
        return [sock, story(sock)];
      };

      test(`${transport}: 200 messages come back in order`, limit, async () => {
        const [sock, told] = connect("/echo");
        await told.until("open");
        assert.equal(sock.transport, transport);
        assert.equal(sock.readyState, SockJS.OPEN);
        const texts = Array.from({ length: 200 }, (_, number) => `${number} ümläut`);
        for (const text of texts) sock.send(text);
        await told.until("message", 200);
        assert.deepEqual(told.messages(), texts);
        sock.close();
        await told.until("close");
      });

      test(`${transport}: any text, also large ones`, limit, async () => {
        const [sock, told] = connect("/echo");
        await told.until("open");
        const large = ["x".repeat(60_000), "ü".repeat(30_000), "y".repeat(60_000)];
        const texts = [...TEXTS, ...large];
        for (const text of texts) sock.send(text);
        await told.until("message", texts.length);
        texts.forEach((text, index) => assert.equal(told.messages()[index], text, `${index}`));
        sock.close();
        await told.until("close");
      });

      test(`${transport}: what is no text is sent as one`, limit, async () => {
        const [sock, told] = connect("/echo");
        await told.until("open");
        const values = [[1, 2, "data"], null, undefined, false, 12.5, { a: 1 }];
        for (const value of values) sock.send(value);
        await told.until("message", values.length);
        assert.deepEqual(told.messages(), values.map(String));
        sock.close();
        await told.until("close");
      });

      test(`${transport}: the server closes`, limit, async () => {
        const [sock, told] = connect("/close");
        assert.deepEqual(await told.until("close"), [3000, "Go away!", true]);
        assert.deepEqual(told.events.map(([type]) => type), ["open", "close"]);
        assert.equal(sock.readyState, SockJS.CLOSED);
        assert.equal(sock.transport, null);
        sock.close();
        sock.send("nobody hears it");
        assert.equal(told.events.length, 2);
      });

      test(`${transport}: the page closes`, limit, async () => {
        const [sock, told] = connect("/echo");
        await told.until("open");
        sock.close(3001, "my “reason”");
        assert.equal(sock.readyState, SockJS.CLOSING);
        assert.equal(told.events.length, 1);
        assert.deepEqual(await told.until("close"), [3001, "my “reason”", true]);
        assert.equal(sock.readyState, SockJS.CLOSED);
      });
    }
  });
}

describe("our server alone", () => {
  let server;
  let tags = 0;
  before(async () => (server = await ours()));
  after(() => server.stop());

  const hooks = async (tag, count) => {
    const response = await fetch(`${server.url}/events?tag=${tag}&count=${count}&timeout=40`);
    return response.json();
  };

  for (const transport of TRANSPORTS) {
    const connect = (endpoint) => {
      const tag = `tag${(tags += 1)}`;
      const sock = new SockJS(`${server.url}/${endpoint}?tag=${tag}`, null, {
        transports: [transport],
      });
      return [sock, story(sock), tag];
    };

    test(`${transport}: the query of the URL reaches the application`, limit, async () => {
      const [sock, told, tag] = connect("echo");
      await told.until("open");
      assert.deepEqual(await hooks(tag, 1), [["open"]]);
      sock.close();
      await told.until("close");
    });

    test(`${transport}: what was sent before close() arrives`, limit, async () => {
      const [sock, told, tag] = connect("echo");
      await told.until("open");
      const texts = Array.from({ length: 50 }, (_, number) => `${number}${"x".repeat(2_000)}`);
      for (const text of texts) sock.send(text);
      sock.close();
      assert.deepEqual(await told.until("close"), [1000, "Normal closure", true]);
      assert.deepEqual(told.messages(), []);
      const seen = await hooks(tag, texts.length + 1);
      assert.deepEqual(seen.slice(1, 51), texts.map((text) => ["message", text]));
    });

    test(`${transport}: code and reason of the server, behind its messages`, limit, async () => {
      const [sock, told] = connect("script");
      await told.until("open");
      sock.send(JSON.stringify([["send", "last"], ["close", 4321, "my “reason” %41"]]));
      assert.deepEqual(await told.until("close"), [4321, "my “reason” %41", true]);
      assert.deepEqual(told.messages(), ["last"]);
    });

    test(`${transport}: heartbeats`, limit, async () => {
      const [sock, told] = connect("fast_heartbeat");
      await told.until("heartbeat", 2);
      assert.deepEqual(told.events[0], ["open"]);
      sock.send(JSON.stringify([["send", "alive"]]));
      await told.until("message");
      sock.close();
      await told.until("close");
    });
  }

  test("a refusal of the application is told by its code", limit, async () => {
    const told = story(new SockJS(`${server.url}/forbidden`));
    assert.deepEqual(await told.until("close"), [4403, "Forbidden", true]);
  });
});

describe("without a server", () => {
  const refuses = (make, type, message) => {
    assert.throws(make, (error) => {
      assert(error instanceof type, `${error}`);
      assert.match(`${error.name} ${error.message}`, message);
      return true;
    });
  };
  // Nothing listens there, and nothing is waited for.
  const make = (url = "http://127.0.0.1:9/x", ...rest) => new SockJS(url, ...rest);

  test("a URL that cannot be", () => {
    refuses(() => new SockJS(), TypeError, /URL/);
    for (const url of ["", "//host", "http://", "ftp://host", "ws://host", "http://host/#a", "/x"]) {
      refuses(() => make(url), SyntaxError, /URL/);
    }
  });

  test("a URL relative to the page's", (t) => {
    globalThis.location = new URL("http://127.0.0.1:9/rooms/page?a=b");
    t.after(() => delete globalThis.location);
    for (const [url, whole] of [
      ["chat", "http://127.0.0.1:9/rooms/chat"],
      ["/chat/?c=d/", "http://127.0.0.1:9/chat?c=d/"],
      ["//localhost:9//", "http://localhost:9"],
    ]) {
      const sock = make(url);
      assert.equal(sock.url, whole);
      sock.close();
    }
  });

  test("http from a page of https, unless to loopback", (t) => {
    globalThis.location = new URL("https://host/");
    t.after(() => delete globalThis.location);
    refuses(() => make("http://host/chat"), DOMException, /SecurityError.*SecurityError/);
    for (const host of ["127.0.0.1", "[::1]", "localhost"]) make(`http://${host}:9/x`).close();
    make("https://host/chat").close();
    // An extension's page, or an app's, is none of https.
    globalThis.location = new URL("moz-extension://id/page");
    make("http://host/chat").close();
  });

  test("protocols are checked, and of no use", () => {
    refuses(() => make(undefined, ["a", "a"]), SyntaxError, /protocol/);
    refuses(() => make(undefined, ["a", ""]), SyntaxError, /protocol/);
    for (const protocols of [null, undefined, "", "a", ["a", "b"], []]) {
      const sock = make(undefined, protocols);
      assert.equal(sock.protocol, "");
      sock.close();
    }
  });

  test("sessionId is a number or a function", () => {
    refuses(() => make(undefined, null, { sessionId: "x" }), TypeError, /sessionId/);
    make(undefined, null, { sessionId: null }).close();
  });

  test("states are constants of class and instance", () => {
    const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
    const sock = make();
    for (const [name, value] of Object.entries(states)) {
      assert.equal(SockJS[name], value);
      assert.equal(sock[name], value);
    }
    assert.equal(sock.readyState, SockJS.CONNECTING);
    assert.equal(sock.extensions, "");
    assert.equal(sock.transport, null);
    sock.close();
  });

  test("it is an EventTarget, also without new", () => {
    const sock = SockJS("http://127.0.0.1:9/x");
    assert(sock instanceof SockJS);
    assert(sock instanceof EventTarget);
    sock.close();
  });

  test("sending before it is open", async () => {
    const sock = make();
    refuses(() => sock.send("x"), DOMException, /InvalidStateError.*InvalidStateError/);
    sock.close();
    sock.send("dropped");
    await story(sock).until("close");
    sock.send("dropped");
  });

  test("closing with what cannot be", async () => {
    const sock = make();
    for (const code of [1, 999, 1001, 1006, 2000, 2999, 5000, "x"]) {
      refuses(() => sock.close(code), DOMException, /InvalidAccessError.*InvalidAccessError/);
    }
    refuses(() => sock.close(1000, "x".repeat(124)), SyntaxError, /reason/);
    assert.equal(sock.readyState, SockJS.CONNECTING);
    sock.close(4999, "x".repeat(123));
    assert.deepEqual(await story(sock).until("close"), [4999, "x".repeat(123), true]);
  });

  test("closing before it is open tells close alone, later and once", async () => {
    const sock = make();
    const told = story(sock);
    sock.close();
    sock.close(3000, "again");
    assert.equal(told.events.length, 0);
    assert.equal(sock.readyState, SockJS.CLOSING);
    assert.deepEqual(await told.until("close"), [1000, "Normal closure", true]);
    assert.equal(told.events.length, 1);
  });

  test("handlers come first, listeners in their order, once each", async () => {
    const sock = make();
    const seen = [];
    const gone = () => seen.push("gone");
    sock.addEventListener("close", () => seen.push("first"));
    const twice = (event) => seen.push(event.type);
    sock.addEventListener("close", twice);
    sock.addEventListener("close", twice);
    sock.addEventListener("close", gone);
    sock.removeEventListener("close", gone);
    sock.onclose = function (event) {
      seen.push(this === sock, event.target === sock, event instanceof Event);
    };
    sock.close();
    await story(sock).until("close");
    assert.deepEqual(seen, [true, true, true, "first", "close"]);
    sock.onclose = null;
    sock.dispatchEvent(new Event("close"));
    sock.dispatchEvent({ type: "close", code: 1 });
    assert.deepEqual(seen.slice(5), ["first", "close", "first", "close"]);
  });
});
