/**
 * Begins or ends to listen to what a browser says of the network and of the page.
 *
 * @param {boolean} on
 * @param {(event: Event) => void} act is told "online", "offline", "pagehide", "pageshow" and
 *   "visibilitychange"; where there is no window, as in a worker, what there is of them.
 */
export function listen(on, act) {
  const method = on ? "addEventListener" : "removeEventListener";
  for (const type of ["online", "offline", "pagehide", "pageshow"]) globalThis[method]?.(type, act);
  globalThis.document?.[method]("visibilitychange", act);
}
