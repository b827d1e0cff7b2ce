// Texts with markup: what is shown of them, that nothing else comes of them, and what it takes.

import assert from "node:assert/strict";
import { Session } from "node:inspector/promises";
import { before, beforeEach, describe, test } from "node:test";
import { addressAt } from "../../src/chat/links.js";
import { isMarkup, isReady, load, plain, textElement, whenReady } from "../../src/chat/markdown.js";
import { makeParser } from "../../src/chat/markdown-parser.js";
import { fire, loadPage } from "./page.js";

const LONGEST = 4000;

beforeEach(() => loadPage());

const html = (text) => textElement(text).outerHTML
  .replaceAll(' rel="noopener noreferrer nofollow" target="_blank"', "").replaceAll(' dir="auto"', "");
const inside = (text) => html(text).replace(/^<\w+ class="text[^>]*>|<\/\w+>$/g, "");

test("until markup can be read a text is shown as it was written; then the page is told", async () => {
  let woken = 0;
  whenReady(() => { woken += 1; });
  assert.equal(isReady(), false);
  assert.equal(inside("no markup"), "no markup");
  assert.equal(inside("**bold**"), "**bold**");
  assert.equal(plain("**bold**"), "**bold**");
  await load();
  assert.deepEqual([isReady(), woken], [true, 1]);
  assert.equal(inside("**bold**"), "<strong>bold</strong>");
});

describe("what can be written", () => {
  const ofOneParagraph = {
    "**bold** and __bold__": "<strong>bold</strong> and <strong>bold</strong>",
    "*italic* and _italic_": "<em>italic</em> and <em>italic</em>",
    "~~gone~~ ~kept~": "<s>gone</s> ~kept~",
    "`a*b*c` and ``a`b``": "<code>a*b*c</code> and <code>a`b</code>",
    "***both***": "<em><strong>both</strong></em>",
    "\\*not\\* and a\\b": "*not* and a\\b",
    "snake_case_name 2 * 3 * 4": "snake_case_name 2 * 3 * 4",
    "one\ntwo  \n  three *x*": "one\ntwo  \n  three <em>x</em>",
    "first *x*\n\n\nsecond": "first <em>x</em>\n\n\nsecond",
    "[text](https://a.example/b)": '<a href="https://a.example/b" title="https://a.example/b">text</a>',
    "[**x** y](mailto:a@b.example)": '<a href="mailto:a@b.example" title="mailto:a@b.example"><strong>x</strong> y</a>',
    "*see* https://a.example/b_c_d_(e).":
      '<em>see</em> <a href="https://a.example/b_c_d_(e)">https://a.example/b_c_d_(e)</a>.',
    "**https://a.example/x**": '<strong><a href="https://a.example/x">https://a.example/x</a></strong>',
  };
  for (const [text, expected] of Object.entries(ofOneParagraph)) {
    test(JSON.stringify(text), () => {
      assert.equal(inside(text), expected);
      assert.equal(textElement(text).nodeName, "P");
    });
  }

  const blocks = {
    "> quoted\n> *twice*\n\nsaid": "<blockquote><p>quoted\n<em>twice</em></p></blockquote><p>said</p>",
    "- one\n- two": "<ul><li>one</li><li>two</li></ul>",
    "3. one\n4. two": '<ol start="3"><li>one</li><li>two</li></ol>',
    "- one\n  - two": "<ul><li>one<ul><li>two</li></ul></li></ul>",
    "so:\n* one": "<p>so:</p><ul><li>one</li></ul>",
  };
  for (const [text, expected] of Object.entries(blocks)) {
    test(JSON.stringify(text), () => {
      assert.equal(inside(text), expected);
      assert.equal(textElement(text).nodeName, "DIV");
    });
  }

  test("a block of code is what was written, and can be copied", async () => {
    const copied = [];
    Object.defineProperty(navigator, "clipboard", {
      configurable: true, value: { writeText: async (text) => copied.push(text) },
    });
    const element = textElement("so:\n```js\nif (a < b) {\n\n  *c*\n}\n```\nyes");
    assert.equal(element.querySelector("pre code").textContent, "if (a < b) {\n\n  *c*\n}");
    assert.equal(element.querySelector("pre").tabIndex, 0);
    assert.equal(element.lastElementChild.textContent, "yes");
    const button = element.querySelector("button.copy");
    assert.equal(button.textContent, "Copy");
    fire(button, "click");
    await new Promise((resolve) => { setImmediate(resolve); });
    assert.deepEqual(copied, ["if (a < b) {\n\n  *c*\n}"]);
    assert.equal(button.textContent, "Copied");
  });

  test("nothing of it is lost, be it finished or not", () => {
    const cases = {
      "```js\nx": "x", "```\n": "", "```hello": "hello", "```hello there\nx\n```": "hello there\nx", "~~~c++\nx\n~~~": "x",
    };
    for (const [text, shown] of Object.entries(cases)) {
      assert.equal(textElement(text).querySelector("pre").textContent, shown);
      assert.equal(plain(text), shown.replace("\n", " "));
    }
  });

  test("where there is no clipboard the code is selected, and says so", async () => {
    Object.defineProperty(navigator, "clipboard", { configurable: true, value: undefined });
    globalThis.getSelection = () => window.getSelection();
    const element = textElement("```\ncode\n```");
    document.body.append(element);
    fire(element.querySelector("button"), "click");
    await new Promise((resolve) => { setImmediate(resolve); });
    assert.equal(window.getSelection().toString(), "code");
    assert.equal(element.querySelector("button").textContent, "Not copied");
  });

  test("what is not in the subset stays as it was written", () => {
    for (const text of [
      "# heading", "heading\n===", "heading\n---", "---", "***", "![x](https://a.example/x.png)".slice(1),
      "a | b\n- | -", "[a]: https://a.example/", "    indented *", "&amp; &lt; &#42;", "[x]", "[x]()", "[ ](https://a.example/)",
    ]) assert.equal(textElement(text).querySelector("h1, h2, hr, img, table"), null, text);
    for (const text of ["# heading *", "heading*\n===", "---", "&amp; &#42; *", "[x]()", "* * *x".slice(4)]) {
      assert.equal(textElement(text).textContent, text);
    }
  });
});

describe("what comes of a hostile text", () => {
  const hostile = [
    "**<script>alert(1)</script>**", "<b onclick=alert(1)>*x*</b>", "*&lt;script&gt;* &#106;avascript",
    "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](java\nscript:alert(1))", "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))", "[x](data:text/html,<script>alert(1)</script>)", "[x](vbscript:x)",
    "[x](file:///etc/passwd)", "[x](//a.example)", "[x](/rooms/1)", "[x](https:)", "[x](\\u0001javascript:alert(1))",
    "[x]( javascript:alert(1) )", "[x](<javascript:alert(1)>)", "<javascript:alert(1)>", "<https://a.example/*x*>",
    '[x](https://a.example/"onclick="alert(1))', "[x](https://a.example 'title\" onclick=alert(1)')",
    "![x](https://a.example/track.png)", "`<img src=x onerror=alert(1)>`", "```\n</code></pre><script>alert(1)</script>\n```",
    "```<script>\nx\n```", "> <iframe src=https://a.example>", "- <svg/onload=alert(1)>", "[x][y]\n\n[y]: javascript:alert(1)",
    "[a](https://a.example/[b](javascript:alert(1)))", "[![x](javascript:alert(1))](https://a.example)",
  ];
  for (const text of hostile) {
    test(JSON.stringify(text), () => assertHarmless(textElement(text)));
  }

  test("a link says where it leads", () => {
    for (const text of [
      "[https://bank.example/](https://evil.example/)", "[go to https://bank.example/ now](https://evil.example/)",
      "[\u202egnp.exe](https://evil.example/)", "[x](https://a.example/\u202egnp)", "[](https://evil.example/)",
    ]) {
      const links = [...textElement(text).querySelectorAll("a")];
      for (const link of links) assert.equal(link.textContent, link.getAttribute("href"), text);
      assert.doesNotMatch(links.map((link) => link.textContent).join(""), /[\u202a-\u202e]/);
      assert.equal(textElement(text).textContent, text);
    }
    assert.equal(textElement("[https://a.example/](https://a.example/)").querySelectorAll("a").length, 1);
    assert.equal(textElement("*x* https://a.example/\u202egnp").querySelector("a").textContent, "https://a.example/");
  });

  test("random texts", () => {
    const parts = [
      "*", "**", "_", "~~", "`", "```", "\n", "\n\n", "> ", "- ", "1. ", "[", "](", ")", "]", "!", "\\", "<", ">", "&", ":",
      " ", "a", "bc", "https://a.example/", "javascript:", "<script>", "onclick=", "\u202e", "\u00a0", "𝒳", "שלום", "\t", "|", "#",
    ];
    const random = generator(17);
    for (let round = 0; round < 1500; round += 1) {
      const text = Array.from({ length: 1 + random(60) }, () => parts[random(parts.length)]).join("");
      const element = textElement(text);
      assertHarmless(element);
      // Whatever becomes of the marks, what was said is there.
      if (!/`|~~~/.test(text)) {
        const letters = (all) => all.replace(/[^\p{L}]/gu, "");
        assert.equal(letters(element.textContent), letters(text), JSON.stringify(text));
      }
      assert.doesNotMatch(plain(text), /\n/);
    }
  });
});

/** Returns a generator of whole numbers below a bound: the same ones each time. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

const ATTRIBUTES = {
  A: ["href", "rel", "target", "title"], BUTTON: ["class", "type"], DIV: ["class", "dir"], OL: ["dir", "start"],
  PRE: ["aria-label", "dir", "role", "tabindex"], P: ["class", "dir"], LI: [], BLOCKQUOTE: ["dir"],
  CODE: [], EM: [], S: [], STRONG: [], UL: ["dir"],
};

function assertHarmless(element) {
  for (const one of [element, ...element.querySelectorAll("*")]) {
    assert.ok(Object.hasOwn(ATTRIBUTES, one.nodeName), one.outerHTML);
    for (const { name } of one.attributes) assert.ok(ATTRIBUTES[one.nodeName].includes(name), one.outerHTML);
    if (one.nodeName === "A") {
      assert.match(one.href, /^(https?:\/\/|mailto:)/);
      assert.deepEqual([one.rel, one.target], ["noopener noreferrer nofollow", "_blank"]);
      assert.equal(one.parentElement.closest("a"), null);
    }
  }
}

test("a text without its markup is what notifications and quotes show", () => {
  const cases = {
    "**bold** `code`\nnext": "bold code next",
    "> quoted\n\n- one\n- two": "quoted one two",
    "a\n```\nb\n```": "a b",
    "```js\nf(*x*);\n```": "f(*x*);",
    "[text](https://a.example/) https://b.example/": "text https://b.example/",
    "no  markup": "no markup",
    "<b>x</b> *y*": "<b>x</b> y",
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(plain(text), expected);
});

describe("what it takes", () => {
  const many = (part) => part.repeat(Math.ceil(LONGEST / part.length)).slice(0, LONGEST);
  const texts = Object.fromEntries([
    ">", "> ", "[", "![", "[a](", "[]()", "*", "*a", "**a*", "*a **b ", "_", "~~a~", "`", "`a``b```", "- ", "1. ", "- a\n", "> a\n",
    "a\n\n", "\\", "http://a", "http://[", "https://a.example/](", "\n", " ", "<", "```\n", "*[`~_", "(", "a", "\t", "\u202e", "[a](https://b ", "&",
  ].map((part) => [part, many(part)]));
  texts["brackets in brackets"] = "[".repeat(LONGEST / 2) + "]".repeat(LONGEST / 2);
  texts["lines below many quotes"] = `${">".repeat(LONGEST / 2)}a\n${"b\n".repeat(LONGEST / 4 - 1)}`;
  texts["lists in lists"] = Array.from({ length: 85 }, (_, depth) => `${" ".repeat(depth)}- a`).join("\n");

  // Of functions, for each character: what is done again and again for the same one would be far more.
  const CALLS = 120;
  const inspector = new Session();
  let parse;

  before(async () => {
    parse = makeParser({ addressAt, isAllowed: (address) => address.startsWith("http") });
    inspector.connect();
    await inspector.post("Profiler.enable");
  });

  /** Counts the functions of scripts that are called meanwhile. */
  async function callsOf(act) {
    await inspector.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    act();
    const { result } = await inspector.post("Profiler.takePreciseCoverage");
    await inspector.post("Profiler.stopPreciseCoverage");
    return result.filter(({ url }) => url.startsWith("file:"))
      .flatMap(({ functions }) => functions).reduce((sum, { ranges: [{ count }] }) => sum + count, 0);
  }

  for (const [name, text] of Object.entries(texts)) {
    test(`of ${JSON.stringify(name)} as often as it fits`, async () => {
      assert.ok(text.length <= LONGEST);
      const calls = await callsOf(() => parse(text));
      assert.ok(calls <= CALLS * LONGEST, `${calls} calls`);
      const element = textElement(text);
      assertHarmless(element);
      const nodes = element.querySelectorAll("*");
      assert.ok(nodes.length <= 2 * LONGEST, `${nodes.length} elements`);
      for (const node of nodes) {
        let depth = 0;
        for (let up = node; up !== element; up = up.parentElement) depth += 1;
        assert.ok(depth <= 50, `${depth} deep`);
      }
    });
  }

  test("what nests too deep, or has too many marks, is shown as it was written", () => {
    for (const text of [`${"> ".repeat(40)}end`, `${"- ".repeat(40)}end`, many("*a"), `${many("[").slice(2)}*x`]) {
      assert.equal(textElement(text).textContent, text);
      assert.equal(textElement(text).children.length, 0);
    }
    // Not where they are those of code.
    const code = `\`\`\`\n${"*[]\n".repeat(900)}\`\`\``;
    assert.ok(code.length <= LONGEST);
    assert.equal(textElement(code).querySelector("pre").textContent, "*[]\n".repeat(900).trimEnd());
  });

  test("what has no markup is not read", async () => {
    for (const text of ["hello", "https://a.example/x", "a - b", "1.5", "(x)", "a > b", "שלום", "two\nlines"]) {
      assert.equal(isMarkup(text), false, text);
    }
    assert.equal(await callsOf(() => plain("hello")) < 10, true);
  });
});
