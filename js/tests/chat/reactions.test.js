import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { itemsOf } from "../../src/chat/items.js";
import { Log } from "../../src/chat/log.js";
import { EmojiDialog } from "../../src/chat/reaction-view.js";
import { emojiOf, reactionsOf } from "../../src/chat/reactions.js";
import { ADA, fire, GRACE, loadPage, message, reaction } from "./page.js";

const EVE = { id: 3, name: "Eve" };

describe("what is shown", () => {
  const shown = (reactions, ...wishes) => reactionsOf({ reactions }, wishes, ADA)
    .map(({ emoji, count, own, names }) => [emoji, count, own, names]);

  test("how many, and who", () => {
    assert.deepEqual(shown([reaction("👍", GRACE, ADA), reaction("🎉", GRACE, EVE)]), [
      ["👍", 2, true, "You and Grace"],
      ["🎉", 2, false, "Grace and Eve"],
    ]);
    const many = { emoji: "👍", users: [2, 3, 4, 5, 1], people: [GRACE, EVE] };
    assert.deepEqual(shown([many]), [["👍", 5, true, "You, Grace, Eve, and 2 more"]]);
  });

  test("what is on its way counts already", () => {
    assert.deepEqual(shown([reaction("👍", GRACE)], { emoji: "👍", on: true }, { emoji: "🎉", on: true }), [
      ["👍", 2, true, "You and Grace"],
      ["🎉", 1, true, "You"],
    ]);
    assert.deepEqual(shown([reaction("👍", ADA)], { emoji: "👍", on: false }), []);
    // The server has it, and was asked for it once more.
    assert.deepEqual(shown([reaction("👍", ADA)], { emoji: "👍", on: true }), [["👍", 1, true, "You"]]);
  });

  test("a text is one emoji or none", () => {
    for (const one of ["👍", " 🎉 ", "❤️", "👨‍👩‍👧", "🇩🇪", "1️⃣", "👍🏽"]) assert.equal(emojiOf(one), one.trim());
    for (const none of ["", "a", "1", "👍👍", "👍 x", "👍".repeat(50)]) assert.equal(emojiOf(none), null);
  });
});

describe("in the page", () => {
  let $;
  let log;
  let wishes;

  beforeEach(() => {
    $ = loadPage();
    wishes = [];
    log = new Log({ list: $("log"), scroller: $("scroller"), newest: $("newest") });
    for (const type of ["react", "reaction"]) {
      log.addEventListener(type, ({ detail: { number, emoji } }) => wishes.push([type, number, emoji]));
    }
  });

  const rows = () => [...$("log").querySelectorAll(".message")];
  const buttons = (row) => [...row.querySelectorAll(".reaction")];

  function show(messages, { entries = [], mayPost = true } = {}) {
    log.show(3, itemsOf({ messages, entries, me: ADA, mark: null, mayPost }));
  }

  test("they are buttons that say who reacted", () => {
    show([message(1, { reactions: [reaction("👍", GRACE, ADA), reaction("🎉", EVE)] })]);
    const [thumb, party] = buttons(rows()[0]);
    assert.deepEqual([thumb.textContent, thumb.title], ["👍2", "You and Grace"]);
    assert.equal(thumb.getAttribute("aria-label"), "👍 2: You and Grace");
    assert.deepEqual([thumb, party].map((button) => button.getAttribute("aria-pressed")), ["true", "false"]);
    fire(party, "click");
    fire(rows()[0].querySelector(".react"), "click");
    assert.deepEqual(wishes, [["reaction", 1, "🎉"], ["react", 1, undefined]]);
  });

  test("a hostile name is text", () => {
    const name = "\"><img src=x onerror=alert(1)>";
    show([message(1, { reactions: [reaction("👍", { id: 4, name })] })]);
    assert.equal(buttons(rows()[0])[0].title, name);
    assert.equal($("log").querySelector("img"), null);
  });

  test("who may not write sees them only", () => {
    show([message(1, { reactions: [reaction("👍", GRACE)] })], { mayPost: false });
    assert.equal(buttons(rows()[0])[0].disabled, true);
    assert.equal(rows()[0].querySelector(".react"), null);
  });

  test("a deleted message has none", () => {
    show([message(1, { deleted: true, text: "", reactions: [] })]);
    assert.deepEqual([buttons(rows()[0]), rows()[0].querySelector(".react")], [[], null]);
  });

  test("what is on its way is shown as done, and what was refused says so", () => {
    const entry = { key: "k", type: "react", number: 1, emoji: "🎉", on: true, reason: "" };
    show([message(1)], { entries: [{ ...entry, state: "waiting" }] });
    assert.equal(buttons(rows()[0])[0].getAttribute("aria-pressed"), "true");
    assert.equal(rows()[0].querySelector(".trouble, .progress"), null);
    const reason = "A message has at most 20 different reactions.";
    show([message(1)], { entries: [{ ...entry, state: "failed", reason }] });
    assert.deepEqual(buttons(rows()[0]), []);
    assert.equal(rows()[0].querySelector(".reason").textContent, reason);
    assert.notEqual(rows()[0].querySelector(".discard"), null);
  });

  test("Tab stops at the buttons of one message, and the arrows go on to another one's", () => {
    const reactions = [reaction("👍", GRACE), reaction("🎉", GRACE)];
    show([message(1, { reactions }), message(2), message(3, { reactions })]);
    const stops = () => rows().map((row) => buttons(row).map((button) => button.tabIndex));
    assert.deepEqual(stops(), [[-1, -1], [], [0, 0]]);
    buttons(rows()[2])[1].focus();
    fire(document.activeElement, "keydown", { key: "ArrowUp" });
    assert.equal(document.activeElement, buttons(rows()[0])[0]);
    assert.deepEqual(stops(), [[0, 0], [], [-1, -1]]);
    fire(document.activeElement, "keydown", { key: "ArrowUp" });
    assert.equal(document.activeElement, buttons(rows()[0])[0]);
  });
});

describe("the dialog for an emoji", () => {
  let $;
  let chosen;

  beforeEach(() => {
    $ = loadPage();
    globalThis.innerWidth = 1200;
    globalThis.innerHeight = 800;
    chosen = [];
    new EmojiDialog().open($("newest"), (emoji) => chosen.push(emoji));
  });

  test("some are offered", () => {
    const offered = [...$("react-choices").querySelectorAll("button")];
    assert.ok(offered.every((button) => emojiOf(button.textContent) && button.getAttribute("aria-label")));
    fire(offered[1], "click");
    assert.deepEqual([chosen, $("react-dialog").open], [["❤️"], false]);
  });

  test("any other one can be written", async () => {
    const error = () => $("react-dialog").querySelector(".error").textContent;
    $("react-emoji").value = "no";
    fire($("react-dialog").querySelector("form"), "submit");
    while (!error()) await null;
    assert.equal(error(), "A reaction is one emoji.");
    $("react-emoji").value = " 🦀 ";
    await null;
    fire($("react-dialog").querySelector("form"), "submit");
    while (!chosen.length) await null;
    assert.deepEqual([chosen, $("react-dialog").open], [["🦀"], false]);
  });
});
