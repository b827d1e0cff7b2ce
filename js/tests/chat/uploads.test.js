import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Refused } from "../../src/chat/http.js";
import { MOST_FILES, Uploads } from "../../src/chat/uploads.js";

/** A file as a browser hands it out. */
const file = (name, size = 10) => ({ name, size });

let sent;
let discarded;
let complete;
let timers;
let uploads;

/** What is promised has happened. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  [sent, discarded, complete, timers] = [[], [], [], []];
  uploads = new Uploads({
    send(path, body, progress) {
      const one = { path, body, progress, aborted: false };
      const done = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
      sent.push(one);
      return {
        done,
        abort() {
          one.aborted = true;
          one.reject(new Refused("stopped", 0));
        },
      };
    },
    async discard(path) { discarded.push(path); },
    most: 1000,
    changed() {},
    complete: (room) => complete.push(room),
    later: (act, ms) => timers.push([act, ms]),
  });
});

const states = (room = 3) => uploads.of(room).map(({ file: { name }, state }) => `${name} ${state}`);
const told = (id) => ({ id, name: `${id}.txt`, size: 10 });

async function upload(n, id) {
  sent[n].resolve(told(id));
  await settled();
}

test("files are uploaded one after the other, and handed out with their message", async () => {
  uploads.add(3, [file("a & b.txt"), file("c.txt")]);
  assert.deepEqual(states(), ["a & b.txt uploading", "c.txt waiting"]);
  assert.equal(sent[0].path, "rooms/3/files?name=a%20%26%20b.txt");
  sent[0].progress(0.5);
  assert.equal(uploads.of(3)[0].progress, 0.5);
  assert.equal(uploads.waits, true);
  await upload(0, "one");
  await upload(1, "two");
  assert.deepEqual(states(), ["a & b.txt ready", "c.txt ready"]);
  assert.deepEqual(uploads.of(4), []);
  assert.equal(uploads.ready(3), true);
  assert.deepEqual(uploads.take(3), [told("one"), told("two")]);
  assert.deepEqual(uploads.of(3), []);
  assert.equal(uploads.waits, false);
  assert.deepEqual(complete, []);
});

test("a message without files need not wait", () => {
  assert.equal(uploads.ready(3), true);
  assert.deepEqual(uploads.take(3), []);
});

test("a message that is sent too early goes out when its files are there", async () => {
  uploads.add(3, [file("a.txt"), file("b.txt")]);
  assert.equal(uploads.ready(3), false);
  assert.equal(uploads.isArmed(3), true);
  await upload(0, "one");
  assert.deepEqual(complete, []);
  await upload(1, "two");
  assert.deepEqual(complete, [3]);
  assert.equal(uploads.isArmed(3), false);
});

test("what the server refuses keeps the message back, and tries again where that helps", async () => {
  uploads.add(3, [file("a.txt")]);
  uploads.ready(3);
  sent[0].reject(new Refused("There is no room.", 503));
  await settled();
  const [failed] = uploads.of(3);
  assert.deepEqual([failed.state, failed.reason, failed.final], ["failed", "There is no room.", false]);
  assert.equal(uploads.isArmed(3), false);
  assert.equal(uploads.ready(3), false);
  assert.equal(uploads.isArmed(3), false);
  uploads.retry(failed);
  assert.deepEqual(states(), ["a.txt uploading"]);
  sent[1].reject(new Refused("Of that type there are none here.", 415));
  await settled();
  assert.equal(failed.final, true);
  uploads.retry(failed);
  assert.equal(sent.length, 2);
  assert.equal(uploads.waits, false);
});

test("what cannot be sent is said before it is uploaded", () => {
  uploads.add(3, [file("large.txt", 1001), file("empty.txt", 0)]);
  uploads.add(3, Array.from({ length: MOST_FILES }, (_, n) => file(`${n}.txt`)));
  const reasons = uploads.of(3).filter(({ final }) => final).map(({ reason }) => reason);
  assert.deepEqual(reasons, [
    "It is larger than 1 KB.", "It is empty.",
    "A message has at most 10 files.", "A message has at most 10 files.",
  ]);
  assert.equal(sent.length, 1);
});

test("without a connection uploads wait, and go on by themselves", async () => {
  uploads.connected = false;
  uploads.add(3, [file("a.txt")]);
  assert.deepEqual(states(), ["a.txt waiting"]);
  assert.equal(uploads.ready(3), false);
  uploads.connected = true;
  assert.deepEqual(states(), ["a.txt uploading"]);
  // The upload notices sooner than the connection does.
  sent[0].reject(new Refused("out of reach", 0));
  await settled();
  assert.deepEqual(states(), ["a.txt waiting"]);
  uploads.connected = false;
  timers.pop()[0]();
  assert.deepEqual(states(), ["a.txt waiting"]);
  uploads.connected = true;
  await upload(1, "one");
  assert.deepEqual(complete, [3]);
});

test("a server that stays out of reach is given up after a while", async () => {
  uploads.add(3, [file("a.txt")]);
  for (let n = 0; n < 3; n += 1) {
    sent[n].reject(new Refused("out of reach", 0));
    await settled();
    timers.pop()?.[0]();
  }
  assert.deepEqual([sent.length, ...states()], [3, "a.txt failed"]);
  assert.equal(uploads.of(3)[0].final, false);
});

test("who does without a file stops it, and the next one goes on", async () => {
  uploads.add(3, [file("a.txt"), file("b.txt")]);
  uploads.ready(3);
  uploads.remove(uploads.of(3)[0]);
  assert.equal(sent[0].aborted, true);
  await settled();
  assert.deepEqual(states(), ["b.txt waiting"]);
  timers.pop()[0]();
  await upload(1, "two");
  // The rest is sent when the user says so again.
  assert.deepEqual(complete, []);
  uploads.remove(uploads.of(3)[0]);
  assert.deepEqual(discarded, ["rooms/3/files/two/discard"]);
  assert.deepEqual(states(), []);
});
