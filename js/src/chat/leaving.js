/** @param {Event} event */
const prevent = (event) => event.preventDefault();

/**
 * Has the browser ask before the tab is closed, or no more.
 *
 * It listens only while there is a reason: some browsers keep no page that listens for "back".
 * @param {boolean} wanted
 */
export function askBeforeLeaving(wanted) {
  if (wanted) addEventListener("beforeunload", prevent);
  else removeEventListener("beforeunload", prevent);
}
