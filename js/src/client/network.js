// The browser, as the rest of the client sees it: fetch(), WebSocket, clock, timers, chance.

/** @import { Host, RequestEvents, WebSocketEvents } from "./host.js" */

/**
 * The real `Host`: of a browser, a worker, or a runtime with the same globals.
 *
 * @param {RequestCredentials} [credentials] whether requests carry cookies to another
 *   origin. A WebSocket's handshake always does.
 * @returns {Host}
 */
export function network(credentials = "include") {
  return {
    _now: () => performance.now(),
    _random: () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32,
    // A browser's timers are numbers.
    _after: (ms, call) => /** @type {any} */ (setTimeout(call, ms)),
    _cancel: (timer) => clearTimeout(/** @type {any} */ (timer)),
    _request(url, body, on, options) {
      const controller = new AbortController();
      const { signal } = controller;
      exchange(url, { method: "POST", body, credentials, signal, cache: "no-store", ...options }, on);
      return { abort: () => controller.abort() };
    },
    _websocket: websocket,
  };
}

/**
 * One request. Its body is a string and it has no header of its own: that is text/plain, and needs
 * no preflight (Fetch, "CORS-safelisted request-header").
 *
 * @param {string} url
 * @param {RequestInit & { signal: AbortSignal }} init
 * @param {RequestEvents} on
 */
async function exchange(url, init, on) {
  const { signal } = init;
  let rest = "";
  // What the callbacks throw is no failure of the network: nothing of them is caught here.
  const response = await fetch(url, init).catch(() => null);
  let status = response?.status ?? 0;
  const isRead = status === 200;
  const reader = response?.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let done = !reader; !done; ) {
    const part = await reader?.read().catch(() => null);
    if (!part) status = 0;
    done = !part || part.done;
    const lines = (rest + (part?.value ?? "")).split("\n");
    rest = lines.pop() ?? "";
    // A part of a line is a sign of life, too: a large one may take long.
    if (isRead && !signal.aborted) on._part?.();
    for (const line of lines) if (isRead && !signal.aborted) on._line?.(line);
  }
  const wait = 1e3 * Number(response?.headers.get("Retry-After")) || 0;
  if (!signal.aborted) on._end(status, rest, wait);
}

/**
 * @param {string} url that begins with http or https.
 * @param {WebSocketEvents} on
 */
function websocket(url, on) {
  /** @type {?WebSocketEvents} */
  let listener = on;
  /** @type {WebSocket | undefined} */
  let socket;
  /** @param {Partial<CloseEvent>} event */
  const over = ({ code = 1006, reason = "" }) => {
    const told = listener;
    listener = null;
    told?.close(code, reason);
  };
  try {
    socket = new WebSocket(url.replace(/^http/, "ws"));
    socket.onopen = () => listener?.open();
    socket.onmessage = ({ data }) => listener?.text(data);
    // Some runtimes tell a failed handshake by `error` alone.
    socket.onclose = socket.onerror = over;
  } catch {
    // There are none here, or the page's policy forbids this one.
    queueMicrotask(() => over({}));
  }
  return {
    /** @param {string} text */
    send(text) {
      if (listener) socket?.send(text);
    },
    close() {
      listener = null;
      socket?.close();
    },
    get bufferedAmount() {
      return socket?.bufferedAmount ?? 0;
    },
  };
}
