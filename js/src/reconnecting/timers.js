// What setTimeout can take, in ms.
const LONGEST = 2 ** 31 - 1;

/** Named timers: a name that is set again is put off. */
export class Timers {
  #ids = new Map();

  after(name, ms, act) {
    this.stop(name);
    const run = () => {
      this.#ids.delete(name);
      act();
    };
    this.#ids.set(name, setTimeout(run, Math.min(LONGEST, ms)));
  }

  runs(name) {
    return this.#ids.has(name);
  }

  /** Stops some, or all when none is named. */
  stop(...names) {
    for (const name of names.length ? names : [...this.#ids.keys()]) {
      clearTimeout(this.#ids.get(name));
      this.#ids.delete(name);
    }
  }
}
