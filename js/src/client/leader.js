// Which tab of a browser leads: the one that holds a Web Lock. The browser passes it on when a tab is closed;
// from one that is there and says nothing it is stolen.

/** @import { Host } from "./host.js" */
/** @typedef {Pick<LockManager, "request">} Locks */

/**
 * @typedef {object} LeaderEvents
 * @property {() => void} led This tab leads from now on.
 * @property {() => void} deposed Another one has stolen the lock.
 */

// How much later than its lock a tab's word may come that it leaves, in ms.
const WORD = 500;

export class Election {
  /** This tab leads. */
  leads = false;

  #locks;
  #name;
  #on;
  /** What it stands by; another one each time. @type {AbortController | undefined} */
  #candidacy;
  #letGo = () => {};

  /**
   * @param {Locks} locks
   * @param {string} name of the lock.
   * @param {LeaderEvents} on
   */
  constructor(locks, name, on) {
    this.#locks = locks;
    this.#name = name;
    this.#on = on;
  }

  /** Leads as soon as no other tab does. */
  stand() {
    const candidacy = new AbortController();
    this.#candidacy = candidacy;
    this.#ask({ signal: candidacy.signal }, candidacy);
  }

  /** Leads at once. */
  steal() {
    this.#candidacy?.abort();
    this.#candidacy = new AbortController();
    this.#ask({ steal: true }, this.#candidacy);
  }

  /** Leads no more, and does not want to. */
  leave() {
    this.leads = false;
    this.#candidacy?.abort();
    this.#candidacy = undefined;
    this.#letGo();
  }

  /**
   * @param {LockOptions} options
   * @param {AbortController} candidacy
   */
  #ask(options, candidacy) {
    const isCurrent = () => candidacy === this.#candidacy;
    const hold = () =>
      isCurrent() &&
      new Promise((letGo) => {
        this.#letGo = () => letGo(0);
        this.leads = true;
        this.#on.led();
      });
    this.#locks.request(this.#name, options, hold).catch(() => {
      // Not where it was withdrawn.
      if (!isCurrent() || !this.leads) return;
      this.leads = false;
      this.#on.deposed();
      this.stand();
    });
  }
}

/**
 * Hears that other tabs are no more, without their having said so: each holds a lock as long as it lives.
 */
export class Roll {
  /** @type {Map<string, AbortController>} */
  #tabs = new Map();

  #host;
  #locks;
  #gone;

  /**
   * @param {Pick<Host, "_after">} host
   * @param {Locks} locks
   * @param {() => void} gone
   */
  constructor(host, locks, gone) {
    this.#host = host;
    this.#locks = locks;
    this.#gone = gone;
  }

  /** @param {string} tab the name of the lock that it holds already. */
  add(tab) {
    if (this.#tabs.has(tab)) return;
    const controller = new AbortController();
    this.#tabs.set(tab, controller);
    const { signal } = controller;
    this.#locks
      .request(tab, { signal }, () => {
        this.#host._after(WORD, () => {
          if (this.#tabs.delete(tab)) this.#gone();
        });
      })
      .catch(() => {});
  }

  /** @param {string} tab one that has said that it leaves. */
  remove(tab) {
    this.#tabs.get(tab)?.abort();
    this.#tabs.delete(tab);
  }

  clear() {
    for (const tab of [...this.#tabs.keys()]) this.remove(tab);
  }
}
