// What carries a SockJS, and the frames of its protocol (SockJS 0.3, "Protocol and framing"). This and what it
// alone imports is a file of its own, which is loaded when the first one is made: who has a session of ~r1
// needs none of it.

import { connect } from "./attempts.js";
import { draw } from "./network.js";
import { WAYS } from "./policy.js";

/** @import { Host } from "./host.js" */
/** @import { SockJS, SockJSOptions } from "./sockjs.js" */
/** @import { Link } from "./transports.js" */

/**
 * Connects, and tells it what comes as long as it is not closed.
 *
 * @param {Host} host
 * @param {SockJS} sock
 * @param {SockJSOptions} options
 * @param {(code: number, reason: string, wasClean?: boolean) => void} end Told that it is over. 1002: there
 *   is no server.
 * @returns {Link}
 */
export function open(host, sock, options, end) {
  const { server, transports, sessionId = 0, timeout = 0, info } = options;
  const number = server || Math.floor(1000 * host._random());
  const wanted = [transports || []].flat();
  return connect(
    host,
    sock.url,
    WAYS.filter((name) => !wanted.length || wanted.includes(name)),
    timeout,
    info ?? new URL(sock.url).origin !== globalThis.location?.origin,
    () => `/${number}/${typeof sessionId === "function" ? sessionId() : draw(host, sessionId || 8)}`,
    take,
    end,
  );

  /**
   * @param {string} frame
   * @param {string} name of the transport.
   */
  function take(frame, name) {
    const [type] = frame;
    if (sock.readyState > 1) return;
    if (type === "o") {
      if (sock.readyState) {
        end(1006, "Server lost session");
        return;
      }
      sock.readyState = 1;
      sock.transport = name;
      sock.dispatchEvent({ type: "open" });
    }
    if (frame === "h") sock.dispatchEvent({ type: "heartbeat" });
    let content;
    try {
      content = JSON.parse(frame.slice(1));
    } catch {
      return;
    }
    if (type === "m") content = [content];
    if (!Array.isArray(content)) return;
    if (type === "c") end(content[0], content[1], true);
    if (type !== "a" && type !== "m") return;
    for (const data of content) {
      if (sock.readyState === 1) sock.dispatchEvent({ type: "message", data });
    }
  }
}
