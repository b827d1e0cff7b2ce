// A session as an object, for tests: what the page calls, and what they look at.

import { tryWays } from "../../src/client/asking.js";
import * as core from "../../src/client/resumable.js";

const LASTS = { websocket: "websocket", "xhr-streaming": "xhr_streaming", "xhr-polling": "xhr" };
/** The last part of its URL, by the name of a way; and the other way round. */
const lastOf = (name) => LASTS[name] ?? null;
const nameOf = (last) => Object.keys(LASTS).find((name) => LASTS[name] === last) ?? null;

export class Session {
  constructor(host, url, options, tell) {
    const hear = (type, detail) => {
      if (type === "stopped") tell("closed", { code: detail[0], reason: detail[1] });
      else tell(type === "open" ? "opened" : type, type === "transport" ? lastOf(detail) : detail);
    };
    const { ways, known } = options;
    const own = { ...options, ways: ways?.map(nameOf), known: known && { ...known, way: nameOf(known.way) } };
    this.fields = core.resumable(host, url, own, hear);
  }

  get state() {
    return this.fields._state.replace("stopped", "closed");
  }

  get client() {
    return this.fields._client;
  }

  get session() {
    return this.fields._id;
  }

  get way() {
    return lastOf(this.fields._current?._way);
  }

  get known() {
    return { ...this.fields._known, way: lastOf(this.fields._known.way) };
  }

  get ways() {
    return this.fields._ways.map(lastOf);
  }

  set ways(ways) {
    this.fields._ways = ways.map(nameOf);
  }

  start = () => tryWays(this.fields);
  send = (text) => Number(core.send(this.fields, text).id.split("-").at(-1));
  close = (code = 1000, reason = "") => core.close(this.fields, code, reason);
  stop = () => core.stop(this.fields);
  reconnect = () => core.reconnect(this.fields);
  snapshot = () => core.snapshotOf(this.fields);
  wake = () => core.wake(this.fields);
  hide = () => core.hide(this.fields);
}
