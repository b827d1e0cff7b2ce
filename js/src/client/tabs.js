// The tabs of a browser that share one way to the server, as one of them sees them: who leads, whether that
// one lives, what it carries for the others.

import { Election, Roll } from "./leader.js";
import { Mux } from "./mux.js";

/** @import { Host } from "./host.js" */
/** @import { Locks } from "./leader.js" */

// How often it is looked whether the leader lives. Silent for so long it is asked, and then deposed.
const LOOK = 800;
// The answers of a server that does not know of this, and how long it is not tried again then.
const UNKNOWN = [400, 404, 405, 501];
const REFUSED = 60e3;
export const NORMAL = 200;
export const STREAM = "xhr_streaming";

/**
 * @typedef {object} Place What there is of a browser.
 * @property {Locks} locks
 * @property {new (name: string) => BroadcastChannel} Channel
 * @property {() => boolean} isHidden
 *
 * @typedef {[port: number, line: string]} PortLine
 *
 * @typedef {object} TabsEvents What the leader tells, and what is asked of this tab. A way is the last part
 *   of a URL, a key that of what carries several sessions.
 * @property {(way: string, key: string) => void} live Who waits for the way may go on over it.
 * @property {(way: string, held: boolean) => void} refused Nobody may; `held`: no stream gets through.
 * @property {(key: string, lines: PortLine[]) => void} lines An empty line: the last one, in good order.
 * @property {(key: string) => void} part
 * @property {(status: number, key?: string) => void} over It broke off, with 0, or has ended; all did.
 * @property {() => void} ready Those that wait are to be told of.
 * @property {() => void} forbidden There is no sharing here.
 * @property {(port: number) => boolean} owns
 * @property {(visible: boolean) => unknown} depends Something is awaited of the leader.
 *
 * @typedef {[type: string, ...rest: any[]]} Message Between tabs, whose builds may differ.
 */

export class Tabs {
  #host;
  #name;
  #place;
  #on;
  /** The name of this tab, and of the lock that it holds as long as it lives. */
  #tab;
  #election;
  #roll;
  /** @type {BroadcastChannel | undefined} */
  #channel;
  #retire = () => {};
  // It holds its own lock.
  #known = false;
  /** What this tab carries others by, by the way. @type {Map<string, Mux>} */
  #muxes = new Map();
  /** Until when a way is not tried. @type {Map<string, number>} */
  #refused = new Map();
  // Something came from the leader since it was looked last; how often nothing had.
  #heard = true;
  #misses = 0;
  /** @type {object | undefined} */
  #looking;

