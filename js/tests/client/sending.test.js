import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { World, overBoth, overPoll, overStream, overWebSocket } from "./world.js";

suite("sending over a WebSocket", () => {
  test("what was sent before goes with the hello, and then the number is told once", () => {
    const world = new World(["websocket"]);
    world.session.send("a");
    world.websocket.open();
    const { first, messages, received } = world.websocket.last;
    assert.deepEqual([first, messages, received], [1, ["a"], 0]);
    world.websocket.welcome();
    world.session.send("b");
    assert.deepEqual(world.websocket.last, { first: 2, messages: ["b"] });
    world.session.send("c");
    assert.deepEqual(world.websocket.last, ["c"]);
  });

  test("after a switch it goes on behind what the welcome told", () => {
    const world = overPoll();
    world.session.ways = ["websocket"];
    world.session.send("a");
    world.session.send("b");
    world.post.reply(1, 1);
    world.session.reconnect();
    world.websocket.open();
    world.websocket.answer({ from: 1, received: 1 });
    assert.deepEqual(world.websocket.last.messages, ["b"]);
  });

  test("a missing sign of what was sent is asked for after two seconds", () => {
    const world = overWebSocket();
    // Past the probation, where pings are rare.
    for (let n = 0; n < 40; n += 1) {
      world.advance(2500);
      if (world.websocket.last.ping) world.websocket.answer({ pong: world.websocket.last.ping, at: 0 });
    }
    const count = world.websocket.frames.length;
    world.session.send("a");
    world.advance(1999);
    assert.deepEqual(world.websocket.frames.slice(count), [["a"]]);
    world.advance(1);
    assert.ok(world.websocket.last.ping);
    world.advance(3999);
    assert.equal(world.session.state, "open");
    world.advance(1);
    assert.equal(world.session.state, "suspended");
  });

  test("acknowledges after 512 messages, 64 KiB, 15 s, or when asked", () => {
    const world = overWebSocket();
    const acks = () => world.websocket.frames.filter((frame) => "received" in frame && !frame.key);
    world.websocket.answer(`a${JSON.stringify(Array(511).fill(""))}`);
    assert.deepEqual(acks(), []);
    world.websocket.answer('a[""]');
    assert.deepEqual(acks(), [{ received: 512 }]);
    world.websocket.answer(`a${JSON.stringify(["x".repeat(65_536)])}`);
    assert.deepEqual(acks().at(-1), { received: 513 });
    world.websocket.answer('a["y"]', { at: 514, ack: true });
    assert.deepEqual(acks().at(-1), { received: 514 });
    world.websocket.answer('a["z"]');
    for (let n = 0; n < 15; n += 1) {
      assert.deepEqual(acks().at(-1), { received: 514 });
      world.advance(1000);
      world.websocket.answer("h");
    }
    assert.deepEqual(acks().at(-1), { received: 515 });
  });

  test("close goes behind the messages, once", () => {
    const world = overWebSocket();
    world.session.send("a");
    world.session.close(3000, "bye");
    world.session.close(3001, "again");
    assert.deepEqual(world.websocket.frames.slice(1), [["a"], { close: [3000, "bye"] }]);
    assert.throws(() => world.session.send("b"), { name: "InvalidStateError" });
    world.websocket.answer('c[3000,"bye"]');
    assert.deepEqual(world.told.at(-1), ["closed", { code: 3000, reason: "bye" }]);
  });
});

