import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Store } from "../../src/chat/store.js";
import { ADA, GRACE, message, room, teller } from "./page.js";

let asked;
let changes;
let timers;
let store;
let tell;

beforeEach(() => {
  asked = [];
  changes = [];
  timers = [];
  store = new Store({
    me: ADA,
    ask: (request) => asked.push(request),
    changed: (what) => changes.push(what),
    later: (act, ms) => timers.push({ act, ms }),
  });
  tell = teller({ store });
});

function welcome(...rooms) {
  tell({ type: "welcome", user: ADA, rooms, online: [] });
}

function page(numbers, more = {}) {
  tell({
    type: "history", room: 3, before: null, version: numbers.at(-1) ?? 0,
    messages: numbers.map((number) => message(number)), more: false, ...more,
  });
}

function elapse() {
  for (const { act } of timers.splice(0)) act();
}

function enter(numbers = [1, 2]) {
  store.select(3);
  welcome(room({ version: numbers.at(-1), read: numbers.at(-1) }));
  page(numbers);
  asked.length = 0;
  changes.length = 0;
}

const numbers = () => store.room.timeline.messages.map(({ number }) => number);
const ask = (type) => asked.filter((request) => request.type === type);

test("a room is loaded when it is looked at, and once", () => {
  welcome(room({ version: 2 }));
  assert.deepEqual(asked, []);
  store.select(3);
  assert.deepEqual(asked, [{ type: "history", room: 3, before: null }]);
  tell({ type: "opened", room: room({ version: 2 }), members: [ADA, GRACE] });
  assert.equal(asked.length, 1);
  page([1, 2]);
  assert.deepEqual(numbers(), [1, 2]);
  assert.deepEqual([...store.room.members.keys()], [1, 2]);
});

test("nothing is asked before the welcome", () => {
  store.select(3);
  assert.deepEqual(asked, []);
  welcome(room());
  assert.deepEqual(asked, [{ type: "history", room: 3, before: null }]);
});

describe("gaps", () => {
  test("a missing version is asked for, after a moment", () => {
    enter();
    tell(message(4));
    assert.deepEqual(asked, []);
    elapse();
    assert.deepEqual(asked, [{ type: "since", room: 3, version: 2 }]);
    tell({
      type: "since", room: 3, from: 2, version: 4, messages: [message(3), message(4)], more: false,
    });
    assert.deepEqual(numbers(), [1, 2, 3, 4]);
    elapse();
    assert.equal(asked.length, 1);
  });

  test("neighbours that overtake each other are not asked for", () => {
    enter();
    tell(message(4));
    tell(message(3));
    elapse();
    assert.deepEqual(asked, []);
    assert.deepEqual(numbers(), [1, 2, 3, 4]);
  });

  test("many messages after a gap make one question", () => {
    enter();
    for (const number of [4, 5, 6]) tell(message(number));
    elapse();
    tell(message(7));
    elapse();
    assert.equal(ask("since").length, 1);
  });

  test("an answer with more to come is asked on from where it ended", () => {
    enter();
    tell(message(9));
    elapse();
    tell({ type: "since", room: 3, from: 2, version: 5, messages: [message(5)], more: true });
    assert.deepEqual(asked.at(-1), { type: "since", room: 3, version: 5 });
  });

  test("an answer that brings nothing is not repeated for ever", () => {
    enter();
    tell(message(9));
    elapse();
    tell({ type: "since", room: 3, from: 2, version: 2, messages: [], more: true });
    elapse();
    assert.equal(ask("since").length, 1);
  });

  test("a refused question is asked again at the time that the server names", () => {
    enter();
    tell(message(9));
    elapse();
    tell({ type: "error", code: "unavailable", text: "Later.", room: 3, retry_after: 2 });
    assert.equal(timers[0].ms, 2000);
    elapse();
    assert.equal(ask("since").length, 2);
  });

  test("a refused first page is asked again", () => {
    store.select(3);
    welcome(room({ version: 2 }));
    tell({ type: "error", code: "unavailable", text: "Later.", room: 3, retry_after: 1 });
    elapse();
    assert.equal(ask("history").length, 2);
  });
});

