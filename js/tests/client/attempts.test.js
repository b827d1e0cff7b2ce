// Which transport is used, and what is asked of a server, by a server that does what each test says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SockJS } from "../../src/client/index.js";
import { handOver, pageOf, scripted, story } from "./peers.js";

const limit = { timeout: 60_000 };
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const open = ({ response }) => response.writeHead(200).write("o\n");
const poll = ({ response }) => response.end("o\n");
const missing = ({ response, socket }) =>
  response ? response.writeHead(404).end() : socket.end("HTTP/1.1 404 Not Found\r\n\r\n");
const held = () => {};
const info = (content) => ({ response }) => response.end(JSON.stringify(content));

/** A server with an answer for each last part of a URL; and a client, of a page of that server. */
async function connect(t, answers, options, url = "/chat") {
  const server = await scripted((one) => (answers[one.last] ?? missing)(one));
  t.after(() => server.stop());
  pageOf(t, server.url);
  const sock = new SockJS(url, null, options);
  t.after(() => sock.close());
  return { server, sock, told: story(sock) };
}

test("of its own server no info is asked, and one transport is tried", limit, async (t) => {
  const websocket = ({ accept }) => accept().send("o");
  const { server, sock, told } = await connect(t, { websocket });
  await told.until("open");
  assert.equal(sock.transport, "websocket");
  assert.deepEqual(server.seen.map(({ last }) => last), ["websocket"]);
});

test("the URL of a session has server, id and the query", limit, async (t) => {
  const [sent, send] = handOver();
  const answers = { xhr_streaming: open, xhr_send: sent };
  const options = { transports: "xhr-streaming", server: "here", sessionId: () => "$&" };
  const { server, sock, told } = await connect(t, answers, options, "/a/chat?t=mine&a");
  await told.until("open");
  sock.send("text");
  const { url, body } = await send;
  const [receiver] = server.seen;
  assert.equal(receiver.url.pathname, "/a/chat/here/$&/xhr_streaming");
  assert.equal(url.pathname, "/a/chat/here/$&/xhr_send");
  assert.equal(body, '["text"]');
  // A server knows a request that was repeated by the last `t`.
  const [mine, own] = url.searchParams.getAll("t");
  assert.equal(mine, "mine");
  assert.notEqual(own, receiver.url.searchParams.getAll("t")[1]);
});

test("an id has as many characters as was said, and is another one each time", limit, async (t) => {
  const { server, told } = await connect(t, { xhr: poll }, { sessionId: 21 });
  await told.until("open");
  const parts = server.seen.map(({ url }) => url.pathname.split("/"));
  for (const [, , number, id] of parts) {
    assert.match(number, /^\d{1,3}$/);
    assert.match(id, /^[0-9a-z]{21}$/);
  }
  assert(new Set(parts.map(([, , , id]) => id)).size >= 3);
  assert.equal(new Set(parts.map(([, , number]) => number)).size, 1);
});

test("another server is asked first: it may be elsewhere", limit, async (t) => {
  const other = await scripted((one) => one.last === "xhr_streaming" && open(one));
  t.after(() => other.stop());
  const answers = { info: info({ base_url: `${other.url}/there/`, websocket: false }) };
  const { server, told, sock } = await connect(t, answers, { info: true });
  await told.until("open");
  assert.equal(sock.transport, "xhr-streaming");
  assert.deepEqual(server.seen.map(({ last }) => last), ["info"]);
  assert.match(other.seen[0].url.pathname, /^\/there\/\d+\/\w{8}\/xhr_streaming$/);
});

test("another origin is asked unless that is said to be of no use", limit, async (t) => {
  const answers = { info: info({}), xhr: poll };
  const { server, sock } = await connect(t, answers);
  sock.close();
  for (const [options, first] of [[{}, "info"], [{ info: false }, "xhr"]]) {
    server.seen.length = 0;
    globalThis.location = new URL("http://localhost:1/");
    const there = new SockJS(`${server.url}/chat`, null, { transports: "xhr-polling", ...options });
    await story(there).until("open");
    assert.equal(server.seen[0].last, first);
    there.close();
  }
});

test("what info has besides JSON is of no interest", limit, async (t) => {
  const answers = { info: ({ response }) => response.end("{"), xhr: poll };
  const { told } = await connect(t, answers, { info: true, transports: ["xhr-polling"] });
  await told.until("open");
});

test("a base_url that cannot be is none", limit, async (t) => {
  const answers = { info: info({ base_url: "http://" }), xhr: poll };
  const { told } = await connect(t, answers, { info: true, transports: ["xhr-polling"] });
  await told.until("open");
});

test("no info, no server", limit, async (t) => {
  const { server, told } = await connect(t, { xhr: poll }, { info: true });
  assert.deepEqual(await told.until("close"), [1002, "Cannot connect to server", false]);
  assert.deepEqual(told.events[0], ["error"]);
  assert.equal(server.seen.length, 1);
});

test("transports are tried in our order, unknown ones not at all", limit, async (t) => {
  const answers = { info: info({}) };
  const transports = ["jsonp-polling", "xhr-polling", "websocket"];
  const { server, told } = await connect(t, answers, { transports });
  assert.deepEqual(await told.until("close"), [2000, "All transports failed", false]);
  assert.deepEqual(server.seen.map(({ last }) => last), ["websocket", "xhr", "info"]);
});

test("a handshake that nobody answers does not hold it up", limit, async (t) => {
  const { server, sock, told } = await connect(t, { websocket: held, xhr_streaming: open });
  await told.until("open");
  assert.equal(sock.transport, "xhr-streaming");
  assert.equal(server.of("xhr").length, 0);
});

