// What setTimeout can take, in ms.
const LONGEST = 2 ** 31 - 1;

/** Named timers: a name that is set again is put off. */
export class Timers {
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #ids = new Map();

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} act
   */
  after(name, ms, act) {
    this.stop(name);
    const run = () => {
      this.#ids.delete(name);
      act();
    };
    this.#ids.set(name, setTimeout(run, Math.min(LONGEST, ms)));
  }

  /** @param {string} name */
  runs(name) {
    return this.#ids.has(name);
  }

  /**
   * Stops some, or all when none is named.
   *
   * @param {string[]} names
   */
  stop(...names) {
    for (const name of names.length ? names : [...this.#ids.keys()]) {
      clearTimeout(this.#ids.get(name));
      this.#ids.delete(name);
    }
  }
}
