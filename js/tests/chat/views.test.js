// The views of a room, over a store that the test tells events.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Context } from "../../src/chat/context.js";
import { Dialogs } from "../../src/chat/dialogs.js";
import { Refused } from "../../src/chat/http.js";
import { LogView } from "../../src/chat/log-view.js";
import { Navigation } from "../../src/chat/navigation.js";
import { Mentions } from "../../src/chat/mentions.js";
import { Outbox } from "../../src/chat/outbox.js";
import { Presence } from "../../src/chat/presence.js";
import { RoomView } from "../../src/chat/room-view.js";
import { Memory } from "../../src/chat/storage.js";
import { Store } from "../../src/chat/store.js";
import { Typing } from "../../src/chat/typing.js";
import { Writing } from "../../src/chat/writing.js";
import { ReconnectingSockJS } from "../../src/client/index.js";
import { ADA, fire, GRACE, loadPage, message, reaction, room, teller } from "./page.js";

let $;
let store;
let outbox;
let context;
let tell;
let asked;
let said;
let confirmed;
let copied;
let answer;
let went;
let writing;
let logView;
let roomView;

beforeEach(() => {
  $ = loadPage("/rooms/3");
  hide(false);
  [asked, said, confirmed, copied, went] = [[], 0, [], [], []];
  const nothing = () => {};
  const memory = new Memory("sessionStorage", "chat.1");
  store = new Store({ me: ADA, ask: (request) => asked.push(request), changed: nothing });
  outbox = new Outbox({ sock: new ReconnectingSockJS("http://chat.test/chat"), memory, me: ADA, changed: nothing });
  const presence = new Presence(nothing);
  const typing = new Typing((id) => asked.push({ type: "typing", room: id }), nothing);
  context = new Context({ store, ask: (request) => asked.push(request), changed: nothing, place: () => logView.place });
  const mentions = new Mentions(ADA, store);
  tell = teller({ store, mentions, outbox, presence, typing, context });
  writing = new Writing({ store, outbox, typing, memory, most: 100, quoteOf: () => null, said: () => { said += 1; } });
  logView = new LogView({
    me: ADA, store, outbox, context,
    edit: (changed) => writing.edit(changed),
    reply: nothing,
    copyLink: (number) => copied.push(number),
    toNewest() {
      context.leave();
      logView.follow();
      logView.show();
    },
    confirmDelete: ({ text }, act) => confirmed.push({ text, act }),
    chooseEmoji: (button, chosen) => chosen("🎉"),
  });
  const go = (id) => went.push(id);
  const api = { post: async (path, fields) => answer(path, fields) };
  const navigation = new Navigation({
    root: "/", store, memory, context, connection: { open: nothing, close: nothing },
    entered: nothing, chosen: nothing,
  });
  roomView = new RoomView({
    store, mentions, presence, navigation, writing, api, dialogs: new Dialogs(api, go), go,
    invitations: ({ id }) => asked.push({ invitations: id }),
  });
});

function hide(hidden) {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
}

/** Enters the lobby, with so many messages of Grace of which some were read. */
function enter({ count = 0, read = count, more = false, ...told } = {}) {
  store.select(3);
  tell({
    type: "welcome", user: ADA, online: [1, 2],
    rooms: [room({ version: count, read, unread: count - read, ...told })],
  });
  page(1, count, more);
  writing.enter(3);
  logView.enter();
}

function page(from, to, more, before = null) {
  const messages = Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
  tell({ type: "history", room: 3, before, version: store.room.version, messages, more });
}

const marks = () => $("log").querySelectorAll(".new-mark").length;
const rows = () => [...$("log").querySelectorAll(".message")].map((row) => row.dataset.number);