test("a stream that brings nothing does not hold it up", limit, async (t) => {
  const [end, ended] = handOver();
  const xhr_streaming = ({ response }) => {
    response.on("close", end);
    response.writeHead(200).flushHeaders();
  };
  const { sock, told } = await connect(t, { xhr_streaming, xhr: poll });
  await told.until("open");
  assert.equal(sock.transport, "xhr-polling");
  await ended;
});

test("a WebSocket that is slow as all here is used, not the stream before it", limit, async (t) => {
  const [shake, handshake] = handOver();
  const answers = {
    websocket: shake,
    // Far from everything.
    xhr_streaming: async (one) => {
      await wait(700);
      open(one);
      one.response.write('a["of the stream"]\n');
      (await handshake).accept().send("o");
    },
  };
  const { sock, told } = await connect(t, answers);
  await told.until("open");
  assert.equal(sock.transport, "websocket");
  assert.deepEqual(told.messages(), []);
});

test("what came over the stream until it was chosen is not lost", limit, async (t) => {
  const answers = {
    websocket: held,
    xhr_streaming: async (one) => {
      await wait(200);
      open(one);
      one.response.write('a["1","2"]\nh\na["3"]\n');
    },
  };
  const { sock, told } = await connect(t, answers);
  await told.until("message", 3);
  assert.equal(sock.transport, "xhr-streaming");
  assert.deepEqual(told.events.map(([type]) => type), ["open", "message", "message", "heartbeat", "message"]);
});

test("a stream that opens and dies while the WebSocket may come is followed by polls", limit, async (t) => {
  const xhr_streaming = async (one) => {
    // Four times that is what the WebSocket has.
    await wait(250);
    one.response.end('o\na["');
  };
  const { server, sock, told } = await connect(t, { websocket: held, xhr_streaming, xhr: poll });
  await told.until("open");
  assert.equal(sock.transport, "xhr-polling");
  assert.deepEqual(told.events, [["open"]]);
  assert.equal(server.of("xhr_streaming").length, 1);
});

test("with a timeout nothing else is begun sooner", limit, async (t) => {
  const websocket = async ({ accept }) => {
    await wait(600);
    accept().send("o");
  };
  const { server, sock, told } = await connect(t, { websocket, xhr: poll }, { timeout: 30_000 });
  await told.until("open");
  assert.equal(sock.transport, "websocket");
  assert.equal(server.seen.length, 1);
});

test("a page of a proxy, or of a form to sign in, is no SockJS", limit, async (t) => {
  const page = ({ response }) => response.end("<!DOCTYPE html>\n<title>Sign in</title>\n");
  const answers = { websocket: missing, xhr_streaming: page, xhr: page, info: info({}) };
  const { told } = await connect(t, answers);
  assert.deepEqual(await told.until("close"), [2000, "All transports failed", false]);
});

test("info that never comes is not waited for", limit, async (t) => {
  const over = t.mock.method(AbortSignal, "timeout", () => AbortSignal.abort());
  const { told } = await connect(t, { info: held, xhr: poll }, { info: true });
  assert.deepEqual(await told.until("close"), [1002, "Cannot connect to server", false]);
  assert.deepEqual(over.mock.calls.map((call) => call.arguments), [[8_000]]);
});

test("a server that closes instead of opening is heard", limit, async (t) => {
  const closes = ({ response }) => response.end('c[2010,"Another connection still open"]\n');
  const { told } = await connect(t, { xhr_streaming: closes });
  assert.deepEqual(await told.until("close"), [2010, "Another connection still open", true]);
  assert.equal(told.events.length, 1);
});

test("closed while it is tried, it stays closed", limit, async (t) => {
  const [websocket, handshake] = handOver();
  const { server, sock, told } = await connect(t, { websocket });
  const { accept } = await handshake;
  sock.close(3000, "Never mind");
  accept().send("o");
  assert.deepEqual(await told.until("close"), [3000, "Never mind", true]);
  assert.equal(told.events.length, 1);
  assert.equal(server.seen.length, 1);
});

test("closed while info is asked, it stays closed", limit, async (t) => {
  const [ask, asked] = handOver();
  const { server, sock, told } = await connect(t, { info: ask, xhr: poll }, { info: true });
  const { response } = await asked;
  sock.close();
  await told.until("close");
  response.end("{}");
  // What its answer led to would have come before the last of these.
  for (let later = 0; later < 5; later += 1) await (await fetch(`${server.url}/later`)).text();
  assert.deepEqual(told.events.map(([type]) => type), ["close"]);
  assert.deepEqual([...new Set(server.seen.map(({ last }) => last))], ["info", "later"]);
});

// The last one here: Node's own fetch() does not get over a clock that was stopped.
test("what never answers is given up", limit, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const [xhr_streaming, stream] = handOver();
  const [xhr, first] = handOver();
  const [ask, asked] = handOver();
  const answers = { xhr_streaming, xhr, info: ask };
  const { server, told } = await connect(t, answers, { transports: ["xhr-streaming", "xhr-polling"] });
  const pass = (ms) => t.mock.timers.tick(ms);
  await stream;
  pass(300);
  await first;
  pass(300);
  pass(14_999);
  assert.deepEqual(told.events, []);
  pass(1);
  (await asked).response.end("{}");
  while (!told.events.length) {
    await new Promise(setImmediate);
    pass(1);
  }
  assert.deepEqual(told.events, [["close", 2000, "All transports failed", false]]);
  assert.deepEqual(server.seen.map(({ last }) => last), ["xhr_streaming", "xhr", "info"]);
});
