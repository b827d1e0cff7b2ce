import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { Dialogs } from "../../src/chat/dialogs.js";
import { Api } from "../../src/chat/http.js";
import { PeopleField } from "../../src/chat/people.js";
import { ADA, fire, loadPage, message, room } from "./page.js";

// The requests are real ones, to a server that answers as the test says.
let server;
let root;
let answer;
let requests;
let $;
let dialogs;
let entered;

before(async () => {
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    requests.push({
      line: `${request.method} ${request.url}`, fields: Object.fromEntries(new URLSearchParams(body)),
      token: request.headers["x-csrf-token"],
    });
    const [status, object] = answer(request);
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(typeof object === "string" ? object : JSON.stringify(object));
  });
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  root = `http://127.0.0.1:${server.address().port}/`;
});
after(() => server.close());

beforeEach(() => {
  $ = loadPage();
  requests = [];
  entered = [];
  dialogs = new Dialogs(new Api(root, "token"), (id) => entered.push(id));
});

async function until(condition) {
  const deadline = performance.now() + 5000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `never: ${condition}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
}

const error = (id) => $(id).querySelector(".error").textContent;
const submit = (id) => fire($(id).querySelector("form"), "submit");

test("a new room is made and entered", async () => {
  answer = () => [201, room({ id: 9 })];
  dialogs.newRoom();
  assert.equal($("room-dialog").open, true);
  $("room-dialog-name").value = " Garden ";
  $("room-dialog-private").checked = true;
  submit("room-dialog");
  await until(() => entered.length);
  assert.deepEqual(entered, [9]);
  assert.equal($("room-dialog").open, false);
  assert.deepEqual(requests, [{
    line: "POST /rooms", fields: { name: "Garden", topic: "", kind: "private" }, token: "token",
  }]);
});

test("what is missing is asked for, without a request", () => {
  dialogs.newRoom();
  submit("room-dialog");
  assert.equal(error("room-dialog"), "Please fill this in.");
  assert.equal($("room-dialog-name").getAttribute("aria-invalid"), "true");
  assert.equal(document.activeElement, $("room-dialog-name"));
  assert.deepEqual(requests, []);
});

test("a refusal is told at its field, and forgotten when the dialog opens again", async () => {
  answer = () => [409, { error: "There is a room of that name.", field: "name" }];
  dialogs.newRoom();
  $("room-dialog-name").value = "Lobby";
  submit("room-dialog");
  await until(() => error("room-dialog"));
  assert.equal(error("room-dialog"), "There is a room of that name.");
  assert.equal($("room-dialog").open, true);
  assert.equal($("room-dialog-name").value, "Lobby");
  assert.equal($("room-dialog-name").getAttribute("aria-invalid"), "true");
  assert.deepEqual(entered, []);
  dialogs.newRoom();
  assert.equal(error("room-dialog"), "");
  assert.equal($("room-dialog-name").value, "");
});

test("somebody who is signed out is told so", async () => {
  answer = () => [401, "<html>"];
  dialogs.newDirect();
  $("direct-name").value = "Grace";
  submit("direct-dialog");
  await until(() => error("direct-dialog"));
  assert.equal(error("direct-dialog"), "You are signed out.");
});

test("an answer that is no JSON, and a server that is away, are told in words", async () => {
  answer = () => [500, "<h1>oops</h1>"];
  dialogs.invite(room());
  $("invite-name").value = "Grace";
  submit("invite-dialog");
  await until(() => error("invite-dialog"));
  assert.equal(error("invite-dialog"), "The server answered with an error (500).");

  loadPage();
  $ = (id) => document.getElementById(id);
  const away = new Dialogs(new Api("http://127.0.0.1:1/", "token"), () => {});
  away.invite(room());
  $("invite-name").value = "Grace";
  submit("invite-dialog");
  await until(() => error("invite-dialog"));
  assert.match(error("invite-dialog"), /cannot be reached/);
});

test("two quick clicks send once", async () => {
  answer = () => [201, room({ id: 9 })];
  dialogs.newRoom();
  $("room-dialog-name").value = "Garden";
  submit("room-dialog");
  submit("room-dialog");
  await until(() => entered.length);
  assert.equal(requests.length, 1);
});

test("only what one may change is changed", async () => {
  answer = () => [200, room()];
  dialogs.editRoom(room({ can: ["topic"], topic: "old" }));
  assert.equal($("edit-room-name").disabled, true);
  $("edit-room-topic").value = "new";
  submit("edit-room-dialog");
  await until(() => !$("edit-room-dialog").open);
  assert.deepEqual(requests[0].fields, { topic: "new" });
  assert.equal(requests[0].line, "POST /rooms/3/edit");
});

test("public rooms are listed as text, can be searched, looked into and joined", async () => {
  const all = [
    { id: 3, name: "Lobby", topic: "", members: 2, member: true },
    { id: 4, name: "<img src=x>", topic: "<b>x</b>", members: 1, member: false },
  ];
  answer = (request) => (request.method === "GET"
    ? [200, { rooms: request.url.includes("q=IMG") ? all.slice(1) : all, more: false }] : [200, {}]);
  await dialogs.browse();
  const rows = () => [...$("browse-list").children];
  assert.deepEqual(rows().map((row) => row.dataset.room), ["3", "4"]);
  assert.equal($("browse-list").querySelector("img, b"), null);
  assert.equal(rows()[0].querySelector(".join"), null);
  $("browse-filter").value = "IMG";
  fire($("browse-filter"), "input");
  await until(() => rows().length === 1);
  assert.deepEqual(rows().map((row) => row.dataset.room), ["4"]);
  assert.equal($("browse-more").hidden, true);
  fire(rows()[0].querySelector(".join"), "click");
  await until(() => entered.length);
  assert.equal(requests.at(-1).line, "POST /rooms/4/join");
  assert.deepEqual(entered, [4]);
});

test("public rooms come in pages, and one that moved to the next is listed once", async () => {
  const listed = (id) => ({ id, name: `Room ${id}`, topic: "", members: 1, member: false });
  answer = (request) => (request.url.endsWith("page=0")
    ? [200, { rooms: [1, 2].map(listed), more: true }]
    : [200, { rooms: [2, 3].map(listed), more: false }]);
  await dialogs.browse();
  const rows = () => [...$("browse-list").children].map((row) => row.dataset.room);
  assert.deepEqual(rows(), ["1", "2"]);
  assert.equal($("browse-more").hidden, false);
  fire($("browse-more"), "click");
  await until(() => rows().length > 2);
  assert.deepEqual(rows(), ["1", "2", "3"]);
  assert.equal($("browse-more").hidden, true);
  assert.equal(requests.at(-1).line, "GET /rooms?q=&page=1");
  await until(() => document.activeElement.getAttribute("aria-label") === "Look into Room 3");
});

test("Enter goes to the first room of what is written, and no late answer takes its place", async () => {
  const of = { a: [], garden: [{ id: 7, name: "Garden", topic: "", members: 1, member: true }] };
  answer = (request) => [200, { rooms: of[new URL(request.url, root).searchParams.get("q")] ?? [], more: false }];
  await dialogs.browse();
  assert.equal($("browse-note").textContent, "There is no such room.");
  $("browse-filter").value = "a";
  fire($("browse-filter"), "input");
  $("browse-filter").value = "garden";
  submit("browse-dialog");
  await until(() => entered.length);
  assert.deepEqual(entered, [7]);
});

test("a list that cannot be had says why, until there is one", async () => {
  answer = () => [503, { error: "Back soon." }];
  await dialogs.browse();
  assert.equal(error("browse-dialog"), "Back soon.");
  assert.equal($("browse-note").textContent, "");
  answer = () => [200, { rooms: [], more: false }];
  fire($("browse-filter"), "input");
  await until(() => error("browse-dialog") === "");
});

test("a room that cannot be joined says why", async () => {
  answer = (request) => (request.method === "GET"
    ? [200, { rooms: [{ id: 4, name: "Den", topic: "", members: 1, member: false }] }]
    : [404, { error: "There is no such room." }]);
  await dialogs.browse();
  fire($("browse-list").querySelector(".join"), "click");
  await until(() => error("browse-dialog"));
  assert.equal(error("browse-dialog"), "There is no such room.");
  assert.equal($("browse-list").querySelector(".join").disabled, false);
});

test("people are suggested, and chosen by the keyboard", async () => {
  answer = () => [200, { people: [
    { id: 2, name: "Grace", online: true }, { id: 5, name: "<i>Greta</i>", online: false },
  ] }];
  dialogs.newDirect();
  $("direct-name").focus();
  $("direct-name").value = "gr";
  fire($("direct-name"), "input");
  await until(() => $("direct-people").children.length);
  assert.equal(requests[0].line, "GET /people?q=gr");
  assert.equal($("direct-people").querySelector("i"), null);
  assert.equal($("direct-name").getAttribute("aria-expanded"), "true");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowUp"]) fire($("direct-name"), "keydown", { key });
  assert.equal($("direct-name").getAttribute("aria-activedescendant"), "direct-people-0");
  fire($("direct-name"), "keydown", { key: "Enter" });
  assert.equal($("direct-name").value, "Grace");
  assert.equal($("direct-people").hidden, true);
});

test("an answer that a later one overtook suggests nothing", async () => {
  let answerFirst;
  const api = {
    get: (path) => (path.endsWith("q=g")
      ? new Promise((resolve) => { answerFirst = resolve; })
      : Promise.resolve({ people: [{ id: 2, name: "Grace", online: true }] })),
  };
  $ = loadPage();
  new PeopleField($("direct-name"), $("direct-people"), api);
  $("direct-name").focus();
  for (const text of ["g", "gr"]) {
    $("direct-name").value = text;
    fire($("direct-name"), "input");
    await until(() => (text === "g" ? answerFirst : $("direct-people").children.length));
  }
  answerFirst({ people: [{ id: 9, name: "Late", online: true }] });
  await new Promise((resolve) => { setImmediate(resolve); });
  assert.deepEqual([...$("direct-people").children].map((row) => row.dataset.name), ["Grace"]);
});

test("a deletion happens only when it is confirmed", async () => {
  let deleted = 0;
  const own = message(1, { author: ADA, text: "text" });
  dialogs.confirmDelete(own, ADA, () => { deleted += 1; });
  fire($("delete-dialog").querySelector(".cancel"), "click");
  assert.equal($("delete-dialog").open, false);
  assert.equal(deleted, 0);
  dialogs.confirmDelete(own, ADA, () => { deleted += 1; });
  assert.equal($("delete-text").textContent, "text");
  assert.equal($("delete-title").textContent, "Delete this message?");
  assert.equal($("delete-note").hidden, true);
  submit("delete-dialog");
  await until(() => deleted);
  // What somebody else has said is removed by an administrator, which everybody sees.
  dialogs.confirmDelete(message(2), ADA, () => {});
  assert.equal($("delete-title").textContent, "Remove this message of Grace?");
  assert.equal($("delete-ok").textContent, "Remove");
  assert.equal($("delete-note").hidden, false);
});

test("only a server that says so signs the user out", async () => {
  const api = new Api(root, "token");
  answer = () => [200, { user: { id: 1, name: "Ada" } }];
  assert.equal(await api.signedIn(), true);
  answer = () => [503, { error: "Later." }];
  assert.equal(await api.signedIn(), true);
  answer = () => [401, { error: "Sign in." }];
  assert.equal(await api.signedIn(), false);
  assert.equal(await new Api("http://127.0.0.1:1/", "token").signedIn(), true);
});
