// All of the API, as an application in TypeScript uses it: types.test.js has it checked.

import {
  SockJS,
  type SockJSCloseEvent,
  type SockJSEvents,
  type SockJSMessageEvent,
  type SockJSOptions,
} from "sockjs-bridge-client";

const options: SockJSOptions = {
  server: "000",
  transports: ["websocket", "xhr-streaming"],
  sessionId: () => "an-id",
  timeout: 1000,
  info: true,
  credentials: "omit",
};
let sock: SockJS = new SockJS("/chat", null, options);
sock = new SockJS(new URL("https://example.com/chat"), ["a", "b"], { transports: "websocket" });
sock = SockJS("/chat", "a", { sessionId: 16 });

const states: number[] = [SockJS.CONNECTING, SockJS.OPEN, SockJS.CLOSING, SockJS.CLOSED];
states.push(sock.CONNECTING, sock.OPEN, sock.CLOSING, sock.CLOSED, sock.readyState);
const texts: (string | null)[] = [sock.url, sock.protocol, sock.extensions, sock.transport];

sock.onopen = (event) => event.timeStamp;
sock.onmessage = (event) => event.data.toUpperCase();
sock.onheartbeat = () => {};
sock.onerror = null;
sock.onclose = ({ code, reason, wasClean }) => [code.toFixed(), reason.trim(), wasClean === true];

const heard = (event: SockJSMessageEvent) => texts.push(event.data);
sock.addEventListener("message", heard, { once: true });
sock.addEventListener("message", (event) => texts.push(event.data));
sock.addEventListener("close", (event: SockJSCloseEvent) => states.push(event.code));
sock.addEventListener("other", (event) => texts.push(event.type));
sock.removeEventListener("message", heard);
const went: boolean = sock.dispatchEvent(new Event("other"));
sock.dispatchEvent({ type: "message", data: "text" });
const target: EventTarget = sock;
const kind: keyof SockJSEvents = "heartbeat";

sock.send("text");
sock.close();
sock.close(3000, "reason");

// What cannot be is an error.
// @ts-expect-error
new SockJS();
// @ts-expect-error
new SockJS("/chat", null, { transport: "websocket" });
// @ts-expect-error
sock.send(1);
// @ts-expect-error
sock.close("reason");
// @ts-expect-error
sock.onmessage = (event) => event.code;

export { kind, states, target, texts, went };
