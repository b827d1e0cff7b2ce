// The search in the page's dialog, over a server that answers as a test says.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { Refused } from "../../src/chat/http.js";
import { copy, note } from "../../src/chat/note.js";
import { Search } from "../../src/chat/search.js";
import { fire, GRACE, loadPage, room } from "./page.js";

let $;
let asked;
let answers;
let current;

const hit = (number, more = {}) => ({
  room: { id: 3, kind: "public", name: "Lobby" }, number, author: GRACE,
  time: "2026-01-05T12:00:00.000Z", excerpt: ["a ", "needle", ` ${number}`], ...more,
});
const settled = () => new Promise((resolve) => { setImmediate(resolve); });
const links = () => [...$("search-list").querySelectorAll("a")];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  $ = loadPage("/rooms/3");
  [asked, answers, current] = [[], [], room()];
  const api = {
    get(path) {
      asked.push(path);
      return new Promise((resolve, reject) => answers.push({ resolve, reject }));
    },
  };
  new Search({ api, room: () => current, address: (id, number) => `/rooms/${id}?message=${number}` });
});
afterEach(() => mock.timers.reset());

/** Types something, and waits until it is asked for. */
function type(text) {
  $("search-field").value = text;
  fire($("search-field"), "input");
  mock.timers.tick(250);
}

async function answer(hits, next = null, at = answers.length - 1) {
  answers[at].resolve({ hits, next });
  await settled();
}

describe("the search is opened", () => {
  const cases = [
    [{ key: "k", ctrlKey: true }, true], [{ key: "K", metaKey: true }, true], [{ key: "/" }, true],
    // Where a slash needs the shift key.
    [{ key: "/", shiftKey: true }, true],
    [{ key: "k" }, false], [{ key: "k", ctrlKey: true, altKey: true }, false],
    [{ key: "k", ctrlKey: true, shiftKey: true }, false], [{ key: "/", ctrlKey: true }, false],
    [{ key: "f", ctrlKey: true }, false],
  ];
  for (const [keys, opens] of cases) {
    test(`${opens ? "by" : "not by"} ${JSON.stringify(keys)}`, () => {
      const event = fire(document.body, "keydown", keys);
      assert.equal($("search-dialog").open ?? false, opens);
      assert.equal(event.defaultPrevented, opens);
    });
  }

  test("by its button, with the room that is looked at to choose", () => {
    fire($("search"), "click");
    assert.ok($("search-dialog").open);
    assert.equal($("search-here-label").hidden, false);
    assert.equal($("search-here-name").textContent, "Lobby");
    fire($("search-close"), "click");
    current = null;
    fire($("search"), "click");
    assert.ok($("search-here-label").hidden);
    assert.deepEqual(asked, []);
  });

  test("by Ctrl+K where one writes, where a slash is a slash", () => {
    assert.equal(fire($("text"), "keydown", { key: "/" }).defaultPrevented, false);
    fire($("text"), "keydown", { key: "k", ctrlKey: true });
    assert.ok($("search-dialog").open);
  });

  test("not over another dialog", () => {
    $("room-dialog").setAttribute("open", "");
    assert.equal(fire(document.body, "keydown", { key: "k", ctrlKey: true }).defaultPrevented, false);
  });

  test("and closed by a click beside it", () => {
    fire($("search"), "click");
    fire($("search-field"), "pointerdown");
    assert.ok($("search-dialog").open);
    fire($("search-dialog"), "pointerdown");
    assert.ok(!$("search-dialog").open);
  });
});

