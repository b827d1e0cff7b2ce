/** lost: there will be another attempt; stopped: there will be none before connect(). */
export type State = "connecting" | "open" | "lost" | "stopped" | "closed";

/** What the client dispatches: CustomEvents, here with their detail. */
export interface Events {
  connecting: null;
  /** attempts: since the last open connection. */
  open: { transport: string; attempts: number };
  message: string;
  /** The milliseconds that a ping took. */
  rtt: number;
  /** delay: the milliseconds until the next attempt. */
  lost: { code: number; reason: string; delay: number };
  stopped: { code: number; reason: string };
}