describe("the log", () => {
  test("shows what there is, and marks what is new; then it is read", () => {
    enter({ count: 3, read: 1 });
    logView.show();
    assert.deepEqual(rows(), ["1", "2", "3"]);
    assert.equal(marks(), 1);
    assert.deepEqual(asked.at(-1), { type: "read", room: 3, number: 3 });
    assert.equal(store.allUnread, 0);
    logView.show();
    assert.equal(marks(), 1);
    logView.enter();
    logView.show();
    assert.equal(marks(), 0);
  });

  test("marks nothing before it is known where the new messages begin", () => {
    enter({ count: 0, version: 4, unread: 3, read: 1 });
    store.room.timeline.clear();
    page(3, 4, true);
    logView.show();
    assert.equal(marks(), 0);
    page(1, 2, false, 3);
    logView.show();
    assert.equal(marks(), 1);
  });

  test("says why there are no messages", () => {
    store.select(3);
    tell({ type: "welcome", user: ADA, rooms: [room()], online: [] });
    logView.show();
    assert.deepEqual([$("history-loading").hidden, $("empty").hidden], [false, true]);
    page(1, 0, false);
    logView.show();
    assert.deepEqual([$("history-loading").hidden, $("empty").hidden], [true, false]);
    outbox.say(3, "hello");
    logView.show();
    assert.deepEqual([$("beginning").hidden, $("empty").hidden], [true, true]);
    tell(message(1));
    logView.show();
    assert.equal($("beginning").hidden, false);
    assert.equal($("beginning").textContent, "Lobby begins here.");
    store.select(null);
    logView.show();
    assert.equal($("log").children.length, 0);
  });

  test("reads nothing while the page is hidden, and marks there what comes", () => {
    enter({ count: 1 });
    logView.show();
    asked.length = 0;
    hide(true);
    tell(message(2));
    logView.heard(store.room, message(2));
    logView.show();
    assert.deepEqual(asked, []);
    assert.equal(marks(), 1);
    assert.equal($("announcer").children.length, 0);
  });

  test("reads out what others say, the last three", () => {
    enter();
    for (const number of [1, 2, 3, 4]) logView.heard(store.room, message(number));
    assert.deepEqual([...$("announcer").children].map((line) => line.textContent),
      ["Grace: text 2", "Grace: text 3", "Grace: text 4"]);
  });

  test("marks nothing any more when the user says something", () => {
    enter({ count: 2, read: 1 });
    logView.show();
    logView.follow();
    logView.show();
    assert.equal(marks(), 0);
  });

  test("has messages edited and, when that is confirmed, deleted", () => {
    enter();
    tell(message(1, { author: ADA }));
    logView.show();
    fire($("log").querySelector("button.edit"), "click");
    assert.equal($("text").value, "text 1");
    fire($("log").querySelector("button.delete"), "click");
    assert.equal(confirmed[0].text, "text 1");
    assert.deepEqual(outbox.entriesOf(3), []);
    confirmed[0].act();
    assert.equal(outbox.entriesOf(3)[0].type, "delete");
  });

  test("has the address of a message copied, and no link at what is deleted", () => {
    enter({ count: 2 });
    tell(message(2, { version: 3, deleted: true, text: "" }));
    logView.show();
    assert.equal($("log").querySelectorAll(".permalink").length, 1);
    fire($("log").querySelector(".permalink"), "click");
    assert.deepEqual(copied, [1]);
  });

  test("shows the messages around one in place of the newest, reads none of them, and goes back", () => {
    enter({ count: 100, read: 90, more: true });
    store.room.timeline.clear();
    page(51, 100, true);
    asked.length = 0;
    context.jump(10);
    logView.show();
    // Nothing is read while somebody is on their way to something else.
    assert.deepEqual(asked.filter(({ type }) => type === "read"), []);
    const messages = Array.from({ length: 20 }, (_, index) => message(index + 1, { author: index ? GRACE : ADA }));
    tell({ type: "around", room: 3, number: 10, side: "both", version: 100, messages, earlier: false, later: true });
    outbox.say(3, "on its way");
    logView.show();
    assert.deepEqual(rows(), messages.map(({ number }) => String(number)));
    assert.equal(document.activeElement.dataset.number, "10");
    assert.equal(marks(), 0);
    assert.equal($("beginning").hidden, false);
    assert.equal($("note").textContent, "");
    // jsdom lays nothing out: both ends are near.
    assert.deepEqual(asked.at(-1), { type: "around", room: 3, number: 20, side: "after" });
    fire($("log").querySelector("button.edit"), "click");
    assert.equal($("text").value, "text 1");
    fire($("log").querySelector("button.delete"), "click");
    assert.equal(confirmed[0].text, "text 1");
    fire($("newest"), "click");
    assert.equal(rows().length, 51);
    assert.deepEqual(asked.at(-1), { type: "read", room: 3, number: 100 });
  });

  test("says quietly that a message is no more, or never was", () => {
    enter({ count: 2 });
    tell(message(2, { version: 3, deleted: true, text: "" }));
    context.jump(2);
    logView.show();
    assert.equal($("note").textContent, "That message was deleted.");
    assert.equal(document.activeElement.dataset.number, "2");
    context.jump(7);
    tell({ type: "around", room: 3, number: 7, side: "both", version: 3, messages: [message(1)], earlier: false, later: false });
    logView.show();
    assert.equal($("note").textContent, "There is no such message in this room.");
    assert.deepEqual(rows(), ["1", "2"]);
  });

  test("has what failed sent again or forgotten", () => {
    enter();
    const keys = ["a", "b"].map((text) => outbox.say(3, text));
    for (const key of keys) tell({ type: "error", code: "forbidden", text: "No.", room: 3, key });
    logView.show();
    fire($("log").querySelector("button.retry"), "click");
    logView.show();
    fire($("log").querySelector("button.discard"), "click");
    assert.deepEqual(outbox.entriesOf(3).map(({ text, state }) => [text, state]), [["a", "sending"]]);
  });
});

