// What is shown anew, once for all that happens at a time.

/**
 * Returns a function that has parts of the page shown anew when what happens now is over.
 *
 * @template {string} Part
 * @param {Record<Part, () => void>} shows shows each part; in this order.
 * @returns {(...parts: Part[]) => void}
 */
export function refresher(shows) {
  /** @type {Set<string>} */
  const stale = new Set();
  function show() {
    const parts = new Set(stale);
    stale.clear();
    for (const [part, act] of /** @type {[string, () => void][]} */ (Object.entries(shows))) {
      if (parts.has(part)) act();
    }
  }
  return (...parts) => {
    if (!stale.size) queueMicrotask(show);
    for (const part of parts) stale.add(part);
  };
}
