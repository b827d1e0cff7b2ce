// The connection and what the page shows of it, with a server and a clock that the test plays.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Connection } from "../../src/chat/connection.js";
import { Memory } from "../../src/chat/storage.js";
import { fire, loadPage } from "./page.js";
import { Server } from "./server.js";

let $;
let server;
let received;
let missed;
let losses;
let troubles;
let session;
let connection;

function load(path = "/rooms/3?transport=websocket") {
  $ = loadPage(path);
  server = new Server();
  received = [];
  missed = [];
  losses = 0;
  troubles = [];
  session = new Memory("sessionStorage", "chat.1");
  make();
}

function make() {
  connection?.sock.close();
  connection = new Connection({
    endpoint: "/chat?user=1", session,
    received: (text) => received.push(JSON.parse(text)),
    missed: (room) => missed.push(room),
    lost: () => { losses += 1; },
    troubled: (troubled) => troubles.push(troubled),
  });
}

beforeEach((t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(performance, "now", () => Date.now());
  load();
});
afterEach(() => {
  connection.sock.close();
  mock.timers.reset();
});

/** Lets so many ms pass, event by event. */
function pass(ms) {
  for (let gone = 0; gone < ms; gone += 50) mock.timers.tick(50);
}

/** Lets time pass until the page connects anew. */
function passToNext() {
  for (let n = 0; !server.socket.isNew || server.socket.isOver; n += 1) {
    assert.ok(n < 2000, "no new connection");
    pass(50);
  }
}

function connect() {
  connection.start();
  server.open();
  connection.welcomed();
}

test("the page says who it is for, and what the server says is handed on", () => {
  connect();
  assert.match(server.socket.url, /^ws:\/\/chat\.test\/chat\/~r1\/.*websocket\?user=1&new$/);
  assert.equal($("status-text").textContent, "Connected");
  assert.deepEqual(troubles, [false, false]);
  server.tell({ type: "presence" });
  assert.deepEqual(received, [{ type: "presence" }]);
});

test("a request that comes too early goes out later, but not that somebody is typing", () => {
  connection.request({ type: "read", room: 3, number: 1 });
  connection.request({ type: "typing", room: 3 });
  connect();
  connection.request({ type: "typing", room: 3 });
  assert.deepEqual(server.sent, [{ type: "read", room: 3, number: 1 }, { type: "typing", room: 3 }]);
});

test("a room is heard in each session, until it is looked at no more", () => {
  connection.open(3);
  connect();
  assert.deepEqual(server.sent, [{ type: "open", room: 3 }]);
  server.handle();
  server.lose();
  passToNext();
  server.open();
  assert.deepEqual(server.sent, [{ type: "open", room: 3 }]);
  connection.close(3, false);
  assert.deepEqual(server.sent.at(-1), { type: "close", room: 3 });
  connection.open(4);
  connection.close(4, true);
  assert.deepEqual(server.sent.at(-1), { type: "open", room: 4 });
});

test("the panel shows by which way, how fast, and how often it was interrupted", () => {
  connect();
  assert.equal($("connection-label").textContent, "WebSocket");
  assert.equal($("rtt").textContent, "0 ms");
  server.break();
  assert.equal($("transport").textContent, "none");
  assert.equal($("rtt").textContent, "not measured yet");
  assert.equal($("interruptions").textContent, "1");
});

test("a short break is not spoken of, and ends no session", () => {
  connect();
  server.break();
  passToNext();
  server.resume();
  assert.equal($("status").dataset.state, "open");
  pass(10_000);
  assert.equal($("status-text").textContent, "Connected");
  assert.equal(losses, 0);
  assert.deepEqual(troubles.slice(2), [false]);
});

test("a loss that lasts is spoken of until there is a session again", () => {
  connect();
  server.break();
  pass(5_900);
  assert.equal($("status-text").textContent, "Connected");
  pass(100);
  assert.equal($("status-text").textContent, "Reconnecting…");
  assert.equal(losses, 0);
  passToNext();
  server.lose();
  assert.equal(losses, 1);
  passToNext();
  server.open();
  assert.equal($("status-text").textContent, "Reconnecting…");
  connection.welcomed();
  assert.equal($("status-text").textContent, "Connected");
});

test("a server that is restarted in good order is not spoken of", () => {
  connect();
  server.move(5);
  assert.equal(losses, 1);
  passToNext();
  server.open();
  connection.welcomed();
  pass(10_000);
  assert.equal($("status-text").textContent, "Connected");
  assert.deepEqual(troubles.slice(2), [false]);
});

test("who is offline is told so, and that it reconnects when the network is back", () => {
  connect();
  Object.defineProperty(navigator, "onLine", { value: false, configurable: true });
  server.break();
  pass(6_000);
  assert.equal($("status-text").textContent, "You are offline");
  Object.defineProperty(navigator, "onLine", { value: true, configurable: true });
  fire(window, "online");
  assert.equal($("status-text").textContent, "Reconnecting…");
});

test("a room whose history does not reach back is told by its name", () => {
  connect();
  server.miss("room-3");
  assert.deepEqual(missed, ["room-3"]);
});

test("who has signed out is led to sign in again, and back to this address", () => {
  connect();
  server.close(4401, "Signed out");
  assert.equal(losses, 1);
  assert.equal($("status-text").textContent, "You are signed out.");
  assert.equal($("sign-in-again").hidden, false);
  $("sign-in-again").href = "/sign-in";
  fire($("sign-in-again"), "click");
  assert.equal($("sign-in-again").getAttribute("href"), "/sign-in?next=%2Frooms%2F3");
});

test("after a refusal one can try again", () => {
  connect();
  server.close(4403, "Forbidden");
  assert.equal($("again").hidden, false);
  const before = server.sockets.length;
  fire($("again"), "click");
  assert.equal(server.sockets.length, before + 1);
});

test("a session that the server closes for now is followed by another one, later each time", (t) => {
  t.mock.method(Math, "random", () => 0.99);
  connect();
  for (const ms of [2_000, 4_000]) {
    server.close(4503, "Try again");
    const { length } = server.sockets;
    pass(ms - 100);
    assert.equal(server.sockets.length, length);
    pass(100);
    assert.equal(server.sockets.length, length + 1);
    server.open();
  }
  assert.equal($("status-text").textContent, "Reconnecting…");
});

test("a way by force replaces that of the address, and is kept for the tab", () => {
  load("/rooms/3?transport=websocket,xhr-polling,jsonp-polling&x=1");
  assert.deepEqual(connection.sock.transports, ["websocket", "xhr-polling"]);
  assert.equal($("force").value, "");
  $("force").value = "websocket";
  fire($("force-apply"), "click");
  assert.equal(location.search, "?x=1");
  assert.deepEqual(connection.sock.transports, ["websocket"]);
  make();
  assert.deepEqual(connection.sock.transports, ["websocket"]);
  assert.equal($("force").value, "websocket");
  $("force").value = "";
  fire($("force-apply"), "click");
  assert.equal(session.get("transports"), null);
});
