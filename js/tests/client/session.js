// A session as an object, for tests: what the page calls, and what they look at.

import { tryWays } from "../../src/client/asking.js";
import * as core from "../../src/client/resumable.js";

export class Session {
  constructor(host, url, options, tell) {
    const hear = (type, detail) =>
      tell(type, type === "closed" ? { code: detail[0], reason: detail[1] } : detail);
    this.fields = core.resumable(host, url, options, hear);
  }

  get state() {
    return this.fields._state;
  }

  get client() {
    return this.fields._client;
  }

  get session() {
    return this.fields._id;
  }

  get way() {
    return this.fields._current?._way ?? null;
  }

  get known() {
    return this.fields._known;
  }

  get ways() {
    return this.fields._ways;
  }

  set ways(ways) {
    this.fields._ways = ways;
  }

  start = () => tryWays(this.fields);
  send = (text) => core.send(this.fields, text);
  close = (code, reason) => core.close(this.fields, code, reason);
  stop = () => core.stop(this.fields);
  reconnect = () => core.reconnect(this.fields);
  snapshot = () => core.snapshotOf(this.fields);
  wake = () => core.wake(this.fields);
  hide = () => core.hide(this.fields);
}