describe("in a new session", () => {
  test("what does not come by itself is asked for, in the rooms that are loaded", () => {
    enter();
    store.lost();
    welcome(room({ version: 7, read: 2 }), room({ id: 4, version: 5 }));
    assert.deepEqual(asked, []);
    elapse();
    assert.deepEqual(asked, [{ type: "since", room: 3, version: 2 }]);
    tell({ type: "opened", room: room({ version: 7 }), members: [] });
    assert.equal(asked.length, 1);
  });

  test("what the history of a room brings is not asked for, and is unread but once", () => {
    enter();
    store.lost();
    welcome(room({ version: 4, read: 2, unread: 2 }));
    tell(message(3));
    tell(message(4));
    elapse();
    assert.deepEqual(asked, []);
    assert.deepEqual(numbers(), [1, 2, 3, 4]);
    assert.equal(store.allUnread, 2);
  });

  test("where the history does not reach back it is asked for at once", () => {
    enter();
    store.missed(3);
    store.missed(9);
    assert.deepEqual(asked, []);
    store.lost();
    store.missed(3);
    welcome(room({ version: 7, read: 2 }));
    store.missed(3);
    assert.deepEqual(asked, [{ type: "since", room: 3, version: 2 }]);
    elapse();
    assert.equal(asked.length, 1);
  });

  test("nothing is asked where nothing was missed", () => {
    enter();
    store.lost();
    welcome(room({ version: 2, read: 2 }));
    elapse();
    assert.deepEqual(asked, []);
  });

  test("a room that misses more than 500 versions is started afresh", () => {
    enter();
    store.lost();
    welcome(room({ version: 503, read: 2 }));
    elapse();
    assert.deepEqual(asked, [{ type: "history", room: 3, before: null }]);
    assert.deepEqual(numbers(), []);
    page([502, 503], { more: true });
    assert.deepEqual(numbers(), [502, 503]);
  });

  test("exactly 500 missed versions are caught up with", () => {
    enter();
    store.lost();
    welcome(room({ version: 502, read: 2 }));
    elapse();
    assert.deepEqual(ask("since").length, 1);
  });

  test("a server with another past is believed", () => {
    enter([1, 2, 3]);
    store.lost();
    welcome(room({ version: 1 }));
    assert.deepEqual(ask("history").length, 1);
    page([1]);
    assert.deepEqual(numbers(), [1]);
  });

  test("a question that was lost with the connection is asked again", () => {
    store.select(3);
    welcome(room({ version: 2 }));
    store.lost();
    welcome(room({ version: 2 }));
    assert.equal(ask("history").length, 2);
  });

  test("rooms that one is no member of any more are gone", () => {
    welcome(room(), room({ id: 4 }));
    store.lost();
    welcome(room());
    assert.deepEqual([...store.rooms.keys()], [3]);
  });
});

describe("unread", () => {
  test("the server's count is taken, and what comes is added", () => {
    welcome(room({ version: 5, unread: 2, read: 3 }));
    assert.equal(store.unread(3), 2);
    tell(message(6));
    tell(message(6));
    tell(message(7, { author: ADA }));
    assert.equal(store.unread(3), 3);
    assert.equal(store.allUnread, 3);
  });

  test("edits are not news, and deletions are not unread", () => {
    welcome(room({ version: 5, unread: 2, read: 3 }));
    tell(message(4, { version: 6, edited: "now" }));
    assert.equal(store.unread(3), 2);
    tell(message(4, { version: 7, text: "", deleted: true }));
    assert.equal(store.unread(3), 1);
    tell(message(8));
    tell(message(8, { version: 9, text: "", deleted: true }));
    assert.equal(store.unread(3), 1);
  });

  test("a room told anew with its count is not counted twice", () => {
    welcome(room());
    tell(message(1));
    tell(message(2));
    tell({ type: "room", room: room({ version: 1, unread: 1 }) });
    assert.equal(store.unread(3), 2);
  });

  test("reading up to the newest is told once", () => {
    enter();
    tell(message(3));
    assert.equal(store.unread(3), 1);
    store.readAll(3);
    store.readAll(3);
    assert.deepEqual(ask("read"), [{ type: "read", room: 3, number: 3 }]);
    assert.equal(store.unread(3), 0);
  });

  test("what another tab has read is read here", () => {
    welcome(room({ version: 5, unread: 2, read: 3 }));
    tell({ type: "read", room: 3, number: 5 });
    assert.equal(store.unread(3), 0);
  });

  test("a read mark that the server never got is sent again", () => {
    enter();
    tell(message(3));
    store.readAll(3);
    store.lost();
    welcome(room({ version: 3, read: 2, unread: 1 }));
    assert.equal(store.unread(3), 1);
    store.readAll(3);
    assert.equal(ask("read").length, 2);
  });

  test("a preview has nothing unread and marks nothing", () => {
    store.select(3);
    welcome();
    tell({ type: "opened", room: room({ member: false, version: 2 }), members: [] });
    page([1, 2]);
    store.readAll(3);
    assert.equal(store.unread(3), 0);
    assert.deepEqual(ask("read"), []);
  });
});

describe("news", () => {
  const news = () => changes.filter(({ fresh }) => fresh).map(({ message: { number } }) => number);

  test("what others say is news, once", () => {
    enter();
    tell(message(3));
    tell(message(3));
    tell(message(4, { author: ADA }));
    tell(message(3, { version: 5, edited: "now" }));
    assert.deepEqual(news(), [3]);
  });

  test("what comes from the history or was missed is none", () => {
    enter();
    tell(message(5));
    elapse();
    tell({ type: "since", room: 3, from: 2, version: 5, messages: [message(3)], more: false });
    assert.deepEqual(news(), [5]);
  });

  test("in a room that is not loaded it is news as well", () => {
    welcome(room());
    tell(message(1));
    tell(message(1));
    assert.deepEqual(news(), [1]);
  });
});

