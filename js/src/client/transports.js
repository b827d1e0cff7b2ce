// The transports of SockJS 0.3 (sockjs-protocol: WebSocket, XhrStreaming, XhrPolling), over a Host.

import { POLL, STREAM, WEBSOCKET } from "./policy.js";

/** @import { Host, Request } from "./host.js" */

/**
 * @typedef {object} LinkEvents
 * @property {(frame: string) => void} frame
 * @property {(code: number, reason: string) => void} lost The last call: it broke.
 *
 * @typedef {object} Link One SockJS session over one transport.
 * @property {(text: string) => void} send
 * @property {(flush: boolean) => void} close Nothing is told any more. With `flush` what was sent
 *   before still goes out.
 *
 * @typedef {(host: Host, url: string, on: LinkEvents) => Link} Transport To the URL of a session.
 */

const BROKEN = 1006;
const LOST = "Connection lost";
// Characters of JSON in one request. A server bounds a body in bytes, and a character has up to three:
// ours takes 65536 (max_message_size), and answers 413 beyond.
const BATCH = 20_000;

/**
 * Appends to the path of a URL, whose query stays: that is the application's.
 *
 * @param {string} url
 * @param {string} path
 */
export const below = (url, path) => url.replace(/\?|$/, (end) => path + end);

/** @type {Transport} */
function websocket(host, url, on) {
  const socket = host._websocket(below(url, "/websocket"), {
    open() {},
    text: on.frame,
    close: (code, reason) => on.lost(code, code === BROKEN ? LOST : reason),
  });
  return { send: (text) => socket.send(JSON.stringify([text])), close: () => socket.close() };
}

/**
 * Streams and polls differ in when the server ends a response.
 *
 * @param {string} receiving the last part of the URL.
 * @returns {Transport}
 */
const http = (receiving) => (host, url, on) => {
  /** @type {Request} */
  let receiver;
  /** @type {string[]} */
  let waiting = [];
  let requests = 0;
  let sending = false;
  let over = false;

  /**
   * @param {string} last
   * @param {string} body
   * @param {(fault: string) => void} end
   * @param {(line: string) => void} [line]
   */
  function request(last, body, end, line) {
    const whole = below(url, `/${last}`);
    // By an equal `t` a server knows a request that the browser itself sends again after a reset.
    return host._request(`${whole}${whole.includes("?") ? "&" : "?"}t=${++requests}`, body, {
      _line: line,
      _end(status, rest) {
        if (status !== 200 && status !== 204) end(status ? `HTTP status ${status}` : LOST);
        else end(line && rest ? LOST : "");
      },
    });
  }

  /** @param {string} reason */
  function lose(reason) {
    if (over) return;
    close(false);
    on.lost(BROKEN, reason);
  }

  function receive() {
    // A response brings whole frames, one at least. What was cut on its way may have held more.
    let none = LOST;
    receiver = request(
      receiving,
      "",
      (fault) => {
        if (fault || none) lose(fault || none);
        else if (!over) receive();
      },
      (line) => {
        none = "";
        if (!over) on.frame(line);
      },
    );
  }

  function flush() {
    if (!waiting.length) {
      if (over) receiver.abort();
      return;
    }
    let count = 0;
    for (let size = 0; count < waiting.length && (!count || size + waiting[count].length < BATCH); ) {
      size += waiting[count++].length + 1;
    }
    sending = true;
    request(
      "xhr_send",
      `[${waiting.splice(0, count)}]`,
      (fault) => {
        sending = false;
        if (fault) waiting = [];
        if (fault) lose(`Sending error: ${fault}`);
        flush();
      },
    );
  }

  /** @param {boolean} rest whether it still goes out. */
  function close(rest) {
    over = true;
    if (!rest) waiting = [];
    // One request at a time keeps the order. A server ends the session when its receiver leaves.
    if (!rest || !sending) receiver.abort();
  }

  receive();
  return {
    send(text) {
      waiting.push(JSON.stringify(text));
      if (!sending) flush();
    },
    close,
  };
};

/**
 * What there is, by SockJS's names, the best first; and how many round trips of one behind it each may
 * take until that one is used. A WebSocket has a TCP connection and TLS of its own to make.
 *
 * @type {Record<string, [Transport, number]>}
 */
export const TRANSPORTS = {
  [WEBSOCKET]: [websocket, 4],
  [STREAM]: [http("xhr_streaming"), 2],
  [POLL]: [http("xhr"), 0],
};
