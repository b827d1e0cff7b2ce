import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { World, overBoth, overPoll, overStream, overWebSocket } from "./world.js";

suite("what comes down", () => {
  test("what is next is taken, what is known is dropped", () => {
    const world = overPoll();
    world.poll.answer({ from: 1, received: 0 }, 'a["a","b"]');
    world.poll.end();
    assert.equal(world.poll.body.received, 2);
    world.poll.answer({ from: 2, received: 0 }, 'a["b","c"]');
    assert.deepEqual(world.messages, ["a", "b", "c"]);
  });

  test("a line without its end is none", () => {
    const world = overStream();
    for (const line of ['a["a"]', 'a["b"]']) world.stream.answer(line);
    world.stream.on._end(200, 'a["c"]', 0);
    assert.deepEqual(world.messages, ["a", "b"]);
    assert.equal(world.stream.body.received, 2);
  });

  test("a hole is a loss", () => {
    const world = overPoll();
    world.poll.answer({ from: 2, received: 0 });
    assert.deepEqual(world.told.at(-1), ["lost", { handled: 0, repeated: 0 }]);
  });

  test("who counts otherwise is left, and asked again", () => {
    const world = overWebSocket();
    world.websocket.answer('a["a"]', { at: 2, received: 0 });
    assert.ok(world.wires[0].over);
    assert.equal(world.session.state, "suspended");
    world.websocket.open();
    assert.equal(world.websocket.last.received, 1);
  });

  const NONE = [
    ...["x", "a", "a[1]", 'a"abc"', "a{}", "r", "r[1]", "rnull", 'r{"from":"1"}', 'p["K"]', "c[]", "o", ""],
    ...['c[1e999,"x"]', 'p["K",5,["x"]]', 'p["K","e-x",[]]', 'p["K","e-1",5]', 'p[[],"e-1",["x"]]', `a${"[".repeat(5000)}`],
    ...['r{"from":0.5,"received":0}', 'r{"from":-1,"received":0}', 'r{"from":1,"received":0.5}'],
    ...['r{"from":1,"received":-1}', 'r{"from":1,"received":true}', 'r{"received":0.5}', 'r{"received":1}'],
    ...['r{"lost":{"received":1e999}}', 'r{"moved":1e999}', 'r{"moved":-1}', 'r{"moved":"4"}', 'r{"missed":5}'],
    ...['r{"stale":1e999}', 'r{"stale":-1}', 'r{"from":1,"received":0,"limit":1e999,"heartbeat":5}'],
    'r{"from":1,"received":0,"limit":4096,"heartbeat":1e999}',
  ];
  for (const line of NONE) {
    test(`what is no line ends its connection alone: ${line.slice(0, 60)}`, () => {
      const world = overStream();
      world.stream.answer(line);
      assert.ok(world.wires[0].over);
      assert.equal(world.session.state, "suspended");
      world.stream.answer({ from: 1, received: 0 }, 'a["x"]');
      assert.deepEqual(world.messages, ["x"]);
    });
  }

  test("a late welcome of an older request changes no way", () => {
    const world = overBoth();
    world.poll.answer({ from: 1, received: 0 });
    assert.equal(world.session.way, "websocket");
    assert.ok(!world.websocket.over);
  });

  test("a late copy of a first request makes no session of this client", () => {
    const world = new World();
    world.advance(200);
    world.websocket.open();
    world.websocket.welcome(1, 0, { incarnation: "a" });
    world.websocket.answer('a["x"]');
    world.poll.welcome(1, 0, { incarnation: "b" });
    world.poll.answer('a["y"]');
    assert.deepEqual(world.messages, ["x"]);
    world.websocket.lose();
    world.websocket.open();
    assert.equal(world.websocket.last.incarnation, "a");
  });

  test("the page may leave in the middle: what is behind comes again", () => {
    const world = overPoll();
    world.heard = (type, text) => {
      if (type === "message" && text === "b") world.session.hide();
    };
    world.poll.answer({ from: 1, received: 0 }, 'p["K","E-1",["a","b","c"]]');
    assert.deepEqual(world.messages, ["a", "b"]);
    world.session.wake();
    assert.equal(world.poll.body.received, 2);
    assert.deepEqual(world.session.snapshot().resume[6], []);
  });

  test("no message after the end", () => {
    const world = overPoll();
    world.heard = (type) => type === "message" && world.session.stop();
    world.poll.answer({ from: 1, received: 0 }, 'a["a","b"]', 'a["c"]', 'c[1000,""]');
    assert.deepEqual(world.messages, ["a"]);
    assert.deepEqual([world.session.state, world.told.at(-1)], ["closed", ["message", "a"]]);
  });
});

