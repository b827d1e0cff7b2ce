import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { begin } from "../../src/client/asking.js";
import { World, overBoth, overPoll, overStream, overWebSocket } from "./world.js";

suite("the way in", () => {
  test("a WebSocket at once, a poll 150 ms later, for the same session", () => {
    const world = new World();
    assert.deepEqual(world.wires.map(({ url }) => url.slice(0, 23)), [`http://host/chat/~r1/${  world.session.session.slice(0, 2)}`]);
    assert.equal(world.websocket.query, "new");
    world.advance(149);
    assert.equal(world.wires.length, 1);
    world.advance(1);
    assert.deepEqual([world.poll.body.new, world.poll.body.now], [true, true]);
    assert.ok(world.poll.url.includes(world.session.session));
  });

  test("the query of the endpoint goes with every request", () => {
    const world = new World(["websocket"]);
    world.session.fields._address += "?a=1";
    world.session.reconnect();
    assert.match(world.websocket.url, /\/websocket\?a=1&new$/);
  });

  test("the poll at once where the WebSocket fails fast", () => {
    const world = new World();
    world.websocket.lose();
    assert.equal(world.wires.at(-1).transport, "xhr");
    assert.equal(world.told.length, 0);
  });

  test("no poll after a welcome", () => {
    const world = new World();
    world.websocket.open();
    world.websocket.welcome();
    world.advance(1000);
    assert.deepEqual(world.wires.length, 1);
    assert.deepEqual(world.told, ["opened"]);
  });

  test("what worked is tried first", () => {
    const known = { way: "xhr_streaming", net: "n", rtt: 20, heartbeat: 9000 };
    const world = new World(undefined, { known });
    assert.equal(world.stream.body.heartbeat, 5);
    world.advance(150);
    assert.deepEqual(world.open, ["xhr_streaming", "websocket"]);
    world.stream.welcome();
    world.stream.answer('a["x"]');
    world.advance(10);
    assert.deepEqual(world.session.known, { way: "xhr_streaming", net: "n", rtt: 150, heartbeat: 9000 });
  });

  test("polling is the way in, not the way to stay: others are proved beside it", () => {
    const world = new World();
    world.advance(200);
    world.poll.welcome();
    assert.deepEqual(world.stream.body, { key: world.poll.body.key, probe: 1 });
    world.websocket.open();
    assert.deepEqual(world.websocket.frames, [{ ping: 2 }]);
    assert.equal(world.session.way, "xhr");
    world.websocket.answer({ pong: 2 });
    assert.equal(world.websocket.last.request, 2);
    assert.equal(world.session.way, "xhr");
    world.websocket.answer({ from: 1, received: 0 });
    assert.equal(world.session.way, "websocket");
    world.session.send("a");
    assert.deepEqual(world.websocket.last, ["a"]);
  });

  test("a stream takes over when its probe was answered", () => {
    const world = new World(["xhr_streaming", "xhr"]);
    world.poll.welcome();
    const probe = world.stream;
    probe.answer({ pong: 1 });
    assert.ok(probe.over);
    assert.equal(world.stream.body.request, 2);
  });

  test("a probe that is held is no proof, and is tried again after five minutes", () => {
    const world = new World(["xhr_streaming", "xhr"]);
    world.poll.welcome();
    const probe = world.stream;
    world.advance(4000);
    assert.ok(probe.over);
    for (let n = 0; n < 31; n += 1) {
      world.advance(10_000);
      world.poll.answer({ from: 1, received: 0 }, "h");
      world.poll.end();
    }
    const probes = world.wires.filter(({ transport }) => transport === "xhr_streaming");
    assert.deepEqual(probes.map(({ body }) => Boolean(body.probe)), [true, true]);
  });

  test("beside a stream, too, it is tried again after five minutes; not where nothing works", () => {
    const world = new World();
    world.websocket.lose();
    world.poll.welcome();
    world.websocket.lose();
    world.stream.answer({ pong: 1 });
    world.stream.answer({ from: 1, received: 0 });
    world.poll.end();
    const { length } = world.wires;
    const live = (seconds) => {
      for (let n = 0; n < seconds; n += 5) {
        if (!world.stream.over) world.stream.answer("h");
        world.advance(5000);
      }
    };
    live(295);
    assert.equal(world.wires.length, length);
    live(10);
    assert.equal(world.wires.length, length + 1);
    world.websocket.lose();
    world.stream.lose();
    // What looks for something better finds none while there is nothing.
    for (let n = 0; n < 70; n += 1) {
      for (const wire of world.wires) if (!wire.over) wire.lose();
      world.advance(10_000);
    }
    assert.equal(world.session.state, "suspended");
  });

  test("a WebSocket whose hello was overtaken says it again when it is proved", () => {
    const world = new World();
    world.websocket.open();
    assert.equal(world.websocket.last.request, 1);
    world.advance(200);
    world.poll.welcome();
    assert.deepEqual(world.websocket.last, { ping: 1 });
    world.websocket.answer({ from: 1, received: 0 });
    assert.equal(world.session.way, "xhr", "an older request");
    world.websocket.answer({ pong: 1 });
    assert.equal(world.websocket.last.request, 3);
    world.websocket.answer({ from: 1, received: 0 });
    assert.equal(world.session.way, "websocket");
  });

  test("the second of two WebSockets is left, but not if its request is newer", () => {
    const world = overBoth();
    const first = world.websocket;
    begin(world.session.fields, "websocket");
    const second = world.websocket;
    second.open();
    second.answer({ pong: second.last.ping });
    first.answer({ from: 1, received: 0 });
    assert.ok(!second.over);
    second.answer({ from: 1, received: 0 });
    assert.ok(first.over && !second.over);
  });
});

