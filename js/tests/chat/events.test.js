// Who is told of which event of the server.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Outbox } from "../../src/chat/outbox.js";
import { Presence } from "../../src/chat/presence.js";
import { Memory } from "../../src/chat/storage.js";
import { Store } from "../../src/chat/store.js";
import { Typing } from "../../src/chat/typing.js";
import { ReconnectingSockJS } from "../../src/client/index.js";
import { ADA, GRACE, loadPage, message, room, teller } from "./page.js";

let store;
let outbox;
let presence;
let typing;
let called;
let tell;

beforeEach((t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  loadPage();
  called = [];
  const nothing = () => {};
  const memory = new Memory("sessionStorage", "chat.1");
  store = new Store({ me: ADA, ask: nothing, changed: nothing });
  outbox = new Outbox({ sock: new ReconnectingSockJS("http://chat.test/chat"), memory, me: ADA, changed: nothing });
  presence = new Presence(nothing);
  typing = new Typing(nothing, nothing);
  const call = (name) => () => called.push(name);
  tell = teller({
    store, outbox, presence, typing,
    welcomed: call("welcomed"), stranger: call("stranger"), refused: call("refused"),
    renamed: ({ name }) => called.push(`renamed ${name}`),
  });
});

function welcome(...rooms) {
  tell({ type: "welcome", user: ADA, rooms, online: [1, 2] });
}

test("a welcome tells of rooms and people before the page goes on", () => {
  welcome(room());
  assert.deepEqual([...store.rooms.keys()], [3]);
  assert.equal(presence.has(GRACE.id), true);
  assert.equal(store.ready, true);
  assert.deepEqual(called, ["welcomed"]);
});

test("a welcome of somebody else tells this page nothing", () => {
  tell({ type: "welcome", user: GRACE, rooms: [room()], online: [2] });
  assert.deepEqual([store.rooms.size, store.ready, presence.has(GRACE.id)], [0, false, false]);
  assert.deepEqual(called, ["stranger"]);
});

test("people come and go", () => {
  tell({ type: "presence", user: GRACE, online: true });
  assert.equal(presence.has(GRACE.id), true);
  tell({ type: "presence", user: GRACE, online: false });
  mock.timers.tick(10_000);
  assert.equal(presence.has(GRACE.id), false);
});

test("a new name is everywhere at once", () => {
  const lady = { ...GRACE, name: "Lady Grace" };
  welcome(room(), room({ id: 4, kind: "direct", name: "Grace", person: GRACE }));
  tell({ type: "opened", room: room(), members: [ADA, GRACE] });
  tell({ type: "history", room: 3, before: null, version: 2, messages: [message(1), message(2, { author: ADA })], more: false });
  tell({ type: "person", user: lady });
  const { timeline, members } = store.rooms.get(3);
  assert.deepEqual(timeline.messages.map(({ author }) => author), [lady, ADA]);
  assert.deepEqual([...members.values()], [ADA, lady]);
  assert.deepEqual([store.rooms.get(4).name, store.rooms.get(4).person], ["Lady Grace", lady]);
  assert.deepEqual(called, ["welcomed", "renamed Lady Grace"]);
});

test("others are typing until they have said it; the user is not told of", () => {
  tell({ type: "typing", room: 3, user: ADA });
  assert.deepEqual(typing.names(3), []);
  tell({ type: "typing", room: 3, user: GRACE });
  assert.deepEqual(typing.names(3), ["Grace"]);
  // Somebody reacted to what she had said before.
  tell(message(7, { version: 9 }));
  assert.deepEqual(typing.names(3), ["Grace"]);
  tell(message(1));
  assert.deepEqual(typing.names(3), []);
});

for (const [how, event] of Object.entries({
  "by itself": (mine) => mine,
  "in a page of history": (mine) => (
    { type: "history", room: 3, before: null, version: 1, messages: [mine], more: false }),
  "in what was missed": (mine) => (
    { type: "since", room: 3, from: 0, version: 1, messages: [mine], more: false }),
})) {
  test(`what the user said is confirmed and shown when it comes ${how}`, () => {
    store.select(3);
    welcome(room());
    tell({ type: "history", room: 3, before: null, version: 0, messages: [], more: false });
    const key = outbox.say(3, "hello");
    tell(event(message(1, { key, author: ADA, text: "hello" })));
    assert.deepEqual(outbox.entriesOf(3), []);
    assert.deepEqual(store.room.timeline.messages.map(({ text }) => text), ["hello"]);
  });
}

test("a refusal concerns what was sent, where it names that", () => {
  store.select(3);
  welcome(room());
  const key = outbox.say(3, "hello");
  tell({ type: "error", code: "bad-room", text: "No.", room: 3, key });
  assert.equal(outbox.entriesOf(3)[0].state, "failed");
  assert.equal(store.refusal, null);
  assert.deepEqual(called, ["welcomed"]);
});

test("a refusal of the current room is known to the store when the page is told", () => {
  store.select(9);
  tell({ type: "error", code: "bad-room", text: "There is no such room.", room: 9 });
  assert.equal(store.refusal, "There is no such room.");
  assert.deepEqual(called, ["refused"]);
});

test("the store is told of rooms, their people and what was read", () => {
  store.select(3);
  welcome(room({ version: 2, unread: 2 }));
  tell({ type: "opened", room: room({ version: 2, unread: 2 }), members: [ADA] });
  tell({ type: "member", room: 3, user: GRACE, joined: true });
  assert.deepEqual([...store.room.members.keys()], [1, 2]);
  tell({ type: "room", room: room({ name: "Garden", version: 2, unread: 2 }) });
  assert.equal(store.room.name, "Garden");
  assert.equal(store.allUnread, 2);
  tell({ type: "read", room: 3, number: 2 });
  assert.equal(store.allUnread, 0);
  tell({ type: "left", room: 3 });
  assert.equal(store.room.member, false);
});

test("an event that this page does not know is passed over", () => {
  for (const type of ["novelty", "toString", "constructor"]) tell({ type });
  assert.deepEqual(called, []);
});