suite("rooms with history", () => {
  test("the places are told in a new session", () => {
    const world = overWebSocket();
    world.websocket.answer('p["K","E-7",[]]', 'p["K","E-8",["a","b"]]', 'p["L","F-G-1",["c"]]');
    assert.deepEqual(world.messages, ["a", "b", "c"]);
    world.websocket.answer({ lost: {} });
    world.advance(500);
    world.websocket.open();
    assert.deepEqual(world.websocket.last.rooms, { K: "E-9", L: "F-G-1" });
  });

  test("a place that comes late is none", () => {
    const world = overBoth();
    world.websocket.answer('p["K","E-1",["a"]]', 'p["K","E-2",["b","c"]]', 'p["K","E-9",[]]');
    world.poll.answer('p["K","E-0",[]]', 'p["K","E-1",["a"]]', 'p["K","E-2",["b"]]');
    world.websocket.answer({ lost: {} });
    world.advance(500);
    world.websocket.open();
    assert.deepEqual(world.websocket.last.rooms, { K: "E-9" });
  });

  test("what is missed is told once in a session", () => {
    const world = overWebSocket();
    world.websocket.answer({ missed: [["K", "notes"]] });
    world.websocket.answer({ missed: [["K", "notes"], ["L", "news"]] }, { missed: [["L", "news"]] });
    // Another gap in the same session has another place.
    world.websocket.answer({ missed: [["K", "notes", "E-7"]] }, { missed: [["K", "notes", "E-7"]] });
    const wanted = ["notes", "news", "notes"].map((room) => ["missed", { room }]);
    assert.deepEqual(world.told.slice(1), wanted);
    world.websocket.answer({ lost: {} });
    world.advance(500);
    world.websocket.open();
    world.websocket.welcome();
    world.websocket.answer({ missed: [["K", "notes"]] });
    assert.deepEqual(world.told.at(-1), ["missed", { room: "notes" }]);
  });
});