suite("liveness", () => {
  test("a silent WebSocket is left after 2.5 and 2 s, and the session goes on", () => {
    const world = overWebSocket();
    world.advance(2500);
    assert.deepEqual(world.websocket.last, { ping: 1 });
    world.advance(1999);
    assert.equal(world.session.state, "open");
    const former = world.websocket;
    world.advance(1);
    assert.ok(former.over);
    assert.equal(world.told.at(-1), "suspended");
    world.websocket.open();
    assert.deepEqual([world.websocket.last.received, world.websocket.last.new], [0, undefined]);
    assert.equal(world.websocket.query, "");
    world.websocket.answer({ from: 1, received: 0 });
    assert.equal(world.told.at(-1), "resumed");
  });

  test("any frame is a sign of life, and so is what leaves", () => {
    const world = overWebSocket();
    for (let n = 0; n < 5; n += 1) {
      world.advance(1900);
      world.websocket.answer({ at: 0, busy: true });
    }
    assert.ok(!world.wires[0].over);
    const other = overWebSocket();
    other.websocket.stuck = 100;
    other.advance(2500);
    other.websocket.stuck = 50;
    other.advance(3999);
    assert.ok(!other.wires[0].over);
    other.advance(1);
    assert.ok(other.wires[0].over);
  });

  test("after its probation it is pinged every 20 s, or as often as silence allows", () => {
    for (const [heartbeat, wanted] of [[25_000, 10], [10_000, 20]]) {
      const known = { way: null, net: "n", rtt: 100, heartbeat };
      const world = overWebSocket({ known });
      const live = (seconds) => {
        const before = world.websocket.frames.length;
        for (let n = 0; n < seconds; n += 1) {
          world.advance(1000);
          const { ping } = world.websocket.last;
          if (ping) world.websocket.answer({ pong: ping, at: 0 });
        }
        return world.websocket.frames.length - before;
      };
      assert.ok(live(60) > 15);
      live(20);
      assert.equal(live(200), wanted);
    }
  });

  test("patience is three round trips where they are long", () => {
    const world = new World(["websocket"]);
    world.advance(900);
    world.websocket.open();
    world.advance(1000);
    world.websocket.welcome();
    assert.equal(world.session.known.rtt, 1000);
    world.advance(2500 + 2999);
    assert.ok(!world.wires[0].over);
    world.advance(1);
    assert.ok(world.wires[0].over);
  });

  test("who was asleep during a round trip waits no longer for that", () => {
    const world = new World(["xhr_streaming"]);
    world.now += 3600e3;
    world.stream.welcome();
    assert.equal(world.session.known.rtt, 10e3);
    world.advance(5000 + 30e3);
    assert.equal(world.told.at(-1), "suspended");
  });

  test("a handshake, and a hello, have 10 s", () => {
    const world = new World(["websocket"]);
    world.advance(9999);
    assert.ok(!world.wires[0].over);
    world.advance(1);
    assert.ok(world.wires[0].over);
    world.advance(5000);
    world.websocket.open();
    world.advance(9999);
    assert.ok(!world.wires[1].over);
    world.advance(1);
    assert.ok(world.wires[1].over);
  });

  test("silence over HTTP is noticed behind the heartbeat, of 5 s while messages flow", () => {
    const world = overPoll();
    assert.equal(world.poll.body.heartbeat, 5);
    for (let n = 0; n < 12; n += 1) {
      world.advance(5000);
      world.poll.answer({ from: 1, received: 0 }, "h");
      world.poll.end();
    }
    assert.equal(world.poll.body.heartbeat, undefined);
    world.advance(26_999);
    assert.equal(world.session.state, "open");
    const idle = world.poll;
    world.session.send("a");
    assert.ok(idle.over);
    assert.equal(world.poll.body.heartbeat, 5);
    world.post.reply(1, 1);
    world.advance(6999);
    assert.equal(world.session.state, "open");
    world.advance(1);
    assert.equal(world.session.state, "suspended");
    assert.ok(world.poll.body.now);
  });

  test("a stream that brings something lives on", () => {
    const world = overStream();
    for (let n = 0; n < 20; n += 1) {
      world.advance(5000);
      world.stream.answer("h");
    }
    world.advance(6999);
    assert.ok(!world.wires[0].over);
    world.advance(1);
    assert.equal(world.told.at(-1), "suspended");
  });

  test("so does one that brings a large message bit by bit", () => {
    const world = overStream();
    for (let n = 0; n < 8; n += 1) {
      world.advance(5000);
      world.stream.on._part();
    }
    world.stream.answer('a["abcdefgh"]');
    assert.deepEqual(world.messages, ["abcdefgh"]);
  });
});

