// The server as a page meets it whose one way is the WebSocket: it says what a test has it say, over ~r1.

const TERMS = { window: 60, heartbeat: 25, spread: 5, net: "n", limit: 65536, home: "", incarnation: "a" };

class FakeWebSocket {
  frames = [];
  isNew = true;
  isOver = false;

  constructor(url) {
    this.url = url;
  }

  send(text) {
    if (!this.isOver) this.frames.push(JSON.parse(text));
  }

  close() {
    this.isOver = true;
  }

  say(line) {
    this.onmessage?.({ data: line });
  }
}

export class Server {
  /** All connections that pages made, in order. */
  sockets = [];
  // How much of this session was said down, and handled.
  #told = 0;
  #handled = 0;
  // Where the messages of this session begin.
  #first = 0;

  /** Takes the place of the browser's WebSocket. */
  constructor() {
    const { sockets } = this;
    globalThis.WebSocket = class extends FakeWebSocket {
      constructor(url) {
        super(url);
        sockets.push(this);
      }
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** What came up in this session, parsed; a new connection may say it again. */
  get sent() {
    const frames = this.sockets.slice(this.#first).flatMap(({ frames: sent }) => sent);
    const texts = frames.flatMap((frame) => (Array.isArray(frame) ? frame : frame.messages ?? []));
    return texts.map((text) => JSON.parse(text));
  }

  /** What came up of a type. */
  sentOf(type) {
    return this.sent.filter((request) => request.type === type);
  }

  #accept() {
    this.socket.isNew = false;
    this.socket.onopen();
  }

  #say(control) {
    this.socket.say(`r${JSON.stringify(control)}`);
  }

  /** Takes the last connection for a new session. */
  open() {
    this.#told = this.#handled = 0;
    this.#first = this.sockets.length - 1;
    this.#accept();
    this.#say({ from: 1, received: 0, ...TERMS });
  }

  /** Takes the last connection for the session that there is. */
  resume() {
    this.#accept();
    this.#say({ from: this.#told + 1, received: this.#handled, ...TERMS });
  }

  /** Sends a message. */
  tell(event) {
    this.#told += 1;
    this.socket.say(`a${JSON.stringify([JSON.stringify(event)])}`);
  }

  /** Says that all that came is handled. */
  handle() {
    this.#handled = this.sent.length;
    this.#say({ at: this.#told, received: this.#handled });
  }

  /** The connection breaks. */
  break() {
    const { socket } = this;
    socket.isOver = true;
    socket.onclose({ code: 1006, reason: "" });
  }

  /** The session is lost. */
  lose() {
    this.#say({ lost: {} });
  }

  /** The page is to go to another server, within some seconds. */
  move(seconds) {
    this.#say({ moved: seconds });
  }

  /** More was missed in a room than its history has. */
  miss(room) {
    this.#say({ missed: [["key", room]] });
  }

  /** Closes the session. */
  close(code, reason) {
    this.socket.say(`c${JSON.stringify([code, reason])}`);
  }
}
