import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Outbox } from "../../src/chat/outbox.js";
import { Memory } from "../../src/chat/storage.js";
import { ADA, GRACE, loadPage, message } from "./page.js";

let sock;
let outbox;
let shown;

// The part of the client that the outbox uses.
class Line {
  outbox = [];
  /** All that was sent, parsed. */
  sent = [];

  send(text) {
    const receipt = { text };
    this.outbox.push(receipt);
    this.sent.push(JSON.parse(text));
    return receipt;
  }

  /** The server has handled all of it, whatever became of it. */
  handle() {
    this.outbox = [];
  }
}

function load() {
  shown = [];
  const memory = new Memory("sessionStorage", "chat.1");
  outbox = new Outbox({ sock, memory, me: ADA, changed: (room) => shown.push(room) });
  outbox.welcomed();
}

beforeEach((t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  loadPage();
  sock = new Line();
  load();
});

const sent = () => sock.sent.map(({ text }) => text);
const states = (room = 3) => outbox.entriesOf(room).map(({ state }) => state);

test("a message is shown as sending, and goes to the client", () => {
  const key = outbox.say(3, "hello");
  assert.match(key, /^[A-Za-z0-9_-]{1,64}$/);
  assert.deepEqual(sock.sent, [{ type: "message", room: 3, text: "hello", key }]);
  assert.deepEqual(outbox.entriesOf(3), [
    {
      key, type: "message", number: undefined, text: "hello", reply_to: undefined, state: "sending", reason: "",
    },
  ]);
  assert.deepEqual(outbox.entriesOf(4), []);
  assert.deepEqual(shown, [3]);
});

test("keys do not repeat", () => {
  const keys = new Set(Array.from({ length: 100 }, () => outbox.say(3, "x")));
  assert.equal(keys.size, 100);
});

test("the server's message with its key confirms it, and the next one goes out", () => {
  const key = outbox.say(3, "hello");
  outbox.say(4, "next");
  assert.deepEqual(sent(), ["hello"]);
  outbox.settle(message(1, { author: ADA, key }));
  assert.deepEqual(states(), []);
  assert.deepEqual(sent(), ["hello", "next"]);
});

test("nothing goes out before the welcome, and the client sends what it has by itself", () => {
  outbox.say(3, "first");
  outbox.lost();
  outbox.say(3, "second");
  outbox.welcomed();
  assert.deepEqual(sent(), ["first"]);
});

test("what the former session handled and did not answer goes out again, with the same key", () => {
  const key = outbox.say(3, "hello");
  sock.handle();
  outbox.lost();
  outbox.welcomed();
  assert.deepEqual(sock.sent.map((request) => request.key), [key, key]);
});

test("somebody else's message with the same key confirms nothing", () => {
  const key = outbox.say(3, "hello");
  outbox.settle(message(1, { author: GRACE, key }));
  assert.deepEqual(states(), ["sending"]);
});

test("a refusal is final until one retries, with the same key", () => {
  const key = outbox.say(3, "hello");
  outbox.say(3, "next");
  assert.equal(outbox.refuse({ key, code: "bad-text", text: "Too long." }), true);
  assert.deepEqual(sent(), ["hello", "next"]);
  assert.deepEqual(states(), ["failed", "sending"]);
  assert.equal(outbox.entriesOf(3)[0].reason, "Too long.");
  outbox.retry(key);
  outbox.settle(message(1, { author: ADA, key: sock.sent[1].key }));
  assert.deepEqual(sock.sent.map((request) => request.key)[2], key);
  assert.deepEqual(outbox.entriesOf(3).map(({ text }) => text), ["hello"]);
  assert.deepEqual(states(), ["sending"]);
});

test("a refused message can be discarded", () => {
  const key = outbox.say(3, "hello");
  outbox.refuse({ key, code: "bad-text", text: "No." });
  outbox.discard(key);
  assert.deepEqual(states(), []);
  load();
  assert.deepEqual(states(), []);
});

test("a refusal for now holds what is behind, and is sent again at its time", () => {
  outbox.settle(message(1, { author: ADA, key: outbox.say(3, "first") }));
  const key = outbox.say(3, "second");
  outbox.say(4, "third");
  assert.deepEqual([states(), states(4)], [["sending"], ["sending"]]);
  outbox.refuse({ key, code: "rate-limited", text: "Slowly.", retry_after: 1.5 });
  assert.deepEqual([states(), states(4)], [["waiting"], ["waiting"]]);
  outbox.say(3, "fourth");
  mock.timers.tick(1_499);
  assert.deepEqual(sent(), ["first", "second"]);
  mock.timers.tick(1);
  assert.deepEqual(sent(), ["first", "second", "second"]);
  outbox.settle(message(2, { author: ADA, key }));
  assert.deepEqual(sent().slice(3), ["third"]);
  assert.deepEqual([states(), states(4)], [["sending"], ["sending"]]);
});

