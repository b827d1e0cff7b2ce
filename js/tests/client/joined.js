// The client's core at the end of a pipe: tests/resume/browser.py joins it to the server's core. Each
// line of JSON that comes in is one step, [now in ms, what, ...arguments]; one goes out, what the step did.

import { createInterface } from "node:readline";

import { settled } from "../../src/client/outbox.js";
import { Session } from "./session.js";

let now = 0;
let timers = [];
let done = [];
let session = null;
let hearers = new Map();

/** A generator that a seed decides. */
function generator(seed) {
  let state = seed + 1;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

/** What the other end wants to know of the client, as it is now. */
function facts() {
  const { state, session: id } = session;
  const positions = Object.fromEntries(session.fields._rooms);
  return { state, session: id, settled: settled(session.fields), positions };
}

const host = {
  _now: () => now,
  _random: null,
  _after(ms, call) {
    const timer = { at: now + ms, call };
    timers.push(timer);
    return timer;
  },
  _cancel(timer) {
    timers = timers.filter((other) => other !== timer);
  },
  _request(url, body, on) {
    const id = hearers.size;
    hearers.set(id, on);
    done.push(["request", id, url, body]);
    return { close: () => done.push(["drop", id]) };
  },
  _websocket(url, on) {
    const id = hearers.size;
    hearers.set(id, on);
    done.push(["websocket", id, url]);
    return {
      send: (text) => done.push(["write", id, text]),
      close: () => done.push(["drop", id]),
      bufferedAmount: 0,
    };
  },
};

const steps = {
  begin(ways, seed) {
    timers = [];
    hearers = new Map();
    host._random = generator(seed);
    const tell = (type, detail) => done.push(["tell", type, detail ?? null, facts()]);
    session = new Session(host, "http://host", { ways }, tell);
    session.start();
  },
  send: (text) => session.send(text),
  close: (code, reason) => session.close(code, reason),
  wake: () => session.wake(),
  hide: () => session.hide(false),
  // Those that are due by now, in their order.
  time() {
    const until = now;
    for (;;) {
      const due = timers.filter(({ at }) => at <= until + 1e-6).sort((one, other) => one.at - other.at)[0];
      if (!due) return;
      now = Math.max(now, due.at);
      host._cancel(due);
      due.call();
    }
  },
  opened: (id) => hearers.get(id).open(),
  text: (id, text) => hearers.get(id).text(text),
  line: (id, line) => hearers.get(id)._line(line),
  end: (id, status, text) => hearers.get(id)._end(status, text, 0),
  closed: (id, code) => hearers.get(id).close(code, ""),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [at, what, ...values] = JSON.parse(line);
  now = Math.max(now, at);
  if (what === "begin") now = at;
  done = [];
  let error = null;
  try {
    steps[what](...values);
  } catch (problem) {
    error = String(problem.stack);
  }
  const deadline = timers.length ? Math.min(...timers.map((timer) => timer.at)) : null;
  process.stdout.write(`${JSON.stringify({ done, error, deadline, facts: facts() })}\n`);
}
