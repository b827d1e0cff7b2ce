// Replies: what they show of the message that they answer, and how they are written.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Context } from "../../src/chat/context.js";
import { LogView } from "../../src/chat/log-view.js";
import { load } from "../../src/chat/markdown.js";
import { Outbox } from "../../src/chat/outbox.js";
import { quoteOf } from "../../src/chat/quotes.js";
import { Memory } from "../../src/chat/storage.js";
import { Store } from "../../src/chat/store.js";
import { Timeline } from "../../src/chat/timeline.js";
import { Typing } from "../../src/chat/typing.js";
import { Writing } from "../../src/chat/writing.js";
import { ADA, fire, GRACE, loadPage, message, room, teller } from "./page.js";

const nothing = () => {};
const ROOT = { id: 9, name: "Root" };

/** Makes a message that answers another one, as that was then. */
const reply = (number, answered, more = {}) => message(number, { quote: quoteOf(answered), ...more });

describe("what is known of a message that is answered", () => {
  let timeline;
  const shown = (number) => timeline.quote(number)?.text;

  beforeEach(() => { timeline = new Timeline(); });

  /** The room has 60 messages, of which the newest three are loaded; the last one answers the first. */
  function loadNewest() {
    timeline.history({
      before: null, version: 60, more: true, messages: [message(58), message(59), reply(60, message(1))],
    });
  }

  test("is told with the reply, where it is not loaded itself", () => {
    loadNewest();
    assert.equal(timeline.get(1), null);
    assert.equal(shown(1), "text 1");
    assert.equal(timeline.quote(2), null);
    assert.equal(shown(58), "text 58");
  });

  test("is what it is now, be it changed while the page looks or while it was away", () => {
    loadNewest();
    assert.equal(timeline.live(message(1, { version: 61, text: "new", edited: "2026-01-06T00:00:00Z" })), true);
    assert.deepEqual([shown(1), timeline.quote(1).edited], ["new", true]);
    timeline.since({ from: 61, version: 62, messages: [message(1, { version: 62, text: "", deleted: true, removed_by: ROOT })] });
    assert.deepEqual([timeline.quote(1).deleted, timeline.quote(1).removed_by], [true, ROOT]);
  });

  test("is not what an answer says that was overtaken", () => {
    loadNewest();
    timeline.live(message(1, { version: 61, text: "new" }));
    timeline.history({ before: 58, version: 60, more: true, messages: [reply(57, message(1))] });
    timeline.live(reply(62, message(1)));
    assert.equal(shown(1), "new");
    // Of one that nothing answered yet.
    timeline.live(message(2, { version: 63, text: "newer" }));
    timeline.live(message(59, { version: 64, text: "newest" }));
    timeline.live(reply(65, message(2)));
    timeline.live(reply(66, message(59)));
    assert.deepEqual([shown(2), shown(59)], ["newer", "newest"]);
  });

  test("a change that nothing shows is none", () => {
    loadNewest();
    assert.equal(timeline.live(message(3, { version: 61, text: "unseen" })), false);
  });

  test("has the names that people have now", () => {
    loadNewest();
    timeline.live(message(1, { version: 61, text: "", deleted: true, removed_by: ROOT }));
    timeline.rename({ id: GRACE.id, name: "Amazing Grace" });
    timeline.rename({ id: ROOT.id, name: "Wheel" });
    assert.deepEqual([timeline.quote(1).author.name, timeline.quote(1).removed_by.name], ["Amazing Grace", "Wheel"]);
  });

  test("is forgotten with the replies", () => {
    loadNewest();
    timeline.live(reply(61, message(2)));
    timeline.live(message(62));
    timeline.trim(2);
    assert.deepEqual([timeline.quote(1), shown(2)], [null, "text 2"]);
    timeline.clear();
    assert.equal(timeline.quote(2), null);
  });

  test("is the beginning of a long text, in whole characters", () => {
    assert.equal(quoteOf(message(1, { text: "𝒳".repeat(300) })).text, "𝒳".repeat(200));
    assert.equal(quoteOf(message(1, { text: "x".repeat(300) })).text, "x".repeat(200));
  });
});

