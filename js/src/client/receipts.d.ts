// What ReconnectingSockJS tells, and what it gives back.

/**
 * - `closed`: before `connect()`, and after `close()`.
 * - `connecting`: a session is begun.
 * - `open`: a session is there.
 * - `suspended`: no way to the server works; the session waits for one.
 * - `moving`: the server leaves; a new session is begun in some seconds.
 * - `closing`: after `close()`, until what was sent is handled.
 * - `stopped`: the server has ended it, or refuses this client.
 */
export type ReconnectingState =
  | "closed"
  | "connecting"
  | "open"
  | "suspended"
  | "moving"
  | "closing"
  | "stopped";

/** What became of a text. */
export interface Receipt {
  /** The id that the server's application sees, too: `message_id`. */
  readonly id: string;
  readonly text: string;
  /**
   * Fulfilled when the server's application has handled it; with false where it went out over plain
   * SockJS, which does not tell. It is never rejected.
   */
  readonly handled: Promise<boolean>;
}

/** The events by their names, with their details. */
export interface ReconnectingSockJSEvents {
  /** A session is begun: the first, or the one after `lost`. */
  connecting: CustomEvent<null>;
  /** A session is there, which the server has never seen before. */
  open: CustomEvent<{ transport: string }>;
  message: CustomEvent<string>;
  /** Another transport is in use now. */
  transport: CustomEvent<string>;
  /** The milliseconds that a round trip took. */
  rtt: CustomEvent<number>;
  /** No way to the server works; what is sent waits. */
  suspended: CustomEvent<null>;
  /** One works again, and nothing was lost. */
  resumed: CustomEvent<null>;
  /**
   * The session is no more, and messages to the page may be missing; a new one is begun, and what was
   * not handled goes out again.
   */
  lost: CustomEvent<{
    /** So many of the client's messages were handled for sure. */
    handled: number;
    /** So many of those behind may have been handled, too. */
    repeated: number;
  }>;
  /** The server leaves, and nothing is missing; a new session is begun in some seconds. */
  moved: CustomEvent<null>;
  /** The history of this room does not reach back to what came of it last. */
  missed: CustomEvent<{ room: string }>;
  /** The server refuses this client, by an HTTP status; `stopped` follows. */
  denied: CustomEvent<{ status: number }>;
  /** It is over, and no new session is begun before `connect()`. */
  stopped: CustomEvent<{ code: number; reason: string }>;
}
