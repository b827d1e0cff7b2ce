// What a connection makes of a server's frames, and of responses that were cut on their way.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SockJS } from "../../src/client/index.js";
import { network } from "../../src/client/network.js";
import { openLink } from "../../src/client/transports.js";
import { handOver, pageOf, scripted, story } from "./peers.js";

const limit = { timeout: 60_000 };

/** A client over one transport, and the answers to its polls or streams, one after the other. */
async function connect(t, transport, answers, send = (response) => response.writeHead(204).end()) {
  const waiting = [...answers];
  const server = await scripted(({ last, response, body }) => {
    if (last === "xhr_send") send(response, body);
    else waiting.shift()?.(response);
  });
  t.after(() => server.stop());
  pageOf(t, server.url);
  const sock = new SockJS("/chat", null, { transports: transport });
  t.after(() => sock.close());
  return { server, sock, told: story(sock) };
}

const types = (told) => told.events.map(([type]) => type);
const ends = (text) => (response) => response.end(text);
const held = () => {};

test("frames of any kind, with what no client knows between", limit, async (t) => {
  const stream = ["hhhhh", "o", "", "h", 'a["1","2"]', 'm"3"', "x[1]", "a", "a{", 'a"4"', "a[]", "c", 'c[1,"x"]'];
  const { told } = await connect(t, "xhr-streaming", [ends(`${stream.join("\n")}\n`)]);
  assert.deepEqual(await told.until("close"), [1, "x", true]);
  assert.deepEqual(types(told), ["open", "heartbeat", "message", "message", "message", "close"]);
  assert.deepEqual(told.messages(), ["1", "2", "3"]);
});

test("a stream in pieces of one byte", limit, async (t) => {
  const bytes = Buffer.from('o\na["ü\u{1f600}語"]\nc[3000,"“”"]\n');
  const inPieces = async (response) => {
    response.socket.setNoDelay(true);
    for (const byte of bytes) {
      response.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const { told } = await connect(t, "xhr-streaming", [inPieces]);
  assert.deepEqual(await told.until("close"), [3000, "“”", true]);
  assert.deepEqual(told.messages(), ["ü\u{1f600}語"]);
});

test("a stream that has ended is followed by the next one", limit, async (t) => {
  // Each begins with a prelude, which is no heartbeat.
  const answers = [ends("hhh\no\n"), ends('hhh\na["1"]\n'), ends('hhh\na["2"]\nc[3000,""]\n')];
  const { server, told } = await connect(t, "xhr-streaming", answers);
  assert.deepEqual(await told.until("close"), [3000, "", true]);
  assert.deepEqual(told.messages(), ["1", "2"]);
  assert.deepEqual(types(told), ["open", "message", "message", "close"]);
  const tags = server.seen.map(({ url }) => url.searchParams.get("t"));
  assert.equal(new Set(tags).size, 3);
});

test("a session that has opened twice is another one", limit, async (t) => {
  const { told } = await connect(t, "xhr-polling", [ends("o\n"), ends("o\n")]);
  assert.deepEqual(await told.until("close"), [1006, "Server lost session", false]);
  assert.deepEqual(types(told), ["open", "close"]);
});

for (const [what, text] of Object.entries({
  "in mid-frame": 'a["1"]\na["2',
  "to nothing": "",
  "before its line end": 'a["1"]',
})) {
  test(`a response that was cut ${what} is not taken for whole`, limit, async (t) => {
    const { told } = await connect(t, "xhr-polling", [ends("o\n"), ends(text)]);
    assert.deepEqual(await told.until("close"), [1006, "Connection lost", false]);
  });
}

test("a response that broke", limit, async (t) => {
  const breaks = (response) => {
    response.writeHead(200, { "Content-Length": 100 });
    response.write('a["1"]\n', () => response.destroy());
  };
  const { told } = await connect(t, "xhr-polling", [ends("o\n"), breaks]);
  assert.deepEqual(await told.until("close"), [1006, "Connection lost", false]);
  assert.deepEqual(told.messages(), ["1"]);
});

test("a response of another status", limit, async (t) => {
  const gone = (response) => response.writeHead(404).end('a["not of the session"]\n');
  const { told } = await connect(t, "xhr-polling", [ends("o\n"), gone]);
  assert.deepEqual(await told.until("close"), [1006, "HTTP status 404", false]);
  assert.deepEqual(told.messages(), []);
});

test("a send that was refused", limit, async (t) => {
  const refuse = (response) => response.writeHead(413).end();
  const { server, sock, told } = await connect(t, "xhr-polling", [ends("o\n"), held], refuse);
  await told.until("open");
  sock.send("1");
  sock.send("2");
  const close = [1006, "HTTP status 413", false];
  assert.deepEqual(await told.until("close"), close);
  assert.deepEqual(server.of("xhr_send").map(({ body }) => body), ['["1"]']);
});

test("one send at a time, and no more in it than a server takes", limit, async (t) => {
  const sends = [];
  let wake;
  const send = (response, body) => {
    sends.push({ response, texts: JSON.parse(body) });
    wake();
  };
  const { sock, told } = await connect(t, "xhr-polling", [ends("o\n"), held], send);
  await told.until("open");
  const texts = ["first", ..."abcde".split("").map((text) => text.repeat(9_000)), "x".repeat(60_000)];
  const got = [];
  let next = new Promise((resolve) => (wake = resolve));
  for (const text of texts) sock.send(text);
  while (got.length < texts.length) {
    await next;
    assert.equal(sends.length, 1);
    const [{ response, texts: some }] = sends.splice(0);
    got.push(...some);
    assert(some.length === 1 || some.join("").length < 20_000);
    next = new Promise((resolve) => (wake = resolve));
    response.writeHead(200).end();
  }
  assert.deepEqual(got, texts);
});

test("after close() nothing of the same frame is told any more", limit, async (t) => {
  const { sock, told } = await connect(t, "xhr-polling", [ends("o\n"), ends('a["1","2"]\n')]);
  sock.onmessage = () => sock.close();
  await told.until("close");
  assert.deepEqual(told.messages(), ["1"]);
});

test("a link that is closed brings nothing of the same response", limit, async (t) => {
  const [ask, asked] = handOver();
  const server = await scripted(({ response }) => response.on("close", ask).end("o\nh\n"));
  t.after(() => server.stop());
  const told = [];
  const link = openLink(network("omit"), "xhr-polling", `${server.url}/0/id`, {
    frame(frame) {
      told.push(frame);
      link.close(false);
    },
    lost() {},
  });
  await asked;
  await (await fetch(server.url)).text();
  assert.deepEqual(told, ["o"]);
  assert.equal(server.of("xhr").length, 1);
});

test("a WebSocket that breaks", limit, async (t) => {
  const server = await scripted(({ accept }) => {
    const socket = accept();
    socket.send("o");
    socket.send('a["1"]');
    socket.on("message", () => socket._stream.destroy());
  });
  t.after(() => server.stop());
  pageOf(t, server.url);
  const sock = new SockJS("/chat");
  const told = story(sock);
  await told.until("message");
  sock.send("x");
  assert.deepEqual(await told.until("close"), [1006, "Connection lost", false]);
});

test("a WebSocket that its server closes without a word of SockJS", limit, async (t) => {
  const server = await scripted(({ accept }) => {
    const socket = accept();
    socket.on("open", () => {
      socket.send("o");
      socket.close(4001, "Restart");
    });
  });
  t.after(() => server.stop());
  pageOf(t, server.url);
  const told = story(new SockJS("/chat"));
  assert.deepEqual(await told.until("close"), [4001, "Restart", false]);
});
