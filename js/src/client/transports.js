// The transports of SockJS 0.3 (sockjs-protocol: WebSocket, XhrStreaming, XhrPolling), over a Host.

import { WEBSOCKET } from "./policy.js";
import { below, lastOf } from "./urls.js";

/** @import { Host, Request } from "./host.js" */

/**
 * @typedef {object} LinkEvents
 * @property {(frame: string) => void} frame
 * @property {(code: number, reason: string) => void} lost It broke.
 *
 * @typedef {object} Link One SockJS session over one transport.
 * @property {(text: string) => void} send
 * @property {(flush?: boolean) => void} close With `flush` what was sent before still goes out.
 */

const BROKEN = 1006;
// Characters of JSON in one request. A server bounds a body in bytes, and a character has up to three:
// ours takes 65536 (max_message_size), and answers 413 beyond.
const BATCH = 20_000;

/**
 * Begins a session.
 *
 * @param {Host} host
 * @param {string} name of the transport.
 * @param {string} url of the session.
 * @param {LinkEvents} on
 * @returns {Link}
 */
export function openLink(host, name, url, on) {
  const last = `/${lastOf(name)}`;
  if (name !== WEBSOCKET) return http(host, last, url, on);
  const socket = host._websocket(below(url, last), { open() {}, text: on.frame, close: on.lost });
  return { send: (text) => socket.send(JSON.stringify([text])), close: () => socket.close() };
}

/**
 * Streams and polls differ in when the server ends a response.
 *
 * @param {Host} host
 * @param {string} receiving the last part of the URL.
 * @param {string} url
 * @param {LinkEvents} on
 * @returns {Link}
 */
function http(host, receiving, url, on) {
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
   * @param {() => void} done
   * @param {boolean} [receives]
   */
  function request(last, body, done, receives) {
    // A response brings whole frames, one at least. What was cut on its way may have held more.
    let lacks = receives;
    // By an equal `t` a server knows a request that the browser itself sends again after a reset.
    return host._request(below(url, last, `t=${++requests}`), body, {
      _line(line) {
        lacks = false;
        if (receives && !over) on.frame(line);
      },
      _end(status, rest) {
        const good = status === 200 || status === 204;
        if (good && !lacks && !(receives && rest)) {
          done();
        } else {
          close();
          on.lost(BROKEN, status && !good ? `HTTP status ${status}` : "");
        }
      },
    });
  }

  function receive() {
    if (!over) receiver = request(receiving, "", receive, true);
  }

  function flush() {
    let size = 0;
    const batch = waiting.filter((text, n) => (size += text.length + 1) < BATCH || !n);
    waiting = waiting.slice(batch.length);
    // One request at a time keeps the order. A server ends the session when its receiver leaves.
    sending = batch.length > 0;
    if (sending) request("/xhr_send", `[${batch}]`, flush);
    else if (over) receiver.close();
  }

  /** @param {boolean} [rest] still goes out. */
  function close(rest) {
    over = true;
    if (!rest) waiting = [];
    if (!rest || !sending) receiver.close();
  }

  receive();
  return {
    send(text) {
      waiting.push(JSON.stringify(text));
      if (!sending) flush();
    },
    close,
  };
}