describe("a reply", () => {
  let $;
  let store;
  let outbox;
  let sock;
  let tell;
  let writing;
  let logView;
  let memory;

  beforeEach(async () => {
    $ = loadPage("/rooms/3");
    await load();
    document.body.dataset.root = "/chats/";
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
    memory = new Memory("sessionStorage", "chat.1");
    makeParts();
    enter();
  });

  function makeParts() {
    store = new Store({ me: ADA, ask: nothing, changed: nothing });
    sock = { outbox: [], send: (text) => { sock.outbox.push({ text }); return sock.outbox.at(-1); } };
    outbox = new Outbox({ sock, memory, me: ADA, changed: nothing });
    const typing = new Typing(nothing, nothing);
    const context = new Context({ store, ask: nothing, changed: nothing });
    tell = teller({ store, outbox, typing, context });
    const known = (number) => store.room?.timeline.quote(number) ?? null;
    writing = new Writing({ store, outbox, typing, memory, most: 100, quoteOf: known, said: nothing });
    logView = new LogView({
      me: ADA, store, outbox, context, edit: (changed) => writing.edit(changed),
      reply: (number) => writing.reply(number), copyLink: nothing, toNewest: nothing, confirmDelete: nothing,
    });
  }

  function enter(messages = [message(1, { text: "**one**\nmore" }), message(2, { author: ADA })]) {
    store.select(3);
    tell({ type: "welcome", user: ADA, online: [], rooms: [room({ version: 2 })] });
    tell({ type: "history", room: 3, before: null, version: 2, messages, more: false });
    writing.enter(3);
    writing.show(true);
    outbox.welcomed();
    show();
  }

  function show() {
    logView.show();
    writing.showReply();
  }

  const rows = () => [...$("log").querySelectorAll(".message")];
  const quotes = () => rows().map((row) => row.querySelector(".quote")?.textContent ?? null);
  const press = (key) => fire($("text"), "keydown", { key });
  const begin = (index) => fire(rows()[index].querySelector(".reply"), "click");
  function say(text) {
    $("text").value = text;
    press("Enter");
    show();
  }
  const sent = () => sock.outbox.map(({ text }) => JSON.parse(text));

  test("shows whom it answers before it is sent, while it is, and when it is there", () => {
    begin(0);
    assert.equal($("replying").hidden, false);
    assert.equal($("replying").querySelector(".replied").textContent, "Grace one more");
    say("**yes**");
    assert.equal($("replying").hidden, true);
    const [{ key, ...request }] = sent();
    assert.deepEqual(request, { type: "message", room: 3, text: "**yes**", reply_to: 1 });
    assert.equal(quotes()[2], "In reply to Grace one more");
    const [before] = [rows()[2].querySelector(".bubble").innerHTML.replace(/<span class="foot.*/, "")];
    tell(reply(3, message(1, { text: "**one**\nmore" }), { key, author: ADA, text: "**yes**" }));
    show();
    // The same to the letter, but for what says that it is on its way.
    assert.equal(rows()[2].querySelector(".bubble").innerHTML.replace(/<span class="foot.*/, ""), before);
    const link = rows()[2].querySelector("a.quote");
    assert.equal(link.getAttribute("href"), "/chats/rooms/3?message=1");
    say("alone");
    assert.equal("reply_to" in sent().at(-1), false);
  });

  test("Escape and a button lead out of it, back to the field", () => {
    for (const leave of [() => press("Escape"), () => fire($("cancel-reply"), "click")]) {
      begin(0);
      $("text").value = "kept";
      leave();
      assert.deepEqual([$("replying").hidden, $("text").value], [true, "kept"]);
      assert.equal(document.activeElement, $("text"));
    }
    say("alone");
    assert.equal("reply_to" in sent()[0], false);
    assert.equal(press("Escape").defaultPrevented, false);
  });

  test("Escape ends an edit first; who begins a reply edits no more", () => {
    begin(0);
    writing.edit(store.room.timeline.get(2));
    press("Escape");
    assert.deepEqual([$("editing").hidden, $("replying").hidden], [true, false]);
    writing.edit(store.room.timeline.get(2));
    begin(0);
    assert.equal($("editing").hidden, true);
    press("Escape");
    assert.equal($("replying").hidden, true);
  });

  test("each room has its own, over a reload too; what is not sent waits with it", () => {
    begin(0);
    writing.enter(4);
    assert.equal($("replying").hidden, true);
    writing.enter(3);
    assert.equal($("replying").hidden, false);
    outbox.lost();
    say("offline");
    begin(1);
    makeParts();
    // Of the message that is answered nothing is known yet.
    enter([message(2, { author: ADA })]);
    assert.equal(quotes().at(-1), "In reply to an earlier message");
    assert.equal(sent()[0].reply_to, 1);
    assert.equal($("replying").querySelector(".replied").textContent, "Ada text 2");
  });

  test("shows what becomes of the message, and touches no other row", () => {
    const before = message(1, { text: "**one**\nmore" });
    tell(reply(3, before));
    tell(message(4));
    show();
    assert.equal(quotes()[2], "In reply to Grace one more");
    const seen = new window.MutationObserver(nothing);
    seen.observe($("log"), { subtree: true, childList: true });
    tell(message(1, { version: 5, text: "`new`", edited: "2026-01-06T00:00:00Z" }));
    show();
    const touched = new Set(seen.takeRecords().map(({ target }) => rows().indexOf(target.closest("li"))));
    assert.deepEqual([...touched].sort(), [0, 2]);
    assert.equal(quotes()[2], "In reply to Grace new (edited)");
    tell(message(1, { version: 6, text: "", deleted: true }));
    show();
    assert.equal(quotes()[2], "In reply to Grace This message was deleted.");
    tell(message(1, { version: 7, text: "", deleted: true, removed_by: ROOT }));
    show();
    assert.equal(quotes()[2], "In reply to Grace This message was removed by Root.");
    tell({ type: "person", user: { id: ROOT.id, name: "Wheel" } });
    show();
    assert.match(quotes()[2], /Wheel/);
    tell(message(3, { version: 8, text: "", deleted: true, quote: quoteOf(before) }));
    show();
    assert.equal(quotes()[2], null);
  });

  test("to what was deleted in the meantime is none, and the user is told before", () => {
    begin(0);
    tell(message(1, { version: 3, text: "", deleted: true }));
    show();
    assert.match($("replying").textContent, /was deleted\.\s+Yours will be sent as no reply\./);
    say("late");
    assert.equal("reply_to" in sent()[0], false);
  });

  test("names and texts are no markup", () => {
    const hostile = message(1, {
      author: { id: 5, name: "<img src=x onerror=alert(1)>" }, text: "[x](javascript:alert(1)) <script>alert(1)</script> *y*",
    });
    tell(reply(3, hostile));
    show();
    const line = rows()[2].querySelector(".quote");
    assert.equal(line.querySelector("img, script, em, a"), null);
    assert.match(line.textContent, /<img src=x onerror=alert\(1\)> .*<script>alert\(1\)<\/script> y$/);
  });

  test("is offered at every message that one may answer, by the keys as well", () => {
    assert.deepEqual(rows().map((row) => row.querySelectorAll("button.reply").length), [1, 1]);
    const [first, second] = rows().map((row) => row.querySelector("button.reply"));
    assert.deepEqual([first.tabIndex, second.tabIndex], [-1, 0]);
    second.focus();
    fire(second, "keydown", { key: "ArrowUp" });
    assert.equal(document.activeElement, first);
    fire(first, "click");
    assert.equal($("replying").hidden, false);
    tell({ type: "room", room: room({ version: 2, can: [] }) });
    show();
    assert.equal($("log").querySelector("button.reply"), null);
  });
});
