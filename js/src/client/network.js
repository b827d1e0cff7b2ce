// The browser, as the rest of the client sees it: fetch(), WebSocket, clock, timers, chance.

/** @import { Host, RequestEvents, Socket } from "./host.js" */

/**
 * @param {Host} host
 * @param {number} count
 * @returns {string} so many digits and small letters, by chance: each is worth 5 bits.
 */
export const draw = (host, count) =>
  Array.from({ length: count }, () => Math.floor(36 * host._random()).toString(36)).join("");

/**
 * The real `Host`: of a browser, a worker, or a runtime with the same globals.
 *
 * @param {RequestCredentials} [credentials] whether requests carry cookies to another
 *   origin. A WebSocket's handshake always does.
 * @returns {Host}
 */
export const network = (credentials = "include") => ({
  _credentials: credentials,
  _now: () => performance.now(),
  _random: () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32,
  // A browser's timers are numbers.
  _after: (ms, call) => /** @type {any} */ (setTimeout(call, ms)),
  _cancel: (timer) => clearTimeout(/** @type {any} */ (timer)),
  _request(url, body, on, options) {
    const controller = new AbortController();
    const { signal } = controller;
    // Its body is a string and it has no header of its own: that is text/plain, and needs no preflight
    // (Fetch, "CORS-safelisted request-header").
    read(fetch(url, { method: "POST", body, credentials, signal, cache: "no-store", ...options }), on);
    return { close: () => controller.abort() };
  },
  _websocket(url, { open, text, close }) {
    /** @param {Partial<CloseEvent>} event */
    const over = ({ code = 1006, reason = "" }) => close(code, reason);
    try {
      const socket = new WebSocket(url.replace(/^http/, "ws"));
      socket.onopen = open;
      socket.onmessage = ({ data }) => text(data);
      // Some runtimes tell a failed handshake by `error` alone.
      socket.onclose = socket.onerror = over;
      // One that is closing takes nothing, and complains in the console.
      const send = socket.send.bind(socket);
      socket.send = (data) => socket.readyState > 1 || send(data);
      return socket;
    } catch {
      // There are none here, or the page's policy forbids this one.
      queueMicrotask(() => over({}));
      return /** @type {Socket} */ ({ close() {} });
    }
  },
});

/**
 * Reads an answer, and tells it. What the callbacks throw is no failure of the network: nothing of them is
 * caught here.
 *
 * @param {Promise<Response>} answer
 * @param {RequestEvents} on
 */
async function read(answer, on) {
  const response = await answer.catch(() => null);
  let status = response?.status ?? 0;
  let rest = "";
  const reader = response?.body?.pipeThrough(new TextDecoderStream()).getReader();
  const next = () => reader?.read().catch(() => void (status = 0));
  for (let part; (part = await next()) && !part.done; ) {
    const lines = (rest + part.value).split("\n");
    rest = /** @type {string} */ (lines.pop());
    if (status !== 200) continue;
    // A part of a line is a sign of life, too: a large one may take long.
    on._part?.();
    for (const line of lines) on._line?.(line);
  }
  on._end(status, rest, 1e3 * Number(response?.headers.get("Retry-After")) || 0);
}
