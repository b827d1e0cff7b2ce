// The seam between the client's core and the browser. The core touches no DOM, timer or network but
// through it. None of its methods calls back before it has returned; who has closed something takes no
// notice of what it still calls.

export interface RequestEvents {
  /** A part of a response with status 200 came. */
  _part?(): void;
  /** A line of a response with status 200, as soon as it is whole, without its end. */
  _line?(line: string): void;
  /**
   * It is over.
   *
   * @param status 0: the response, or the request, broke off.
   * @param rest what came behind the last line end.
   * @param wait ms that the server asks to wait.
   */
  _end(status: number, rest: string, wait: number): void;
}

export interface Request {
  /** Drops the request. */
  close(): void;
}

export interface WebSocketEvents {
  open(): void;
  text(data: string): void;
  /** It is over, also where the handshake failed: RFC 6455, 7.1.5 and 7.1.6. Some browsers tell it twice. */
  close(code: number, reason: string): void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
  /** Bytes that were sent and have not left yet. */
  readonly bufferedAmount: number;
}

export interface Host {
  /** Milliseconds of a clock that never goes back. */
  _now(): number;
  /** From 0 to below 1, of a generator for secrets: keys are drawn from it. */
  _random(): number;
  /** Calls after so many milliseconds. */
  _after(ms: number, call: () => void): object;
  /** Nothing where there is none. */
  _cancel(timer: object | undefined): void;
  /**
   * A POST with the type text/plain, which needs no preflight.
   *
   * @param options keepalive: it outlives the page.
   */
  _request(url: string, body: string, on: RequestEvents, options?: { keepalive?: boolean }): Request;
  /** Whether requests carry cookies to another origin. */
  _credentials?: RequestCredentials;
  _websocket(url: string, on: WebSocketEvents): Socket;
}
