// The events of a SockJS, by their names.

export type SockJSMessageEvent = Event & { readonly data: string };

export type SockJSCloseEvent = Event & {
  readonly code: number;
  readonly reason: string;
  /** The server or the page has closed the connection: it did not break. */
  readonly wasClean: boolean;
};

export interface SockJSEvents {
  open: Event;
  message: SockJSMessageEvent;
  heartbeat: Event;
  /** Before a `close` with 1002: there is no server. */
  error: Event;
  close: SockJSCloseEvent;
}

/** What the page sets to hear them. */
export interface Handlers {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: SockJSMessageEvent) => void) | null;
  onheartbeat: ((event: Event) => void) | null;
  onerror: ((event: Event) => void) | null;
  onclose: ((event: SockJSCloseEvent) => void) | null;
}

/** An EventTarget whose listeners get what belongs to the name of the event. */
export interface Listened<Events> {
  addEventListener<Type extends keyof Events>(
    type: Type,
    listener: (event: Events[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Type extends keyof Events>(
    type: Type,
    listener: (event: Events[Type]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}
