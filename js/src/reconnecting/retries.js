import { MOST_PATIENCE, PATIENCE } from "./search.js";
import { Transports } from "./transports.js";

// Milliseconds.
// A connection that lasted that long has worked, whatever it carried.
const STEADY = 5_000;
// One that fell silent sooner was not good: some proxies pass on so many bytes, and then drop all.
const GOOD = 60_000;

/** What the connections that were lost teach about the next one: when, by what, how patiently. */
export class Retries {
  transports = new Transports();
  // Failures since the last good connection.
  #failures = 0;
  #patience = PATIENCE;

  /** The ms that each transport has at least. */
  get patience() {
    return this.#patience;
  }

  /** There is another network, or a user who does not want to wait. */
  anew() {
    this.#failures = 0;
  }

  /**
   * A connection was lost that had been open.
   * @param {object} connection
   * @param {string} connection.transport
   * @param {number} connection.lasted ms.
   * @param {import("./liveness.js").Liveness} connection.liveness
   * @param {boolean} connection.silent whether a sign of life was missed.
   * @param {boolean} connection.saidGoodbye whether the server closed it.
   */
  lost({ transport, lasted, liveness, silent, saidGoodbye }) {
    if (liveness.works && (!silent || lasted >= GOOD)) this.transports.works(transport);
    else if (!saidGoodbye) this.transports.died(transport);
    // A server that closes what works is overloaded, or cannot bear what it is sent.
    if (lasted >= STEADY || (liveness.answered && !saidGoodbye)) {
      this.#failures = 0;
      this.#patience = PATIENCE;
    }
  }

  /** No transport opened. */
  allFailed() {
    // What a demotion left may be what this browser cannot do.
    this.transports.forgive();
    this.#patience = Math.min(MOST_PATIENCE, 2 * this.#patience);
  }

  /**
   * Returns the ms until the next attempt.
   * @param {{ minDelay: number, maxDelay: number }} options
   */
  delay({ minDelay, maxDelay }) {
    // "Offline" is the browser's opinion, and may be wrong: attempts go on, and do not count.
    if (globalThis.navigator?.onLine === false) return maxDelay;
    const most = Math.min(maxDelay, minDelay * 2 ** this.#failures);
    this.#failures += 1;
    return Math.random() * most;
  }
}
