// Mentions: which are unread, how they look in a text, how names are completed, and the list of one's own.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Completion, matching } from "../../src/chat/completion.js";
import { Refused } from "../../src/chat/http.js";
import { itemsOf } from "../../src/chat/items.js";
import { MentionList } from "../../src/chat/mention-list.js";
import { markMentions } from "../../src/chat/mention-marks.js";
import { Mentions } from "../../src/chat/mentions.js";
import { Notifier } from "../../src/chat/notify.js";
import { makeRow } from "../../src/chat/row.js";
import { Memory } from "../../src/chat/storage.js";
import { Store } from "../../src/chat/store.js";
import { ADA, fire, GRACE, loadPage, message, room, teller } from "./page.js";

let $;
let store;
let mentions;
let tell;

beforeEach(() => {
  $ = loadPage();
  store = new Store({ me: ADA, ask: () => {}, changed: () => {}, later: () => {} });
  mentions = new Mentions(ADA, store);
  tell = teller({ store, mentions });
});

/** A message of Grace that means somebody with its beginning. */
const meant = (number, user = ADA, more = {}) => message(number, {
  text: `@${user.name} hello`, mentions: [{ user, start: 0, length: user.name.length + 1 }], ...more,
});

function welcome(...rooms) {
  tell({ type: "welcome", user: ADA, online: [], rooms });
}

describe("unread mentions", () => {
  test("are those that the server told, and those that came since", () => {
    welcome(room({ version: 5, read: 2, unread: 3, mentioned: [3, 5] }));
    assert.equal(mentions.unread(3), 2);
    tell(meant(6));
    tell(meant(7, GRACE));
    tell(meant(8, ADA, { author: ADA }));
    assert.equal(mentions.unread(3), 3);
    tell({ type: "read", room: 3, number: 3 });
    assert.equal(mentions.unread(3), 2);
    // What the server looked up before the last message came does not forget that one.
    tell({ type: "room", room: room({ version: 5, read: 3, unread: 2, mentioned: [5] }) });
    assert.equal(mentions.unread(3), 2);
    tell({ type: "room", room: room({ version: 8, read: 3, unread: 4, mentioned: [5, 6] }) });
    assert.equal(mentions.unread(3), 2);
    welcome(room({ version: 8, read: 8 }));
    assert.equal(mentions.unread(3), 0);
  });

  test("follow the changes of messages", () => {
    welcome(room({ version: 4, read: 1, unread: 3, mentioned: [2, 3] }));
    tell(message(2, { version: 5, text: "nobody" }));
    assert.equal(mentions.unread(3), 1);
    tell(message(3, { version: 6, deleted: true, text: "" }));
    assert.equal(mentions.unread(3), 0);
    tell(meant(4, ADA, { version: 7 }));
    assert.equal(mentions.unread(3), 1);
    // What was missed comes in pages.
    tell({ type: "since", room: 3, from: 7, version: 9, more: false, messages: [meant(8), message(9)] });
    assert.equal(mentions.unread(3), 2);
    // What was read is no news when it is changed.
    tell(meant(1, ADA, { version: 10 }));
    assert.equal(mentions.unread(3), 2);
  });

  test("are none in a room that was left", () => {
    welcome(room({ version: 2, read: 1, mentioned: [2] }), room({ id: 4, version: 3, read: 0, mentioned: [3], muted: true }));
    assert.deepEqual([mentions.allUnread, mentions.inMuted], [2, 1]);
    tell({ type: "left", room: 3 });
    assert.deepEqual([mentions.unread(3), mentions.allUnread, mentions.unread(77)], [0, 1, 0]);
    tell(meant(9, ADA, { room: 77 }));
    assert.equal(mentions.allUnread, 1);
  });
});

