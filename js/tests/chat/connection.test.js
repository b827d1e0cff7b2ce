import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Connection } from "../../src/chat/connection.js";
import { Memory } from "../../src/chat/storage.js";
import { FakeSock } from "../reconnecting/setup.js";
import { fire, loadPage } from "./page.js";

let $;
let socks;
let received;
let losses;
let troubles;
let session;
let connection;

const last = () => socks.at(-1);

function load(path = "/rooms/3") {
  $ = loadPage(path);
  socks = [];
  received = [];
  losses = 0;
  troubles = [];
  globalThis.SockJS = class extends FakeSock {
    constructor(...args) {
      super(...args);
      socks.push(this);
    }
  };
  session = new Memory("sessionStorage", "chat.1");
  make();
}

function make() {
  connection = new Connection({
    endpoint: "/chat", session, api: { signedIn: async () => true },
    received: (text) => received.push(text),
    lost: () => { losses += 1; },
    troubled: (troubled) => troubles.push(troubled),
  });
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  load();
});
afterEach(() => {
  connection.sock.close();
  delete globalThis.SockJS;
  mock.timers.reset();
});

function connect() {
  connection.start();
  last().open("websocket");
  connection.welcomed();
}

const sent = () => last().sent.map((text) => JSON.parse(text)).filter(({ type }) => type !== "ping");

test("what waits in the outbox goes out when the server has welcomed the page", () => {
  connection.sock.post("a", '{"type":"message"}');
  connection.start();
  last().open();
  assert.deepEqual(sent(), []);
  connection.welcomed();
  assert.deepEqual(sent(), [{ type: "message" }]);
  assert.equal($("status-text").textContent, "Connected");
  assert.deepEqual(troubles, [true, false]);
});

test("what the server says is handed on, but the answers to pings", () => {
  connect();
  last().message('{"type":"presence"}');
  last().message('{"type":"pong","n":1}');
  last().message('{"type":"message","text":"\\"pong\\""}');
  assert.deepEqual(received, ['{"type":"presence"}', '{"type":"message","text":"\\"pong\\""}']);
  assert.match($("rtt").textContent, /^\d+ ms$/);
});

test("requests go out over the connection that is open, or not at all", () => {
  connection.request({ type: "read", room: 3, number: 1 });
  connect();
  connection.request({ type: "read", room: 3, number: 2 });
  assert.deepEqual(sent(), [{ type: "read", room: 3, number: 2 }]);
});

test("a room is heard over each connection, until it is looked at no more", () => {
  connection.open(3);
  connect();
  assert.deepEqual(sent(), [{ type: "open", room: 3 }]);
  connection.sock.reconnect();
  last().open();
  assert.deepEqual(sent(), [{ type: "open", room: 3 }]);
  connection.close(3, false);
  assert.deepEqual(sent().at(-1), { type: "close", room: 3 });
  connection.open(4);
  connection.close(4, true);
  assert.deepEqual(sent().at(-1), { type: "open", room: 4 });
});

test("the panel shows by which way, after how many attempts", async () => {
  connection.start();
  last().lose(1006);
  mock.timers.tick(1_000);
  // Whether the user is still signed in is asked first.
  await new Promise(setImmediate);
  last().open("xhr-streaming");
  assert.equal($("connection-label").textContent, "HTTP streaming");
  assert.equal($("attempts").textContent, "2");
  assert.equal($("rtt").textContent, "not measured yet");
});

test("a loss that lasts is spoken of, and nothing goes out before the next welcome", () => {
  connect();
  last().lose(1006);
  assert.equal(losses, 1);
  assert.equal($("status-text").textContent, "Connected");
  assert.equal($("transport").textContent, "none");
  mock.timers.tick(2_000);
  assert.equal($("status-text").textContent, "Reconnecting…");
  connection.sock.post("a", '{"type":"message"}');
  mock.timers.tick(30_000);
  last().open();
  assert.deepEqual(sent(), []);
  connection.welcomed();
  assert.deepEqual(sent(), [{ type: "message" }]);
});

test("who has signed out is led to sign in again, and back to this address", () => {
  connect();
  last().lose(4401, "Unauthorized", true);
  assert.equal($("status-text").textContent, "You are signed out.");
  assert.equal($("sign-in-again").hidden, false);
  $("sign-in-again").href = "/sign-in";
  fire($("sign-in-again"), "click");
  assert.equal($("sign-in-again").getAttribute("href"), "/sign-in?next=%2Frooms%2F3");
});

test("after a refusal one can try again", () => {
  connect();
  last().lose(4403, "Forbidden", true);
  assert.equal($("again").hidden, false);
  const before = socks.length;
  fire($("again"), "click");
  assert.equal(socks.length, before + 1);
});

test("a way by force replaces that of the address, and is kept for the tab", () => {
  load("/rooms/3?transport=websocket,xhr-polling&x=1");
  assert.deepEqual(connection.sock.transports, ["websocket", "xhr-polling"]);
  assert.equal($("force").value, "");
  connect();
  $("force").value = "xhr-polling";
  fire($("force-apply"), "click");
  assert.equal(location.search, "?x=1");
  assert.deepEqual(last().options.transports, ["xhr-polling"]);
  assert.equal($("attempts").textContent, "1");
  make();
  assert.deepEqual(connection.sock.transports, ["xhr-polling"]);
  assert.equal($("force").value, "xhr-polling");
  $("force").value = "";
  fire($("force-apply"), "click");
  assert.equal(session.get("transports"), null);
});
