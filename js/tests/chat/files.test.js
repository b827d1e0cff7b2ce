import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { shownFiles, sizeOf, wordsOf } from "../../src/chat/files.js";
import { makeRow } from "../../src/chat/row.js";
import { itemsOf } from "../../src/chat/items.js";
import { ADA, loadPage, message } from "./page.js";

const CAT = { id: "c1", name: "<b>cat</b>.jpg", size: 5_000, width: 4000, height: 3000 };
const PLAN = { id: "p2", name: "plan.pdf", size: 1_300_000 };

beforeEach(() => {
  loadPage();
  document.body.dataset.root = "/talk/";
});

test("sizes are as people read them", () => {
  const sizes = [1, 1024, 340_000, 1_300_000, 10 * 1024 ** 2, 5 * 1024 ** 3, 5000 * 1024 ** 3].map(sizeOf);
  assert.deepEqual(sizes, ["1 KB", "1 KB", "333 KB", "1.2 MB", "10 MB", "5.0 GB", "5000 GB"]);
});

test("a message in words is its text, or its files", () => {
  assert.equal(wordsOf({ text: "look", files: [CAT] }), "look");
  assert.equal(wordsOf({ text: "", files: [CAT, PLAN] }), "<b>cat</b>.jpg, plan.pdf");
  assert.equal(wordsOf({ text: "" }), "");
});

test("a picture is shown in small, with its size and name, and leads to the whole one", () => {
  const [link] = shownFiles(3, [CAT]).children;
  assert.equal(link.getAttribute("href"), "/talk/rooms/3/files/c1");
  assert.deepEqual([link.target, link.rel], ["_blank", "noopener"]);
  const img = link.querySelector("img");
  assert.equal(img.getAttribute("src"), "/talk/rooms/3/files/c1/thumbnail");
  assert.deepEqual([img.getAttribute("width"), img.getAttribute("height")], ["320", "240"]);
  assert.equal(img.alt, "<b>cat</b>.jpg");
  const [thin] = shownFiles(3, [{ ...CAT, width: 1, height: 9000 }]).children;
  assert.equal(thin.firstElementChild.getAttribute("width"), "1");
});

test("another file is a link that saves it", () => {
  const [link] = shownFiles(3, [PLAN]).children;
  assert.equal(link.download, "plan.pdf");
  assert.equal(link.textContent, "plan.pdf 1.2 MB");
});

test("a row has the files of its message, on its way too; and says so where they are gone", () => {
  const shown = itemsOf({
    room: 3, me: ADA, mark: null, mayPost: true,
    messages: [message(1, { text: "", files: [CAT, PLAN] }), message(2, { text: "" })],
    entries: [{ key: "k", type: "message", text: "", files: [PLAN], state: "sending", reason: "" }],
  }).filter(({ kind }) => kind === "message").map(makeRow);
  assert.deepEqual(shown.map((row) => row.querySelectorAll(".files a").length), [2, 0, 1]);
  assert.equal(shown[2].querySelector(".file").getAttribute("href"), "/talk/rooms/3/files/p2");
  assert.equal(shown[0].querySelector(".bubble").lastElementChild.className, "foot");
  assert.equal(shown[1].querySelector(".text").textContent, "The files of this message were removed.");
});