describe("rooms", () => {
  test("a room that is refused says why, and is listed no more", () => {
    store.select(9);
    welcome(room());
    tell({ type: "error", code: "bad-room", text: "There is no such room.", room: 9 });
    assert.equal(store.refusal, "There is no such room.");
    assert.equal(store.room, null);
    store.select(3);
    assert.equal(store.refusal, null);
  });

  test("a room that an administrator removes is gone, and who looks at it is told by whom", () => {
    enter();
    tell({ type: "left", room: 3, removed_by: { id: 9, name: "Root" } });
    assert.equal(store.refusal, "Root has removed Lobby.");
    assert.equal(store.rooms.has(3), false);
    assert.deepEqual(asked, []);
  });

  test("leaving the room that is looked at asks what is left of it", () => {
    enter();
    tell({ type: "left", room: 3 });
    assert.deepEqual(asked, [{ type: "open", room: 3 }]);
    assert.equal(store.room.member, false);
  });

  test("a preview is forgotten when another room is looked at", () => {
    store.select(8);
    welcome(room());
    tell({ type: "opened", room: room({ id: 8, member: false }), members: [] });
    store.select(3);
    assert.deepEqual([...store.rooms.keys()], [3]);
    tell({ type: "opened", room: room({ id: 8, member: false }), members: [] });
    assert.deepEqual([...store.rooms.keys()], [3]);
  });

  test("people come and go", () => {
    enter();
    tell({ type: "opened", room: room({ version: 2 }), members: [ADA] });
    tell({ type: "member", room: 3, user: GRACE, joined: true });
    assert.equal(store.room.members.size, 2);
    tell({ type: "member", room: 3, user: GRACE, joined: false });
    assert.equal(store.room.members.size, 1);
  });

  test("earlier messages are asked for once at a time, and not beyond the beginning", () => {
    enter();
    store.older(3);
    assert.deepEqual(asked, []);
    store.room.timeline.more = true;
    store.older(3);
    store.older(3);
    assert.deepEqual(asked, [{ type: "history", room: 3, before: 1 }]);
  });

  test("the last message of one's own is the one to edit", () => {
    enter();
    assert.equal(store.lastOwn(3), null);
    tell(message(3, { author: ADA }));
    tell(message(4, { author: ADA }));
    tell(message(4, { author: ADA, version: 5, deleted: true, text: "" }));
    assert.equal(store.lastOwn(3).number, 3);
  });

  test("of many rooms only the last ones are kept in memory", () => {
    const ids = Array.from({ length: 14 }, (_, index) => index + 3);
    welcome(...ids.map((id) => room({ id, version: 1 })));
    for (const id of ids) {
      store.select(id);
      tell({
        type: "history", room: id, before: null, version: 1, messages: [message(1, { room: id })],
        more: false,
      });
    }
    const kept = ids.filter((id) => store.rooms.get(id).timeline.loaded);
    assert.deepEqual(kept, ids.slice(-12));
  });

  test("an event of an unknown kind or room does no harm", () => {
    enter();
    tell({ type: "novelty" });
    tell(message(1, { room: 77 }));
    tell({ type: "history", room: 77, before: null, version: 1, messages: [], more: false });
    assert.deepEqual(numbers(), [1, 2]);
  });
});

describe("questions that were not answered", () => {
  test("an error for good lets the next look at the room ask again", () => {
    enter();
    store.room.timeline.more = true;
    store.older(3);
    tell({ type: "error", code: "unavailable", text: "Something went wrong.", room: 3 });
    asked.length = 0;
    store.older(3);
    assert.deepEqual(asked, [{ type: "history", room: 3, before: 1 }]);
  });

  test("what was read is told again when the server could not keep it", () => {
    enter();
    tell(message(3));
    store.readAll(3);
    assert.deepEqual(ask("read"), [{ type: "read", room: 3, number: 3 }]);
    tell({ type: "error", code: "unavailable", text: "Later.", room: 3, retry_after: 2 });
    elapse();
    assert.equal(ask("read").length, 2);
    tell({ type: "read", room: 3, number: 3 });
    tell({ type: "error", code: "unavailable", text: "Later.", room: 3, retry_after: 2 });
    elapse();
    assert.equal(ask("read").length, 2);
  });

  test("an older page that comes after everything was forgotten has the newest one asked for", () => {
    enter();
    store.room.timeline.more = true;
    store.older(3);
    store.room.timeline.clear();
    asked.length = 0;
    page([0], { before: 1 });
    assert.deepEqual(asked, [{ type: "history", room: 3, before: null }]);
  });
});
