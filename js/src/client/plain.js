// The session of a page: that of ~r1, and over plain SockJS where the server does not know it. SockJS
// acknowledges nothing, and a session of it ends with its connection. At each reconnection ~r1 is asked
// for again: by then the server may be a newer one.

import { SETTLED, WAYS } from "./policy.js";
import { ResumableSession } from "./resumable.js";
import { SockJS } from "./sockjs.js";
import { TRANSPORTS } from "./transports.js";

// Ms of silence after which nobody is there: heartbeats come more often.
const SILENCE = 90e3;
// As often the server may say that it has no such URL, before a session counts as lost.
const REFUSALS = 5;
const NORMAL = 1000;
// The code of a WebSocket that was closed without one.
const BROKEN = 1006;
// Codes by which servers close, and not their applications.
const GO_AWAY = 3000;
const SLOW_CONSUMER = 4008;

/** @import { Host } from "./host.js" */
/** @import { Events, Options, Tell, Way } from "./session.js" */

/** SockJS's names of the ways, in their order. */
export const NAMES = Object.keys(TRANSPORTS);

/**
 * @param {string[]} [names]
 * @returns {Way[]} those of these names; all, where there are none.
 */
export function waysOf(names = []) {
  const ways = WAYS.filter((_, index) => names.includes(NAMES[index]));
  return ways.length ? ways : WAYS;
}

export class PageSession extends ResumableSession {
  /** The connection of SockJS that there is. @type {?InstanceType<typeof SockJS>} */
  _sock = null;
  /** One was open, and nothing has come in its place. */
  _plain = false;

  /**
   * @param {Host} host
   * @param {string} url of the endpoint, absolute.
   * @param {Options} options
   * @param {Tell} tell
   * @param {RequestCredentials} credentials
   */
  constructor(host, url, options, tell, credentials) {
    super(host, url, options, tell);
    this._address = url;
    this._credentials = credentials;
  }

  /** SockJS's name of the way in use. */
  get transport() {
    return this._sock ? this._sock.transport : this.way && NAMES[WAYS.indexOf(this.way)];
  }

  /**
   * Has a text wait in its order, however much waits.
   *
   * @param {string} text
   * @returns {number} its number.
   */
  repeat(text) {
    const number = this._outbox._add(text);
    this._pump();
    return number;
  }

  /** Leaves it as it is, and tells nobody. */
  drop() {
    this._enter("end");
    this._leaveAll();
  }

  /**
   * @override
   * @param {boolean} [offline] the browser says so.
   */
  wake(offline) {
    // What SockJS has is not to be asked whether it lives.
    if (offline || !this._sock) super.wake();
  }

  /** @override */
  _tryWays() {
    if (this._plain) {
      this._plain = false;
      this._enter("break");
      if (this._enter("lost")) this._tell("lost", { handled: this._outbox._settled, repeated: 0 });
    }
    if (this.state !== "closed") super._tryWays();
  }

  /** @override */
  _leaveAll() {
    super._leaveAll();
    const sock = this._sock;
    this._sock = null;
    if (!sock) return;
    sock.onopen = sock.onmessage = sock.onheartbeat = sock.onclose = null;
    sock.close();
  }

  /** @override */
  _pump() {
    const sock = this._sock;
    if (!sock) {
      super._pump();
    } else if (sock.readyState === SockJS.OPEN) {
      const outbox = this._outbox;
      for (const { _text } of outbox._waiting) sock.send(_text);
      outbox._confirm(outbox._last);
      outbox._renew(false);
      this._tell("handled", outbox._settled);
      if (this._closing) this._finish("closed", { code: this._closing[0], reason: this._closing[1] });
    }
  }

  /**
   * @override
   * @param {number} status
   */
  _isFinal(status) {
    if (super._isFinal(status)) return true;
    // Why a handshake was refused is told to nobody, and there is no other way to ask.
    if (status === BROKEN && this.ways.length < 2 && !this._welcomed && !this._sock) {
      this._finish("unsupported", undefined);
      return true;
    }
    // In an upgrade the next answer may be a newer server's. So often in a row there is none any more.
    if (status !== 404 || this._failures < REFUSALS) return false;
    this._lose();
    return true;
  }

  /**
   * @override
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {Events[Type]} detail
   */
  _finish(type, detail) {
    if (type !== "unsupported") {
      super._finish(type, detail);
      return;
    }
    this._leaveAll();
    const transports = this.ways.map((way) => NAMES[WAYS.indexOf(way)]);
    const sock = new SockJS(this._address, null, { transports, credentials: this._credentials });
    let openedAt = Infinity;
    const broke = () => {
      this._leaveAll();
      if (this._host.now() - openedAt >= SETTLED) this._failures = 0;
      this._enter("break");
      this._tryAgain();
    };
    const heard = () => this._after("silence", SILENCE, broke);
    this._sock = sock;
    sock.onheartbeat = heard;
    sock.onopen = () => {
      heard();
      this._plain = true;
      openedAt = this._host.now();
      this._tell("transport", WAYS[NAMES.indexOf(sock.transport ?? "")]);
      this._enter("welcome");
      this._pump();
    };
    sock.onmessage = ({ data }) => {
      heard();
      this._tell("message", data);
    };
    sock.onclose = ({ code, reason, wasClean }) => {
      const isFinal = wasClean && (code === NORMAL || code > GO_AWAY) && code !== SLOW_CONSUMER;
      if (this._isFinal(code)) return;
      if (isFinal) super._finish("closed", { code, reason });
      else broke();
    };
  }
}
