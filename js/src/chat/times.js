// Times as the reader's own language and zone write them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const weekday = new Intl.DateTimeFormat(undefined, {
  weekday: "long", day: "numeric", month: "long",
});
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });
const DAY = 86400000;

/**
 * The time of day.
 *
 * @param {string} iso
 */
export function clockOf(iso) {
  return clock.format(new Date(iso));
}

/**
 * The full date and time.
 *
 * @param {string} iso
 */
export function exactOf(iso) {
  return exact.format(new Date(iso));
}

/**
 * A key of the day in the reader's zone: equal for two times of one day.
 *
 * @param {string | Date} iso
 */
export function dayOf(iso) {
  return new Date(iso).toDateString();
}

/**
 * The name of a day, seen from now.
 *
 * @param {string} iso
 * @param {Date} [now]
 */
export function dayName(iso, now = new Date()) {
  const date = new Date(iso);
  const day = date.toDateString();
  if (day === now.toDateString()) return "Today";
  const yesterday = new Date(now);
  yesterday.setDate(now.getDate() - 1);
  if (day === yesterday.toDateString()) return "Yesterday";
  return now.getTime() - date.getTime() < 300 * DAY ? weekday.format(date) : full.format(date);
}