test("before the first connection is there, or has failed, nothing waits", () => {
  outbox.say(3, "hello");
  assert.deepEqual(states(), ["sending"]);
  outbox.connected = false;
  assert.deepEqual(states(), ["waiting"]);
});

test("without a connection everything waits", () => {
  outbox.say(3, "hello");
  outbox.connected = false;
  assert.deepEqual(states(), ["waiting"]);
  assert.deepEqual(shown, [3, 3]);
  outbox.connected = true;
  assert.deepEqual(states(), ["sending"]);
});

test("a reload keeps what waits, and what failed with its reason", () => {
  const failed = outbox.say(3, "bad");
  outbox.refuse({ key: failed, code: "bad-text", text: "No." });
  const waiting = outbox.say(3, "good");
  outbox.say(3, "next");
  load();
  const entries = outbox.entriesOf(3).map(({ text, state, reason }) => [text, state, reason]);
  assert.deepEqual(entries, [["bad", "failed", "No."], ["good", "sending", ""], ["next", "sending", ""]]);
  // The client still has it, from the page before.
  assert.deepEqual(sent(), ["bad", "good"]);
  sock.handle();
  load();
  assert.deepEqual(sock.sent.map(({ key }) => key), [failed, waiting, waiting]);
});

test("edits and deletions are confirmed by the answer that names them", () => {
  const edit = outbox.edit(3, 17, "better");
  const remove = outbox.remove(3, 18);
  outbox.settle(message(17, { author: ADA, version: 20, text: "better", request: edit }));
  assert.deepEqual(sock.sent.map(({ type }) => type), ["edit", "delete"]);
  outbox.settle(message(18, { author: ADA, version: 21, deleted: true, request: "of another tab" }));
  assert.deepEqual(outbox.entriesOf(3).map(({ key }) => key), [remove]);
  outbox.settle(message(18, { author: ADA, version: 21, deleted: true, request: remove }));
  assert.deepEqual(states(), []);
});

test("an administrator's deletion of another one's message is confirmed, too", () => {
  const remove = outbox.remove(3, 18);
  outbox.settle(message(17, { version: 20, deleted: true, request: remove }));
  assert.deepEqual(outbox.entriesOf(3).map(({ key }) => key), [remove]);
  outbox.settle(message(18, { version: 21, deleted: true, request: remove }));
  assert.deepEqual(states(), []);
});

test("history that shows a message as it was does not confirm its edit or deletion", () => {
  outbox.edit(3, 17, "better");
  outbox.remove(3, 18);
  for (const number of [17, 18]) outbox.settle(message(number, { author: ADA }));
  assert.deepEqual(states(), ["sending", "sending"]);
});

test("an error that concerns nothing of it is left to others", () => {
  assert.equal(outbox.refuse({ key: "unknown", code: "bad-text", text: "No." }), false);
  assert.equal(outbox.refuse({ code: "bad-room", room: 3, text: "No." }), false);
});

test("what would be lost with the tab is waited for, what failed is not", () => {
  const waits = [];
  const note = () => waits.push(outbox.waits);
  assert.equal(outbox.waits, false);
  const memory = new Memory("sessionStorage", "chat.1");
  outbox = new Outbox({ sock, memory, me: ADA, changed: note });
  const [first, second] = [outbox.say(3, "one"), outbox.say(3, "two")];
  outbox.settle(message(1, { author: ADA, key: first }));
  outbox.refuse({ key: second, code: "bad-text", text: "No." });
  assert.deepEqual(waits, [true, true, true, false]);
  outbox.retry(second);
  outbox.settle(message(2, { author: ADA, key: second }));
  assert.deepEqual(waits.slice(4), [true, false]);
});

test("of several wishes for one reaction the last is sent, once", () => {
  outbox.lost();
  const key = outbox.react(3, 7, "👍", true);
  assert.deepEqual(outbox.entriesOf(3), [
    { key, type: "react", number: 7, text: undefined, emoji: "👍", on: true, state: "sending", reason: "" },
  ]);
  outbox.react(3, 7, "🎉", true);
  outbox.react(3, 8, "👍", true);
  for (const on of [false, true, false]) outbox.react(3, 7, "👍", on);
  outbox.welcomed();
  while (sock.outbox.length) {
    sock.handle();
    const { number, key: request } = sock.sent.at(-1);
    outbox.settle(message(number, { author: GRACE, request }));
  }
  assert.deepEqual(
    sock.sent.map(({ number, emoji, on }) => [number, emoji, on]),
    [[7, "🎉", true], [8, "👍", true], [7, "👍", false]],
  );
  assert.equal(outbox.waits, false);
});

test("one that is on its way is followed by the next", () => {
  const first = outbox.react(3, 7, "👍", true);
  const second = outbox.react(3, 7, "👍", false);
  assert.deepEqual(sock.sent.map(({ key }) => key), [first]);
  sock.handle();
  outbox.settle(message(7, { author: GRACE, request: first }));
  assert.deepEqual(sock.sent.map(({ key, on }) => [key, on]), [[first, true], [second, false]]);
});
