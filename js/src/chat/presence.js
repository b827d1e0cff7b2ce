// Who is here. Who goes and comes back soon (a reload, another network) was never away.

// Milliseconds until somebody who went is shown as away.
const GONE_AFTER = 4000;

export class Presence {
  #changed;
  /** @type {Set<number>} */
  #online = new Set();
  /** @type {Map<number, ReturnType<typeof setTimeout>>} */
  #going = new Map();

  /** @param {() => void} changed shows everybody anew. */
  constructor(changed) {
    this.#changed = changed;
  }

  /** @param {number} id */
  has(id) {
    return this.#online.has(id);
  }

  /**
   * Takes the list that comes with a new connection.
   *
   * @param {number[]} online
   */
  welcome(online) {
    const here = new Set(online);
    for (const id of this.#online) if (!here.has(id)) this.#goes(id);
    for (const id of here) this.#comes(id);
    this.#changed();
  }

  /**
   * Somebody came or went.
   *
   * @param {number} id
   * @param {boolean} online
   */
  tell(id, online) {
    if (online) this.#comes(id);
    else this.#goes(id);
    this.#changed();
  }

  /** @param {number} id */
  #comes(id) {
    clearTimeout(this.#going.get(id));
    this.#going.delete(id);
    this.#online.add(id);
  }

  /** @param {number} id */
  #goes(id) {
    if (!this.#online.has(id) || this.#going.has(id)) return;
    this.#going.set(id, setTimeout(() => {
      this.#going.delete(id);
      this.#online.delete(id);
      this.#changed();
    }, GONE_AFTER));
  }
}