describe("writing", () => {
  const write = (text) => {
    $("text").value = text;
    fire($("text"), "input");
  };
  const entries = () => outbox.entriesOf(3).map(({ type, text }) => [type, text]);

  test("says something new, and tells before that somebody types", () => {
    enter();
    asked.length = 0;
    write("hello");
    assert.deepEqual(asked, [{ type: "typing", room: 3 }]);
    fire($("say"), "submit");
    assert.deepEqual(entries(), [["message", "hello"]]);
    assert.equal(said, 1);
    write("again");
    assert.equal(asked.length, 2);
  });

  test("tells nobody of typing while there is no connection, or a message is edited", () => {
    enter();
    tell(message(1, { author: ADA }));
    asked.length = 0;
    writing.edit(store.room.timeline.get(1));
    write("text 2");
    writing.enter(4);
    store.lost();
    write("hello");
    assert.deepEqual(asked, []);
  });

  test("changes the last message of one's own, where its text is another one", () => {
    enter();
    tell(message(1, { author: ADA }));
    tell(message(2));
    fire($("text"), "keydown", { key: "ArrowUp" });
    assert.equal($("text").value, "text 1");
    fire($("say"), "submit");
    assert.deepEqual(entries(), []);
    writing.edit(store.room.timeline.get(1));
    write("better");
    fire($("say"), "submit");
    assert.deepEqual(entries(), [["edit", "better"]]);
    assert.equal(said, 0);
  });

  test("does not edit what is deleted", () => {
    enter();
    tell(message(1, { author: ADA, deleted: true, text: "" }));
    writing.edit(store.room.timeline.get(1));
    assert.equal($("editing").hidden, true);
  });
});

