// The page as a whole, over a connection that the test opens.

import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";
import { ADA, fire, GRACE, loadPage, message, room } from "./page.js";
import { Server } from "./server.js";

let $;
let server;

const tell = async (event) => {
  server.tell(event);
  await new Promise((resolve) => { queueMicrotask(resolve); });
};
const sent = (type) => server.sentOf(type);
const texts = () => [...document.querySelectorAll("#log .text")].map((text) => text.textContent);

before(async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  $ = loadPage("/?transport=websocket");
  Object.defineProperty(document, "hidden", { value: false, configurable: true });
  Object.assign(document.body.dataset, {
    endpoint: "/chat?user=1", root: "/", csrf: "token", userId: "1", userName: "Ada", maxText: "100", room: "",
  });
  server = new Server();
  await import("../../src/chat/main.js");
});
after(() => mock.timers.reset());

test("the page connects, and goes to the first room", async () => {
  server.open();
  await tell({
    type: "welcome", user: ADA, online: [1, 2],
    rooms: [room({ version: 1, read: 1 }), room({ id: 4, name: "Garden" })],
  });
  assert.equal($("status-text").textContent, "Connected");
  assert.equal($("room-name").textContent, "Lobby");
  assert.equal(document.querySelectorAll("a.room").length, 2);
  assert.deepEqual(sent("open"), [{ type: "open", room: 3 }]);
  assert.deepEqual(sent("history"), [{ type: "history", room: 3, before: null }]);
});

test("it shows the room's people and messages, and what comes", async () => {
  await tell({ type: "opened", room: room({ version: 1, read: 1 }), members: [ADA, GRACE] });
  await tell({ type: "history", room: 3, before: null, version: 1, messages: [message(1)], more: false });
  await tell({ type: "typing", room: 3, user: GRACE });
  assert.equal($("typing").textContent, "Grace is typing…");
  const people = new window.MutationObserver(() => {});
  people.observe($("members"), { subtree: true, childList: true, attributes: true });
  await tell(message(2));
  // Neither a message nor that it is read is news of the people.
  assert.deepEqual(people.takeRecords(), []);
  assert.deepEqual(texts(), ["text 1", "text 2"]);
  assert.equal($("typing").textContent, "");
  assert.equal($("members-count").textContent, "2");
  assert.equal($("announcer").textContent, "Grace: text 2");
  assert.deepEqual(sent("read"), [{ type: "read", room: 3, number: 2 }]);
});

test("a new name is shown", async () => {
  const names = () => [...document.querySelectorAll("#log .name")].map((name) => name.textContent);
  await tell({ type: "person", user: { ...GRACE, name: "Lady Grace" } });
  assert.deepEqual(names(), ["Lady Grace", "Lady Grace"]);
  await tell({ type: "person", user: GRACE });
  await tell({ type: "person", user: { ...ADA, name: "Lady Ada" } });
  assert.equal($("me").textContent, "Lady Ada");
  await tell({ type: "person", user: ADA });
  assert.equal($("me").textContent, ADA.name);
});

test("what the user says is shown at once, and confirmed by the server", async () => {
  $("text").value = "hello";
  fire($("say"), "submit");
  await Promise.resolve();
  assert.deepEqual(texts(), ["text 1", "text 2", "hello"]);
  assert.equal(document.querySelectorAll(".progress").length, 1);
  assert.equal(fire(window, "beforeunload").defaultPrevented, true);
  const [{ key }] = sent("message");
  server.handle();
  await tell(message(3, { key, author: ADA, text: "hello" }));
  assert.deepEqual(texts(), ["text 1", "text 2", "hello"]);
  assert.equal(document.querySelectorAll(".progress").length, 0);
  assert.equal(fire(window, "beforeunload").defaultPrevented, false);
});

test("another room is chosen, and what comes in the first is counted", async () => {
  fire(document.querySelector("a.room[data-room='4']"), "click");
  await tell(message(4));
  assert.equal(location.pathname, "/rooms/4");
  assert.equal($("room-name").textContent, "Garden");
  assert.equal(document.title, "(1) Garden – Chat");
  assert.deepEqual(sent("close"), []);
});

test("back in the first one it is marked as new, and then read", async () => {
  fire(document.querySelector("a.room[data-room='3']"), "click");
  await Promise.resolve();
  assert.equal(document.querySelectorAll("#log .new-mark").length, 1);
  assert.deepEqual(sent("read").at(-1), { type: "read", room: 3, number: 4 });
  await Promise.resolve();
  assert.equal(document.title, "Lobby – Chat");
});

test("the buttons open their dialogs", () => {
  for (const [button, dialog] of [["new-room", "room-dialog"], ["new-direct", "direct-dialog"]]) {
    fire($(button), "click");
    assert.equal($(dialog).open, true);
    $(dialog).open = false;
  }
});

test("a loss that lasts is shown to who waits for a confirmation", async () => {
  $("text").value = "later";
  fire($("say"), "submit");
  server.break();
  mock.timers.tick(6_000);
  await Promise.resolve();
  assert.equal($("status-text").textContent, "Reconnecting…");
  assert.equal(document.querySelector(".progress").textContent, "will be sent");
});
