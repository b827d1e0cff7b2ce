// A block of code, with a button that copies it.

import { make, setText } from "./dom.js";

// Milliseconds that the button says what it did.
const SAID = 2000;

/**
 * Makes the block.
 *
 * @param {string} code
 */
export function codeBlock(code) {
  const shown = code.replace(/\n$/, "");
  const button = make("button", { class: "copy", type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    setText(button, await copy(block, shown) ? "Copied" : "Not copied");
    setTimeout(() => setText(button, "Copy"), SAID);
  });
  // Whoever has no mouse scrolls it by the keys.
  const block = make("pre", { tabindex: 0, role: "group", "aria-label": "Code", dir: "ltr" },
    make("code", {}, shown));
  return make("div", { class: "code" }, block, button);
}

/**
 * @param {Element} block
 * @param {string} text
 */
async function copy(block, text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https there is no clipboard, and its user may forbid it. What is selected can be copied by hand.
    getSelection()?.selectAllChildren(block);
    return document.execCommand?.("copy") ?? false;
  }
}