describe("a text", () => {
  /** The row's HTML of a text, where these parts mean people. */
  function shown(text, marks, nodes = [document.createTextNode(text)]) {
    const element = document.createElement("p");
    element.append(...nodes);
    markMentions(element, text, marks.map(([written, name, mine = false]) => (
      { start: text.lastIndexOf(written), length: written.length, name, mine }
    )));
    return element.innerHTML;
  }

  test("has its mentions marked where the server says, and nowhere else", () => {
    assert.equal(
      shown("@Ann @Anna, @Ann", [["@Anna", "Anna"]]), '@Ann <bdi class="mention">@Anna</bdi>, @Ann',
    );
    assert.equal(
      shown("😀 @x@y @me", [["@x@y", "x@y"], ["@me", "Me", true]]),
      '😀 <bdi class="mention">@x@y</bdi> <bdi class="mention mine" title="Me by now">@me</bdi>',
    );
    assert.equal(shown("<b>@Ann</b>", [["@Ann", "Ann"]]), '&lt;b&gt;<bdi class="mention">@Ann</bdi>&lt;/b&gt;');
    assert.equal(shown("a@b", []), "a@b");
  });

  test("has them between its markup, but none in links and code", () => {
    const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    assert.equal(
      shown("*@Ann* `@Bob` @Bob", [["@Ann", "Ann"], ["@Bob", "Bob"]], [make("em", "@Ann"), " ", make("code", "@Bob"), " @Bob"]),
      '<em><bdi class="mention">@Ann</bdi></em> <code>@Bob</code> <bdi class="mention">@Bob</bdi>',
    );
    // A link's own signs count; what is not there as it was written is left alone.
    assert.equal(
      shown("http://x/@a @a*b*", [["@a*b*", "a*b*"]], [make("a", "http://x/@a"), " @a", make("em", "b")]),
      "<a>http://x/@a</a> @a<em>b</em>",
    );
  });

  test("in a row says that it mentions the user, in words too", () => {
    const items = (messages, entries = []) => itemsOf({ messages, entries, me: ADA, mark: null, mayPost: true })
      .filter(({ kind }) => kind === "message");
    const [one, two, three] = items([meant(1), meant(2, GRACE), meant(3, ADA, { author: ADA })]);
    assert.deepEqual([one.mentioned, two.mentioned, three.mentioned], [true, false, false]);
    const row = makeRow(one);
    assert.equal(row.classList.contains("mentioned"), true);
    assert.match(row.querySelector(".foot").textContent, /mentions you/);
    assert.equal(row.querySelector(".mention.mine").textContent, "@Ada");
    assert.equal(row.querySelector(".text").textContent, "@Ada hello");
    assert.equal(makeRow(two).querySelector(".mention").className, "mention");
    assert.equal(makeRow(two).querySelector(".mentions-you"), null);
    // Who is meant in what is being saved is not known yet.
    const change = { type: "edit", key: "e", room: 3, number: 1, text: "@Grace", state: "sending", reason: "" };
    assert.deepEqual(items([meant(1)], [change])[0].mentions, []);
  });

  test("stays when somebody has another name, and says which", () => {
    welcome(room({ version: 0 }));
    store.select(3);
    tell({ type: "history", room: 3, before: null, version: 2, more: false, messages: [meant(1, GRACE), message(2, { author: ADA })] });
    tell({ type: "person", user: { id: 2, name: "Amazing" } });
    const [{ text, mentions: [mention] }] = store.room.timeline.messages;
    assert.equal(text, "@Grace hello");
    assert.deepEqual(mention, { user: { id: 2, name: "Amazing" }, start: 0, length: 6 });
    assert.equal("mentions" in store.room.timeline.messages[1], false);
  });
});

