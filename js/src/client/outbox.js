// What a client counts of the messages that go up: those that wait until they are handled.

const encoder = new TextEncoder();

/**
 * @param {unknown} value
 * @returns {number} the bytes of its JSON, and of the comma behind it.
 */
export const bytesOf = (value) => encoder.encode(JSON.stringify(value)).length + 1;

/**
 * Numbers are those of the present session, from 1. A message's number over all sessions, which its id
 * is made of, is `_base` more, less 1.
 */
export class Outbox {
  /** @type {{ _text: string, _bytes: number }[]} */
  _waiting = [];
  /** Bytes of all that waits. */
  _size = 0;
  /** So many messages the server has handled in this session: they are forgotten. */
  _handled = 0;
  /** So many need not be sent again over this session. */
  _arrived = 0;
  /** The number over all sessions of this session's first message. */
  _base = 1;
  /** The last message of this session that may have been handled: it was on its way, also before. */
  _doubtful = 0;
  /** The same after `moved`: but for what went with a request that a late copy of may make a session. */
  _copied = 0;

  /** The number of the last message that was sent. */
  get _last() {
    return this._handled + this._waiting.length;
  }

  /** How many messages were handled over all sessions. */
  get _settled() {
    return this._base + this._handled - 1;
  }

  /** How many of those that wait may have been handled. */
  get _repeated() {
    return Math.max(0, this._doubtful - this._handled);
  }

  /**
   * @param {string} text
   * @param {number} [bytes]
   * @returns {number} its number over all sessions.
   */
  _add(text, bytes = bytesOf(text)) {
    this._size += bytes;
    this._waiting.push({ _text: text, _bytes: bytes });
    return this._base + this._last - 1;
  }

  /**
   * @param {number} handled so many messages were.
   * @returns {number} how many of them are new.
   */
  _confirm(handled) {
    const done = this._waiting.splice(0, Math.max(0, handled - this._handled));
    for (const { _bytes } of done) this._size -= _bytes;
    this._handled += done.length;
    this._arrived = Math.max(this._arrived, this._handled);
    return done.length;
  }

  /**
   * @param {number} first the number of the first message.
   * @param {number} budget bytes that there are.
   * @param {number} [least] so many go without, too: who cannot take them says so.
   * @returns {string[]} what goes up together, and may be handled from now on.
   */
  _take(first, budget, least = 1) {
    const found = [];
    for (const { _text, _bytes } of this._waiting.slice(first - this._handled - 1)) {
      budget -= _bytes;
      if (budget < 0 && found.length >= least) break;
      found.push(_text);
    }
    this._doubtful = Math.max(this._doubtful, first + found.length - 1);
    return found;
  }

  /**
   * Begins a new session with what was not confirmed.
   *
   * @param {boolean} doubtful what was on its way may have been handled.
   */
  _renew(doubtful) {
    if (!doubtful) this._doubtful = this._copied;
    this._doubtful = this._copied = this._repeated;
    this._base += this._handled;
    this._handled = this._arrived = 0;
  }
}
