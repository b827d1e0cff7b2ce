// The keys that mark the selection in the field as bold, italic or code.

/** @type {Record<string, string>} */
const MARKS = { b: "**", i: "*", e: "`" };

// There Control and a letter move the caret.
const usesCommand = () => /Mac|iP/.test(navigator.platform);

/**
 * Does what a key does to a field; returns whether it was one of these.
 *
 * @param {HTMLTextAreaElement} field
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">} event
 */
export function format(field, { key, ctrlKey, metaKey, altKey, shiftKey }) {
  const [wanted, other] = usesCommand() ? [metaKey, ctrlKey] : [ctrlKey, metaKey];
  const letter = key.toLowerCase();
  if (!Object.hasOwn(MARKS, letter) || !wanted || other || altKey || shiftKey) return false;
  wrap(field, MARKS[letter]);
  return true;
}

/**
 * Puts a mark on both sides of the selection, or takes it away.
 *
 * @param {HTMLTextAreaElement} field
 * @param {string} mark
 */
function wrap(field, mark) {
  const { value, selectionStart: start, selectionEnd: end } = field;
  const { length } = mark;
  const inner = value.slice(start, end);
  // "*" within "**" is no mark of its own.
  const isMarked = value.slice(start - length, start) === mark && value.slice(end, end + length) === mark
    && (mark !== "*" || value.slice(start - 2, start) !== "**" || value.slice(start - 3, start) === "***");
  if (isMarked) {
    field.setSelectionRange(start - length, end + length);
    replace(field, inner);
    field.setSelectionRange(start - length, end - length);
  } else {
    replace(field, mark + inner + mark);
    field.setSelectionRange(start + length, end + length);
  }
}

/**
 * Writes in place of the selection.
 *
 * @param {HTMLTextAreaElement} field
 * @param {string} text
 */
function replace(field, text) {
  // In this way the user can undo it; it is not everywhere, and says so.
  if (document.execCommand?.("insertText", false, text)) return;
  field.setRangeText(text);
  field.dispatchEvent(new window.Event("input", { bubbles: true }));
}
