import assert from "node:assert/strict";
import { beforeEach, describe, mock, test } from "node:test";
import { itemsOf } from "../../src/chat/items.js";
import { linked } from "../../src/chat/links.js";
import { Log } from "../../src/chat/log.js";
import { ADA, fire, GRACE, loadPage, message, reaction } from "./page.js";

let $;
let log;

beforeEach(() => {
  $ = loadPage();
  log = new Log({ list: $("log"), scroller: $("scroller"), newest: $("newest") });
});

const NOW = new Date(2026, 0, 5, 12, 1);

function show(messages, {
  entries = [], mark = null, mayPost = true, mayModerate, quoteOf = () => null, isRich, ...options
} = {}) {
  log.show(3, itemsOf({
    messages, entries, me: ADA, room: 3, mark, mayPost, mayModerate, quoteOf, isRich, now: NOW,
  }), options);
}

const rows = () => [...$("log").querySelectorAll(".message")];
const texts = () => rows().map((row) => row.querySelector(".text").textContent);
const html = (nodes) => {
  const holder = document.createElement("p");
  holder.append(...nodes);
  return holder.innerHTML;
};

describe("hostile texts", () => {
  for (const text of [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; & \"quotes\" 'more'",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "\ufffd\ufffd",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "line one\nline two",
    "x".repeat(4000),
    "__proto__",
  ]) {
    test(`is text: ${JSON.stringify(text.slice(0, 40))}`, () => {
      show([message(1, { text, author: { id: 2, name: text.slice(0, 40) } })]);
      assert.deepEqual(texts(), [text]);
      assert.equal(rows()[0].querySelector(".name").textContent, text.slice(0, 40));
      assert.equal($("log").querySelector("script, img, b, a"), null);
    });
  }

  test("a right-to-left text turns only itself", () => {
    show([message(1, { text: "שלום\u202e" })]);
    assert.equal(rows()[0].querySelector(".text").dir, "auto");
    assert.equal(rows()[0].querySelector(".name").tagName, "BDI");
  });
});

describe("links", () => {
  const cases = [
    ["see https://a.example/x.", "https://a.example/x", "see ", "."],
    ["(http://a.example/b_(c))", "http://a.example/b_(c)", "(", ")"],
    ["HTTPS://A.example/?q=1&r=2!", "HTTPS://A.example/?q=1&r=2", "", "!"],
    ["“https://a.example/”,", "https://a.example/", "“", "”,"],
    ["https://a.example/\u202egnp", "https://a.example/", "", "\u202egnp"],
  ];
  for (const [text, address, before, after] of cases) {
    test(text, () => {
      const nodes = linked(text);
      const link = nodes.find((node) => node.nodeName === "A");
      assert.equal(link.textContent, address);
      assert.equal(nodes.map((node) => node.textContent).join(""), text);
      assert.ok(text.startsWith(before + address) && text.endsWith(address + after));
      assert.equal(link.rel, "noopener noreferrer nofollow");
      assert.equal(link.target, "_blank");
    });
  }

  test("only addresses of the web are links", () => {
    for (const text of [
      "javascript:alert(1)", "data:text/html,x", "ftp://a.example/", "file:///etc", "http://",
      "//a.example", "xhttp://a.example", "https://[", "mailto:a@b.example",
    ]) assert.doesNotMatch(html(linked(text)), /<a/, text);
  });

  test("markup in an address stays text", () => {
    assert.equal(html(linked('https://a.example/"onclick="x')),
      '<a href="https://a.example/" rel="noopener noreferrer nofollow" target="_blank">https://a.example/</a>"onclick="x');
  });

  test("several links keep what is between them", () => {
    const text = "a http://b.example c https://d.example e";
    assert.equal(linked(text).length, 5);
    assert.equal(linked(text).map((node) => node.textContent).join(""), text);
  });

  test("a text that looks like an address for long is read in no time", () => {
    const start = performance.now();
    for (const char of [".", ")", "(", "h", "http://", "*"]) linked(`http://a${char.repeat(4000)}`);
    assert.ok(performance.now() - start < 500);
  });
});

