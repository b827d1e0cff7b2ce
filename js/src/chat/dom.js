// The few things that every part of the page does with the document.

/** Makes an element: `make("button", { class: "quiet", type: "button" }, "Close")`. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** Makes a picture of one path in a square of 24. */
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

/** Gives a parent these children in this order; those that are there already stay untouched. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let place = parent.firstElementChild;
  for (const child of children) {
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

/** Sets a text only where it differs, so that it is not read out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The same colour for a person wherever the name appears: a hue in degrees. */
export function hueOf(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return (hash * 137) % 360;
}

/** The first letter of a name, for the round picture of a person. */
export function initialOf(name) {
  const trimmed = name.trim();
  const first = Intl.Segmenter
    ? [...new Intl.Segmenter().segment(trimmed)][0]?.segment
    : [...trimmed][0];
  return (first ?? "?").toUpperCase();
}

/** Makes the round picture of a person. */
export function face(name) {
  const made = make("span", { class: "face", "aria-hidden": "true" }, initialOf(name));
  made.style.setProperty("--hue", hueOf(name));
  return made;
}

/** Makes the round picture of a person who may be here: an ancestor's data-online says it. */
export function presentFace(name) {
  return make("span", { class: "face-holder" }, face(name));
}
