// The servers that the client is tested against: ours, sockjs-node, and one that does what a test says.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL("../../../", import.meta.url));

/**
 * Starts our server with the application of the conformance tests (tests/pkgs/conformance_app).
 * @returns {Promise<{ url: string, stop(): Promise<void> }>}
 */
export async function ours() {
  const python = process.env.PYTHON ?? path.join(root, ".venv", "bin", "python");
  const server = spawn(python, ["-W", "ignore", "-m", "tests.pkgs.conformance_app"], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [url] = await once(createInterface(server.stdout), "line");
  return {
    url,
    async stop() {
      const ended = once(server, "exit");
      server.stdin.end();
      await ended;
    },
  };
}

/** Starts sockjs-node, with those of the endpoints above that it shares. */
export async function sockjsNode() {
  const sockjs = require("sockjs");
  const add = (http, name, options, connected) => {
    const endpoint = sockjs.createServer({ log() {}, ...options });
    endpoint.on("connection", connected);
    endpoint.installHandlers(http, { prefix: `/${name}` });
  };
  const echo = (connection) => connection.on("data", (text) => connection.write(text));
  return listen((http) => {
    http.on("request", (request, response) => response.writeHead(404).end());
    add(http, "echo", { response_limit: 4096 }, echo);
    add(http, "disabled_websocket_echo", { websocket: false }, echo);
    add(http, "close", {}, (connection) => connection.close(3000, "Go away!"));
  });
}

/**
 * Starts a server whose every answer is a test's.
 *
 * @param {(request: Seen) => void} answer
 *
 * @typedef {object} Seen
 * @property {string} last the last part of its path: "websocket", "xhr", "info" …
 * @property {URL} url
 * @property {string} body
 * @property {import("node:http").ServerResponse} [response] none where it asks for a WebSocket.
 * @property {() => any} [accept] makes the WebSocket.
 */
export async function scripted(answer) {
  const WebSocket = require("faye-websocket");
  /** @type {Seen[]} */
  const seen = [];
  const see = (request, rest) => {
    const url = new URL(request.url, "http://host");
    const one = { last: url.pathname.split("/").at(-1), url, ...rest };
    seen.push(one);
    answer(one);
  };
  const server = await listen((http) => {
    http.on("request", async (request, response) => {
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
      see(request, { body, response });
    });
    http.on("upgrade", (request, socket, head) => {
      see(request, { body: "", socket, accept: () => new WebSocket(request, socket, head) });
    });
  });
  return { ...server, seen, of: (last) => seen.filter((one) => one.last === last) };
}

async function listen(prepare) {
  const http = createServer();
  const sockets = new Set();
  http.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  prepare(http);
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    async stop() {
      const closed = once(http, "close");
      http.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Has the client take a server for the page's own, until the test ends. */
export function pageOf(t, url) {
  globalThis.location = new URL("/page", url);
  t.after(() => delete globalThis.location);
}

/** A function, and a promise of what it is first called with. */
export function handOver() {
  let give;
  const given = new Promise((resolve) => (give = resolve));
  return [give, given];
}

/** Notes the events of a SockJS, each by its type and what else it has, and waits for them. */
export function story(sock) {
  const events = [];
  let wake = () => {};
  for (const type of ["open", "message", "heartbeat", "error", "close"]) {
    sock.addEventListener(type, ({ data, code, reason, wasClean }) => {
      const fields = { message: [data], close: [code, reason, wasClean] }[type] ?? [];
      events.push([type, ...fields]);
      wake();
    });
  }
  const of = (type) => events.filter((event) => event[0] === type);
  return {
    events,
    messages: () => of("message").map(([, text]) => text),
    async until(type, count = 1) {
      while (of(type).length < count) {
        if (type !== "close" && of("close").length) throw new Error(`closed: ${of("close")}`);
        await new Promise((resolve) => (wake = resolve));
      }
      return of(type).at(-1).slice(1);
    },
  };
}