describe("rows", () => {
  test("messages stand in the order of their numbers, with their times", () => {
    show([message(1), message(2)]);
    assert.deepEqual(rows().map((row) => row.dataset.number), ["1", "2"]);
    assert.equal(rows()[1].querySelector("time").dateTime, message(2).time);
    assert.deepEqual(rows().map((row) => row.dataset.state), ["", ""]);
  });

  test("messages of one person stand together, until somebody else or time comes between", () => {
    const late = new Date(2026, 0, 5, 12, 10).toISOString();
    show([message(1), message(2), message(3, { author: ADA }), message(4), message(5, { time: late })]);
    const together = rows().map((row) => row.classList.contains("together"));
    assert.deepEqual(together, [false, true, false, false, false]);
  });

  test("days are separated, and named", () => {
    const old = new Date(2026, 0, 2, 9).toISOString();
    const yesterday = new Date(2026, 0, 4, 9).toISOString();
    show([message(1, { time: old }), message(2, { time: yesterday }), message(3)]);
    const days = [...$("log").querySelectorAll(".day")].map((row) => row.textContent);
    assert.equal(days.length, 3);
    assert.deepEqual(days.slice(1), ["Yesterday", "Today"]);
  });

  test("the mark stands before the first message of others that is new", () => {
    show([message(1), message(2, { author: ADA }), message(3), message(4)], { mark: 1 });
    const mark = $("log").querySelector(".new-mark");
    assert.equal(mark.nextElementSibling.dataset.number, "3");
    assert.equal($("log").querySelectorAll(".new-mark").length, 1);
  });

  test("edited and deleted messages say so", () => {
    show([
      message(1, { version: 3, edited: "2026-01-05T12:00:30.000Z" }),
      message(2, { version: 4, deleted: true, text: "", author: ADA }),
    ]);
    assert.equal(rows()[0].querySelector(".edited").textContent, "edited");
    assert.equal(rows()[1].dataset.state, "deleted");
    assert.match(texts()[1], /deleted/);
    assert.equal(rows()[1].querySelector("button"), null);
  });

  test("a message that was removed says by whom", () => {
    const removed = { deleted: true, text: "", removed_by: { id: 9, name: "Root" } };
    show([message(1, removed)], { mayModerate: true });
    assert.match(texts()[0], /removed by Root\./);
    assert.equal(rows()[0].querySelector("button"), null);
  });

  test("an administrator can remove what others say, and change one's own alone", () => {
    show([message(1), message(2, { author: ADA })], { mayPost: true, mayModerate: true });
    const labels = rows().map((row) => [...row.querySelectorAll("button")].map((button) => button.title));
    assert.deepEqual(labels, [
      ["React", "Reply", "Copy link", "Remove"], ["React", "Reply", "Copy link", "Edit", "Delete"],
    ]);
  });

  test("only one's own messages can be changed, and only where one may write", () => {
    const messages = [message(1), message(2, { author: ADA })];
    show(messages);
    assert.deepEqual(rows().map((row) => row.querySelectorAll(".edit, .delete").length), [0, 2]);
    show(messages, { mayPost: false });
    assert.equal($("log").querySelector(".edit"), null);
  });

  test("a message that is sent keeps its row when it is confirmed", () => {
    const entry = { key: "k1", type: "message", text: "hello", state: "sending", reason: "" };
    show([message(1)], { entries: [entry] });
    const row = rows()[1];
    assert.equal(row.dataset.state, "sending");
    assert.equal(row.dataset.key, "k1");
    show([message(1), message(2, { author: ADA, key: "k1", text: "hello" })], { entries: [entry] });
    assert.equal(rows().length, 2);
    assert.equal(rows()[1], row);
    assert.equal(row.dataset.state, "");
    assert.equal(row.dataset.number, "2");
  });

  test("somebody else's key hides nothing of one's own", () => {
    const entry = { key: "k1", type: "message", text: "mine", state: "sending", reason: "" };
    show([message(1, { key: "k1" })], { entries: [entry] });
    assert.deepEqual(texts(), ["text 1", "mine"]);
  });

  test("a refused message says why and offers a way on", () => {
    const seen = [];
    for (const type of ["retry", "discard"]) {
      log.addEventListener(type, ({ detail }) => seen.push([type, detail.key]));
    }
    show([], { entries: [{ key: "k1", type: "message", text: "x", state: "failed", reason: "Too long." }] });
    assert.equal(rows()[0].querySelector(".reason").textContent, "Too long.");
    fire(rows()[0].querySelector(".retry"), "click");
    fire(rows()[0].querySelector(".discard"), "click");
    assert.deepEqual(seen, [["retry", "k1"], ["discard", "k1"]]);
  });

  test("a change on its way is shown in its message", () => {
    const messages = [message(1, { author: ADA })];
    show(messages, { entries: [{ key: "k", type: "edit", number: 1, text: "better", state: "waiting", reason: "" }] });
    assert.deepEqual(texts(), ["better"]);
    assert.equal(rows()[0].dataset.state, "waiting");
    assert.equal(rows()[0].querySelector(".edit"), null);
  });

  test("a message between others moves no other row", () => {
    show([message(1), message(3)]);
    const [first, third] = rows();
    show([message(1), message(2), message(3)]);
    assert.equal(rows()[0], first);
    assert.equal(rows()[2], third);
    assert.equal(rows()[1].dataset.number, "2");
  });

  test("the buttons of one message are a stop of Tab, the arrow keys lead to the others", () => {
    show([message(1, { author: ADA }), message(2), message(3, { author: ADA })]);
    const [first, last] = $("log").querySelectorAll(".edit");
    assert.deepEqual([first.tabIndex, last.tabIndex], [-1, 0]);
    last.focus();
    fire(last, "keydown", { key: "ArrowUp" });
    assert.equal(document.activeElement, first);
    assert.deepEqual([first.tabIndex, last.tabIndex], [0, -1]);
  });

  test("a focused button that goes leaves the focus in the log", () => {
    show([message(1, { author: ADA })]);
    rows()[0].querySelector(".delete").focus();
    show([message(1, { author: ADA, version: 2, deleted: true, text: "" })]);
    assert.equal(document.activeElement, $("scroller"));
  });
});

