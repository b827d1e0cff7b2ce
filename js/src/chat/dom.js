// The few things that every part of the page does with the document.

/** @import { Elements } from "./elements.js" */

/**
 * Makes an element: `make("button", { class: "quiet", type: "button" }, "Close")`.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes] true: without
 *   a value; false, null, undefined: none.
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, String(value));
    }
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes a picture of one path in a square of 24.
 *
 * @param {string} path
 */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

/**
 * Gives a parent these children in this order; those that are there already stay untouched.
 *
 * @param {Element} parent
 * @param {Element[]} children
 */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let place = parent.firstElementChild;
  for (const child of children) {
    if (child === place) place = child.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

/**
 * Returns an element of the page by its id, which the template holds.
 *
 * @template {keyof Elements} Id
 * @param {Id} id
 */
export const $ = (id) => /** @type {Elements[Id]} */ (
  document.getElementById(id));

/**
 * Sets a text only where it differs, so that it is not read out again.
 *
 * @param {Element | null} element null: where there is none, nothing is set.
 * @param {string} text
 */
export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/**
 * The same colour for a person wherever the name appears: a hue in degrees.
 *
 * @param {string} name
 */
export function hueOf(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return (hash * 137) % 360;
}

/**
 * The first letter of a name, for the round picture of a person.
 *
 * @param {string} name
 */
export function initialOf(name) {
  const trimmed = name.trim();
  const first = Intl.Segmenter
    ? [...new Intl.Segmenter().segment(trimmed)][0]?.segment
    : [...trimmed][0];
  return (first ?? "?").toUpperCase();
}

/**
 * Makes the round picture of a person.
 *
 * @param {string} name
 */
export function face(name) {
  const made = make("span", { class: "face", "aria-hidden": "true" }, initialOf(name));
  made.style.setProperty("--hue", String(hueOf(name)));
  return made;
}

/**
 * Makes the round picture of a person who may be here: an ancestor's data-online says it.
 *
 * @param {string} name
 */
export function presentFace(name) {
  return make("span", { class: "face-holder" }, face(name));
}

/**
 * Returns the element that matches a selector where an event of the user happened, or null.
 *
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function within({ target }, selector) {
  return /** @type {Element} */ (target).closest(selector);
}

/**
 * Whether a click is the page's: with a modifier the browser opens a tab or a window.
 *
 * @param {MouseEvent} event
 */
export const isPlain = ({ button, altKey, ctrlKey, metaKey, shiftKey }) => (
  !button && !altKey && !ctrlKey && !metaKey && !shiftKey);
