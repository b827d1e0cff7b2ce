// The real page in a document of jsdom: the markup is that of the template.

import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
import { Context } from "../../src/chat/context.js";
import { eventTable, receive } from "../../src/chat/events.js";
import { Mentions } from "../../src/chat/mentions.js";
import { Outbox } from "../../src/chat/outbox.js";
import { Presence } from "../../src/chat/presence.js";
import { Memory } from "../../src/chat/storage.js";
import { Typing } from "../../src/chat/typing.js";
import { ReconnectingSockJS } from "../../src/client/index.js";

const TEMPLATE = new URL("../../../pyramid_chat/templates/chat.pt", import.meta.url);

const template = readFileSync(TEMPLATE, "utf8");
const body = template.slice(template.indexOf("<body"), template.indexOf("</body>"))
  .replaceAll(/\$\{[^}]*\}/g, "");

/** Gives the test a fresh page as its globals; returns a look-up by id. */
export function loadPage(path = "/chat") {
  const { window } = new JSDOM(`<!DOCTYPE html>${body}</body>`, { url: `http://chat.test${path}` });
  // A wide screen and a mouse.
  window.matchMedia ??= (query) => Object.assign(new window.EventTarget(), { matches: /width/.test(query) });
  // What jsdom lacks of dialogs.
  window.HTMLDialogElement.prototype.showModal ??= function showModal() { this.open = true; };
  window.HTMLDialogElement.prototype.close ??= function close() { this.open = false; };
  for (const name of [
    "window", "document", "sessionStorage", "localStorage", "location", "history", "navigator",
  ]) {
    Object.defineProperty(globalThis, name, { value: window[name] ?? window, configurable: true });
  }
  for (const name of ["addEventListener", "removeEventListener", "matchMedia"]) {
    globalThis[name] = window[name].bind(window);
  }
  globalThis.CSS ??= { escape: (text) => text };
  return (id) => window.document.getElementById(id);
}

/** Sends an event to an element as a user does. */
export function fire(element, type, init = {}) {
  const { window } = globalThis;
  const kinds = {
    keydown: "KeyboardEvent", keyup: "KeyboardEvent", click: "MouseEvent", submit: "SubmitEvent", pointerdown: "MouseEvent",
  };
  const event = new window[kinds[type] ?? "Event"](type, { bubbles: true, cancelable: true, ...init });
  element.dispatchEvent(event);
  return event;
}

/** Makes a message as the server tells it. */
export function message(number, more = {}) {
  return {
    type: "message", room: 3, number, version: number, key: `key-${number}`,
    author: { id: 2, name: "Grace" }, text: `text ${number}`,
    time: new Date(2026, 0, 5, 12, 0, number).toISOString(), edited: null, deleted: false, removed_by: null,
    quote: null,
    reactions: [],
    ...more,
  };
}

/** Makes a reaction of some people as the server tells it. */
export function reaction(emoji, ...people) {
  return { emoji, users: people.map(({ id }) => id), people };
}

/** Makes a room as the server tells it. */
export function room(more = {}) {
  return {
    id: 3, kind: "public", name: "Lobby", topic: "", version: 0, member: true, unread: 0, read: 0,
    can: ["post", "topic", "invite", "leave"], ...more,
  };
}

export const ADA = { id: 1, name: "Ada" };
export const GRACE = { id: 2, name: "Grace" };

const nothing = () => {};

/** Returns a function that tells a store, and the parts around it, events as the server does. */
export function teller({
  store,
  mentions = new Mentions(ADA, store),
  sock = new ReconnectingSockJS("http://chat.test/chat"),
  outbox = new Outbox({ sock, memory: new Memory("sessionStorage", "chat"), me: ADA, changed: nothing }),
  presence = new Presence(nothing),
  typing = new Typing(nothing, nothing),
  context = new Context({ store, ask: nothing, changed: nothing }),
  welcomed = nothing, stranger = nothing, renamed = nothing, muted = nothing, refused = nothing,
}) {
  const table = eventTable({
    me: ADA, store, mentions, outbox, presence, typing, context, welcomed, stranger, renamed, muted, refused,
  });
  return (event) => receive(table, event);
}
