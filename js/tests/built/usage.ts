// All of the API, as an application in TypeScript uses it: types.test.js has it checked.

import {
  ReconnectingSockJS,
  SockJS,
  type Receipt,
  type ReconnectingSockJSEvents,
  type ReconnectingSockJSOptions,
  type ReconnectingState,
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

const lasting: ReconnectingSockJSOptions = {
  transports: ["websocket", "xhr-polling"],
  credentials: "same-origin",
  storageKey: null,
  resumeOverReload: true,
  share: true,
};
let client: ReconnectingSockJS = new ReconnectingSockJS("/chat", lasting);
client = new ReconnectingSockJS(new URL("https://example.com/chat"));
client.connect();
client.reconnect();
const state: ReconnectingState = client.state;
const trip: number | null = client.rtt;
const way: string | null = client.transport;
client.transports = [...client.transports, "xhr-streaming"];
const lostTexts: number = client.unsaved;
texts.push(client.url);

const receipt: Receipt = client.send("text");
texts.push(receipt.id, receipt.text);
receipt.handled.then((sure: boolean) => sure);
const waiting: Receipt[] = client.outbox;
client.subscribe("room", "open");
client.unsubscribe("room");
client.unsubscribe("room", "close");
client.close();
client.close(3000, "reason");

client.addEventListener("message", ({ detail }) => texts.push(detail));
client.addEventListener("open", ({ detail }) => texts.push(detail.transport));
client.addEventListener("transport", ({ detail }) => texts.push(detail));
client.addEventListener("rtt", ({ detail }) => states.push(detail));
client.addEventListener("lost", ({ detail }) => states.push(detail.handled, detail.repeated));
client.addEventListener("missed", ({ detail }) => texts.push(detail.room));
client.addEventListener("denied", ({ detail }) => states.push(detail.status));
client.addEventListener("stopped", ({ detail }) => texts.push(detail.code.toFixed(), detail.reason));
const silent: (keyof ReconnectingSockJSEvents)[] = ["connecting", "suspended", "resumed", "moved"];
for (const type of silent) client.addEventListener(type, (event) => texts.push(event.type));
const other: EventTarget = client;

// @ts-expect-error
new ReconnectingSockJS();
// @ts-expect-error
new ReconnectingSockJS("/chat", { storage: sessionStorage });
// @ts-expect-error
client.send(1);
// @ts-expect-error
client.state = "open";
// @ts-expect-error
client.addEventListener("message", ({ detail }) => detail.code);

export { lostTexts, other, state, trip, waiting, way };
export { kind, states, target, texts, went };
