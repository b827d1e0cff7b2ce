// The list of what was said. Texts and names enter the page as text, never as markup.

// Rows that are kept; the oldest give way.
const MOST = 500;
// Messages of one person that follow within that time (milliseconds) share one heading.
const TOGETHER = 5 * 60 * 1000;
// Pixels from the end at which the reader counts as being there.
const NEAR = 48;

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "numeric", minute: "2-digit",
});
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function timeOf(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const time = element("time", "time", (today ? clock : calendar).format(date));
  time.dateTime = iso;
  time.title = exact.format(date);
  return time;
}

// The same colour for a name wherever it appears.
function hueOf(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return (hash * 137) % 360;
}

export class Log {
  #list;
  #scroller;
  #newest;
  #known = new Set();
  #pending = new Map();
  #quiet = false;
  #followed = true;
  me = null;

  constructor({ list, scroller, newest }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#newest = newest;
    const size = () => `${scroller.clientWidth} ${scroller.clientHeight}`;
    let known = size();
    scroller.addEventListener("scroll", () => {
      // A new size scrolls too (the on-screen keyboard, a growing text field): that was no reader.
      if (size() !== known) return;
      this.#followed = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
      if (this.#followed) newest.hidden = true;
    }, { passive: true });
    newest.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => {
      known = size();
      if (this.#followed) this.toEnd();
    }).observe(scroller);
  }

  /** Shows a message that the server told; one that is shown already is left alone. */
  message({ id, key, name, text, time }) {
    const own = key && this.#pending.get(key);
    if (own) {
      own.remove();
      this.#pending.delete(key);
    }
    if (this.#known.has(id)) return;
    this.#known.add(id);
    const row = this.#row(name, text, timeOf(time));
    row.dataset.id = id;
    this.#add(row, name === this.me);
  }

  /** Shows a message of one's own that the server did not tell yet. */
  pending(key, name, text) {
    const row = this.#row(name, text, element("span", "time", "sending…"));
    row.classList.add("pending");
    // It is read out when the server tells it.
    row.setAttribute("aria-hidden", "true");
    this.#pending.set(key, row);
    this.#list.append(row);
    this.#join(row);
    this.toEnd();
  }

  /** Marks a message of one's own as refused. */
  fail(key, why) {
    const row = this.#pending.get(key);
    if (!row) return;
    this.#pending.delete(key);
    row.classList.replace("pending", "failed");
    row.removeAttribute("aria-hidden");
    row.querySelector(".time").textContent = `not sent: ${why}`;
  }

  /** Shows what happened in the room. */
  note({ name, time }, what) {
    const row = element("li", "note");
    if (name) row.append(element("bdi", "", name), " ");
    row.append(`${what} `);
    if (time) row.append(timeOf(time));
    this.#add(row, false);
  }

  /** Adds many rows without having them read out one by one. */
  quietly(act) {
    this.#list.setAttribute("aria-live", "off");
    this.#quiet = true;
    act();
    this.#quiet = false;
    requestAnimationFrame(() => this.#list.removeAttribute("aria-live"));
  }

  /** Scrolls to the newest row. */
  toEnd() {
    this.#followed = true;
    this.#newest.hidden = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** Empties the list. */
  clear() {
    this.#list.replaceChildren();
    this.#known.clear();
    this.#pending.clear();
    this.toEnd();
  }

  #row(name, text, time) {
    const row = element("li", name === this.me ? "message own" : "message");
    row.dataset.name = name;
    row.style.setProperty("--hue", hueOf(name));
    const face = element("span", "face", [...name][0].toUpperCase());
    face.setAttribute("aria-hidden", "true");
    const body = element("p", "text", text);
    body.dir = "auto";
    const bubble = element("div", "bubble");
    bubble.append(element("bdi", "name", name), " ", body, " ", time);
    row.append(face, bubble);
    return row;
  }

  // What the server tells stands in its order, before what it did not tell yet.
  #add(row, follow) {
    const first = this.#list.querySelector(".pending");
    this.#list.insertBefore(row, first);
    this.#join(row);
    if (first) this.#join(first);
    while (this.#list.children.length > MOST) this.#forget(this.#list.firstElementChild);
    if (this.#followed || follow) this.toEnd();
    else if (!this.#quiet) this.#newest.hidden = false;
  }

  #forget(row) {
    this.#known.delete(row.dataset.id);
    row.remove();
  }

  #join(row) {
    const before = row.previousElementSibling;
    const time = (of) => of.querySelector("time")?.dateTime ?? new Date().toISOString();
    const together =
      before?.classList.contains("message") &&
      before.dataset.name === row.dataset.name &&
      new Date(time(row)) - new Date(time(before)) < TOGETHER;
    row.classList.toggle("together", Boolean(together));
  }
}
