// All that SockJS knows, by its names, the best first. It takes no notice of the order of a list.
const ALL = [
  "websocket", "xhr-streaming", "xdr-streaming", "eventsource", "iframe-eventsource", "htmlfile",
  "iframe-htmlfile", "xhr-polling", "xdr-polling", "iframe-xhr-polling", "jsonp-polling",
];
// Those that are tried unasked. The others stand in for XMLHttpRequest in browsers where it reaches
// no other origin: none of them can run this module.
const USUAL = ["websocket", "xhr-streaming", "eventsource", "htmlfile", "xhr-polling"];
// In ms.
const DEMOTION = 300_000;

/**
 * Which transports may be used. A proxy may answer the WebSocket handshake and drop what follows: a
 * transport that died twice before it had shown that it works is left out for a while.
 */
export class Transports {
  /** @type {string[]} */
  #wanted = [];
  /** @type {Map<string, number>} */
  #deaths = new Map();
  // Until when, by performance.now().
  /** @type {Map<string, number>} */
  #demoted = new Map();

  get wanted() {
    return [...this.#wanted];
  }

  set wanted(names) {
    this.#wanted = [...names];
    this.forgive();
  }

  /** What to try, in order. */
  get allowed() {
    const names = this.#wanted.length ? ALL.filter((name) => this.#wanted.includes(name)) : USUAL;
    const left = names.filter((name) => (this.#demoted.get(name) ?? 0) <= performance.now());
    return left.length ? left : names;
  }

  /** @param {string} name */
  works(name) {
    this.#deaths.delete(name);
  }

  /** @param {string} name */
  died(name) {
    const deaths = (this.#deaths.get(name) ?? 0) + 1;
    this.#deaths.set(name, deaths);
    if (deaths < 2) return;
    this.#deaths.delete(name);
    this.#demoted.set(name, performance.now() + DEMOTION);
  }

  forgive() {
    this.#demoted.clear();
  }
}
