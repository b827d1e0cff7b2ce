import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Attachments } from "../../src/chat/attachments.js";
import { Refused } from "../../src/chat/http.js";
import { Uploads } from "../../src/chat/uploads.js";
import { fire, loadPage } from "./page.js";

let $;
let sent;
let uploads;
let view;
let room;

const settled = () => new Promise((resolve) => setImmediate(resolve));
const file = (name) => ({ name, size: 10 });

beforeEach(() => {
  $ = loadPage();
  document.body.dataset.root = "/";
  [sent, room] = [[], 3];
  uploads = new Uploads({
    send(path, body, progress) {
      const one = { progress };
      const done = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
      sent.push(one);
      return { done, abort: () => one.reject(new Refused("stopped", 0)) };
    },
    discard: async () => {},
    most: 1000,
    changed: () => view?.show(),
    complete() {},
    later() {},
  });
  view = new Attachments({ uploads, current: () => room, target: document.querySelector("main"), chosen() {} });
  view.allow(true);
});

const rows = () => [...$("attachment-list").children];
const note = () => $("attachment-note").textContent;

/** Files that come by an event of the user. */
function give(target, type, files, types = ["Files"]) {
  const event = new window.Event(type, { bubbles: true, cancelable: true });
  const data = { files: files.map(file), types };
  target.dispatchEvent(Object.assign(event, type === "paste" ? { clipboardData: data } : { dataTransfer: data }));
  return event;
}

test("each file is shown with how far it is, and can be done without", async () => {
  give($("text"), "paste", ["a.png", "b.txt"]);
  assert.deepEqual(rows().map(({ className }) => className), ["uploading", "waiting"]);
  assert.equal($("attachments").hidden, false);
  assert.equal(note(), "Uploading 2 files…");
  const [bar] = $("attachment-list").querySelectorAll("progress");
  sent[0].progress(0.25);
  assert.equal(bar.value, 0.25);
  assert.equal(bar.getAttribute("aria-label"), "Upload of a.png");
  sent[0].resolve({ id: "x1", name: "a.png", size: 2048, width: 20, height: 20 });
  await settled();
  assert.equal(rows()[0].querySelector("img").getAttribute("src"), "/rooms/3/files/x1/thumbnail");
  assert.equal(rows()[0].querySelector(".size").textContent, "2 KB");
  const cancel = rows()[1].querySelector(".remove");
  assert.equal(cancel.getAttribute("aria-label"), "Cancel b.txt");
  fire(cancel, "click");
  await settled();
  assert.deepEqual(rows().map(({ className }) => className), ["ready"]);
  assert.equal(note(), "1 file ready to send");
  // In another room it is not shown.
  room = 4;
  view.show();
  assert.equal($("attachments").hidden, true);
});

test("what failed says why, and is tried again", async () => {
  give($("text"), "paste", ["a.png"]);
  sent[0].reject(new Refused("There is no room.", 503));
  await settled();
  assert.equal(rows()[0].querySelector(".reason").textContent, "There is no room.");
  assert.equal(note(), "Not every file can be sent.");
  const button = rows()[0].querySelector(".retry");
  button.focus();
  fire(button, "click");
  assert.equal(rows()[0].className, "uploading");
  assert.ok(rows()[0].contains(document.activeElement));
  sent[1].reject(new Refused("That picture is damaged.", 415));
  await settled();
  assert.equal(rows()[0].querySelector(".retry"), null);
});

test("it says what a message waits for", () => {
  give($("text"), "paste", ["a.png"]);
  uploads.ready(3);
  assert.equal(note(), "Your message goes out when its files are uploaded.");
  uploads.connected = false;
  assert.equal(note(), "Not connected: the upload goes on later.");
});

test("files are dropped and pasted, and text is left alone", () => {
  const main = document.querySelector("main");
  assert.equal(give(main, "dragover", []).defaultPrevented, true);
  assert.ok(main.classList.contains("dropping"));
  assert.equal(give(main, "drop", ["a.txt"]).defaultPrevented, true);
  assert.ok(!main.classList.contains("dropping"));
  assert.equal(rows().length, 1);
  assert.equal(give(main, "drop", [], ["text/plain"]).defaultPrevented, false);
  assert.equal(give($("text"), "paste", ["a.png"], ["text/plain", "Files"]).defaultPrevented, false);
  give(main, "dragover", []);
  fire(main, "dragleave");
  assert.ok(!main.classList.contains("dropping"));
  // Where one may not write, nothing is taken.
  view.allow(false);
  assert.equal($("attach").hidden, true);
  assert.equal(give(main, "dragover", []).defaultPrevented, true);
  assert.ok(!main.classList.contains("dropping"));
  assert.equal(give(main, "drop", ["b.txt"]).defaultPrevented, true);
  assert.equal(rows().length, 1);
});

test("the button opens the browser's own dialog, whose files are taken", () => {
  const input = $("attach-input");
  let opened = 0;
  input.addEventListener("click", () => { opened += 1; });
  fire($("attach"), "click");
  assert.equal(opened, 1);
  Object.defineProperty(input, "files", { value: [file("a.txt")] });
  fire(input, "change");
  assert.equal(rows().length, 1);
});
