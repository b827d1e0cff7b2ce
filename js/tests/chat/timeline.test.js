import assert from "node:assert/strict";
import { test } from "node:test";
import { Timeline } from "../../src/chat/timeline.js";
import { ADA, GRACE, message, reaction } from "./page.js";

const numbers = (timeline) => timeline.messages.map(({ number }) => number);

function loaded(...loadedNumbers) {
  const timeline = new Timeline();
  timeline.history({
    before: null, version: loadedNumbers.at(-1) ?? 0, messages: loadedNumbers.map((n) => message(n)),
    more: false,
  });
  return timeline;
}

test("messages that follow each other leave no gap", () => {
  const timeline = loaded(1, 2);
  assert.equal(timeline.live(message(3)), true);
  assert.equal(timeline.version, 3);
  assert.equal(timeline.gap, false);
  assert.deepEqual(numbers(timeline), [1, 2, 3]);
});

test("a double changes nothing", () => {
  const timeline = loaded(1, 2);
  assert.equal(timeline.live(message(2)), false);
  assert.equal(timeline.version, 2);
  assert.deepEqual(numbers(timeline), [1, 2]);
});

test("a jump is a gap until what is between has come, in any order", () => {
  const timeline = loaded(1);
  timeline.live(message(4));
  assert.equal(timeline.gap, true);
  assert.equal(timeline.version, 1);
  timeline.live(message(3));
  assert.equal(timeline.gap, true);
  timeline.live(message(2));
  assert.equal(timeline.gap, false);
  assert.equal(timeline.version, 4);
  assert.deepEqual(numbers(timeline), [1, 2, 3, 4]);
});

test("the answer to since closes a gap, with fewer messages than versions", () => {
  const timeline = loaded(1, 2);
  timeline.live(message(6));
  const edited = message(1, { version: 5, text: "twice edited", edited: "now" });
  timeline.since({ from: 2, version: 5, messages: [message(3), edited] });
  assert.equal(timeline.version, 6);
  assert.equal(timeline.gap, false);
  assert.equal(timeline.get(1).text, "twice edited");
  assert.deepEqual(numbers(timeline), [1, 2, 3, 6]);
});

test("an older state of a message never replaces a newer one", () => {
  const timeline = loaded(1, 2);
  timeline.live(message(1, { version: 3, text: "new" }));
  assert.equal(timeline.live(message(1, { version: 1, text: "old" })), false);
  timeline.history({ before: null, version: 2, messages: [message(1, { text: "old" })], more: false });
  assert.equal(timeline.get(1).text, "new");
});

test("a deletion takes the text away and keeps the place", () => {
  const timeline = loaded(1, 2, 3);
  timeline.live(message(2, { version: 4, text: "", deleted: true }));
  assert.deepEqual(numbers(timeline), [1, 2, 3]);
  assert.equal(timeline.get(2).deleted, true);
});

test("what comes while the first page is on its way is kept", () => {
  const timeline = new Timeline();
  timeline.live(message(3));
  timeline.live(message(4));
  timeline.history({ before: null, version: 2, messages: [message(1), message(2)], more: false });
  assert.equal(timeline.version, 4);
  assert.deepEqual(numbers(timeline), [1, 2, 3, 4]);
});

test("older pages come before, and say whether there is more", () => {
  const timeline = new Timeline();
  timeline.history({ before: null, version: 9, messages: [message(8), message(9)], more: true });
  assert.equal(timeline.more, true);
  timeline.history({ before: 8, version: 9, messages: [message(6), message(7)], more: true });
  timeline.history({ before: 6, version: 9, messages: [message(5)], more: false });
  assert.deepEqual(numbers(timeline), [5, 6, 7, 8, 9]);
  assert.equal(timeline.more, false);
});

test("an edit of a message older than all that is loaded is left to the history", () => {
  const timeline = new Timeline();
  timeline.history({ before: null, version: 9, messages: [message(8), message(9)], more: true });
  assert.equal(timeline.live(message(2, { version: 10 })), false);
  assert.deepEqual(numbers(timeline), [8, 9]);
  assert.equal(timeline.version, 10);
});