  /**
   * @param {Host} host
   * @param {string} name that tabs have in common which share.
   * @param {Place} place
   * @param {TabsEvents} on
   */
  constructor(host, name, place, on) {
    this.#host = host;
    this.#name = name;
    this.#place = place;
    this.#on = on;
    this.#tab = `${name} ${token(host)}`;
    this.#roll = new Roll(host, place.locks, () => this.#restart());
    this.#election = new Election(place.locks, name, {
      led: () => this.#say("leader", this.#tab),
      deposed: () => this.#abdicate(),
    });
  }

  /** One of them: what is said reaches it. */
  get joined() {
    return Boolean(this.#channel);
  }

  /** Becomes one of them; `ready` follows. */
  join() {
    const { Channel, locks } = this.#place;
    /** @type {BroadcastChannel} */
    let channel;
    try {
      channel = new Channel(this.#name);
    } catch {
      this.#on.forbidden();
      return;
    }
    this.#channel = channel;
    this.#heard = true;
    channel.onmessage = ({ data }) => this.#hear(data);
    // It is known to live before anybody asks.
    const live = () =>
      channel === this.#channel &&
      new Promise((retire) => {
        this.#retire = () => retire(0);
        this.#known = true;
        this.#election.stand();
        this.#on.ready();
      });
    // The browser may forbid locks to a page.
    locks.request(this.#tab, live).catch(() => this.#on.forbidden());
  }

  /** Is none of them any more, and leads no more. */
  part() {
    if (!this.#channel) return;
    this.#say("gone", this.#tab);
    const channel = this.#channel;
    this.#channel = undefined;
    this.#known = false;
    this.#abdicate();
    this.#election.leave();
    this.#retire();
    channel.close();
  }

  /**
   * Asks for something that carries this; before `ready` that is of no use.
   *
   * @param {string} way
   * @param {string} url of a receive request.
   */
  want(way, url) {
    if (this.#known) this.#say("want", way, url, this.#tab);
  }

  /**
   * Says that nothing comes of what goes on over one.
   *
   * @param {string} key
   */
  complain(key) {
    this.#say("silent", key);
  }

  /**
   * Tells all tabs, this one too: no listener is called before it returns.
   *
   * @param {Message} message
   */
  #say(...message) {
    const channel = this.#channel;
    channel?.postMessage(message);
    queueMicrotask(() => {
      if (channel && channel === this.#channel) this.#hear(message);
    });
  }

  /** @param {Message} message */
  #hear([type, ...rest]) {
    const [listener, fromLeader] = this.#listeners[type] ?? [];
    if (fromLeader) this.#heard = true;
    if (listener && (fromLeader || this.#election.leads)) listener(...rest);
  }

  /**
   * What is done on each message, and whether it comes from the leader or goes to it.
   *
   * @type {Record<string, [(...rest: any[]) => void, boolean]>}
   */
  #listeners = {
    leader: [(tab) => this.#follow(tab), true],
    live: [(way, key) => this.#on.live(way, key), true],
    refused: [(way, held) => this.#on.refused(way, held), true],
    lines: [(key, lines) => this.#on.lines(key, lines), true],
    part: [(key) => this.#on.part(key), true],
    over: [(key, status) => this.#on.over(status, key), true],
    here: [() => {}, true],

    want: [(way, url, tab) => this.#offer(way, url, tab), false],
    silent: [(key) => this.#restart(key), false],
    ask: [() => this.#say("here"), false],
    gone: [(tab) => this.#roll.remove(tab), false],
  };

  /** @param {string} tab that leads from now on: what others have carried breaks off. */
  #follow(tab) {
    if (tab !== this.#tab) this.#abdicate();
    this.#misses = 0;
    this.#on.ready();
    this.#on.over(NORMAL);
  }

  // ---- the leader ---------------------------------------------------------------------------------

  /**
   * @param {string} way
   * @param {string} url of a receive request.
   * @param {string} tab that makes it.
   */
  #offer(way, url, tab) {
    if (tab !== this.#tab) this.#roll.add(tab);
    const stream = this.#muxes.get(STREAM);
    const mux = stream?.live ? stream : this.#muxes.get(way);
    if (mux?.live) this.#say("live", way, mux.key);
    else if ((this.#refused.get(way) ?? 0) > this.#host._now()) this.#say("refused", way, false);
    else if (!mux) this.#carry(way, url);
    else this.#say("here");
  }

  /**
   * @param {string} way
   * @param {string} url
   */
  #carry(way, url) {
    const key = token(this.#host);
    const mux = new Mux(this.#host, url, key, token(this.#host), {
      live: () => this.#say("live", way, key),
      lines: (lines) => this.#pass(key, lines),
      part: () => this.#say("part", key),
      forgotten: () => this.#say("over", key, NORMAL),
      over: (status, held) => {
        this.#muxes.delete(way);
        // To the sessions any other status would be the answer to what they ask.
        if (mux.live) this.#say("over", key, status === NORMAL ? NORMAL : 0);
        else this.#say("refused", way, held && way === STREAM);
        if (UNKNOWN.includes(status)) this.#refused.set(way, this.#host._now() + REFUSED);
      },
    });
    this.#muxes.set(way, mux);
  }

  /**
   * @param {string} key
   * @param {PortLine[]} lines
   */
  #pass(key, lines) {
    const others = lines.filter(([port]) => !this.#on.owns(port));
    if (others.length) this.#channel?.postMessage(["lines", key, others]);
    this.#on.lines(key, lines);
  }

  /**
   * Begins anew what carries all, so that the server hears who is left.
   *
   * @param {string} [silent] only the one of this key, which brings nothing.
   */
  #restart(silent) {
    for (const [way, { key }] of this.#muxes) {
      if (silent && silent !== key) continue;
      this.#muxes.get(way)?.close();
      this.#muxes.delete(way);
      if (!silent) this.#say("over", key, NORMAL);
    }
    // Also where it is none of ours: of a leader before this one.
    if (silent) this.#say("over", silent, 0);
  }

  #abdicate() {
    this.#roll.clear();
    for (const mux of this.#muxes.values()) mux.close();
    this.#muxes.clear();
  }

  // ---- whether the leader lives -------------------------------------------------------------------

  /** Looks whether the leader lives as long as something is awaited of it. */
  look() {
    if (this.#looking) return;
    this.#looking = this.#host._after(LOOK, () => {
      this.#looking = undefined;
      if (!this.#channel || !this.#on.depends(!this.#place.isHidden())) return;
      this.look();
      this.#misses = this.#heard || this.#election.leads ? 0 : this.#misses + 1;
      this.#heard = false;
      if (this.#misses === 1) this.#say("ask");
      else if (this.#misses > 1) this.#election.steal();
    });
  }
}

/** @param {Host} host @returns {string} 16 random bytes as base64url. */
function token({ _random }) {
  const bytes = Array.from({ length: 16 }, () => _random() * 256);
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").slice(0, 22);
}
