// The response that carries several sessions, as its client sees it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MUX, Mux } from "../../src/client/mux.js";
import { FakeHost } from "./page.js";

const KEY = "k".repeat(22);
const ID = "i".repeat(22);
const WELCOME = 'r{"from":1,"received":0}';

function begun(way = "xhr_streaming") {
  const host = new FakeHost();
  const told = [];
  const mux = new Mux(host, `http://host/chat/~r1-home/${"s".repeat(22)}/${way}?q=1`, KEY, ID, {
    live: () => told.push(["live"]),
    lines: (lines) => told.push(["lines", ...lines]),
    part: () => told.push(["part"]),
    forgotten: () => told.push(["forgotten"]),
    over: (status, held) => told.push(["over", status, held]),
  });
  return { host, told, mux };
}

test("it has an id of its own in the URL, and its key in the body", () => {
  const { host } = begun();
  assert.equal(host.asked[0].url, `http://host/chat/~r1-home/${ID}/xhr_streaming?q=1`);
  assert.deepEqual(host.asked[0].body, { mux: KEY });
});

test("lines that came together are told together", async () => {
  const { host, told, mux } = begun();
  const [stream] = host.asked;
  assert.equal(mux.live, false);
  stream.on._part();
  stream.on._line(MUX);
  assert.equal(mux.live, true);
  stream.on._line(`12 ${WELCOME}`);
  stream.on._line("7 ");
  await null;
  assert.deepEqual(told, [["live"], ["lines", [12, WELCOME], [7, ""]]]);
  stream.on._part();
  await null;
  assert.deepEqual(told.at(-1), ["part"]);
  host.tick(60e3);
  assert.equal(told.length, 3);
});

test("one response follows the other", async () => {
  const { host, told } = begun("xhr");
  host.answer(host.asked[0], MUX);
  host.answer(host.newest("xhr"), `3 ${WELCOME}`);
  await null;
  assert.equal(host.asked.length, 3);
  assert.deepEqual(told, [["live"], ["lines", [3, WELCOME]]]);
});

test("a server that has forgotten it begins anew", () => {
  const { host, told } = begun("xhr");
  host.answer(host.asked[0], MUX);
  host.answer(host.newest("xhr"), MUX);
  assert.deepEqual(told, [["live"], ["forgotten"], ["live"]]);
});

test("it is over where it breaks, is refused, or brings nothing", async () => {
  for (const [first, end, told] of [
    [[MUX], (host, one) => host.fail(one), [["live"], ["over", 0, false]]],
    [[MUX], (host, one) => host.answer(one), [["live"], ["over", 200, false]]],
    [[], (host, one) => host.refuse(one, 400), [["over", 400, false]]],
    [[], (host, one) => host.answer(one, WELCOME), [["over", 0, false]]],
  ]) {
    const all = begun("xhr");
    if (first.length) all.host.answer(all.host.asked[0], ...first);
    end(all.host, all.host.newest("xhr"));
    await null;
    assert.deepEqual(all.told, told);
  }
});

test("what holds a stream back is told after four seconds", () => {
  const { host, told } = begun();
  host.tick(3999);
  assert.deepEqual(told, []);
  host.tick(1);
  assert.deepEqual(told, [["over", 0, true]]);
  assert.equal(host.asked[0].over, true);
});

test("nothing is told behind its end", async () => {
  const { host, told, mux } = begun();
  host.asked[0].on._line(MUX);
  host.asked[0].on._line("1 h");
  mux.close();
  await null;
  assert.deepEqual(told, [["live"], ["lines", [1, "h"]]]);
  assert.equal(host.asked[0].over, true);
});
