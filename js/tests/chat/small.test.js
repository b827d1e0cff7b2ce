// The small parts of the page.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { Composer } from "../../src/chat/composer.js";
import { arrange, make } from "../../src/chat/dom.js";
import { askBeforeLeaving } from "../../src/chat/leaving.js";
import { MemberList } from "../../src/chat/members.js";
import { Notifier, titleOf } from "../../src/chat/notify.js";
import { Panel, wanted } from "../../src/chat/panel.js";
import { Presence } from "../../src/chat/presence.js";
import { RoomList } from "../../src/chat/rooms.js";
import { Status } from "../../src/chat/status.js";
import { Memory } from "../../src/chat/storage.js";
import { sentence, Typing } from "../../src/chat/typing.js";
import { ADA, fire, GRACE, loadPage, room } from "./page.js";

let $;

beforeEach(() => {
  $ = loadPage();
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => mock.timers.reset());

test("no part of the page writes markup", () => {
  const folder = new URL("../../src/chat/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".js"));
  assert.ok(files.length > 15);
  for (const name of files) {
    const source = readFileSync(new URL(name, folder), "utf8");
    assert.doesNotMatch(source,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|eval\(/,
      name);
  }
});

test("who closes the tab is asked as long as there is a reason", () => {
  const asked = () => fire(window, "beforeunload").defaultPrevented;
  assert.equal(asked(), false);
  askBeforeLeaving(true);
  askBeforeLeaving(true);
  assert.equal(asked(), true);
  askBeforeLeaving(false);
  assert.equal(asked(), false);
});

describe("the title", () => {
  test("counts what is unread", () => {
    assert.equal(titleOf(3, "Lobby"), "(3) Lobby – Chat");
    assert.equal(titleOf(0, "Lobby"), "Lobby – Chat");
    assert.equal(titleOf(0, undefined), "Chat");
  });
});

describe("notifications", () => {
  let asked;
  let told;
  let opened;
  let notifier;

  class Notification extends EventTarget {
    static permission = "default";

    static async requestPermission() {
      asked += 1;
      Notification.permission = "granted";
      return Notification.permission;
    }

    constructor(title, { body }) {
      super();
      told.push([title, body]);
      this.close = () => {};
      queueMicrotask(() => this.dispatchEvent(new Event("click")));
    }
  }

  const hide = (hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  };
  const said = { room: 3, author: GRACE, text: "x".repeat(200) };

  beforeEach(() => {
    asked = 0;
    told = [];
    opened = [];
    Notification.permission = "default";
    globalThis.Notification = Notification;
    window.focus = () => {};
    notifier = new Notifier($("notify"), new Memory("localStorage", "chat.1"), (id) => opened.push(id));
  });
  afterEach(() => { delete globalThis.Notification; });

  async function allow() {
    fire($("notify"), "click");
    await new Promise((resolve) => { setImmediate(resolve); });
  }

  test("are asked for only by a click, and given only while nobody looks", async () => {
    hide(true);
    notifier.tell(said, room());
    assert.deepEqual([asked, told.length], [0, 0]);
    await allow();
    assert.equal(asked, 1);
    assert.equal($("notify").getAttribute("aria-pressed"), "true");
    hide(false);
    notifier.tell(said, room());
    assert.deepEqual(told, []);
    hide(true);
    notifier.tell(said, room());
    notifier.tell({ ...said, text: "hi" }, room({ kind: "direct", name: "Grace" }));
    assert.deepEqual(told, [["Grace in Lobby", `${"x".repeat(140)}…`], ["Grace", "hi"]]);
  });

  test("lead to their room, and can be turned off", async () => {
    hide(true);
    await allow();
    notifier.tell(said, room());
    await new Promise((resolve) => { setImmediate(resolve); });
    assert.deepEqual(opened, [3]);
    await allow();
    notifier.tell(said, room());
    assert.equal(told.length, 1);
    assert.equal($("notify").getAttribute("aria-pressed"), "false");
  });

  test("that a browser blocks cannot be turned on", () => {
    Notification.permission = "denied";
    notifier = new Notifier($("notify"), new Memory("localStorage", "chat.1"), () => {});
    assert.equal($("notify").disabled, true);
  });
});

describe("typing", () => {
  let told;
  let changed;
  let typing;

  beforeEach(() => {
    told = [];
    changed = 0;
    typing = new Typing((id) => told.push(id), () => { changed += 1; });
  });

  test("is told at most once in three seconds, for each room", () => {
    typing.typed(3, 0);
    typing.typed(3, 2999);
    typing.typed(4, 2999);
    typing.typed(3, 3000);
    assert.deepEqual(told, [3, 4, 3]);
  });

  test("is told at once again after a message", () => {
    typing.typed(3, 0);
    typing.said(3);
    typing.typed(3, 10);
    assert.deepEqual(told, [3, 3]);
  });

  test("is shown for five seconds", () => {
    typing.started(3, GRACE);
    assert.deepEqual(typing.names(3), ["Grace"]);
    assert.deepEqual(typing.names(4), []);
    mock.timers.tick(4999);
    typing.started(3, GRACE);
    mock.timers.tick(4999);
    assert.deepEqual(typing.names(3), ["Grace"]);
    mock.timers.tick(1);
    assert.deepEqual(typing.names(3), []);
    assert.equal(changed, 3);
  });

  test("is over with the message", () => {
    typing.started(3, GRACE);
    typing.stopped(3, GRACE.id);
    assert.deepEqual(typing.names(3), []);
  });

  test("reads as a sentence", () => {
    assert.equal(sentence([]), "");
    assert.equal(sentence(["Ada"]), "Ada is typing…");
    assert.equal(sentence(["Ada", "Grace"]), "Ada and Grace are typing…");
    assert.equal(sentence(["Ada", "Grace", "Alan"]), "Several people are typing…");
  });
});

describe("presence", () => {
  let presence;
  beforeEach(() => { presence = new Presence(() => {}); });

  test("whoever comes is here at once, whoever goes is away after four seconds", () => {
    presence.tell(2, true);
    assert.equal(presence.has(2), true);
    presence.tell(2, false);
    mock.timers.tick(3999);
    assert.equal(presence.has(2), true);
    mock.timers.tick(1);
    assert.equal(presence.has(2), false);
  });

  test("whoever comes back soon was never away", () => {
    presence.tell(2, true);
    presence.tell(2, false);
    presence.tell(2, true);
    mock.timers.tick(10000);
    assert.equal(presence.has(2), true);
  });

  test("a new connection's list replaces the old one as calmly", () => {
    presence.welcome([1, 2]);
    presence.welcome([1, 3]);
    assert.deepEqual([1, 2, 3].map((id) => presence.has(id)), [true, true, true]);
    mock.timers.tick(4000);
    assert.deepEqual([1, 2, 3].map((id) => presence.has(id)), [true, false, true]);
  });
});

describe("the status", () => {
  let troubled;
  let status;

  beforeEach(() => {
    troubled = [];
    status = new Status(
      { bar: $("status"), text: $("status-text"), again: $("again"), signIn: $("sign-in-again") },
      (is) => troubled.push(is),
    );
    status.show("open");
    troubled.length = 0;
  });

  test("a loss that mends itself within some seconds is not spoken of", () => {
    status.show("lost");
    assert.equal($("status").dataset.state, "lost");
    assert.equal($("status-text").textContent, "Connected");
    mock.timers.tick(5999);
    status.show("open");
    mock.timers.tick(9000);
    assert.equal($("status-text").textContent, "Connected");
    assert.deepEqual(troubled, [false]);
  });

  test("who has only just come is not in trouble, before the first attempt has failed", () => {
    $("status").dataset.state = "connecting";
    status.show("connecting");
    assert.deepEqual(troubled, [false]);
    status.show("lost");
    assert.deepEqual(troubled, [false, true]);
    assert.match($("status-text").textContent, /^Reconnecting/);
  });

  test("a loss that goes on is told once, and nothing flashes with each attempt", () => {
    status.show("lost");
    mock.timers.tick(3000);
    status.show("lost");
    mock.timers.tick(3000);
    assert.match($("status-text").textContent, /^Reconnecting/);
    assert.equal($("again").hidden, false);
    status.show("lost");
    assert.match($("status-text").textContent, /^Reconnecting/);
    assert.equal($("status").dataset.shown, "lost");
  });

  test("who is offline is told so, without a button that cannot help", () => {
    status.show("offline");
    mock.timers.tick(6000);
    assert.match($("status-text").textContent, /offline/);
    assert.equal($("again").hidden, true);
  });

  test("who is signed out is led to sign in", () => {
    status.show("stopped", { code: 4401, reason: "Unauthorized" });
    assert.equal($("status-text").textContent, "You are signed out.");
    assert.equal($("sign-in-again").hidden, false);
    assert.equal($("again").hidden, true);
    assert.deepEqual(troubled, [true]);
  });

  test("any other end says why", () => {
    status.show("stopped", { code: 4404, reason: "Not Found" });
    assert.equal($("status-text").textContent, "Not connected: Not Found.");
    assert.equal($("again").hidden, false);
  });
});

describe("the connection panel", () => {
  let forced;
  let panel;

  beforeEach(() => {
    forced = [];
    $("force").append(make("option", { value: "xhr-polling" }));
    panel = new Panel({
      button: $("connection"), panel: $("connection-panel"), label: $("connection-label"),
      transport: $("transport"), rtt: $("rtt"), interruptions: $("interruptions"),
      force: $("force"), apply: $("force-apply"),
    }, (ways) => forced.push(ways));
  });

  test("opens by its button, closes by Escape and gives the focus back", () => {
    fire($("connection"), "click");
    assert.equal($("connection-panel").hidden, false);
    assert.equal($("connection").getAttribute("aria-expanded"), "true");
    fire($("force"), "keydown", { key: "Escape" });
    assert.equal($("connection-panel").hidden, true);
    assert.equal(document.activeElement, $("connection"));
  });

  test("shows what is known", () => {
    panel.show({ transport: "xhr-polling", rtt: 12.4, interruptions: 2 });
    assert.equal($("transport").textContent, "xhr-polling");
    assert.equal($("rtt").textContent, "12 ms");
    assert.equal($("interruptions").textContent, "2");
    panel.show({ transport: null, rtt: null, interruptions: 3 });
    assert.equal($("transport").textContent, "none");
  });

  test("forces one way, or none", () => {
    $("force").value = "xhr-polling";
    fire($("force-apply"), "click");
    $("force").value = "";
    fire($("force-apply"), "click");
    assert.deepEqual(forced, [["xhr-polling"], []]);
  });

  test("only ways that exist are read from the address", () => {
    assert.deepEqual(wanted("?transport=websocket,xhr-polling&transport=x,%20xhr-streaming"),
      ["websocket", "xhr-polling", "xhr-streaming"]);
    assert.deepEqual(wanted("?transport=constructor"), []);
    assert.deepEqual(wanted(""), []);
  });
});

describe("the list of rooms", () => {
  let list;
  let chosen;
  const options = {
    current: 3, unread: (id) => (id === 4 ? 120 : 0), mentions: () => 0, isOnline: (id) => id === 2,
  };
  const rooms = () => [
    room({ name: "Zoo" }), room({ id: 4, kind: "private", name: "<b>Alpha</b>" }),
    room({ id: 5, kind: "direct", name: "Grace", person: GRACE }),
  ];
  const links = () => [...$("rooms").querySelectorAll("a.room")];

  beforeEach(() => {
    chosen = [];
    list = new RoomList($("rooms"), { rooms: $("room-list"), direct: $("direct-list") },
      (id) => `/rooms/${id}`, (id) => chosen.push(id));
    list.show(rooms(), options);
  });

  test("is sorted by name, with conversations on their own", () => {
    assert.deepEqual(links().map((link) => link.querySelector(".room-name").textContent),
      ["<b>Alpha</b>", "Zoo", "Grace"]);
    assert.deepEqual(links().map((link) => link.getAttribute("aria-current")), [null, "page", null]);
    assert.equal($("direct-list").children.length, 1);
    assert.equal(links()[2].querySelector(".sign").dataset.online, "true");
  });

  test("shows what is unread, and nothing where nothing is", () => {
    const badges = links().map((link) => link.querySelector(".unread"));
    assert.deepEqual(badges.map((badge) => badge.hidden), [false, true, true]);
    assert.match(badges[0].textContent, /^99\+/);
  });

  test("a click chooses a room, with a modifier it is left to the browser", () => {
    assert.equal(fire(links()[1], "click").defaultPrevented, true);
    assert.equal(fire(links()[0], "click", { ctrlKey: true }).defaultPrevented, false);
    assert.deepEqual(chosen, [3]);
    assert.equal(links()[1].getAttribute("href"), "/rooms/3");
  });

  test("the arrow keys lead through it, and a change keeps the focus", () => {
    links()[0].focus();
    fire(links()[0], "keydown", { key: "ArrowDown" });
    assert.equal(document.activeElement, links()[1]);
    list.show(rooms(), { ...options, unread: () => 1 });
    assert.equal(document.activeElement, links()[1]);
    assert.equal(list.neighbour(1), 5);
    assert.equal(list.neighbour(-1), 4);
  });

  test("a room that is left goes", () => {
    list.show(rooms().slice(0, 1), options);
    assert.equal(links().length, 1);
  });
});

describe("the list of people", () => {
  test("has those first who are here, and counts them", () => {
    const list = new MemberList({ list: $("members"), count: $("members-count") }, ADA, () => {});
    const people = new Map([[3, { id: 3, name: "Alan" }], [2, GRACE], [1, ADA]]);
    list.show(people, (id) => id === 2);
    const rows = [...$("members").children];
    assert.deepEqual(rows.map((row) => [row.dataset.user, row.dataset.online]),
      [["1", "true"], ["2", "true"], ["3", "false"]]);
    assert.equal($("members-count").textContent, "2");
    list.show(people, () => true);
    assert.equal($("members-count").textContent, "3");
    assert.equal([...$("members").children].find((row) => row.dataset.user === "2"), rows[1]);
  });

  test("leads to a conversation with each but oneself", () => {
    const written = [];
    const list = new MemberList({ list: $("members"), count: $("members-count") }, ADA,
      (name) => written.push(name));
    list.show(new Map([[1, ADA], [2, GRACE]]), () => true);
    assert.equal($("members").querySelectorAll("button").length, 1);
    fire($("members").querySelector("button bdi"), "click");
    assert.deepEqual(written, ["Grace"]);
  });
});

describe("writing", () => {
  let composer;
  let heard;
  let memory;
  let touch;

  beforeEach(() => {
    heard = [];
    touch = Object.assign(new window.EventTarget(), { matches: false });
    globalThis.matchMedia = () => touch;
    memory = new Memory("sessionStorage", "chat.1");
    composer = new Composer({
      form: $("say"), field: $("text"), submit: $("send"), counter: $("counter"),
      editing: $("editing"), cancel: $("cancel-edit"),
    }, memory, 10);
    for (const type of ["say", "change", "typing", "last"]) {
      composer.addEventListener(type, ({ detail }) => heard.push([type, detail]));
    }
    composer.enter(3);
  });

  function write(text) {
    $("text").value = text;
    fire($("text"), "input");
  }
  const press = (key, more) => fire($("text"), "keydown", { key, ...more });

  test("Enter sends, without the space around it", () => {
    write("  hello ");
    press("Enter");
    assert.deepEqual(heard, [["typing", undefined], ["say", { text: "hello" }]]);
    assert.equal($("text").value, "");
  });

  test("Shift+Enter and an input method's Enter do not send", () => {
    write("hello");
    assert.equal(press("Enter", { shiftKey: true }).defaultPrevented, false);
    assert.equal(press("Enter", { isComposing: true }).defaultPrevented, false);
    assert.equal(heard.length, 1);
  });

  test("where a keyboard is touched, Enter makes a line, and the keyboard says so", () => {
    assert.equal($("text").enterKeyHint, "send");
    touch.matches = true;
    touch.dispatchEvent(new window.Event("change"));
    assert.equal($("text").enterKeyHint, "enter");
    write("hello");
    assert.equal(press("Enter").defaultPrevented, false);
    assert.equal(heard.length, 1);
    // A real keyboard at a tablet.
    press("Enter", { ctrlKey: true });
    fire($("say"), "submit");
    assert.deepEqual(heard, [["typing", undefined], ["say", { text: "hello" }]]);
  });

  test("Ctrl+B, Ctrl+I and Ctrl+E mark what is selected", () => {
    write("say it");
    $("text").setSelectionRange(4, 6);
    assert.equal(press("b", { ctrlKey: true }).defaultPrevented, true);
    assert.equal($("text").value, "say **it**");
    assert.equal(memory.get("draft.3"), "say **it**");
    assert.equal(press("b").defaultPrevented, false);
  });

  test("nothing but space is not sent", () => {
    write(" \n ");
    press("Enter");
    assert.deepEqual(heard, []);
  });

  test("what is too long stays, and says by how much; characters are counted as people do", () => {
    write("x".repeat(11));
    press("Enter");
    assert.equal($("text").value.length, 11);
    assert.equal($("counter").textContent, "Too long by 1 character");
    assert.equal($("text").getAttribute("aria-invalid"), "true");
    write("😀".repeat(10));
    assert.equal($("counter").textContent, "0 characters left");
    press("Enter");
    assert.deepEqual(heard.at(-1), ["say", { text: "😀".repeat(10) }]);
  });

  test("each room keeps its draft, also across a reload", () => {
    write("draft");
    composer.enter(4);
    assert.equal($("text").value, "");
    composer.enter(3);
    assert.equal($("text").value, "draft");
    assert.equal(memory.get("draft.3"), "draft");
    press("Enter");
    assert.equal(memory.get("draft.3"), null);
  });

  test("the arrow key upwards asks for the last message, only where nothing is written", () => {
    assert.equal(press("ArrowUp").defaultPrevented, true);
    write("x");
    assert.equal(press("ArrowUp").defaultPrevented, false);
    assert.equal(heard.filter(([type]) => type === "last").length, 1);
  });

  test("editing changes that message, and gives the draft back", () => {
    write("draft");
    composer.edit({ number: 7, text: "old" });
    assert.equal($("text").value, "old");
    assert.equal($("editing").hidden, false);
    assert.equal($("send").textContent.trim(), "Save");
    write("new");
    press("Enter");
    assert.deepEqual(heard.at(-1), ["change", { number: 7, text: "new" }]);
    assert.equal($("text").value, "draft");
    assert.equal($("editing").hidden, true);
    assert.equal($("send").textContent.trim(), "Send");
  });

  test("Escape and the button cancel editing", () => {
    for (const cancel of [() => press("Escape"), () => fire($("cancel-edit"), "click")]) {
      composer.edit({ number: 7, text: "old" });
      cancel();
      assert.equal(composer.edited, null);
      assert.equal($("text").value, "");
    }
    assert.deepEqual(heard, []);
  });
});

describe("what is remembered", () => {
  test("belongs to one user", () => {
    new Memory("sessionStorage", "chat.1").set("draft", "mine");
    assert.equal(new Memory("sessionStorage", "chat.2").get("draft"), null);
    assert.equal(new Memory("sessionStorage", "chat.1").get("draft"), "mine");
  });

  test("is a courtesy that a browser may refuse", () => {
    Object.defineProperty(globalThis, "sessionStorage", {
      get() { throw new Error("SecurityError"); }, configurable: true,
    });
    const memory = new Memory("sessionStorage", "chat.1");
    memory.set("draft", "x");
    assert.equal(memory.get("draft"), null);
    assert.equal(memory.area, null);
  });
});

test("children that stay are not touched", () => {
  const list = make("ul", {}, make("li", { id: "a" }), make("li", { id: "b" }), make("li", { id: "c" }));
  const [a, b, c] = list.children;
  const d = make("li", { id: "d" });
  arrange(list, [c, a, d]);
  assert.deepEqual([...list.children].map(({ id }) => id), ["c", "a", "d"]);
  assert.equal(b.isConnected || b.parentNode !== null, false);
});

test("the elements that the page looks for are in the template, and what their types say", () => {
  const file = new URL("../../src/chat/elements.d.ts", import.meta.url);
  const declared = [...readFileSync(file, "utf8").matchAll(/"([\w-]+)": (\w+);/g)];
  assert.ok(declared.length > 60);
  for (const [, id, type] of declared) assert.ok($(id) instanceof window[type], id);
});
