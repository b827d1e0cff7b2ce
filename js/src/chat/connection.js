// The connection to the server, and what the page shows of it.

import { ReconnectingSockJS } from "../client/index.js";
import { $, make } from "./dom.js";
import { Panel, TRANSPORTS, wanted } from "./panel.js";
import { Status } from "./status.js";

/** @import { ReconnectingSockJSEvents as ClientEvents } from "../client/index.js" */
/** @import { Request } from "./protocol.js" */

// Milliseconds before it comes back after the server has closed a session: a random part of the
// first, of twice as much after each time in a row, of the second at most.
const FIRST_DELAY = 2000;
const MAX_DELAY = 30_000;

/**
 * Whether the server does not want to see this user again.
 *
 * @param {number} code
 */
const isFinal = (code) => code >= 4400 && code < 4500;

export class Connection {
  #panel;
  #status;
  #lost;
  #interruptions = 0;
  // How often in a row the server has closed a session.
  #closed = 0;

  /**
   * @param {object} options
   * @param {string} options.endpoint path of the server's.
   * @param {import("./storage.js").Memory} options.session keeps, for this tab, what the client
   *   leaves to the next page, and the ways to connect.
   * @param {(text: string) => void} options.received takes what the server says.
   * @param {(room: string) => void} options.missed takes the server's name of a room of which
   *   messages are missing.
   * @param {() => void} options.lost called when a session is over: nothing that it was asked will
   *   be answered.
   * @param {(troubled: boolean) => void} options.troubled told whether there is a loss that lasts.
   */
  constructor({ endpoint, session, received, missed, lost, troubled }) {
    this.#lost = lost;
    let ways = wanted(location.search);
    if (!ways.length) ways = session.get("transports") ?? [];
    /** The client itself: what the outbox sends by. */
    this.sock = new ReconnectingSockJS(endpoint, {
      transports: ways,
      storageKey: session.nameOf("connection"),
    });
    this.#status = new Status({
      bar: $("status"), text: $("status-text"), again: $("again"), signIn: $("sign-in-again"),
    }, troubled);
    for (const [name, label] of Object.entries(TRANSPORTS)) {
      $("force").append(make("option", { value: name }, label));
    }
    this.#panel = new Panel({
      button: $("connection"), panel: $("connection-panel"), label: $("connection-label"),
      transport: $("transport"), rtt: $("rtt"), interruptions: $("interruptions"),
      force: $("force"), apply: $("force-apply"),
    }, (transports) => this.#force(session, transports));
    this.#panel.forced = ways.length === 1 ? ways[0] : null;
    this.#listen(received, missed);
  }

  /** Connects. */
  start() {
    this.sock.connect();
  }

  /** The server has welcomed this session. */
  welcomed() {
    this.#closed = 0;
    this.#status.show("open");
  }

  /**
   * Sends a request; one that is worth nothing later only if there is a connection.
   *
   * @param {Request} request
   */
  request(request) {
    if (request.type === "typing" && this.sock.state !== "open") return;
    this.sock.send(JSON.stringify(request));
  }

  /**
   * Hears a room, in every session that is yet to come.
   *
   * @param {number} room
   */
  open(room) {
    this.sock.subscribe(`room ${room}`, JSON.stringify({ type: "open", room }));
  }

  /**
   * Looks at a room no more; the server is told where the user is no member, who hears it anyway.
   *
   * @param {number} room
   * @param {boolean} isMember
   */
  close(room, isMember) {
    this.sock.unsubscribe(`room ${room}`, isMember ? undefined : JSON.stringify({ type: "close", room }));
  }

  /**
   * @param {(text: string) => void} received
   * @param {(room: string) => void} missed
   */
  #listen(received, missed) {
    /**
     * @template {keyof ClientEvents} Type
     * @param {Type} type
     * @param {(detail: ClientEvents[Type]["detail"]) => void} act
     */
    const on = (type, act) => this.sock.addEventListener(type, (event) => act(event.detail));
    on("connecting", () => {
      if (this.#status.state !== "lost" && this.#status.state !== "offline") this.#status.show("connecting");
    });
    on("message", received);
    on("missed", ({ room }) => missed(room));
    on("suspended", () => this.#interrupted());
    on("resumed", () => {
      this.#status.show("open");
      this.#show();
    });
    for (const type of /** @type {const} */ (["lost", "moved"])) {
      on(type, () => {
        this.#lost();
        this.#interrupted();
      });
    }
    on("stopped", (why) => {
      this.#lost();
      if (isFinal(why.code)) {
        this.#status.show("stopped", why);
        this.#show();
        return;
      }
      this.#interrupted();
      const delay = Math.min(FIRST_DELAY * 2 ** this.#closed, MAX_DELAY);
      this.#closed += 1;
      setTimeout(() => this.sock.connect(), Math.random() * delay);
    });
    for (const type of /** @type {const} */ (["open", "transport", "rtt"])) on(type, () => this.#show());
    addEventListener("online", () => {
      if (this.#status.state === "offline") this.#status.show("lost");
    });
    $("again").addEventListener("click", () => this.sock.connect());
    $("sign-in-again").addEventListener("click", () => {
      const next = new URLSearchParams({ next: location.pathname });
      $("sign-in-again").href = `${$("sign-in-again").pathname}?${next}`;
    });
  }

  #interrupted() {
    if (this.#status.state === "open") this.#interruptions += 1;
    this.#status.show(navigator.onLine === false ? "offline" : "lost");
    this.#show();
  }

  #show() {
    const { transport, rtt } = this.sock;
    this.#panel.show({ transport, rtt, interruptions: this.#interruptions });
  }

  /**
   * @param {import("./storage.js").Memory} session
   * @param {string[]} transports
   */
  #force(session, transports) {
    session.set("transports", transports.length ? transports : null);
    // From now on the choice made here counts, not that of the address.
    const url = new URL(location.href);
    url.searchParams.delete("transport");
    history.replaceState(history.state, "", url);
    this.#interruptions = 0;
    this.sock.transports = transports;
    this.sock.reconnect();
  }
}
