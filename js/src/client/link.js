// One connection of a session: a request that receives, or a WebSocket.

import { WEBSOCKET } from "./policy.js";

/** @import { Host, Request, Socket } from "./host.js" */
/** @import { Way } from "./session.js" */

/**
 * What hears a link.
 *
 * @typedef {object} Hearer
 * @property {(link: Link) => void} _connected the handshake of a WebSocket is done.
 * @property {(link: Link, text: string) => void} _line a line, whole, without its end.
 * @property {(link: Link, status?: number, clean?: boolean, after?: number) => void} _gone it is over:
 *   the status of an HTTP answer, or the code of a close frame; 0 where there is none. clean: a
 *   response ended in good order. after: ms that the server asks to wait.
 */

export class Link {
  /** The number of its receive request; 0 where it asked nothing yet. */
  _request = 0;
  /** A poll that is answered when there is something. */
  _held = false;
  /** The handshake of a WebSocket is done. */
  _up = false;
  /** The number of the message that comes next over it; 0 before a welcome. */
  _number = 0;
  _welcomedAt = 0;
  /** When the ping was sent that has no answer yet; 0 where there is none. */
  _pingedAt = 0;
  /** When it is pinged next. */
  _pingAt = Infinity;
  /** Bytes that had not left when it was pinged. */
  _buffered = 0;
  /** Ms of silence that it may have. */
  _quiet = 0;
  /** The number that the server gives to what comes up without one. */
  _expected = 1;
  /** The number of the last message that went up over it. */
  _upto = 0;
  _saidClose = false;
  /** It has brought messages. */
  _fruitful = false;
  /** Nothing comes or goes over it any more. */
  _over = false;
  /** @type {?Socket} */
  _socket = null;
  /** @type {?Request} */
  _response = null;
  _timer;

  /**
   * @param {Host} host
   * @param {Way} way
   * @param {boolean} probe it is only to prove that its way works.
   */
  constructor(host, way, probe) {
    this._host = host;
    this._way = way;
    this._probe = probe;
    this._askedAt = this._heardAt = host.now();
    this._timer = host.after(0, () => {});
  }

  /**
   * @param {string} url
   * @param {Hearer} on
   * @param {object} [body] of a request.
   */
  _open(url, on, body) {
    if (this._way === WEBSOCKET) {
      this._socket = this._host.websocket(url.replace("http", "ws"), {
        open: () => on._connected(this),
        text: (text) => on._line(this, text),
        close: (code) => on._gone(this, code),
      });
      return;
    }
    let rest = "";
    this._response = this._host.request(url, JSON.stringify(body), {
      head: (status, header) => {
        if (status !== 200) on._gone(this, status, false, 1e3 * Number(header("Retry-After")) || 0);
      },
      text: (chunk) => {
        const lines = (rest + chunk).split("\n");
        // What has no line end is no line.
        rest = /** @type {string} */ (lines.pop());
        for (const line of lines) on._line(this, line);
      },
      end: (failed) => on._gone(this, 0, !failed),
    });
  }

  /** @param {object} frame over a WebSocket. */
  _write(frame) {
    this._socket?.send(JSON.stringify(frame));
  }

  /** Bytes that have not left yet. */
  get _left() {
    return this._socket?.bufferedAmount ?? 0;
  }

  /**
   * Calls later, in place of what was to be called.
   *
   * @param {number} ms
   * @param {() => void} call
   */
  _after(ms, call) {
    this._host.cancel(this._timer);
    this._timer = this._host.after(ms, call);
  }

  _close() {
    this._over = true;
    this._host.cancel(this._timer);
    this._socket?.close();
    this._response?.abort();
  }
}
