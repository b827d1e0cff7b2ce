// The real Host, against a real server: what it asks, and what it tells.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { network } from "../../src/client/network.js";
import { handOver, scripted } from "../client/peers.js";

const limit = { timeout: 60_000 };

async function start(t, answer) {
  const server = await scripted(answer);
  t.after(() => server.stop());
  return server;
}

/** What is told of a request: a list, and a promise of its end. */
function listen() {
  const told = [];
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  const on = {
    _line: (line) => told.push(["line", line]),
    _end: (...values) => end(told.push(["end", ...values])),
  };
  return { told, ended, on };
}

test("a request is a POST of plain text, which needs no preflight", limit, async (t) => {
  let request;
  const server = await start(t, ({ response, body }) => {
    request = { ...response.req.headers, method: response.req.method, body };
    response.writeHead(503, { "Retry-After": "7" }).end("no\nümläut");
  });
  const { told, ended, on } = listen();
  network("omit")._request(`${server.url}/x`, "[“]", on);
  // Nothing is told before it has returned.
  assert.deepEqual(told, []);
  await ended;
  assert.deepEqual(told, [["end", 503, "ümläut", 7000]]);
  assert.equal(request.method, "POST");
  assert.equal(request.body, "[“]");
  // Case does not matter in it.
  assert.equal(request["content-type"].toLowerCase(), "text/plain;charset=utf-8");
});

test("a body comes in lines, as soon as each is whole, and no character in pieces", limit, async (t) => {
  const euro = Buffer.from("€");
  let parts = 0;
  let go;
  const server = await start(t, async ({ response }) => {
    response.write(Buffer.concat([Buffer.from("a\nb"), euro.subarray(0, 2)]));
    await new Promise((resolve) => (go = resolve));
    response.end(Buffer.concat([euro.subarray(2), Buffer.from("\n\nc"), euro.subarray(0, 1)]));
  });
  const { told, ended, on } = listen();
  network("omit")._request(`${server.url}/x`, "", {
    ...on,
    _part: () => (parts += 1),
    _line(line) {
      on._line(line);
      go();
    },
  });
  await ended;
  assert(parts > 1);
  // What is left of a character at the end is told as such.
  assert.deepEqual(told, [["line", "a"], ["line", "b€"], ["line", ""], ["end", 200, "c\ufffd", 0]]);
});

test("no body is an end", limit, async (t) => {
  const server = await start(t, ({ response }) => response.writeHead(204).end());
  const { told, ended, on } = listen();
  network("omit")._request(`${server.url}/x`, "", on, { keepalive: true });
  await ended;
  assert.deepEqual(told, [["end", 204, "", 0]]);
});

test("what breaks is told from what ends", limit, async (t) => {
  const server = await start(t, ({ last, response }) => {
    if (last === "before") response.destroy();
    else response.write("x\ny", () => response.destroy());
  });
  const before = listen();
  network("omit")._request(`${server.url}/before`, "", before.on);
  await before.ended;
  assert.deepEqual(before.told, [["end", 0, "", 0]]);
  const behind = listen();
  network("omit")._request(`${server.url}/behind`, "", behind.on);
  await behind.ended;
  assert.deepEqual(behind.told, [["line", "x"], ["end", 0, "y", 0]]);
});

test("a request that is dropped is over at the server, too", limit, async (t) => {
  const [drop, dropped] = handOver();
  const server = await start(t, ({ response }) => response.on("close", drop).write("x\ny"));
  const { told, ended, on } = listen();
  const request = network("omit")._request(`${server.url}/x`, "", {
    ...on,
    _line(line) {
      on._line(line);
      request.close();
    },
  });
  await dropped;
  await ended;
  assert.deepEqual(told, [["line", "x"], ["end", 0, "y", 0]]);
});

test("what a callback throws is no failure of the network", limit, async (t) => {
  const server = await start(t, ({ response }) => response.end("x\n"));
  const script = `
    import { network } from ${JSON.stringify(import.meta.resolve("../../src/client/network.js"))};
    process.on("unhandledRejection", (error) => console.log(error.message));
    network("omit")._request("${server.url}/x", "", {
      _line() { throw new Error("of the page"); },
      _end: (status) => console.log("end", status),
    });
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  assert.equal(stdout, "of the page\n");
});

test("a WebSocket says what it gets, and closes", limit, async (t) => {
  const heard = [];
  const [close, closed] = handOver();
  const server = await start(t, ({ accept }) => {
    const socket = accept();
    socket.on("message", ({ data }) => {
      heard.push(data);
      socket.send(`${data}!`);
    });
    socket.on("close", close);
  });
  const told = [];
  await new Promise((resolve) => {
    const socket = network("omit")._websocket(`${server.url}/x`, {
      open() {
        told.push("open");
        assert.equal(socket.bufferedAmount, 0);
        socket.send("ü");
      },
      text(data) {
        told.push(data);
        socket.close();
      },
      close: (code) => resolve(told.push(code)),
    });
  });
  await closed;
  assert.deepEqual(told.slice(0, 2), ["open", "ü!"]);
  assert.deepEqual(heard, ["ü"]);
});

for (const [what, url] of Object.entries({
  "that is refused": (server) => `${server.url}/x`,
  "to where nobody listens": () => "http://127.0.0.1:9/x",
  "that cannot be made": () => "not a URL",
})) {
  test(`a WebSocket ${what} closes, and later`, limit, async (t) => {
    const server = await start(t, ({ socket, response }) => {
      if (response) response.end();
      else socket.end("HTTP/1.1 404 Not Found\r\n\r\n");
    });
    const told = [];
    const socket = await new Promise((resolve) => {
      const made = network("omit")._websocket(url(server), {
        open: () => told.push("open"),
        text: () => told.push("text"),
        close(code) {
          told.push(code);
          resolve(made);
        },
      });
      assert.deepEqual(told, []);
    });
    socket.close();
    await (await fetch(server.url)).text();
    assert.deepEqual([...new Set(told)], [1006]);
  });
}

test("clock, timers and chance", limit, async () => {
  const host = network("omit");
  const began = host._now();
  const order = [];
  host._cancel(host._after(0, () => order.push("cancelled")));
  await new Promise((resolve) => host._after(5, () => resolve(order.push("later"))));
  assert.deepEqual(order, ["later"]);
  assert(host._now() - began >= 4);
  const drawn = Array.from({ length: 1000 }, () => host._random());
  assert(drawn.every((number) => number >= 0 && number < 1));
  assert.equal(new Set(drawn).size > 990, true);
});
