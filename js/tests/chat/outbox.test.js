import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Outbox } from "../../src/chat/outbox.js";
import { Memory } from "../../src/chat/storage.js";
import { ADA, GRACE, loadPage, message } from "./page.js";

let sock;
let outbox;
let shown;

// The part of the connection that the outbox uses, and what it was told.
class Line {
  outbox = [];
  told = [];

  post(id, text) {
    this.outbox.push({ id, text });
    this.told.push(["post", id]);
  }

  confirm(id) { this.#end("confirm", id); }
  reject(id) { this.#end("reject", id); }
  defer(id, ms) { this.told.push(["defer", id, ms]); }

  #end(how, id) {
    this.outbox = this.outbox.filter((entry) => entry.id !== id);
    this.told.push([how, id]);
  }
}

function load() {
  shown = [];
  const memory = new Memory("sessionStorage", "chat.1");
  outbox = new Outbox({ sock, memory, me: ADA, changed: (room) => shown.push(room) });
  outbox.connected = true;
}

beforeEach(() => {
  loadPage();
  sock = new Line();
  load();
});

const states = (room = 3) => outbox.entriesOf(room).map(({ state }) => state);

test("a message is shown as sending, and goes to the connection", () => {
  const key = outbox.say(3, "hello");
  assert.match(key, /^[A-Za-z0-9_-]{1,64}$/);
  assert.deepEqual(JSON.parse(sock.outbox[0].text), { type: "message", room: 3, text: "hello", key });
  assert.deepEqual(outbox.entriesOf(3), [
    { key, type: "message", number: undefined, text: "hello", state: "sending", reason: "" },
  ]);
  assert.deepEqual(outbox.entriesOf(4), []);
  assert.deepEqual(shown, [3]);
});

test("keys do not repeat", () => {
  const keys = new Set(Array.from({ length: 100 }, () => outbox.say(3, "x")));
  assert.equal(keys.size, 100);
});

test("the server's message with its key confirms it", () => {
  const key = outbox.say(3, "hello");
  outbox.settle(message(1, { author: ADA, key }));
  assert.deepEqual(sock.told.at(-1), ["confirm", key]);
  assert.deepEqual(states(), []);
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
  assert.deepEqual(sock.told.at(-1), ["reject", key]);
  assert.deepEqual(states(), ["failed", "sending"]);
  assert.equal(outbox.entriesOf(3)[0].reason, "Too long.");
  outbox.retry(key);
  assert.deepEqual(sock.told.at(-1), ["post", key]);
  assert.deepEqual(outbox.entriesOf(3).map(({ text }) => text), ["next", "hello"]);
  assert.deepEqual(states(), ["sending", "sending"]);
});

test("a refused message can be discarded", () => {
  const key = outbox.say(3, "hello");
  outbox.refuse({ key, code: "bad-text", text: "No." });
  outbox.discard(key);
  assert.deepEqual(states(), []);
  load();
  assert.deepEqual(states(), []);
});

test("a refusal with a time defers, and holds what is behind", () => {
  outbox.say(3, "first");
  const key = outbox.say(3, "second");
  outbox.say(4, "third");
  outbox.refuse({ key, code: "rate-limited", text: "Slowly.", retry_after: 1.5 });
  assert.deepEqual(sock.told.at(-1), ["defer", key, 1500]);
  assert.deepEqual(states(), ["sending", "waiting"]);
  assert.deepEqual(states(4), ["waiting"]);
  outbox.settle(message(2, { author: ADA, key }));
  assert.deepEqual(states(4), ["sending"]);
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
  const waiting = outbox.say(3, "good");
  outbox.refuse({ key: failed, code: "bad-text", text: "No." });
  load();
  const entries = outbox.entriesOf(3).map(({ key, text, state, reason }) => [key, text, state, reason]);
  assert.deepEqual(entries, [[failed, "bad", "failed", "No."], [waiting, "good", "sending", ""]]);
});

test("edits and deletions are confirmed by the answer that names them", () => {
  const edit = outbox.edit(3, 17, "better");
  const remove = outbox.remove(3, 18);
  assert.deepEqual(sock.outbox.map(({ text }) => JSON.parse(text).type), ["edit", "delete"]);
  outbox.settle(message(17, { author: ADA, version: 20, text: "better", request: edit }));
  assert.deepEqual(sock.told.at(-1), ["confirm", edit]);
  outbox.settle(message(18, { author: ADA, version: 21, deleted: true, request: "of another tab" }));
  assert.deepEqual(outbox.entriesOf(3).map(({ key }) => key), [remove]);
  outbox.settle(message(18, { author: ADA, version: 21, deleted: true, request: remove }));
  assert.deepEqual(states(), []);
});

test("history that shows a message as it was does not confirm its edit or deletion", () => {
  outbox.edit(3, 17, "better");
  outbox.remove(3, 18);
  for (const number of [17, 18]) outbox.settle(message(number, { author: ADA }));
  assert.deepEqual(states(), ["sending", "sending"]);
  assert.equal(sock.outbox.length, 2);
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
