// What the reconnecting client uses of sockjs-client 1.6.1, which has no types of its own.

export interface Sock {
  readyState: number;
  transport: string;
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onheartbeat: (() => void) | null;
  onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null;
  send(text: string): void;
  close(): void;
}

export interface SockOptions {
  transports: string[];
  /** Milliseconds. */
  timeout: number;
}

export type SockJSClass = new (url: string, protocols: null, options: SockOptions) => Sock;

declare global {
  var SockJS: SockJSClass | undefined;
}