suite("what breaks", () => {
  test("a response that ends in good order is followed by the next at once", () => {
    const world = overPoll();
    assert.equal(world.poll.body.now, undefined);
    world.poll.answer({ from: 1, received: 0 }, 'a["x"]');
    world.poll.end();
    assert.deepEqual([world.poll.body.request, world.poll.body.received], [3, 1]);
    assert.deepEqual(world.told, ["opened", ["message", "x"]]);
  });

  test("one that breaks is asked again with `now`", () => {
    const world = overPoll();
    world.poll.lose();
    assert.equal(world.told.at(-1), "suspended");
    assert.equal(world.poll.body.now, true);
    world.poll.welcome();
    assert.equal(world.told.at(-1), "resumed");
  });

  test("responses that end empty, again and again, are no way", () => {
    const world = overStream();
    for (let n = 0; n < 300; n += 1) {
      if (!world.stream.over) {
        world.stream.answer({ from: 1, received: 0 });
        world.stream.end();
      }
      world.advance(200);
    }
    assert.ok(world.wires.length > 5 && world.wires.length < 40, String(world.wires.length));
  });

  test("a poll that brings the place of a room is not empty, one that repeats it is", () => {
    const world = overPoll();
    const { told } = world;
    told.length = 0;
    const bring = (place) => {
      world.poll.answer({ from: 1, received: 0 }, `p["K","${place}",[]]`);
      world.poll.end();
    };
    bring("E-1");
    bring("E-2");
    assert.deepEqual([told.includes("suspended"), world.poll.body.now], [false, undefined]);
    bring("E-2");
    assert.deepEqual([told.at(-1), world.poll.body.now], ["suspended", true]);
  });

  test("a way that breaks at each welcome is asked less and less, one that brings something at once", () => {
    for (const [lines, least, most] of [[[], 6, 15], [['a["x"]'], 19, 20]]) {
      const world = new World(["xhr_streaming"]);
      for (let n = 0; n < 20 || (!lines.length && n < 60); n += 1) {
        if (!world.stream.over) {
          world.stream.welcome(lines.length ? n + 1 : 1, 0);
          world.stream.answer(...lines);
          world.stream.lose();
        }
        if (!lines.length) world.advance(1000);
      }
      assert.ok(world.wires.length > least && world.wires.length <= most + 1, String(world.wires.length));
    }
  });

  test("a pause takes as long as the server says", () => {
    const world = new World(["xhr"]);
    world.poll.status(503);
    assert.equal(world.wires.length, 2);
    world.poll.status(503, "", 7e3);
    world.advance(6999);
    assert.equal(world.wires.length, 2);
    world.advance(1);
    assert.equal(world.wires.length, 3);
    // A browser's timer takes no more than 2 ** 31 ms.
    world.poll.status(503, "", 99999999e3);
    world.advance(3600e3 - 1);
    assert.equal(world.wires.length, 3);
    world.advance(1);
    assert.equal(world.wires.length, 4);
  });

  test("pauses grow from 0.5 to 30 s, of which a random part is waited", () => {
    const world = new World(["xhr"]);
    const pauses = [];
    world.chance = 0.999_999;
    for (let n = 0; n < 9; n += 1) {
      const { now, wires: { length } } = world;
      world.poll.lose();
      if (world.wires.length === length) world.advanceToNext();
      pauses.push((world.now - now) / 1000);
    }
    assert.deepEqual(pauses, [0, 0.5, 1, 2, 4, 8, 16, 30, 30]);
  });

  test("a newer request that is under way takes over: nothing broke", () => {
    const world = new World();
    world.advance(200);
    world.poll.welcome();
    world.websocket.open();
    world.websocket.answer({ pong: 2 });
    world.poll.answer({ stale: 2 });
    world.poll.end();
    assert.deepEqual(world.told, ["opened"]);
    world.websocket.lose();
    assert.equal(world.told.at(-1), "suspended");
  });

  test("a WebSocket that breaks twice on its probation is left out", () => {
    const world = new World(["websocket", "xhr"]);
    for (let n = 0; n < 2; n += 1) {
      world.websocket.open();
      world.websocket.welcome();
      world.websocket.lose();
    }
    const { length } = world.wires;
    world.advanceToNext();
    world.poll.welcome();
    world.poll.end();
    world.advance(1000);
    assert.deepEqual(world.wires.slice(length).map(({ transport }) => transport), ["xhr", "xhr"]);
  });

  test("a refused handshake leaves the decision to the poll", () => {
    const world = new World();
    world.websocket.lose(4403);
    assert.deepEqual(world.told, []);
    world.poll.welcome();
    assert.deepEqual(world.told, ["opened"]);
  });

  test("the other way is waited for", () => {
    const world = new World();
    world.advance(200);
    const count = world.wires.length;
    world.poll.lose();
    assert.equal(world.wires.length, count);
    assert.equal(world.session.state, "connecting");
  });

  test("nothing is heard of a link that was left", () => {
    const world = new World(["websocket"]);
    world.advance(10_000);
    const [former] = world.wires;
    former.open();
    former.answer({ from: 1, received: 0 }, "h");
    former.lose(4403);
    assert.deepEqual([former.frames, world.told], [[], []]);
  });

  test("places of rooms are bounded, and the oldest are dropped", () => {
    const world = overWebSocket();
    for (let n = 0; n < 300; n += 1) world.websocket.answer(`p["room ${n}","E-1",[]]`);
    world.websocket.answer('p["room 0","E-2",[]]');
    world.session.send("x".repeat(3000));
    world.websocket.answer({ lost: {} });
    world.advance(500);
    world.websocket.open();
    const hello = world.websocket.last;
    assert.ok(JSON.stringify(hello).length < 4096);
    assert.deepEqual(
      ["room 0", "room 1", "room 299"].map((room) => hello.rooms[room]),
      ["E-2", undefined, "E-1"],
    );
    assert.equal(hello.messages, undefined);
    world.websocket.answer({ from: 1, received: 0 });
    assert.equal(world.websocket.last.length, 1);
  });
});
