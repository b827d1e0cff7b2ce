// What a browser remembers for the page. It may forbid that, or be full: then nothing is remembered.

export class Memory {
  /** @type {Storage | null} */
  #area;
  #prefix;

  /**
   * @param {"sessionStorage" | "localStorage"} area of the window.
   * @param {string} prefix of all keys: whose memory it is.
   */
  constructor(area, prefix) {
    this.#prefix = `${prefix}.`;
    try {
      this.#area = globalThis[area] ?? null;
    } catch {
      this.#area = null;
    }
  }

  /** The storage itself, or null. */
  get area() {
    return this.#area;
  }

  /**
   * The name under which a key is really kept.
   *
   * @param {string} key
   */
  nameOf(key) {
    return this.#prefix + key;
  }

  /**
   * Returns what was kept, or null.
   *
   * @param {string} key
   */
  get(key) {
    try {
      return JSON.parse(this.#area?.getItem(this.nameOf(key)) ?? "null");
    } catch {
      return null;
    }
  }

  /**
   * Keeps a value; null forgets it.
   *
   * @param {string} key
   * @param {unknown} value
   */
  set(key, value) {
    try {
      if (value === null) this.#area?.removeItem(this.nameOf(key));
      else this.#area?.setItem(this.nameOf(key), JSON.stringify(value));
    } catch {
      // Remembering is a courtesy.
    }
  }
}