suite("what becomes of the session", () => {
  test("lost: a new one, with ids and repetitions", () => {
    const world = overWebSocket();
    for (const text of "abc") world.session.send(text);
    world.websocket.answer({ at: 0, received: 1 });
    const { session } = world.session;
    const { key } = world.websocket.frames[0];
    world.chance = 0.25;
    world.websocket.answer({ lost: { received: 2 } });
    assert.deepEqual(world.told.slice(-2), [["handled", 2], ["lost", { handled: 2, repeated: 1 }]]);
    assert.notEqual(world.session.session, session);
    world.advance(500);
    world.websocket.open();
    const hello = world.websocket.last;
    assert.notEqual(hello.key, key);
    assert.deepEqual(
      [hello.new, hello.base, hello.repeated, hello.first, hello.messages, hello.request, hello.received],
      [true, 3, 1, 1, ["c"], 1, 0],
    );
    assert.equal(hello.client, world.session.client);
    assert.equal(world.session.send("d"), 4);
  });

  test("moved: after a random part of the time, and nothing is doubtful", () => {
    const world = overWebSocket();
    world.session.send("a");
    world.websocket.answer({ at: 0, received: 0, ack: true }, { moved: 4 });
    assert.equal(world.told.at(-1), "moved");
    world.session.send("b");
    world.session.reconnect();
    world.session.hide();
    world.advance(1999);
    assert.equal(world.wires.length, 1);
    world.advance(500);
    world.websocket.open();
    assert.deepEqual([world.websocket.last.repeated, world.websocket.last.messages], [0, ["a", "b"]]);
  });

  test("moved without a welcome, or after a request that may make a session, leaves doubts", () => {
    const world = new World(["xhr"]);
    world.session.send("a");
    world.poll.lose();
    assert.deepEqual(world.poll.body.messages, ["a"]);
    world.poll.answer({ moved: 4 });
    world.advance(3000);
    assert.equal(world.poll.body.repeated, 1);
  });

  test("moved without a welcome: what went with a hello is doubtful, what may make no session", () => {
    const world = new World(["websocket"]);
    world.session.send("a");
    world.websocket.open();
    world.websocket.answer({ moved: 4 });
    world.advance(3000);
    world.websocket.open();
    assert.equal(world.websocket.last.repeated, 1);
  });

  test("a send of the session that is lost is dropped, and holds up none of the next one", () => {
    const world = overStream();
    world.session.send("a");
    const [former] = world.posts;
    world.stream.answer({ lost: {} });
    assert.ok(former.over);
    world.advance(500);
    world.stream.welcome();
    assert.equal(world.posts.length, 2);
    former.reply(1, 1);
    assert.deepEqual(world.told.slice(-2), [["lost", { handled: 0, repeated: 1 }], "opened"]);
  });

  test("sessions that end at once, again and again, begin less and less", () => {
    for (const end of [{ lost: {} }, { moved: 0 }]) {
      for (const greets of [false, true]) {
        const world = new World(["xhr"]);
        for (let n = 0; n < 600; n += 1) {
          if (!world.poll.over) {
            if (greets) world.poll.welcome();
            world.poll.answer(...(greets ? ['a["hello"]'] : []), end);
          }
          world.advance(100);
        }
        const { length } = world.wires;
        assert.ok(length > 5 && length < 20, `${JSON.stringify(end)} ${greets} ${length}`);
      }
    }
  });

  test("one that lasted begins anew at once", () => {
    const world = overWebSocket();
    world.advance(2500);
    world.websocket.answer({ pong: 1, at: 0 });
    world.advance(2500);
    world.websocket.answer({ lost: {} });
    assert.equal(world.wires.length, 2);
  });

  test("stale by itself means nothing, three times by somebody else is a loss", () => {
    const world = overPoll();
    world.poll.answer({ stale: 2 });
    world.poll.end();
    for (const newest of [50, 60, 70]) {
      assert.ok(!world.told.some(([type]) => type === "lost"));
      world.poll.answer({ from: 1, received: 0 }, { stale: newest });
      if (!world.poll.over) world.poll.end();
      world.advance(1000);
    }
    assert.ok(world.told.some(([type]) => type === "lost"));
  });

  test("after somebody else's request the next one is above it", () => {
    const world = overPoll();
    world.poll.answer({ stale: 50 });
    world.poll.lose();
    assert.equal(world.poll.body.request, 51);
  });

  test("closed while it moves: at once, or behind what waits", () => {
    for (const waits of [false, true]) {
      const world = overWebSocket();
      if (waits) world.session.send("a");
      world.websocket.answer({ at: 0, received: 0 }, { moved: 4 });
      world.session.close(3000, "bye");
      if (!waits) {
        assert.deepEqual(world.told.at(-1), ["closed", { code: 3000, reason: "bye" }]);
        continue;
      }
      world.advance(3000);
      world.websocket.open();
      world.websocket.welcome(1, 1);
      assert.deepEqual(world.websocket.last, { close: [3000, "bye"] });
    }
  });

  test("lost while it closes, with nothing left", () => {
    const world = overWebSocket();
    world.session.close(3000, "bye");
    world.websocket.answer({ lost: {} });
    assert.deepEqual(world.told.at(-1), ["closed", { code: 3000, reason: "bye" }]);
    assert.deepEqual([world.open, world.timers], [[], []]);
  });

  test("closed before there is a session: nobody need know", () => {
    const world = new World();
    world.session.close();
    assert.deepEqual(world.told, [["closed", { code: 1000, reason: "" }]]);
    assert.deepEqual([world.open, world.timers], [[], []]);
  });

  for (const [status, told] of [
    [401, ["denied", { status: 401 }]],
    [403, ["denied", { status: 403 }]],
    [400, ["denied", { status: 400 }]],
    [413, ["denied", { status: 413 }]],
    [404, "unsupported"],
    [405, "unsupported"],
    [501, "unsupported"],
  ]) {
    test(`${status} to a first receive request is final`, () => {
      const world = new World(["xhr"]);
      world.poll.status(status);
      assert.deepEqual(world.told, [told]);
      const state = told === "unsupported" ? "connecting" : "closed";
      assert.deepEqual([world.session.state, world.open, world.timers], [state, [], []]);
    });
  }

  test("404 after a welcome is an older server in between: again, later", () => {
    const world = overPoll();
    world.poll.status(404);
    assert.equal(world.session.state, "suspended");
    world.poll.welcome();
    assert.equal(world.session.state, "open");
  });

  test("an older server says o", () => {
    const world = new World(["xhr"]);
    world.poll.answer("o");
    assert.deepEqual(world.told, ["unsupported"]);
  });

  for (const [code, told] of [
    [4399, ["closed", { code: 4399, reason: "x" }]],
    [4400, ["denied", { status: 400 }]],
    [4403, ["denied", { status: 403 }]],
    [4500, ["closed", { code: 4500, reason: "x" }]],
  ]) {
    test(`c[${code}]`, () => {
      const world = overPoll();
      world.poll.answer(`c[${code},"x"]`);
      assert.deepEqual(world.told.at(-1), told);
      assert.deepEqual([world.open, world.timers], [[], []]);
      world.session.close();
      world.session.wake();
      assert.deepEqual(world.open, []);
    });
  }

  test("a close frame of 4400 to 4499 denies, others are a break", () => {
    for (const [code, told] of [[4403, ["denied", { status: 403 }]], [4400, ["denied", { status: 400 }]], [3000, "suspended"]]) {
      const world = overWebSocket();
      world.websocket.lose(code);
      assert.deepEqual(world.told.at(-1), told);
    }
  });
});

