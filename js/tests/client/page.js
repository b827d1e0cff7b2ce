// A page for the client: a scripted host with a clock that the test moves, and what a browser has.

import { ReconnectingSockJS } from "../../src/client/index.js";

export const URL = "http://host/chat";
export const EVENTS = [
  "connecting", "open", "message", "transport", "rtt", "suspended", "resumed", "lost", "moved", "missed",
  "denied", "stopped",
]; // prettier-ignore

let drawn = 1;

/** A network that does what the test says, and a clock. */
export class FakeHost {
  time = 0;
  timers = [];
  /** All requests and WebSockets, in order. */
  asked = [];

  _now = () => this.time;
  _random = () => (drawn = (drawn * 48271) % 2147483647) / 2147483647;

  _after = (ms, call) => {
    const timer = { at: this.time + ms, call };
    this.timers.push(timer);
    return timer;
  };

  _cancel = (timer) => {
    this.timers = this.timers.filter((other) => other !== timer);
  };

  _request = (url, body, on, options) => {
    const { pathname, search } = new globalThis.URL(url);
    const [last, session] = pathname.split("/").reverse();
    const one = { url, search, last, session, body: JSON.parse(body), on, options, over: false };
    this.asked.push(one);
    return { close: () => (one.over = true) };
  };

  _websocket = (url, on) => {
    const one = { url, last: "websocket", on, sent: [], over: false };
    this.asked.push(one);
    return { send: (text) => one.sent.push(JSON.parse(text)), close: () => (one.over = true), bufferedAmount: 0 };
  };

  /** Those of a kind that are not over. */
  open(last) {
    return this.asked.filter((one) => one.last === last && !one.over);
  }

  /** The newest of a kind, which is not over. */
  newest(last) {
    const found = this.open(last).at(-1);
    if (!found) throw new Error(`no ${last}: ${this.asked.map((one) => [one.last, one.over])}`);
    return found;
  }

  /** Goes on by some ms, from timer to timer. */
  tick(ms) {
    const until = this.time + ms;
    for (;;) {
      const [due] = this.timers.filter(({ at }) => at <= until).sort((one, other) => one.at - other.at);
      if (!due) break;
      this.time = Math.max(this.time, due.at);
      this._cancel(due);
      due.call();
    }
    this.time = until;
  }

  /** Answers a request by lines, and ends it in good order. */
  answer(one, ...lines) {
    for (const line of lines) if (!one.over) one.on._line(line);
    if (!one.over) one.on._end(200, "", 0);
    one.over = true;
  }

  /** Answers a poll, by what a welcome says besides. */
  welcome(fields, ...lines) {
    const first = { window: 60, heartbeat: 25, spread: 5, net: "net", limit: 65536, home: "", incarnation: "a" };
    const poll = this.newest("xhr");
    const told = { from: poll.body.received + 1, received: 0, ...(poll.body.new && first), ...fields };
    this.answer(poll, `r${JSON.stringify(told)}`, ...lines);
    return poll;
  }

  /** Answers a send. */
  took(arrived, received = arrived, more = {}) {
    const send = this.newest("xhr_send");
    send.on._end(200, JSON.stringify({ arrived, received, ...more }), 0);
    send.over = true;
    return send;
  }

  refuse(one, status) {
    one.on._end(status, "", 0);
    one.over = true;
  }

  fail(one) {
    one.over = true;
    if (one.last === "websocket") one.on.close(1006, "");
    else one.on._end(0, "", 0);
  }
}

const storageOf = (map) => ({
  getItem: (key) => map.get(key) ?? null,
  setItem: (key, value) => map.set(key, value),
  removeItem: (key) => map.delete(key),
});

/** What a window has, as far as it matters: until the test ends. `local` is what all windows of the browser share. */
export function browse(t, { storage = new Map(), local = new Map(), locks } = {}) {
  const window = new EventTarget();
  const globals = {
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
    document: { hidden: false },
    navigator: { locks },
    sessionStorage: storageOf(storage),
    localStorage: storageOf(local),
  };
  for (const [name, value] of Object.entries(globals)) {
    const former = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => {
      if (former) Object.defineProperty(globalThis, name, former);
      else delete globalThis[name];
    });
  }
  return {
    storage,
    local,
    say: (type, fields) => window.dispatchEvent(Object.assign(new Event(type), fields)),
    show: (state) => {
      globals.document.hidden = state === "hidden";
      window.dispatchEvent(new Event("visibilitychange"));
    },
  };
}

/** A client, its host, and what it tells. */
export function client(options = {}, url = URL) {
  const host = Object.assign(new FakeHost(), { _credentials: options.credentials });
  const sock = new ReconnectingSockJS(url, { transports: ["xhr-polling"], ...options, _host: host });
  const told = [];
  for (const type of EVENTS) sock.addEventListener(type, ({ detail }) => told.push([type, detail, sock.state]));
  const events = () => told.map(([type]) => type).filter((type) => !["rtt", "transport"].includes(type));
  return { host, sock, told, events, last: (type) => told.findLast(([other]) => other === type)?.[1] };
}

/** One whose session is open, over polls. */
export function opened(options, url) {
  const all = client(options, url);
  all.sock.connect();
  all.host.welcome();
  return all;
}
