import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { messageIn, Navigation, roomOf } from "../../src/chat/navigation.js";
import { Memory } from "../../src/chat/storage.js";
import { Store } from "../../src/chat/store.js";
import { ADA, fire, loadPage, room, teller } from "./page.js";

let store;
let memory;
let heard;
let entered;
let jumps;
let navigation;

function load(path, ...rooms) {
  loadPage(path);
  heard = [];
  entered = [];
  jumps = [];
  memory = new Memory("localStorage", "chat.1");
  store = new Store({ me: ADA, ask: () => {}, changed: () => {} });
  navigation = new Navigation({
    root: "/", store, memory,
    context: { jump: (number) => jumps.push([store.current, number]), leave: () => jumps.push(null) },
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

for (const [search, number] of [
  ["?message=5", 5], ["?transport=websocket&message=17", 17], ["", null], ["?message=", null], ["?message=0", null],
  ["?message=-1", null], ["?message=1.5", null], ["?message=x", null], ["?message=2147483647", 2147483647],
  ["?message=2147483648", null], ["?message=99999999999", null],
]) {
  test(`${search} names ${number ?? "no message"}`, () => assert.equal(messageIn({ search }), number));
}

const address = () => location.pathname + location.search;

test("the address names the message that is gone to, until the newest ones are", () => {
  navigation.enter(3);
  navigation.jumpTo(4, 17);
  assert.equal(address(), "/rooms/4?transport=websocket&message=17");
  assert.deepEqual(jumps, [null, [4, 17]]);
  const { length } = history;
  navigation.jumpTo(4, 17);
  assert.equal(history.length, length);
  navigation.toNewest();
  assert.equal(address(), "/rooms/4?transport=websocket");
  assert.equal(history.length, length);
  assert.deepEqual(jumps.slice(2), [[4, 17], null]);
  navigation.jumpTo(4, 17);
  navigation.go(4);
  assert.equal(address(), "/rooms/4?transport=websocket");
  assert.equal(jumps.at(-1), null);
});

test("a page that is loaded at a message goes there", () => {
  load("/rooms/3?message=5", LOBBY);
  navigation.start(3);
  assert.deepEqual(jumps, [[3, 5]]);
  load("/?message=5", LOBBY);
  navigation.start(null);
  assert.deepEqual(jumps, []);
});

test("back leads to the message that was looked at there", async () => {
  navigation.jumpTo(3, 5);
  navigation.go(4);
  const back = new Promise((resolve) => { window.addEventListener("popstate", resolve); });
  history.back();
  await back;
  assert.deepEqual(jumps.at(-1), [3, 5]);
});

describe("a link", () => {
  function click(href, init = {}) {
    const link = document.createElement("a");
    link.href = href;
    link.append(document.createElement("b"));
    document.body.append(link);
    let taken = false;
    // The document of a test goes nowhere.
    window.addEventListener("click", (event) => {
      taken = event.defaultPrevented;
      event.preventDefault();
    }, { once: true });
    fire(link.firstChild, "click", init);
    return taken;
  }

  test("to a message is followed by the page itself", () => {
    assert.equal(click("/rooms/4?message=17"), true);
    assert.equal(click("http://chat.test/rooms/3?message=2#x"), true);
    assert.deepEqual(jumps, [[4, 17], [3, 2]]);
    assert.equal(address(), "/rooms/3?transport=websocket&message=2");
  });

  test("elsewhere, or with a modifier, is the browser's", () => {
    for (const href of [
      "/rooms/4", "/rooms/4?message=x", "/rooms/x?message=1", "/other/rooms/4?message=1",
      "http://other.test/rooms/4?message=17", "https://chat.test/rooms/4?message=17", "mailto:a@b.c",
    ]) assert.equal(click(href), false, href);
    for (const modifier of ["ctrlKey", "metaKey", "shiftKey", "altKey"]) {
      assert.equal(click("/rooms/4?message=17", { [modifier]: true }), false);
    }
    assert.equal(click("/rooms/4?message=17", { button: 1 }), false);
    assert.deepEqual(jumps, []);
  });
});