suite("what may have been handled after `moved`", () => {
  test("what went with a first request, which a late copy may repeat, and no more", () => {
    const world = new World(["xhr"]);
    world.session.send("a");
    world.advance(0);
    world.poll.lose();
    assert.deepEqual(world.poll.body.messages, ["a"]);
    world.poll.welcome();
    world.poll.end();
    world.session.send("b");
    world.post.reply(2, 0);
    world.poll.answer({ from: 1, received: 0 });
    world.poll.end();
    world.poll.answer({ from: 1, received: 0 }, { moved: 1 });
    world.advance(1000);
    assert.deepEqual([world.poll.body.messages, world.poll.body.repeated], [["a", "b"], 1]);
  });

  test("nothing that went over a WebSocket: nobody repeats that", () => {
    const world = new World(["websocket"]);
    world.session.send("a");
    world.websocket.open();
    world.websocket.welcome();
    world.websocket.answer({ moved: 1 });
    world.advance(1000);
    world.websocket.open();
    assert.deepEqual([world.websocket.last.messages, world.websocket.last.repeated], [["a"], 0]);
  });
});

suite("what the page hears", () => {
  test("wake: a WebSocket is pinged, once; over HTTP all is asked anew", () => {
    const world = overWebSocket();
    world.session.wake();
    world.session.wake();
    assert.deepEqual(world.websocket.frames.slice(1), [{ ping: 1 }]);
    const other = overPoll();
    other.session.wake();
    assert.ok(other.wires[1].over);
    assert.equal(other.poll.body.now, true);
    assert.deepEqual(other.told, ["opened"]);
  });

  test("wake: no pause is waited for", () => {
    const world = new World(["xhr"]);
    for (let n = 0; n < 8; n += 1) {
      world.poll.lose();
      if (n < 7) world.advance(30_000);
    }
    const { length } = world.wires;
    world.session.wake();
    assert.equal(world.wires.length, length + 1);
    world.poll.lose();
    assert.equal(world.wires.length, length + 2);
  });

  test("hide: acknowledges by a request that outlives the page, and leaves", () => {
    const world = overWebSocket();
    world.session.send("a");
    world.websocket.answer('a["x"]');
    world.session.hide();
    assert.deepEqual(world.post.options, { keepalive: true });
    const { received, messages, close } = world.post.body;
    assert.deepEqual([received, messages, close], [1, undefined, undefined]);
    assert.deepEqual([world.websocket.over, world.told.at(-1), world.timers], [true, "suspended", []]);
    world.session.wake();
    world.websocket.open();
    assert.equal(world.websocket.last.received, 1);
  });

  test("hide: nothing to acknowledge, no request", () => {
    const world = overWebSocket();
    world.session.hide();
    assert.equal(world.posts.length, 0);
  });

  test("stop: says close with all that may be under way, and tells no more", () => {
    const world = overWebSocket();
    world.session.send("a");
    world.session.stop();
    const { first, messages, close } = world.post.body;
    assert.deepEqual([first, messages, close], [1, ["a"], [1000, ""]]);
    assert.deepEqual([world.told, world.session.state, world.timers], [["opened"], "closed", []]);
    assert.equal(world.session.snapshot().repeated, 1);
  });

  test("stop: what does not fit is not cut off by a close", () => {
    const world = overWebSocket();
    for (let n = 0; n < 3; n += 1) world.session.send("y".repeat(1500));
    world.session.stop();
    assert.deepEqual([world.post.body.messages.length, world.post.body.close], [2, undefined]);
  });
});

