// A session over a host that the test plays, with the test's clock.

import { Session } from "./session.js";

export const TERMS = { window: 60, heartbeat: 25, spread: 5, net: "n", limit: 4096, home: "" };

/** A request, or a WebSocket, as the test sees it. */
class Wire {
  over = false;
  // What went up over a WebSocket, parsed.
  frames = [];
  // Bytes that do not leave.
  stuck = 0;
  // Bytes that were written in this turn, in which none leave.
  written = 0;

  constructor(world, url, on, body, options) {
    Object.assign(this, { world, url, on, options, body: body && JSON.parse(body) });
    [, this.transport, this.query = ""] = /\/([a-z_]+)(?:\?(.*))?$/.exec(url);
  }

  send(text) {
    this.frames.push(JSON.parse(text));
    this.written += text.length;
  }

  get bufferedAmount() {
    return this.stuck + this.written;
  }

  get last() {
    return this.frames.at(-1);
  }

  close() {
    this.over = true;
  }

  /** The handshake is done. */
  open() {
    this.on.open();
  }

  /** Lines come: objects are those of `r`. */
  answer(...lines) {
    for (const line of lines) {
      const text = typeof line === "string" ? line : `r${JSON.stringify(line)}`;
      if (this.body) this.on._line(text);
      else this.on.text(text);
    }
  }

  /** The first welcome of a session. */
  welcome(from = 1, received = 0, terms = {}) {
    this.answer({ from, received, ...TERMS, ...terms });
  }

  /** A send is answered. */
  reply(arrived, received, more = {}) {
    this.status(200, JSON.stringify({ arrived, received, ...more }));
  }

  /** An HTTP answer with this status, or the end of a WebSocket. */
  status(code, text = "", wait = 0) {
    this.over = true;
    this.on._end(code, text, wait);
  }

  /** It ends in good order. */
  end() {
    this.over = true;
    this.on._end(200, "", 0);
  }

  /** It breaks. */
  lose(code = 1006) {
    this.over = true;
    if (this.body) this.on._end(0, "", 0);
    else this.on.close(code, "");
  }
}

export class World {
  now = 1000;
  timers = [];
  /** All that was begun, in order. */
  wires = [];
  /** What was told: a name, or a name and the detail. */
  told = [];
  chance = 0.5;

  constructor(ways = undefined, options = {}) {
    const tell = (type, detail) => {
      // They have tests of their own.
      if (type !== "rtt" && type !== "transport") this.told.push(detail === undefined ? type : [type, detail]);
      this.heard?.(type, detail);
    };
    this.session = new Session(this.host(), "http://host/chat", { ways, ...options }, tell);
    this.session.start();
  }

  host() {
    const begin = (wire) => {
      this.wires.push(wire);
      return wire;
    };
    return {
      _now: () => this.now,
      _random: () => this.chance,
      _after: (ms, call) => {
        const timer = { at: this.now + ms, call };
        this.timers.push(timer);
        return timer;
      },
      _cancel: (timer) => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
      _request: (url, body, on, options) => begin(new Wire(this, url, on, body, options)),
      _websocket: (url, on) => begin(new Wire(this, url, on)),
    };
  }

  /** Lets so many ms pass. */
  advance(ms) {
    const end = this.now + ms;
    for (;;) {
      for (const wire of this.wires) wire.written = 0;
      const [due] = this.timers.toSorted((one, other) => one.at - other.at);
      if (!due || due.at > end) break;
      this.now = Math.max(this.now, due.at);
      this.timers = this.timers.filter((other) => other !== due);
      due.call();
    }
    this.now = end;
  }

  /** Lets time pass until more was begun. */
  advanceToNext() {
    const { length } = this.wires;
    for (let n = 0; this.wires.length === length; n += 1) {
      if (n > 10_000) throw new Error("nothing more is begun");
      this.advance(10);
    }
  }

  /** The newest of a transport. */
  wire(transport) {
    return this.wires.findLast((wire) => wire.transport === transport);
  }

  get poll() {
    return this.wire("xhr");
  }

  get stream() {
    return this.wire("xhr_streaming");
  }

  get websocket() {
    return this.wire("websocket");
  }

  /** The sends, all of them. */
  get posts() {
    return this.wires.filter((wire) => wire.transport === "xhr_send");
  }

  get post() {
    return this.posts.at(-1);
  }

  /** Transports that are under way. */
  get open() {
    return this.wires.filter((wire) => !wire.over).map((wire) => wire.transport);
  }

  get messages() {
    return this.told.filter(([type]) => type === "message").map(([, text]) => text);
  }
}

/** A session that has a WebSocket. */
export function overWebSocket(options) {
  const world = new World(["websocket"], options);
  world.websocket.open();
  world.websocket.welcome();
  return world;
}

/** A session whose second poll is held. */
export function overPoll(options) {
  const world = new World(["xhr"], options);
  world.poll.welcome();
  world.poll.end();
  return world;
}

/** A session that has a stream. */
export function overStream(options) {
  const world = new World(["xhr_streaming"], options);
  world.stream.welcome();
  return world;
}

/** A WebSocket has taken over from a poll. */
export function overBoth() {
  const world = new World();
  world.advance(200);
  world.poll.welcome();
  world.websocket.open();
  world.websocket.answer({ pong: 2 }, { from: 1, received: 0 });
  return world;
}
