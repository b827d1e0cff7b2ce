// The connection to the server, and what the page shows of it.

import { ReconnectingSockJS } from "../reconnecting/index.js";
import { $, make } from "./dom.js";
import { Panel, TRANSPORTS, wanted } from "./panel.js";
import { Status } from "./status.js";

/** @import { Events as ClientEvents } from "../reconnecting/events.js" */
/** @import { Request } from "./protocol.js" */

export class Connection {
  #panel;
  #status;
  #lost;
  #attempts = 0;
  /** @type {number | null} */
  #rtt = null;

  /**
   * @param {object} options
   * @param {string} options.endpoint path of the server's.
   * @param {import("./http.js").Api} options.api
   * @param {import("./storage.js").Memory} options.session keeps, for this tab, what is not
   *   confirmed yet and the ways to connect.
   * @param {(text: string) => void} options.received takes what the server says.
   * @param {() => void} options.lost called when nothing will be answered any more.
   * @param {(troubled: boolean) => void} options.troubled told whether there is a loss that lasts.
   */
  constructor({ endpoint, api, session, received, lost, troubled }) {
    this.#lost = lost;
    let ways = wanted(location.search);
    if (!ways.length) ways = session.get("transports") ?? [];
    let pings = 0;
    /** The client itself: what the outbox posts by. */
    this.sock = new ReconnectingSockJS(endpoint, {
      transports: ways,
      ping: {
        message: () => JSON.stringify({ type: "ping", n: (pings += 1) }),
        isPong: (text) => text.includes('"pong"') && JSON.parse(text).type === "pong",
      },
      storage: session.area,
      storageKey: session.nameOf("outbox"),
      authorized: () => api.signedIn(),
    });
    this.#status = new Status({
      bar: $("status"), text: $("status-text"), again: $("again"), signIn: $("sign-in-again"),
    }, troubled);
    for (const [name, label] of Object.entries(TRANSPORTS)) {
      $("force").append(make("option", { value: name }, label));
    }
    this.#panel = new Panel({
      button: $("connection"), panel: $("connection-panel"), label: $("connection-label"),
      transport: $("transport"), rtt: $("rtt"), attempts: $("attempts"),
      force: $("force"), apply: $("force-apply"),
    }, (transports) => this.#force(session, transports));
    this.#panel.forced = ways.length === 1 ? ways[0] : null;
    this.#listen(received);
  }

  /** Connects; nothing that waits in the outbox goes out before `welcomed`. */
  start() {
    this.sock.pause();
    this.sock.connect();
  }

  /** The server has welcomed this connection. */
  welcomed() {
    this.#status.show("open");
    this.sock.resume();
  }

  /**
   * Sends a request, if there is a connection.
   *
   * @param {Request} request
   */
  request(request) {
    this.sock.send(JSON.stringify(request));
  }

  /**
   * Hears a room, over every connection that is yet to come.
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

  /** @param {(text: string) => void} received */
  #listen(received) {
    /**
     * @template {keyof ClientEvents & string} Type
     * @param {Type} type
     * @param {(detail: ClientEvents[Type]) => void} act
     */
    const on = (type, act) => this.sock.addEventListener(type, (event) => {
      act(/** @type {CustomEvent<ClientEvents[Type]>} */ (event).detail);
    });
    on("connecting", () => {
      this.#attempts += 1;
      if (this.#status.state === "offline") this.#status.show("lost");
      else if (this.#status.state !== "lost") this.#status.show("connecting");
      this.#show();
    });
    on("open", ({ attempts }) => {
      this.#attempts = attempts;
      this.#rtt = null;
      this.#show();
    });
    on("message", received);
    on("rtt", (rtt) => {
      this.#rtt = rtt;
      this.#show();
    });
    on("lost", () => {
      this.#gone();
      this.#status.show(navigator.onLine === false ? "offline" : "lost");
    });
    on("stopped", (why) => {
      this.#gone();
      this.#status.show("stopped", why);
    });
    $("again").addEventListener("click", () => this.sock.connect());
    $("sign-in-again").addEventListener("click", () => {
      const next = new URLSearchParams({ next: location.pathname });
      $("sign-in-again").href = `${$("sign-in-again").pathname}?${next}`;
    });
  }

  #gone() {
    // Nothing goes out until the server has welcomed the next connection.
    this.sock.pause();
    this.#lost();
    this.#rtt = null;
    this.#show();
  }

  #show() {
    this.#panel.show({ transport: this.sock.transport, rtt: this.#rtt, attempts: this.#attempts });
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
    this.#attempts = 0;
    this.sock.transports = transports;
    this.sock.reconnect();
  }
}