describe("a name behind an @", () => {
  const PEOPLE = ["Ann", "Anna", "Ann Lee", "Bob Annan", "Élodie", "王明", "Zoë"].map((name, id) => ({ id, name }));
  let completion;
  let sent;

  beforeEach(() => {
    sent = 0;
    completion = new Completion({ field: $("text"), list: $("mention-people"), people: () => PEOPLE });
    $("say").hidden = false;
    $("text").addEventListener("keydown", ({ key }) => { sent += key === "Enter"; });
    $("text").focus();
  });

  /** Writes a text, the caret at its end. */
  function write(text) {
    $("text").value = text;
    $("text").setSelectionRange(text.length, text.length);
    fire($("text"), "input");
    return suggested();
  }

  const suggested = () => [...$("mention-people").children].map(({ dataset }) => dataset.name);
  const press = (key) => fire($("text"), "keydown", { key });

  test("is suggested by its beginning, or that of a word of it", () => {
    assert.deepEqual(write("hello @ann"), ["Ann", "Ann Lee", "Anna", "Bob Annan"]);
    assert.equal($("mention-status").textContent, "4 people to mention");
    assert.deepEqual(write("@ÉLO"), ["Élodie"]);
    assert.deepEqual(write("你好@王"), ["王明"]);
    assert.deepEqual(write("@ann l"), ["Ann Lee"]);
    for (const text of ["", "ann", "me@ann", "@ ann", "@nobody", "@Ann\n", "@Zoë"]) {
      assert.deepEqual(write(text), [], text);
      assert.equal($("mention-people").hidden, true);
    }
    assert.equal(write("@").length, 7);
    assert.deepEqual(matching(Array.from({ length: 20 }, (_, id) => ({ id, name: `a${id}` })), "a").length, 8);
  });

  test("is completed by Enter, Tab or a click, and the message is not sent", () => {
    write("hello @an");
    assert.equal($("text").getAttribute("aria-activedescendant"), "mention-people-0");
    press("ArrowDown");
    press("Enter");
    assert.deepEqual([$("text").value, sent], ["hello @Ann Lee ", 0]);
    assert.deepEqual(suggested(), []);
    // What is written behind it is no part of the name.
    assert.deepEqual(write("hello @Ann Lee l"), []);
    press("Enter");
    assert.equal(sent, 1);
    // But a name that is taken back is.
    assert.deepEqual(write("hello @Ann L"), ["Ann Lee"]);
    assert.equal(press("Tab").defaultPrevented, true);
    assert.equal($("text").value, "hello @Ann Lee ");
    assert.equal(press("Tab").defaultPrevented, false);
    write("@zo");
    fire($("mention-people").firstElementChild, "pointerdown");
    assert.equal($("text").value, "@Zoë ");
    // In the middle of a text.
    $("text").value = "@él, hello";
    $("text").setSelectionRange(3, 3);
    fire($("text"), "click");
    press("Enter");
    assert.equal($("text").value, "@Élodie , hello");
    assert.equal($("text").selectionStart, 8);
  });

  test("may be refused: Escape closes the list and nothing else", () => {
    let heard = 0;
    $("text").addEventListener("keydown", ({ key }) => { heard += key === "Escape"; });
    write("@an");
    press("Escape");
    assert.deepEqual([suggested(), heard], [[], 0]);
    assert.deepEqual(write("@ann"), []);
    press("Escape");
    assert.equal(heard, 1);
    press("Enter");
    assert.equal(sent, 1);
    assert.deepEqual(write("@a").length, 4);
    completion.clear();
    assert.deepEqual(suggested(), []);
  });

  test("is not chosen by an Enter that may send", () => {
    write("@Ann ");
    assert.deepEqual(suggested(), ["Ann Lee"]);
    assert.equal($("text").hasAttribute("aria-activedescendant"), false);
    press("Enter");
    assert.deepEqual([sent, suggested()], [1, []]);
    write("@an");
    $("text").setSelectionRange(0, 0);
    fire($("text"), "keyup", { key: "Home" });
    assert.deepEqual(suggested(), []);
    write("@an");
    $("text").blur();
    assert.deepEqual(suggested(), []);
  });
});