describe("what is found", () => {
  beforeEach(() => fire($("search"), "click"));

  test("is text with marks, whatever it says", async () => {
    type("needle");
    await answer([
      hit(7), hit(8, { excerpt: ["<img src=x onerror=alert(1)> ", "<b>needle</b>", ""], author: { id: 5, name: "<i>" } }),
    ]);
    assert.deepEqual(asked, ["search?q=needle"]);
    assert.deepEqual(links().map((link) => link.getAttribute("href")), ["/rooms/3?message=7", "/rooms/3?message=8"]);
    assert.deepEqual(links().map((link) => link.querySelector(".excerpt").textContent), [
      "a needle 7", "<img src=x onerror=alert(1)> <b>needle</b>",
    ]);
    assert.deepEqual(links().map((link) => link.querySelector("mark").textContent), ["needle", "<b>needle</b>"]);
    assert.equal($("search-list").querySelector("img, b, i"), null);
    assert.equal($("search-note").textContent, "2 messages");
    assert.ok($("search-more").hidden);
  });

  test("is asked for once for what is typed at a time, and never for nothing", async () => {
    for (const text of ["n", "ne", "nee"]) {
      $("search-field").value = text;
      fire($("search-field"), "input");
    }
    mock.timers.tick(250);
    assert.deepEqual(asked, ["search?q=nee"]);
    await answer([]);
    assert.equal($("search-note").textContent, "No message has that.");
    type("  ");
    await settled();
    assert.equal(asked.length, 1);
    assert.equal($("search-note").textContent, "");
  });

  test("later, of what is not wanted any more, is not shown", async () => {
    type("first");
    type("second");
    await answer([hit(2)], null, 1);
    await answer([hit(1)], null, 0);
    assert.deepEqual(links().map((link) => link.getAttribute("href")), ["/rooms/3?message=2"]);
    type("third");
    type("fourth");
    answers[2].reject(new Refused("Too late.", 429));
    await settled();
    assert.equal($("search-dialog").querySelector(".error").textContent, "");
  });

  test("comes in pages, in one room if that is wanted", async () => {
    type("needle");
    await answer([hit(9), hit(8)], 40);
    assert.equal($("search-note").textContent, "The newest 2");
    assert.equal($("search-more").hidden, false);
    fire($("search-more"), "click");
    assert.equal(asked.at(-1), "search?q=needle&before=40");
    await answer([hit(7)]);
    assert.equal(links().length, 3);
    assert.equal(document.activeElement, links()[2]);
    assert.equal($("search-note").textContent, "3 messages");
    $("search-here").checked = true;
    fire($("search-here"), "change");
    assert.equal(asked.at(-1), "search?q=needle&room=3");
  });

  test("not, says why", async () => {
    type("needle");
    answers[0].reject(new Refused("That was too much at once.", 429));
    await settled();
    assert.equal($("search-dialog").querySelector(".error").textContent, "That was too much at once.");
    type("needles");
    await answer([hit(1)]);
    assert.equal($("search-dialog").querySelector(".error").textContent, "");
    assert.equal($("search-note").textContent, "1 message");
  });

  test("is gone through by the arrow keys, from the field and back", async () => {
    $("search-field").value = "needle";
    fire($("search-dialog").querySelector("form"), "submit");
    await answer([hit(2), hit(1)]);
    assert.equal(document.activeElement, links()[0]);
    fire(links()[0], "keydown", { key: "ArrowDown" });
    assert.equal(document.activeElement, links()[1]);
    fire(links()[1], "keydown", { key: "ArrowDown" });
    assert.equal(document.activeElement, links()[1]);
    for (const link of links().reverse()) fire(link, "keydown", { key: "ArrowUp" });
    assert.equal(document.activeElement, $("search-field"));
    fire($("search-field"), "keydown", { key: "ArrowDown" });
    assert.equal(document.activeElement, links()[0]);
    assert.equal(fire($("search-here"), "keydown", { key: "ArrowDown" }).defaultPrevented, false);
  });

  test("closes the search where it is followed here, and not where it opens a tab", async () => {
    type("needle");
    await answer([hit(1)]);
    window.addEventListener("click", (event) => event.preventDefault());
    fire(links()[0].querySelector("mark"), "click", { ctrlKey: true });
    assert.ok($("search-dialog").open);
    fire(links()[0].querySelector("mark"), "click");
    assert.ok(!$("search-dialog").open);
  });
});

describe("a note", () => {
  test("is shown for a moment, the last one for all of its own", () => {
    note("One.");
    mock.timers.tick(5000);
    note("Two.");
    mock.timers.tick(5000);
    assert.equal($("note").textContent, "Two.");
    mock.timers.tick(1000);
    assert.equal($("note").textContent, "");
  });

  test("says what became of a copy, or shows what could not be copied", async () => {
    const copied = [];
    Object.defineProperty(globalThis, "navigator", {
      value: { clipboard: { writeText: async (text) => copied.push(text) } }, configurable: true,
    });
    await copy("http://chat.test/rooms/3?message=5", "It is copied.");
    assert.deepEqual(copied, ["http://chat.test/rooms/3?message=5"]);
    assert.equal($("note").textContent, "It is copied.");
    Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
    await copy("http://chat.test/rooms/3?message=5", "It is copied.");
    assert.equal($("note").textContent, "http://chat.test/rooms/3?message=5");
  });
});