test("trimming forgets the oldest, which can be loaded again", () => {
  const timeline = loaded(1, 2, 3, 4);
  timeline.trim(2);
  assert.deepEqual(numbers(timeline), [3, 4]);
  assert.equal(timeline.more, true);
  timeline.history({ before: 3, version: 4, messages: [message(1), message(2)], more: false });
  assert.deepEqual(numbers(timeline), [1, 2, 3, 4]);
});

test("an answer to since from further on than what is complete is not believed", () => {
  const timeline = loaded(1);
  timeline.since({ from: 5, version: 9, messages: [message(9)] });
  assert.equal(timeline.version, 1);
});

const page = (from, to, more, version = to) => ({
  version, more, messages: Array.from({ length: to - from + 1 }, (_, i) => message(from + i)),
});

test("the change of an old message that comes before the first page leaves no hole", () => {
  const timeline = new Timeline();
  timeline.live(message(5, { version: 101 }));
  timeline.history({ before: null, ...page(51, 100, true) });
  assert.equal(timeline.oldest.number, 51);
  assert.equal(timeline.version, 101);
});

test("an older page that was read before a change shows the change all the same", () => {
  const timeline = new Timeline();
  timeline.history({ before: null, ...page(51, 100, true) });
  timeline.live(message(40, { version: 101, text: "edited" }));
  timeline.history({ before: 51, ...page(1, 50, false, 100) });
  assert.equal(timeline.get(40).text, "edited");
});

test("the answer to a question from before old messages were forgotten is left out", () => {
  const timeline = new Timeline();
  timeline.history({ before: null, ...page(11, 100, true) });
  timeline.trim(20);
  timeline.history({ before: 11, ...page(1, 10, false, 100) });
  assert.equal(timeline.oldest.number, 81);
  assert.equal(timeline.more, true);
});

test("what comes at the end, or between others, stands in its place at once", () => {
  const timeline = loaded(1, 2);
  assert.deepEqual(numbers(timeline), [1, 2]);
  timeline.live(message(4));
  assert.deepEqual(numbers(timeline), [1, 2, 4]);
  timeline.live(message(3));
  assert.deepEqual(numbers(timeline), [1, 2, 3, 4]);
  timeline.live(message(4, { version: 5, text: "another" }));
  assert.equal(timeline.newest.text, "another");
});

test("who has another name has it at what they said, and at what they removed", () => {
  const timeline = new Timeline();
  const root = { id: 9, name: "Root" };
  timeline.history({ before: null, version: 3, more: false, messages: [
    message(1, { author: root }), message(2, { deleted: true, removed_by: root }), message(3),
  ] });
  const untouched = timeline.get(3);
  const renamed = { id: 9, name: "Admin" };
  timeline.rename(renamed);
  assert.deepEqual(timeline.get(1).author, renamed);
  assert.deepEqual(timeline.get(2).removed_by, renamed);
  assert.equal(timeline.get(2).author.name, "Grace");
  assert.equal(timeline.get(3), untouched);
});

test("a message may cover changes that were not told", () => {
  const timeline = loaded(1, 2);
  timeline.live(message(1, { version: 6, covers: [3, 5] }));
  assert.deepEqual([timeline.version, timeline.gap], [3, true]);
  timeline.live(message(4));
  assert.deepEqual([timeline.version, timeline.gap], [6, false]);
  // The answer to a question from before says nothing new.
  assert.equal(timeline.live(message(1, { version: 3, covers: [2] })), false);
  assert.deepEqual([timeline.version, timeline.gap], [6, false]);
});

test("who reacted has another name", () => {
  const timeline = loaded(1, 2);
  timeline.live(message(2, { version: 3, reactions: [reaction("👍", ADA, GRACE)] }));
  const untouched = timeline.get(1);
  timeline.rename({ id: ADA.id, name: "Countess" });
  assert.deepEqual(timeline.get(2).reactions[0].people.map(({ name }) => name), ["Countess", "Grace"]);
  assert.equal(timeline.get(1), untouched);
});