suite("sending over HTTP", () => {
  test("one send at a time, the rest together behind it", () => {
    const world = overPoll();
    for (const text of "abc") world.session.send(text);
    assert.deepEqual(world.posts.map(({ body }) => body.messages), [["a"]]);
    world.post.reply(1, 0);
    assert.deepEqual([world.post.body.first, world.post.body.messages], [2, ["b", "c"]]);
    world.post.reply(3, 3);
    assert.equal(world.posts.length, 2);
    assert.deepEqual(world.told.at(-1), ["handled", 3]);
  });

  test("handled, not arrived, is what is told", () => {
    const world = overPoll();
    world.session.send("a");
    world.session.send("b");
    world.post.reply(1, 0);
    world.post.reply(2, 1);
    assert.deepEqual(world.told, ["opened", ["handled", 1]]);
    assert.deepEqual(world.session.snapshot().texts, ["b"]);
  });

  test("after a failure the same again, with what came meanwhile", () => {
    const world = overStream();
    world.session.send("a");
    world.session.send("b");
    world.post.lose();
    world.advance(250);
    assert.deepEqual([world.post.body.first, world.post.body.messages], [1, ["a", "b"]]);
    world.post.reply(1, 0);
    assert.deepEqual([world.post.body.first, world.post.body.messages], [2, ["b"]]);
  });

  test("a late answer to a send that was given up is none", () => {
    const world = overStream();
    world.session.send("a");
    const [post] = world.posts;
    world.advance(1);
    world.stream.answer("h");
    world.advance(2999);
    assert.ok(post.over);
    post.on._end(200, "", 0);
    world.advance(250);
    assert.equal(world.posts.length, 2);
    world.post.reply(1, 1);
    assert.deepEqual(world.told.at(-1), ["handled", 1]);
  });

  test("batches are cut to the limit; what is larger throws", () => {
    const world = overPoll();
    world.session.send("x");
    for (let n = 0; n < 4; n += 1) world.session.send("y".repeat(1500));
    world.post.reply(1, 1);
    assert.equal(world.post.body.messages.length, 2);
    assert.throws(() => world.session.send("€".repeat(1200)), RangeError);
    assert.equal(world.session.send("€".repeat(1000)), 6);
  });

  test("more than 1 MiB does not wait", () => {
    const world = new World();
    const text = "x".repeat(2 ** 15 - 3);
    for (let n = 0; n < 32; n += 1) world.session.send(text);
    assert.throws(() => world.session.send(""), { name: "QuotaExceededError" });
  });

  test("a silent send takes the silent way with it, but none that brings something", () => {
    const world = overStream();
    world.session.send("a");
    const { stream } = world;
    world.advance(1000);
    stream.answer({ at: 0, busy: true });
    world.advance(2000);
    assert.ok(world.posts[0].over && !stream.over);
    // The same needs more time now: it goes again within a second, and has six.
    world.advance(500);
    assert.equal(world.posts.length, 2);
    world.advance(6500);
    assert.ok(world.posts[1].over && stream.over);
    assert.equal(world.told.at(-1), "suspended");
  });

  test("over a poll the server is asked what it has handled, less and less", () => {
    const world = overPoll();
    world.session.send("a");
    const pauses = [];
    let last = world.now;
    for (let n = 0; n < 8; n += 1) {
      world.post.reply(1, 0);
      world.advanceToNext();
      pauses.push(world.now - last);
      last = world.now;
      assert.equal(world.post.body.messages, undefined);
    }
    assert.deepEqual(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
    world.post.reply(1, 0);
    // What is sent meanwhile does not wait for that.
    world.session.send("b");
    assert.deepEqual(world.post.body.messages, ["b"]);
    world.post.reply(2, 2);
    const count = world.posts.length;
    world.advance(4000);
    assert.equal(world.posts.length, count);
  });

  test("over a stream it tells by itself", () => {
    const world = overStream();
    world.session.send("a");
    world.post.reply(1, 0);
    world.advance(1000);
    assert.equal(world.posts.length, 1);
    world.stream.answer({ at: 0, received: 1 });
    assert.deepEqual(world.told.at(-1), ["handled", 1]);
  });

  test("a server that takes nothing is asked less and less", () => {
    const world = overStream();
    world.session.send("a");
    for (let n = 0; n < 100; n += 1) {
      world.stream.answer("h");
      if (!world.post.over) world.post.reply(0, 0);
      world.advance(100);
    }
    assert.ok(world.posts.length > 8 && world.posts.length < 20, String(world.posts.length));
  });

  test("asked by the server, it acknowledges by a send; not where nothing is new", () => {
    const world = overStream();
    world.stream.answer({ at: 0, ack: true });
    assert.equal(world.posts.length, 0);
    world.stream.answer('a["x"]', { at: 1, ack: true });
    const { received, messages } = world.post.body;
    assert.deepEqual([received, messages], [1, undefined]);
  });

  test("close goes with what is left, and its answer is asked for by a poll", () => {
    const world = overPoll();
    world.session.send("a");
    world.session.close(3000, "bye");
    world.post.reply(1, 1);
    assert.deepEqual(world.post.body.close, [3000, "bye"]);
    world.post.reply(1, 1, { closed: [3000, "bye"] });
    assert.equal(world.session.state, "closing");
    assert.ok(world.poll.body.now);
    world.poll.answer({ from: 1, received: 1 }, 'a["last"]', 'c[3000,"bye"]');
    assert.deepEqual(world.messages, ["last"]);
    assert.deepEqual(world.told.at(-1), ["closed", { code: 3000, reason: "bye" }]);
    world.advance(100_000);
    assert.deepEqual(world.open, []);
  });

  test("close that does not fit waits for what goes before", () => {
    const world = overPoll();
    world.session.send("a");
    for (let n = 0; n < 3; n += 1) world.session.send("y".repeat(1500));
    world.session.close();
    world.post.reply(1, 1);
    assert.deepEqual([world.post.body.messages.length, world.post.body.close], [2, undefined]);
  });

  for (const [status, told] of [
    [401, ["denied", { status: 401 }]],
    [400, ["denied", { status: 400 }]],
    [413, ["denied", { status: 413 }]],
  ]) {
    test(`${status} to a send is final`, () => {
      const world = overPoll();
      world.session.send("a");
      world.post.status(status);
      assert.deepEqual(world.told.at(-1), told);
      assert.deepEqual([world.open, world.timers], [[], []]);
    });
  }

  test("404 to a send says nothing: a poll decides", () => {
    const world = overStream();
    world.session.ways = ["xhr_streaming", "xhr"];
    world.session.send("a");
    world.post.status(404);
    assert.equal(world.session.state, "open");
    assert.deepEqual([world.wires.at(-1).transport, world.wires.at(-1).body.now], ["xhr", true]);
    assert.equal(world.wires.at(-1).body.received, 0);
    world.wires.at(-1).answer({ lost: {} });
    assert.deepEqual(world.told.at(-1), ["lost", { handled: 0, repeated: 1 }]);
  });

  for (const text of ["", "no JSON", "null", "{}", '{"arrived":1,"received":"1"}', '{"arrived":-1,"received":0}']) {
    test(`an answer that is none: ${text}`, () => {
      const world = overStream();
      world.session.send("a");
      world.post.status(200, text);
      world.advance(500);
      assert.deepEqual(world.posts.map(({ body }) => body.messages), [["a"], ["a"]]);
    });
  }

  for (const lost of [{}, { received: 0 }, { received: "x" }, { received: -1 }, 5]) {
    test(`a send hears that the session is lost: ${JSON.stringify(lost)}`, () => {
      const world = overPoll();
      world.session.send("a");
      world.post.reply(0, 0, { lost });
      assert.deepEqual(world.told.at(-1), ["lost", { handled: 0, repeated: 1 }]);
    });
  }

  test("a send hears what the lost session had handled", () => {
    const world = overPoll();
    world.session.send("a");
    world.session.send("b");
    world.post.reply(1, 0, { lost: { received: 1 } });
    assert.deepEqual(world.told.slice(-2), [["handled", 1], ["lost", { handled: 1, repeated: 0 }]]);
  });

  test("each request says which session it means", () => {
    const world = new World(["xhr_streaming"]);
    assert.ok(!("incarnation" in world.stream.body));
    world.stream.welcome(1, 0, { incarnation: "boot-7", home: "ab12" });
    world.session.send("a");
    assert.equal(world.post.body.incarnation, "boot-7");
    assert.match(world.post.url, /^http:\/\/host\/chat\/~r1-ab12\/[\w-]{22}\/xhr_send$/);
  });

  test("a send under way while a WebSocket takes over brings nothing twice", () => {
    const world = overBoth();
    world.session.send("a");
    assert.deepEqual(world.websocket.last, ["a"]);
    assert.equal(world.posts.length, 0);
  });
});
