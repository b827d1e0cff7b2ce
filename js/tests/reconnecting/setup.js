// A client over sockets that the test opens, answers and loses, with the test's clock.

import { mock } from "node:test";

import { ReconnectingSockJS } from "../../src/reconnecting/index.js";

export class FakeSock {
  readyState = 0;
  sent = [];

  constructor(url, protocols, options) {
    Object.assign(this, { url, protocols, options });
  }

  open(transport = "websocket") {
    this.readyState = 1;
    this.transport = transport;
    this.onopen?.({ type: "open" });
  }

  message(data) {
    this.onmessage?.({ type: "message", data });
  }

  heartbeat() {
    this.onheartbeat?.({ type: "heartbeat" });
  }

  lose(code = 1006, reason = "gone", wasClean = false) {
    this.readyState = 3;
    this.onclose?.({ type: "close", code, reason, wasClean });
  }

  send(text) {
    this.sent.push(text);
  }

  close() {
    this.readyState = 3;
  }
}

export const EVENTS = ["connecting", "open", "message", "rtt", "lost", "stopped"];
export const PING = { message: () => "ping", isPong: (text) => text === "pong" };

/** Has setTimeout, Date and performance.now() follow mock.timers.tick(). */
export function mockTime(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(performance, "now", () => Date.now());
  t.after(() => mock.timers.reset());
}

/** Goes on by some ms. What runs meanwhile sees the time at the end: go on from event to event. */
export const tick = (ms) => mock.timers.tick(ms);

/** Has all transports fail at once, one after the other. */
export function failAll({ client, last }) {
  while (client.state === "connecting") last().lose(2000, "All transports failed");
}

/** Lets promises run. */
export const settle = () => new Promise(setImmediate);

/**
 * Returns a client with its sockets, the last one of them, and the events that it told.
 * The delays are the longest possible.
 */
export function setUp(t, options = {}) {
  mockTime(t);
  t.mock.method(Math, "random", () => 1);
  const socks = [];
  const events = [];
  class SockJS extends FakeSock {
    constructor(...args) {
      super(...args);
      socks.push(this);
    }
  }
  const client = new ReconnectingSockJS("/chat", { SockJS, ...options });
  for (const type of EVENTS) {
    client.addEventListener(type, ({ detail }) => events.push([type, detail]));
  }
  t.after(() => client.close());
  const taken = () => events.splice(0);
  return { client, socks, events, taken, last: () => socks.at(-1) };
}

/** As setUp(), with an open connection. */
export function setUpOpen(t, options = {}) {
  const all = setUp(t, options);
  all.client.connect();
  all.last().open();
  all.taken();
  return all;
}
