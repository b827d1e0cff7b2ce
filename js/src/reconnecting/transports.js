// All that SockJS knows, by its names: whoever leaves one out must list the others.
const ALL = [
  "websocket", "xhr-streaming", "xdr-streaming", "eventsource", "iframe-eventsource", "htmlfile",
  "iframe-htmlfile", "xhr-polling", "xdr-polling", "iframe-xhr-polling", "jsonp-polling",
];
// In ms.
const DEMOTION = 300_000;

/**
 * Which transports may be used. A proxy may answer the WebSocket handshake and drop what follows: a
 * transport that died twice before it had shown that it works is left out for a while.
 */
export class Transports {
  #wanted = [];
  #deaths = new Map();
  #demoted = new Map();

  get wanted() {
    return [...this.#wanted];
  }

  set wanted(names) {
    this.#wanted = [...names];
    this.forgive();
  }

  /** What to tell SockJS; empty for all. */
  get allowed() {
    const names = this.#wanted.length ? this.#wanted : ALL;
    const left = names.filter((name) => !(this.#demoted.get(name) > performance.now()));
    return left.length && left.length < names.length ? left : this.wanted;
  }

  works(name) {
    this.#deaths.delete(name);
  }

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
