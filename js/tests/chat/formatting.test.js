// The keys that mark the selection in the field.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { format } from "../../src/chat/formatting.js";
import { loadPage } from "./page.js";

let field;
let inputs;

beforeEach(() => {
  field = loadPage()("text");
  inputs = 0;
  field.addEventListener("input", () => { inputs += 1; });
});

/** Writes a text in which [ and ] say what is selected; returns the same after a key. */
function after(text, key, more = { ctrlKey: true }) {
  field.value = text.replace(/[[\]]/g, "");
  field.setSelectionRange(text.indexOf("["), text.indexOf("]") - 1);
  const taken = format(field, { key, ...more });
  const { value, selectionStart: start, selectionEnd: end } = field;
  return taken ? `${value.slice(0, start)}[${value.slice(start, end)}]${value.slice(end)}` : null;
}

test("a key marks what is selected, and takes the mark away again", () => {
  for (const [key, mark] of [["b", "**"], ["i", "*"], ["e", "`"], ["B", "**"]]) {
    assert.equal(after("say [it] now", key), `say ${mark}[it]${mark} now`);
    assert.equal(after(`say ${mark}[it]${mark} now`, key), "say [it] now");
    assert.equal(after("[]", key), `${mark}[]${mark}`);
    assert.equal(after(`${mark}[]${mark}`, key), "[]");
  }
  assert.ok(inputs > 0);
});

test("bold is not taken for italic", () => {
  assert.equal(after("**[it]**", "i"), "***[it]***");
  assert.equal(after("***[it]***", "i"), "**[it]**");
  assert.equal(after("***[it]***", "b"), "*[it]*");
});

test("other keys are not taken", () => {
  for (const more of [
    {}, { metaKey: true }, { ctrlKey: true, altKey: true }, { ctrlKey: true, shiftKey: true }, { ctrlKey: true, metaKey: true },
  ]) assert.equal(after("say [it]", "b", more), null);
  assert.equal(after("say [it]", "k"), null);
  assert.equal(after("say [it]", "constructor"), null);
});

test("where Control moves the caret, Command marks", () => {
  Object.defineProperty(navigator, "platform", { value: "MacIntel", configurable: true });
  assert.equal(after("[it]", "b", { metaKey: true }), "**[it]**");
  assert.equal(after("[it]", "b", { ctrlKey: true }), null);
});