describe("the list of mentions", () => {
  let asked;
  let answer;
  let list;
  const settled = () => new Promise(setImmediate);

  beforeEach(() => {
    asked = [];
    const api = { get: async (path) => { asked.push(path); return answer(path); } };
    list = new MentionList(api, store, (id, number) => `/chat/rooms/${id}?message=${number}`);
    welcome(
      room({ version: 9, read: 5 }),
      room({ id: 4, kind: "direct", name: "Grace", person: GRACE, version: 9, read: 9 }),
    );
  });

  const entries = () => [...document.querySelectorAll("#mentions-list a")];

  test("has ordinary links to the messages, and says which are not read", async () => {
    answer = () => ({ mentions: [meant(7), meant(3), meant(2, ADA, { room: 4 })], more: false });
    await list.open();
    assert.equal($("mentions-dialog").open, true);
    assert.deepEqual(entries().map((link) => link.getAttribute("href")), [
      "/chat/rooms/3?message=7", "/chat/rooms/3?message=3", "/chat/rooms/4?message=2",
    ]);
    assert.deepEqual(entries().map((link) => link.textContent.includes("not read yet")), [true, false, false]);
    assert.match(entries()[0].textContent, /Grace in Lobby@Ada hello/);
    assert.match(entries()[2].textContent, /Grace to you/);
    assert.equal($("mentions-more").hidden, true);
    // Where the link leads is the browser's business.
    $("mentions-list").addEventListener("click", (event) => event.preventDefault());
    fire(entries()[0], "click", { ctrlKey: true });
    assert.equal($("mentions-dialog").open, true);
    fire(entries()[0], "click");
    assert.equal($("mentions-dialog").open, false);
    // Of a long one it shows where the user is mentioned.
    const text = `${"x".repeat(300)}@Ada${"y".repeat(300)}`;
    answer = () => ({
      mentions: [message(8, { text, mentions: [{ user: ADA, start: 300, length: 4 }] })], more: false,
    });
    await list.open();
    assert.match(entries()[0].querySelector(".excerpt").textContent, /^…x{80}@Aday{116}…$/);
  });

  test("goes on page by page, and the focus with it", async () => {
    answer = (path) => (path === "mentions"
      ? { mentions: [meant(7)], more: true } : { mentions: [meant(6)], more: false });
    await list.open();
    fire($("mentions-more"), "click");
    await settled();
    assert.deepEqual(asked, ["mentions", "mentions?before=3-7"]);
    assert.equal(entries().length, 2);
    assert.equal(document.activeElement, entries()[1]);
    await list.open();
    assert.equal(entries().length, 1);
  });

  test("may be empty, or not to be had", async () => {
    answer = () => ({ mentions: [], more: false });
    await list.open();
    assert.match($("mentions-note").textContent, /Nobody has mentioned you/);
    answer = () => { throw new Refused("Later.", 503); };
    await list.open();
    assert.equal($("mentions-dialog").querySelector(".error").textContent, "Later.");
    assert.equal($("mentions-note").textContent, "");
    // An answer that a later question overtook is none.
    let first;
    answer = () => new Promise((resolve) => { first = resolve; });
    const opened = list.open();
    await settled();
    answer = () => ({ mentions: [meant(7)], more: false });
    await list.open();
    first({ mentions: [], more: false });
    await opened;
    assert.equal(entries().length, 1);
  });
});

describe("a notification of a mention", () => {
  let told;

  beforeEach(() => {
    told = [];
    globalThis.Notification = class extends EventTarget {
      static permission = "granted";

      constructor(title, { tag }) {
        super();
        told.push([title, tag]);
      }
    };
  });
  afterEach(() => { delete globalThis.Notification; });

  test("is given while another room is looked at, and stays beside that of the room", () => {
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
    const memory = new Memory("localStorage", "chat.1");
    memory.set("notify", true);
    const notifier = new Notifier($("notify"), memory, () => {});
    notifier.tell(meant(1), room(), { mentioned: true, elsewhere: false });
    notifier.tell(meant(1), room(), { mentioned: false, elsewhere: true });
    assert.deepEqual(told, []);
    notifier.tell(meant(1), room(), { mentioned: true, elsewhere: true });
    notifier.tell(meant(1), room({ kind: "direct", name: "Grace" }), { mentioned: true, elsewhere: true });
    assert.deepEqual(told, [
      ["Grace mentioned you in Lobby", "mention 3"], ["Grace mentioned you", "mention 3"],
    ]);
  });
});
