// The messages around one: what is asked for, and what is known of them.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Context } from "../../src/chat/context.js";
import { Store } from "../../src/chat/store.js";
import { ADA, GRACE, loadPage, message, room, teller } from "./page.js";

let store;
let context;
let tell;
let asked;
let timers;
let place;

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => message(first + index));
const numbers = () => context.timeline?.messages.map(({ number }) => number) ?? null;
const arounds = () => asked.filter(({ type }) => type === "around");
const span = () => (numbers() ? [numbers()[0], numbers().at(-1), numbers().length] : null);

/** Answers what was asked last. */
function answer(first, last, { earlier = first > 1, later = last < 500, messages = range(first, last), version = 500 } = {}) {
  const { number, side } = arounds().at(-1);
  tell({ type: "around", room: 3, number, side, version, messages, earlier, later });
}

beforeEach(() => {
  loadPage();
  [asked, timers, place] = [[], [], null];
  store = new Store({ me: ADA, ask: (request) => asked.push(request), changed: () => {} });
  context = new Context({
    store, ask: (request) => asked.push(request), changed: () => {}, place: () => place,
    later: (act, ms) => timers.push({ act, ms }),
  });
  tell = teller({ store, context });
});

const welcome = () => tell({
  type: "welcome", user: ADA, online: [], rooms: [room({ version: 500, read: 500 }), room({ id: 4, name: "Garden" })],
});

/** Enters the lobby, of which the newest messages are here. */
function enter(first = 451) {
  store.select(3);
  welcome();
  tell({ type: "history", room: 3, before: null, version: 500, messages: range(first, 500), more: first > 1 });
}

describe("a message that is wanted", () => {
  test("is shown where it is loaded, and nothing is asked", () => {
    enter();
    context.jump(460);
    assert.deepEqual(arounds(), []);
    assert.deepEqual([context.target.number, context.target.message.text], [460, "text 460"]);
    assert.equal(context.timeline, null);
  });

  test("is asked for where it is not, and shown with those around it", () => {
    enter();
    context.jump(100);
    assert.deepEqual(arounds(), [{ type: "around", room: 3, number: 100, side: "both" }]);
    assert.ok(context.isWaiting);
    assert.equal(context.target, null);
    answer(76, 125);
    assert.deepEqual(span(), [76, 125, 50]);
    assert.equal(context.target.message.number, 100);
    assert.ok(!context.isWaiting);
    // Among those that are here now.
    context.jump(110);
    assert.equal(arounds().length, 1);
    assert.equal(context.target.number, 110);
  });

  test("waits for the connection, and is asked for anew with the next one", () => {
    store.select(3);
    context.jump(100);
    assert.deepEqual(arounds(), []);
    welcome();
    assert.equal(arounds().length, 1);
    store.lost();
    context.lost();
    welcome();
    assert.equal(arounds().length, 2);
    answer(76, 125);
    assert.equal(context.target.number, 100);
  });

  test("of a room that is looked at only is asked for when it is opened", () => {
    store.select(8);
    welcome();
    context.jump(100);
    assert.deepEqual(arounds(), []);
    tell({ type: "opened", room: room({ id: 8, version: 500, member: false }), members: [] });
    assert.deepEqual(arounds(), [{ type: "around", room: 8, number: 100, side: "both" }]);
  });

  test("that does not exist leaves the newest ones", () => {
    enter();
    context.jump(777);
    answer(476, 500, { earlier: true, later: false });
    assert.deepEqual(context.target, { number: 777, message: null });
    assert.equal(context.timeline, null);
    context.jump(50);
    answer(26, 75, { messages: range(26, 75).filter(({ number }) => number !== 50) });
    assert.deepEqual(context.target, { number: 50, message: null });
    assert.equal(context.timeline, null);
  });

  test("of a room that may not be seen is none, and that one is asked for no more", () => {
    store.select(9);
    welcome();
    context.jump(5);
    tell({ type: "error", code: "bad-room", text: "There is no such room.", room: 9 });
    assert.equal(store.refusal, "There is no such room.");
    assert.equal(context.target, null);
    assert.deepEqual(arounds(), []);
  });

  test("is asked for again where that was too much at once", () => {
    enter();
    context.jump(100);
    tell({ type: "error", code: "rate-limited", text: "Go on in 1 s.", room: 3, retry_after: 0.5 });
    assert.equal(timers.at(-1).ms, 500);
    timers.at(-1).act();
    assert.equal(arounds().length, 2);
    // The refusal of a message is none of it.
    tell({ type: "error", code: "not-member", text: "Join first.", room: 3, key: "k" });
    assert.ok(context.isWaiting);
    tell({ type: "error", code: "bad-request", text: "No.", room: 3 });
    assert.ok(!context.isWaiting);
    timers.at(-1).act();
    assert.equal(arounds().length, 2);
  });
});