suite("a reload", () => {
  /** What a page leaves that has sent three, of which one was handled. */
  function left() {
    const world = overWebSocket();
    for (const text of "abc") world.session.send(text);
    world.websocket.answer({ at: 0, received: 1 }, 'p["K","E-7",["x"]]');
    return { world, snapshot: JSON.parse(JSON.stringify(world.session.snapshot())) };
  }

  test("a new session replaces the former one, and sends what was not confirmed", () => {
    const { world, snapshot } = left();
    const { session, key } = snapshot;
    const next = new World(["xhr"], { snapshot });
    const { body } = next.poll;
    assert.deepEqual(
      [body.new, body.client, body.base, body.repeated, body.messages, body.replaces, body.rooms],
      [true, world.session.client, 2, 2, ["b", "c"], { session, key }, {}],
    );
    next.poll.welcome(1, 2);
    assert.deepEqual(next.told, ["opened", ["handled", 3]]);
    next.poll.answer({ lost: {} });
    next.advance(1000);
    assert.equal(next.poll.body.replaces, undefined);
  });

  test("who keeps its state goes on with the same session", () => {
    const { world, snapshot } = left();
    const next = new World(["xhr"], { snapshot, resume: true });
    const { body } = next.poll;
    assert.deepEqual(
      [body.new, body.key, body.received, body.request, body.first, body.messages],
      [undefined, snapshot.key, 1, 2, 2, ["b", "c"]],
    );
    assert.ok(next.poll.url.includes(world.session.session));
    next.poll.answer({ from: 2, received: 2 }, 'a["y"]');
    assert.deepEqual(next.told, ["opened", ["handled", 2], ["message", "y"]]);
    next.poll.answer({ lost: {} });
    next.advance(1000);
    assert.deepEqual([next.poll.body.base, next.poll.body.repeated], [3, 1]);
    assert.deepEqual(next.poll.body.rooms, { K: "E-7" });
  });
});

test("ids, keys and sessions are 16 bytes by chance as base64url", () => {
  const world = new World(["xhr"]);
  const { key, client } = world.poll.body;
  for (const token of [key, client, world.session.session]) assert.match(token, /^[\w-]{21}[AQgw]$/);
});
