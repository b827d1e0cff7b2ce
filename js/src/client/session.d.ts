// What the core of the client (resumable.js) takes, and what it tells.
// All numbers of messages are those over all sessions of the client's life, from 1: the id of a message
// is `${client}-${number}`. docs/protocol.rst, "Message ids".

/** How a session reaches its server, by SockJS's names. */
export type Way = "websocket" | "xhr-streaming" | "xhr-polling";

/** See states.js. */
export type State = "connecting" | "open" | "suspended" | "moving" | "closing" | "closed" | "stopped";

/** What worked, to be told to the next page within half an hour: a page cannot know for how long. */
export interface Known {
  /** What worked last; null where nothing did. */
  way: Way | null;
  /** The network, by the server's hash. Where the server names another one, all of this is forgotten. */
  net: string | null;
  /** The round trip in ms. */
  rtt: number;
  /** Ms of silence that the network stands. */
  heartbeat: number;
}

/**
 * What outlives a page. JSON takes it.
 *
 * A new page gives it as `snapshot` and begins a new session, which replaces the former one and sends
 * what was not confirmed; with `resume` it goes on with the same session, which is right for who has
 * kept all that came before.
 */
export interface Snapshot {
  client: string;
  /** The number of the first text. */
  base: number;
  /** So many of the first texts may have been handled. */
  repeated: number;
  /** What is not confirmed, in order. */
  texts: string[];
  session: string;
  key: string;
  /** Only for who resumes. */
  resume: [number, number, number, boolean, string | undefined, string, [string, string][]];
}

export interface Options {
  /** Those that may be used, in the order of `Way`; all of them where it is left out. */
  ways?: Way[];
  known?: Known;
  snapshot?: Snapshot;
  /** Go on with the session of the snapshot, in place of a new one. */
  resume?: boolean;
  /** Share the way with other tabs, as far as their requests carry cookies alike. */
  share?: boolean;
  /** Who hears `unsupported` goes on over SockJS: it may be a guess then. */
  _fallsBack?: boolean;
}

/** What is told, and with what. */
export interface Events {
  /** A session began: the first, or a new one after `lost` or `moved`. */
  open: undefined;
  message: string;
  /** The messages up to this number were handled by the server's application. */
  handled: number;
  /** No way to the server works; what is sent waits. */
  suspended: undefined;
  /** One does again, and nothing was lost. */
  resumed: undefined;
  /**
   * The session is no more, and what came down may have a hole; a new one begins, and what was not
   * handled goes out again under its ids.
   */
  lost: {
    /** Up to this number it was handled for sure. */
    handled: number;
    /** So many of those behind may have been handled, too. */
    repeated: number;
  };
  /** The server leaves; a new session follows within some seconds, and nothing is missing. */
  moved: undefined;
  /** The history of this room does not reach back to what came of it last: it is to be loaded anew. */
  missed: { room: string };
  /** This way is in use now. */
  transport: Way;
  /** Ms that a round trip took. */
  rtt: number;
  /**
   * The last one: the server refuses this client, by 401, 403, or an application's 400 to 499; 400 and
   * 413 may be a fault of the client, too.
   */
  denied: { status: number };
  /** No `~r1` here: nothing goes on until it is told to, or has another way. */
  unsupported: undefined;
  /** The last one: the session is over, and no new one follows. */
  stopped: [code: number, reason: string];
}

/** Hears what becomes of a session. It may call it back, and must not throw. */
export type Tell = <Type extends keyof Events>(type: Type, detail?: Events[Type]) => void;