describe("the messages around one", () => {
  beforeEach(() => {
    enter();
    context.jump(100);
    answer(76, 125);
  });

  test("go on in both directions, one question at a time", () => {
    context.older();
    context.older();
    assert.ok(context.isGrowing);
    assert.deepEqual(arounds().slice(1), [{ type: "around", room: 3, number: 76, side: "before" }]);
    context.newer();
    assert.equal(arounds().length, 2);
    answer(26, 75, { later: null });
    assert.deepEqual(span(), [26, 125, 100]);
    context.newer();
    assert.deepEqual(arounds().at(-1), { type: "around", room: 3, number: 125, side: "after" });
    answer(126, 175, { earlier: null });
    assert.deepEqual(span(), [26, 175, 150]);
    context.older();
    answer(1, 25, { later: null });
    context.older();
    assert.equal(arounds().length, 4);
  });

  test("become one with the newest where they meet them", () => {
    for (const first of [126, 176, 226, 276, 326, 376]) {
      context.newer();
      answer(first, first + 49, { earlier: null });
    }
    assert.deepEqual(span(), [76, 425, 350]);
    context.newer();
    answer(426, 475, { earlier: null });
    assert.equal(context.timeline, null);
    assert.deepEqual(store.room.timeline.messages.map(({ number }) => number), range(76, 500).map(({ number }) => number));
    assert.ok(store.room.timeline.more);
    // They go on as those of the room.
    asked.length = 0;
    store.older(3);
    assert.deepEqual(asked, [{ type: "history", room: 3, before: 76 }]);
  });

  test("hear of changes, be they told before or after", () => {
    tell(message(110, { version: 501, text: "changed" }));
    assert.equal(context.timeline.get(110).text, "changed");
    tell(message(130, { version: 502, text: "changed" }));
    tell(message(60, { version: 503, text: "changed" }));
    tell({ type: "since", room: 3, from: 500, version: 504, messages: [message(131, { version: 504, deleted: true, text: "" })], more: false });
    assert.deepEqual(span(), [76, 125, 50]);
    context.newer();
    answer(126, 175, { earlier: null });
    context.older();
    answer(26, 75, { later: null });
    assert.deepEqual([60, 130].map((number) => context.timeline.get(number).text), ["changed", "changed"]);
    assert.ok(context.timeline.get(131).deleted);
    // What is said now is among the newest.
    tell(message(505));
    assert.deepEqual(span(), [26, 175, 150]);
    assert.equal(store.room.timeline.newest.number, 505);
    tell({ type: "person", user: { ...GRACE, name: "Lady Grace" } });
    assert.equal(context.timeline.get(100).author.name, "Lady Grace");
  });

  test("hear of a change that overtook them", () => {
    context.jump(300);
    tell(message(299, { version: 501, text: "changed" }));
    answer(276, 325);
    assert.equal(context.timeline.get(299).text, "changed");
  });

  test("are read anew where the reader is, when something may have been missed", () => {
    place = 90;
    context.lost();
    welcome();
    assert.deepEqual(arounds().at(-1), { type: "around", room: 3, number: 90, side: "both" });
    answer(66, 115);
    assert.deepEqual(span(), [66, 115, 50]);
    // Nothing is gone to.
    context.target = null;
    context.reload();
    answer(66, 115);
    assert.equal(context.target, null);
  });

  test("are left for the newest ones, and for another room", () => {
    context.newer();
    context.leave();
    assert.equal(context.timeline, null);
    answer(126, 175);
    assert.equal(context.timeline, null);
    context.jump(100);
    answer(76, 125);
    store.select(4);
    assert.equal(context.timeline, null);
    tell({ type: "history", room: 4, before: null, version: 0, messages: [], more: false });
    context.jump(5);
    assert.deepEqual(arounds().at(-1), { type: "around", room: 4, number: 5, side: "both" });
  });

  test("of an answer to another question are none", () => {
    context.newer();
    tell({ type: "around", room: 3, number: 1, side: "after", version: 500, messages: range(2, 3), earlier: null, later: true });
    tell({ type: "around", room: 4, number: 125, side: "after", version: 500, messages: range(2, 3), earlier: null, later: true });
    assert.deepEqual(span(), [76, 125, 50]);
  });
});
