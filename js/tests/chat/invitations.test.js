import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Refused } from "../../src/chat/http.js";
import { InvitationDialog } from "../../src/chat/invitations.js";
import { ADA, fire, GRACE, loadPage, room } from "./page.js";

let $;
let asked;
let links;
let mayAdmit;
let refusal;
let dialog;
let copied;

const form = () => $("invitations-dialog").querySelector("form");
const error = () => form().querySelector(".error").textContent;
const listed = () => [...$("invitations-list").querySelectorAll("li .about")].map((about) => about.textContent);

// The part of the server that the dialog talks to.
const api = {
  async get(path) {
    asked.push(["GET", path]);
    return { invitations: links, may_admit: mayAdmit };
  },
  async post(path, fields) {
    asked.push(["POST", path, fields]);
    if (refusal) throw refusal;
    const ended = /(\d+)\/revoke$/.exec(path);
    if (ended) {
      links = links.filter(({ id }) => id !== Number(ended[1]));
      return { id: Number(ended[1]) };
    }
    const made = link(9, { uses: Number(fields.uses) || null });
    links = [made, ...links];
    return { ...made, path: "/invitation/token" };
  },
};

function link(id, more = {}) {
  return { id, maker: ADA, expires: "2026-01-08T12:00:00.000Z", uses: null, used: 0, admits: false, ...more };
}

/** Waits until all that was begun is done. */
const settled = () => new Promise((resolve) => { setTimeout(resolve); });

beforeEach(() => {
  $ = loadPage("/rooms/3");
  [asked, links, mayAdmit, refusal, copied] = [[], [], false, null, []];
  Object.defineProperty(navigator, "clipboard", {
    configurable: true, value: { writeText: async (text) => { copied.push(text); } },
  });
  dialog = new InvitationDialog(api);
});

test("the links of a room are listed, with what is known of each", async () => {
  links = [link(2, { uses: 5, used: 2, admits: true, maker: GRACE }), link(1, { used: 1 })];
  mayAdmit = true;
  await dialog.open(room());
  assert.deepEqual(asked, [["GET", "rooms/3/invitations"]]);
  const [first, second] = listed();
  assert.match(first, /^By Grace.*2026.*used by 2 of 5, for new people too$/);
  assert.match(second, /^By Ada.*used by 1 person$/);
  assert.equal($("invitations-admits-field").hidden, false);
});

test("one is made, shown once, and copied", async () => {
  await dialog.open(room());
  assert.equal($("invitations-admits-field").hidden, true);
  $("invitations-uses").value = " 3 ";
  fire(form(), "submit");
  await settled();
  assert.deepEqual(asked[1], ["POST", "rooms/3/invitations", { uses: "3", admits: "false" }]);
  assert.equal($("invitations-url").value, "http://chat.test/invitation/token");
  assert.equal(document.activeElement, $("invitations-copy"));
  assert.equal(listed().length, 1);
  fire($("invitations-copy"), "click");
  await settled();
  assert.deepEqual([copied, $("invitations-note").textContent], [["http://chat.test/invitation/token"], "Copied."]);
  // Another room's dialog shows nothing of it.
  links = [];
  await dialog.open(room({ id: 4 }));
  assert.deepEqual([$("invitations-new").hidden, listed(), $("invitations-url").value], [true, [], ""]);
});

test("where the page may not copy, the link is selected", async () => {
  Object.defineProperty(navigator, "clipboard", { configurable: true, value: undefined });
  await dialog.open(room());
  fire(form(), "submit");
  await settled();
  fire($("invitations-copy"), "click");
  await settled();
  assert.match($("invitations-note").textContent, /selected/);
  assert.equal(document.activeElement, $("invitations-url"));
});

test("one is ended", async () => {
  links = [link(2), link(1)];
  await dialog.open(room());
  fire($("invitations-list").querySelector("button"), "click");
  await settled();
  assert.deepEqual(asked[1].slice(0, 2), ["POST", "rooms/3/invitations/2/revoke"]);
  assert.equal(listed().length, 1);
  assert.equal(document.activeElement, $("invitations-list").querySelector("button"));
  fire($("invitations-list").querySelector("button"), "click");
  await settled();
  assert.equal(document.activeElement, form().querySelector(".cancel"));
});

test("what is wrong is said, at its field", async () => {
  await dialog.open(room());
  refusal = new Refused("How many may use it is a number from 1 to 1000.", 400, "uses");
  fire(form(), "submit");
  await settled();
  assert.equal(error(), refusal.message);
  assert.equal($("invitations-uses").getAttribute("aria-invalid"), "true");
  refusal = null;
  fire(form(), "submit");
  await settled();
  assert.deepEqual([error(), $("invitations-uses").getAttribute("aria-invalid")], ["", "false"]);
});

test("a hostile name is text", async () => {
  links = [link(1, { maker: { id: 4, name: "<img src=x>" } })];
  await dialog.open(room());
  assert.match(listed()[0], /^By <img src=x>/);
  assert.equal($("invitations-list").querySelector("img"), null);
});