describe("what is drawn", () => {
  const conversation = (count) => Array.from({ length: count }, (_, index) => (
    message(index + 1, { author: index % 2 ? ADA : GRACE, time: NOW.toISOString() })
  ));

  /** Returns the rows that a change touches. */
  function drawn(act) {
    const observer = new window.MutationObserver(() => {});
    observer.observe($("log"), { subtree: true, childList: true, attributes: true, characterData: true });
    act();
    const records = observer.takeRecords();
    const nodes = records.flatMap(({ target, addedNodes, removedNodes }) => (
      target === $("log") ? [...addedNodes, ...removedNodes] : [target]
    ));
    return new Set(nodes.map((node) => (node.closest ? node : node.parentElement).closest("li") ?? node));
  }

  for (const count of [20, 600]) {
    test(`a message below ${count} others takes the stop of Tab from one row, and touches no other`, () => {
      for (const author of [ADA, GRACE]) {
        const messages = conversation(count);
        show(messages);
        const added = message(count + 1, { author, time: NOW.toISOString() });
        const touched = drawn(() => show([...messages, added]));
        assert.deepEqual(touched, new Set([rows()[count - 1], rows()[count]]));
      }
    });

    test(`a change of one of ${count} touches its row alone`, () => {
      const messages = conversation(count);
      show(messages);
      messages[8] = { ...messages[8], version: count + 1, text: "another" };
      assert.deepEqual([...drawn(() => show(messages))], [rows()[8]]);
    });
  }

  test("a reaction touches nothing but the buttons below its message", () => {
    const messages = conversation(9);
    show(messages);
    const parts = [...rows()[4].children];
    const seen = new window.MutationObserver(() => {});
    seen.observe($("log"), { subtree: true, childList: true, attributes: true, characterData: true });
    messages[4] = { ...messages[4], version: 10, reactions: [reaction("👍", GRACE)] };
    show(messages);
    const list = rows()[4].querySelector(".reactions");
    assert.deepEqual(new Set(seen.takeRecords().map(({ target }) => target)), new Set([rows()[4], list]));
    assert.deepEqual([...rows()[4].children].filter((part) => part !== list), parts);
    const button = list.querySelector("button");
    button.focus();
    messages[4] = { ...messages[4], version: 11, reactions: [reaction("👍", GRACE, ADA), reaction("🎉", ADA)] };
    show(messages);
    assert.deepEqual([list.children.length, list.firstElementChild, document.activeElement], [2, button, button]);
    messages[4] = { ...messages[4], version: 12, reactions: [] };
    show(messages);
    assert.equal(rows()[4].querySelector(".reactions"), null);
    // The focus goes on in the message.
    assert.equal(document.activeElement.closest(".message"), rows()[4]);
  });

  test("what has not changed is not even looked at", () => {
    const messages = conversation(3);
    const items = (all) => itemsOf({ messages: all, entries: [], me: ADA, mark: null, mayPost: true, now: NOW });
    const before = items(messages);
    const after = items([...messages, message(4, { time: NOW.toISOString() })]);
    for (const at of [1, 2, 3]) assert.equal(after[at], before[at]);
    assert.deepEqual(drawn(() => show(messages)).size, 4);
    assert.deepEqual(drawn(() => show(messages)).size, 0);
  });

  test("whose page it is decides what is one's own", () => {
    const messages = conversation(2);
    const own = (me) => itemsOf({ messages, entries: [], me, mark: null, mayPost: true }).map((item) => item.own);
    assert.deepEqual(own(ADA).slice(1), [false, true]);
    assert.deepEqual(own(GRACE).slice(1), [true, false]);
  });
});

