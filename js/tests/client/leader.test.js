// Who leads, and who hears that others are gone.

import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { Election, Roll } from "../../src/client/leader.js";
import { Browser, Locks } from "./locks.js";
import { FakeHost } from "./page.js";

function candidate(browser, told, name) {
  const locks = new Locks(browser);
  const election = new Election(locks, "lock", {
    led: () => told.push(`${name} leads`),
    deposed: () => told.push(`${name} was deposed`),
  });
  return { locks, election };
}

test("the next one leads when the first one leaves, or is gone", async () => {
  const browser = new Browser();
  const told = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => candidate(browser, told, name));
  for (const { election } of [a, b, c]) election.stand();
  await turn();
  assert.deepEqual(told, ["a leads"]);
  assert.deepEqual([a, b, c].map(({ election }) => election.leads), [true, false, false]);
  a.election.leave();
  await turn();
  assert.deepEqual(told, ["a leads", "b leads"]);
  assert.equal(a.election.leads, false);
  b.locks.crash();
  await turn();
  assert.deepEqual(told, ["a leads", "b leads", "c leads"]);
});

test("who is deposed stands again", async () => {
  const browser = new Browser();
  const told = [];
  const [a, b] = ["a", "b"].map((name) => candidate(browser, told, name));
  a.election.stand();
  b.election.stand();
  await turn();
  b.election.steal();
  await turn();
  // In whatever order.
  assert.deepEqual(told.slice(1).sort(), ["a was deposed", "b leads"]);
  b.election.leave();
  await turn();
  assert.equal(told.at(-1), "a leads");
});

test("who has withdrawn never leads", async () => {
  const browser = new Browser();
  const told = [];
  const [a, b] = ["a", "b"].map((name) => candidate(browser, told, name));
  a.election.stand();
  a.election.leave();
  b.election.stand();
  await turn();
  b.election.leave();
  await turn();
  assert.deepEqual(told, ["b leads"]);
});

test("the roll tells who is gone without a word", async () => {
  const browser = new Browser();
  const leader = new Locks(browser);
  const tabs = ["a", "b", "c"].map((name) => {
    const locks = new Locks(browser);
    locks.request(name, () => new Promise(() => {}));
    return locks;
  });
  let gone = 0;
  const host = new FakeHost();
  const roll = new Roll(host, leader, () => gone++);
  for (const name of ["a", "b", "c", "a"]) roll.add(name);
  await turn();
  tabs[0].crash();
  await turn();
  assert.equal(gone, 0);
  host.tick(500);
  assert.equal(gone, 1);
  // Before it, or a little later.
  roll.remove("b");
  roll.remove("unknown");
  tabs[1].crash();
  tabs[2].crash();
  await turn();
  roll.clear();
  host.tick(500);
  assert.equal(gone, 1);
});
