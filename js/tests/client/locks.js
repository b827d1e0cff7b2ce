// Web Locks as a browser has them, for tests: Node has none (Web Locks API, W3C).

/** What the pages of a browser share. Each page has a `Locks` of its own, which it may lose. */
export class Browser {
  held = new Map();
  queues = new Map();

  next(name) {
    const next = this.queues.get(name)?.shift();
    if (next) next.grant();
    else this.held.delete(name);
  }
}

export class Locks {
  #browser;
  #own = new Set();

  constructor(browser) {
    this.#browser = browser;
  }

  request(name, ...rest) {
    const callback = rest.pop();
    const { steal = false, signal } = rest[0] ?? {};
    const { held, queues } = this.#browser;
    return new Promise((resolve, reject) => {
      const aborted = () => reject(new DOMException("aborted", "AbortError"));
      const one = { reject: aborted, over: false };
      this.#own.add(one);
      one.end = () => {
        if (one.over) return;
        one.over = true;
        if (held.get(name) === one) this.#browser.next(name);
        else queues.set(name, (queues.get(name) ?? []).filter((other) => other !== one));
      };
      one.grant = () => {
        held.set(name, one);
        queueMicrotask(async () => {
          resolve(await callback({ name }));
          one.end();
        });
      };
      signal?.addEventListener("abort", () => {
        if (held.get(name) === one) return;
        one.end();
        aborted();
      });
      const former = held.get(name);
      if (steal && former) {
        former.over = true;
        former.reject();
      }
      if (steal || !former) one.grant();
      else queues.set(name, [...(queues.get(name) ?? []), one]);
    });
  }

  /** The page is no more. */
  crash() {
    for (const one of this.#own) one.end();
  }
}
