// Drives the npm `sockjs-client`, and tells what it sees: one JSON object per line.
// The argument is a job as JSON:
//   modules     the folder whose node_modules hold the client
//   url         the endpoint's
//   transports  what the client may use; absent: all that it has; "raw": a plain WebSocket
//   messages    sent when the connection opens
//   expect      how many messages to wait for before the client closes
//   heartbeats  how many heartbeats to wait for before the messages are sent
//   limit       seconds after which the process ends, whatever happens
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const job = JSON.parse(process.argv[2]);
const fromModules = createRequire(path.join(job.modules, "index.js"));
const started = Date.now();

function tell(event, details) {
  process.stdout.write(JSON.stringify({ event, ...details }) + "\n");
}

setTimeout(() => {
  tell("limit", { milliseconds: Date.now() - started });
  process.exit(3);
}, job.limit * 1000).unref();

function connect() {
  if (job.transports === "raw") {
    const { Client } = fromModules("faye-websocket");
    return new Client(job.url.replace(/^http/, "ws").replace(/(\?|$)/, "/websocket$1"));
  }
  const SockJS = fromModules("sockjs-client");
  return new SockJS(job.url, null, { transports: job.transports });
}

const sock = connect();
let received = 0;
let beats = 0;

function send() {
  for (const message of job.messages) {
    sock.send(message);
  }
}

sock.onopen = () => {
  tell("open", { transport: sock.transport });
  if (!job.heartbeats) {
    send();
  }
};

sock.onheartbeat = () => {
  tell("heartbeat");
  beats += 1;
  if (beats === job.heartbeats) {
    send();
  }
};

sock.onmessage = (event) => {
  tell("message", { data: event.data });
  received += 1;
  if (received === job.expect) {
    sock.close();
  }
};

sock.onerror = () => tell("error");

sock.onclose = (event) => {
  tell("close", { code: event.code, reason: event.reason, clean: event.wasClean });
  // What is left are idle keep-alive connections.
  setTimeout(() => process.exit(0), 0);
};