describe("the room", () => {
  const shown = (...ids) => ids.filter((id) => !$(id).hidden);
  const MENU = ["room-menu", "edit-room", "invite", "leave-room"];

  test("says its name and offers what may be done there", () => {
    enter({ topic: "Talk" });
    roomView.show();
    assert.equal($("room-name").textContent, "Lobby");
    assert.equal($("room-topic").title, "Talk");
    assert.equal($("scroller").getAttribute("aria-label"), "Messages in Lobby");
    assert.deepEqual(shown(...MENU), MENU);
    assert.deepEqual(shown("say", "preview", "join-room", "refused", "nowhere"), ["say"]);
    tell({ type: "room", room: room({ can: [] }) });
    roomView.show();
    assert.deepEqual(shown(...MENU, "say"), ["room-menu"]);
  });

  test("can be looked at, and joined", async () => {
    enter({ member: false, can: ["join"] });
    roomView.show();
    assert.deepEqual(shown("say", "preview", "join-room", "room-menu"), ["preview", "join-room"]);
    tell({ type: "room", room: room({ member: false, can: [] }) });
    roomView.show();
    assert.deepEqual(shown("join-room"), []);
    let path;
    const joined = new Promise((resolve) => { answer = (asks) => resolve(path = asks); });
    fire($("join-room"), "click");
    assert.equal($("join-room").disabled, true);
    await joined;
    await new Promise(setImmediate);
    assert.equal(path, "rooms/3/join");
    assert.equal($("join-room").disabled, false);
    answer = () => { throw new Refused("It is full.", 409); };
    fire($("join-room"), "click");
    await new Promise(setImmediate);
    assert.equal($("preview").textContent, "It is full.");
  });

  test("that is refused says so, and what is edited is put away", () => {
    enter();
    tell(message(1, { author: ADA }));
    writing.edit(store.room.timeline.get(1));
    tell({ type: "error", code: "bad-room", text: "There is no such room.", room: 3 });
    roomView.show();
    assert.deepEqual(shown("say", "refused"), ["refused"]);
    assert.equal($("refused-text").textContent, "There is no such room.");
    assert.equal($("editing").hidden, true);
  });

  test("can be written in before the server has told of it", () => {
    store.select(3);
    roomView.show();
    assert.deepEqual(shown("say", "nowhere"), ["say"]);
    store.select(null);
    roomView.show();
    assert.deepEqual(shown("say", "nowhere"), []);
    tell({ type: "welcome", user: ADA, rooms: [], online: [] });
    roomView.show();
    assert.deepEqual(shown("say", "nowhere"), ["nowhere"]);
  });

  test("is listed with the user's others, and with what is unread", () => {
    store.select(3);
    tell({
      type: "welcome", user: ADA, online: [2],
      rooms: [
        room({ unread: 1, version: 1 }),
        room({ id: 4, name: "Garden", unread: 10, version: 10 }),
        room({ id: 5, kind: "direct", name: "Grace", person: GRACE }),
      ],
    });
    roomView.showList();
    const links = [...document.querySelectorAll("a.room")];
    assert.deepEqual(links.map((link) => link.getAttribute("href")), ["/rooms/4", "/rooms/3", "/rooms/5"]);
    assert.equal(links[2].querySelector(".person").dataset.online, "true");
    assert.equal(document.title, "(11) Lobby – Chat");
    assert.equal($("rooms-badge").textContent, "9+");
    assert.equal($("rooms-toggle").getAttribute("aria-label"), "Rooms, 10 unread");
    fire(document, "keydown", { key: "ArrowUp", altKey: true });
    fire(document, "keydown", { key: "ArrowUp" });
    assert.deepEqual(went, [4]);
  });

  test("has a menu that closes when it was used, or something else is", () => {
    enter();
    for (const close of [
      () => fire($("invite"), "click"),
      () => fire($("room-invitations"), "click"),
      () => fire(document, "keydown", { key: "Escape" }),
      () => fire($("room-name"), "click"),
      () => roomView.enter(),
    ]) {
      $("room-menu").open = true;
      close();
      assert.equal($("room-menu").open, false);
    }
    assert.equal($("invite-dialog").open, true);
    assert.deepEqual(asked.at(-1), { invitations: 3 });
  });

  test("is muted and unmuted by its menu, and says so", async () => {
    enter({ version: 9, read: 5, unread: 4, mentioned: [7] });
    roomView.show();
    assert.deepEqual([$("mute-room").textContent, $("room-muted").hidden], ["Mute the room", true]);
    const posts = [];
    answer = (...post) => posts.push(post);
    $("room-menu").open = true;
    fire($("mute-room"), "click");
    await new Promise(setImmediate);
    assert.deepEqual(posts, [["rooms/3/mute", { muted: "true" }]]);
    assert.equal($("room-menu").open, false);
    tell({ type: "muted", room: 3, muted: true });
    roomView.show();
    assert.deepEqual([$("mute-room").textContent, $("room-muted").hidden], ["Unmute the room", false]);
    fire($("mute-room"), "click");
    await new Promise(setImmediate);
    assert.deepEqual(posts[1], ["rooms/3/mute", { muted: "false" }]);
    answer = () => { throw new Refused("Not now.", 503); };
    fire($("mute-room"), "click");
    await new Promise(setImmediate);
    assert.equal($("mute-error").textContent, "Not now.");
    // Of a room that is not there, nothing becomes known.
    tell({ type: "muted", room: 77, muted: true });
    assert.equal(store.rooms.has(77), false);
  });

  test("that is muted counts only mentions in the title, and is quiet in the list", () => {
    store.select(3);
    tell({
      type: "welcome", user: ADA, online: [],
      rooms: [
        room({ unread: 2, version: 2 }),
        room({ id: 4, name: "Garden", unread: 10, version: 10, muted: true, mentioned: [9, 10] }),
        room({ id: 5, name: "Quiet", unread: 3, version: 3, muted: true }),
      ],
    });
    roomView.showList();
    assert.equal(document.title, "(4) Lobby – Chat");
    assert.equal($("rooms-badge").textContent, "2");
    assert.equal($("mentions-count").textContent, "@2");
    const link = (id) => document.querySelector(`a.room[data-room="${id}"]`);
    assert.equal(link(4).querySelector(".mention-count").textContent, "@2 mentions");
    assert.equal(link(4).querySelector(".unread").textContent, "10 unread");
    assert.match(link(4).textContent, /muted/);
    assert.deepEqual([3, 4, 5].map((id) => link(id).classList.contains("muted")), [false, true, true]);
    assert.deepEqual([3, 4, 5].map((id) => link(id).classList.contains("has-unread")), [true, true, false]);
    assert.equal(link(3).querySelector(".muted-sign, .mention-count"), null);
    tell({ type: "read", room: 4, number: 9 });
    roomView.showList();
    assert.equal(link(4).querySelector(".mention-count").textContent, "@1 mention");
    tell({ type: "read", room: 4, number: 10 });
    roomView.showList();
    assert.equal(link(4).querySelector(".mention-count"), null);
    assert.equal($("mentions-count").hidden, true);
    assert.equal(document.title, "(2) Lobby – Chat");
  });

  test("that is left leads to another one", async () => {
    enter();
    tell({ type: "room", room: room({ id: 4, name: "Garden" }) });
    answer = () => ({ id: 3 });
    fire($("leave-room"), "click");
    fire($("leave-dialog").querySelector("form"), "submit");
    await new Promise(setImmediate);
    assert.equal(store.current, 4);
  });
});

describe("reactions", () => {
  const wishes = () => outbox.entriesOf(3).map(({ number, emoji, on }) => [number, emoji, on]);

  test("a click puts one's own there, and the next one takes it away", () => {
    enter({ count: 2 });
    tell(message(2, { version: 3, reactions: [reaction("👍", GRACE), reaction("🎉", GRACE, ADA)] }));
    logView.show();
    const button = (emoji) => $("log").querySelector(`.reaction[data-emoji="${emoji}"]`);
    for (const pressed of [true, false]) {
      fire(button("👍"), "click");
      assert.deepEqual(wishes(), [[2, "👍", pressed]]);
      logView.show();
      assert.equal(button("👍").getAttribute("aria-pressed"), String(pressed));
    }
    // What is chosen from the dialog and is there already is taken away, too.
    fire($("log").querySelector("[data-number=\"2\"] .react"), "click");
    assert.deepEqual(wishes()[1], [2, "🎉", false]);
  });

  test("of a message that is gone nothing is sent", () => {
    enter({ count: 1 });
    logView.show();
    store.room.timeline.clear();
    fire($("log").querySelector(".react"), "click");
    assert.deepEqual(wishes(), []);
  });
});
