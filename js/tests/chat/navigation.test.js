import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Navigation, roomOf } from "../../src/chat/navigation.js";
import { Memory } from "../../src/chat/storage.js";
import { Store } from "../../src/chat/store.js";
import { ADA, loadPage, room, teller } from "./page.js";

let store;
let memory;
let heard;
let entered;
let navigation;

function load(path, ...rooms) {
  loadPage(path);
  heard = [];
  entered = [];
  memory = new Memory("localStorage", "chat.1");
  store = new Store({ me: ADA, ask: () => {}, changed: () => {} });
  navigation = new Navigation({
    root: "/", store, memory,
    connection: {
      open: (id) => heard.push(["open", id]),
      close: (id, isMember) => heard.push(["close", id, isMember]),
    },
    entered: (isOther) => entered.push([store.current, isOther]),
    chosen: () => entered.push("chosen"),
  });
  teller({ store })({ type: "welcome", user: ADA, rooms, online: [] });
}

const LOBBY = room();
const GARDEN = room({ id: 4, kind: "private", name: "Garden" });

beforeEach(() => load("/rooms/3?transport=websocket", GARDEN, LOBBY));

const cases = [
  ["/rooms/3", 3], ["/chat/rooms/17/", 17], ["/", null], ["/rooms/", null], ["/rooms/3/x", null],
];
for (const [pathname, id] of cases) {
  test(`${pathname} names ${id ?? "no room"}`, () => assert.equal(roomOf({ pathname }), id));
}

test("a room is heard when it is entered, and once", () => {
  navigation.enter(3);
  navigation.enter(3);
  assert.deepEqual(heard, [["open", 3]]);
  assert.deepEqual(entered, [[3, true], [3, false]]);
  assert.equal(memory.get("room"), 3);
});

test("the server is told where a room is looked at no more that the user is not in", () => {
  navigation.enter(3);
  navigation.enter(8);
  navigation.enter(null);
  assert.deepEqual(heard, [["open", 3], ["close", 3, true], ["open", 8], ["close", 8, false]]);
  assert.deepEqual(entered.at(-1), [null, true]);
});

test("the address follows, with what it asks for", () => {
  navigation.enter(3);
  const { length } = history;
  navigation.go(3);
  assert.equal(history.length, length);
  navigation.go(4);
  assert.equal(history.length, length + 1);
  assert.equal(location.pathname + location.search, "/rooms/4?transport=websocket");
  assert.deepEqual(entered.slice(-2), [[4, true], "chosen"]);
});

test("back leads to the room that was shown there", async () => {
  load("/", GARDEN, LOBBY);
  navigation.enter(4);
  assert.equal(location.pathname, "/");
  navigation.go(3);
  const back = new Promise((resolve) => { window.addEventListener("popstate", resolve); });
  history.back();
  await back;
  assert.equal(location.pathname, "/");
  assert.equal(store.current, 4);
});

test("the first room is the one that was asked for, else the last one, else none yet", () => {
  navigation.start(null);
  assert.equal(store.current, null);
  navigation.start(4);
  assert.equal(store.current, 4);
  navigation.enter(null);
  navigation.start(null);
  assert.equal(store.current, 4);
});

test("home is the last room, else the first public one, else any, else none", () => {
  navigation.goHome();
  assert.equal(store.current, 3);
  memory.set("room", 4);
  navigation.goHome();
  assert.equal(store.current, 4);
  load("/", GARDEN);
  navigation.goHome();
  assert.equal(store.current, 4);
  load("/");
  navigation.goHome();
  assert.equal(store.current, null);
});

test("a room that is refused is left only where the address does not name it", () => {
  navigation.enter(9);
  navigation.refused();
  assert.equal(store.current, 9);
  load("/", LOBBY);
  navigation.enter(9);
  navigation.refused();
  assert.equal(store.current, 3);
});

test("who leaves a room goes on to another one, if there is one", () => {
  navigation.enter(3);
  navigation.goOn();
  assert.equal(store.current, 4);
  load("/rooms/3", LOBBY);
  navigation.enter(3);
  navigation.goOn();
  assert.equal(store.current, 3);
  assert.equal(memory.get("room"), null);
});