describe("the reader's place", () => {
  // jsdom lays nothing out: each row is 20 pixels high, and the scroller shows five of them.
  function layOut() {
    const scroller = $("scroller");
    const place = (row) => [...$("log").children].indexOf(row) * 20;
    Object.defineProperty(scroller, "clientHeight", { value: 100 });
    Object.defineProperty(scroller, "scrollHeight", { get: () => $("log").children.length * 20 });
    scroller.getBoundingClientRect = () => ({ top: 0 });
    window.HTMLLIElement.prototype.getBoundingClientRect = function rect() {
      return { top: place(this) - scroller.scrollTop };
    };
    Object.defineProperty(window.HTMLElement.prototype, "offsetHeight", { value: 20, configurable: true });
    log = new Log({ list: $("log"), scroller, newest: $("newest") });
    return scroller;
  }

  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));

  function scrollTo(scroller, top) {
    scroller.scrollTop = top;
    fire(scroller, "scroll");
  }

  test("whoever is at the end stays there", () => {
    const scroller = layOut();
    show(range(1, 20));
    const end = scroller.scrollTop;
    show(range(1, 21), { fresh: true });
    assert.equal(scroller.scrollTop, end + 20);
    assert.equal($("newest").hidden, true);
  });

  test("whoever reads further up stays there, and is told of what is new", () => {
    const scroller = layOut();
    show(range(1, 60));
    scrollTo(scroller, 600);
    show(range(1, 61), { fresh: true });
    assert.equal(scroller.scrollTop, 600);
    assert.equal($("newest").hidden, false);
    fire($("newest"), "click");
    assert.equal(log.followed, true);
    assert.equal($("newest").hidden, true);
  });

  test("earlier messages come above the place where one reads", () => {
    const scroller = layOut();
    let asked = 0;
    log.addEventListener("top", () => { asked += 1; });
    show(range(51, 90));
    const before = asked;
    scrollTo(scroller, 300);
    assert.equal(asked, before + 1);
    show(range(31, 90));
    assert.equal(scroller.scrollTop, 300 + 20 * 20);
    assert.equal($("newest").hidden, true);
  });

  test("a message that is wanted comes into the middle, with the focus, and is marked for a moment", () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const scroller = layOut();
    show(range(1, 60), { target: 30 });
    const row = rows()[29];
    // One more row is the day's.
    assert.equal(scroller.scrollTop, 30 * 20 - 40);
    assert.equal(document.activeElement, row);
    assert.ok(row.classList.contains("target"));
    assert.equal(log.followed, false);
    assert.equal(log.place, 28);
    show(range(1, 60), { target: 31 });
    assert.deepEqual(rows().filter(({ classList }) => classList.contains("target")), [rows()[30]]);
    mock.timers.tick(4000);
    assert.equal($("log").querySelector(".target"), null);
    show(range(1, 60), { target: 60 });
    assert.equal(log.followed, true);
    assert.equal($("newest").hidden, true);
    mock.timers.reset();
  });

  test("the messages around one have no end: it asks for more on both sides, or for the newest", () => {
    const scroller = layOut();
    const asked = [];
    for (const type of ["top", "bottom", "newest", "end"]) log.addEventListener(type, () => asked.push(type));
    show(range(101, 160));
    asked.length = 0;
    show(range(1, 60), { detached: true, target: 30 });
    assert.deepEqual([$("newest").hidden, $("newest").textContent], [false, "Back to the newest ↓"]);
    asked.length = 0;
    scrollTo(scroller, 1120);
    assert.deepEqual(asked, ["bottom"]);
    assert.equal(log.followed, false);
    const before = scroller.scrollTop;
    show(range(1, 80), { detached: true });
    assert.equal(scroller.scrollTop, before);
    scrollTo(scroller, 0);
    assert.equal(asked.at(-1), "top");
    fire($("newest"), "click");
    assert.ok(asked.includes("newest"));
    // They are a part of all now: the reader stays where they are.
    scrollTo(scroller, 600);
    show(range(1, 200));
    assert.equal(scroller.scrollTop, 600);
    // Something else is shown: that begins at its end.
    show(range(1, 60), { detached: true });
    show(range(301, 360));
    assert.equal(log.followed, true);
    assert.equal($("newest").hidden, true);
    show(range(1, 60), { detached: true });
    show(range(301, 361), { fresh: true, follow: true });
    assert.equal(log.followed, true);
  });

  test("one's own message leads to the end", () => {
    const scroller = layOut();
    show(range(1, 60));
    scrollTo(scroller, 600);
    show(range(1, 61), { follow: true });
    assert.equal(log.followed, true);
  });

  test("a room that one comes back to stands where one left it", () => {
    const scroller = layOut();
    show(range(1, 60));
    scrollTo(scroller, 600);
    log.show(4, [{ kind: "day", id: "day", text: "Today" }]);
    assert.equal(log.followed, true);
    show(range(1, 60));
    assert.equal(scroller.scrollTop, 600);
    assert.equal(log.followed, false);
  });

  test("what is new is shown from its beginning, where it does not fit", () => {
    const scroller = layOut();
    show([]);
    let ends = 0;
    log.addEventListener("end", () => { ends += 1; });
    show(range(1, 60), { mark: 20, toMark: true });
    assert.equal(ends, 0);
    assert.equal(log.followed, false);
    assert.equal(scroller.scrollTop, 21 * 20 - 25);
    assert.equal($("newest").hidden, false);
  });

  test("what is new and fits is shown with the end", () => {
    const scroller = layOut();
    show([]);
    show(range(1, 60), { mark: 58, toMark: true });
    assert.equal(log.followed, true);
    assert.equal(scroller.scrollTop, scroller.scrollHeight);
  });
});
