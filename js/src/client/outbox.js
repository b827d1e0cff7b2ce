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
 *
 * @typedef {ReturnType<typeof newOutbox>} Outbox
 */
export const newOutbox = () => ({
  /** @type {{ _text: string, _bytes: number }[]} */
  _waiting: [],
  /** Bytes of all that waits. */
  _size: 0,
  /** So many messages the server has handled in this session: they are forgotten. */
  _handled: 0,
  /** So many need not be sent again over this session. */
  _arrived: 0,
  /** The number over all sessions of this session's first message. */
  _base: 1,
  /** The last message of this session that may have been handled: it was on its way, also before. */
  _doubtful: 0,
  /** The same after `moved`: but for what went with a request that a late copy of may make a session. */
  _copied: 0,
});

/** @param {Outbox} outbox @returns {number} the number of the last message that was sent. */
export const last = ({ _handled, _waiting }) => _handled + _waiting.length;

/** @param {Outbox} outbox @returns {number} how many messages were handled over all sessions. */
export const settled = ({ _base, _handled }) => _base + _handled - 1;

/** @param {Outbox} outbox @returns {number} how many of those that wait may have been handled. */
export const repeated = ({ _doubtful, _handled }) => Math.max(0, _doubtful - _handled);

/**
 * @param {Outbox} outbox
 * @param {string} text
 * @param {number} [bytes]
 * @returns {number} its number over all sessions.
 */
export function add(outbox, text, bytes = bytesOf(text)) {
  outbox._size += bytes;
  outbox._waiting.push({ _text: text, _bytes: bytes });
  return outbox._base + last(outbox) - 1;
}

/**
 * @param {Outbox} outbox
 * @param {number} handled so many messages were.
 * @returns {number} how many of them are new.
 */
export function forget(outbox, handled) {
  const done = outbox._waiting.splice(0, Math.max(0, handled - outbox._handled));
  for (const { _bytes } of done) outbox._size -= _bytes;
  outbox._handled += done.length;
  outbox._arrived = Math.max(outbox._arrived, outbox._handled);
  return done.length;
}

/**
 * @param {Outbox} outbox
 * @param {number} first the number of the first message.
 * @param {number} budget bytes that there are.
 * @param {number} [least] so many go without, too: who cannot take them says so.
 * @returns {string[]} what goes up together, and may be handled from now on.
 */
export function batch(outbox, first, budget, least = 1) {
  const found = [];
  for (const { _text, _bytes } of outbox._waiting.slice(first - outbox._handled - 1)) {
    budget -= _bytes;
    if (budget < 0 && found.length >= least) break;
    found.push(_text);
  }
  outbox._doubtful = Math.max(outbox._doubtful, first + found.length - 1);
  return found;
}

/**
 * Begins a new session with what was not confirmed.
 *
 * @param {Outbox} outbox
 * @param {boolean} doubtful what was on its way may have been handled.
 */
export function beginAnew(outbox, doubtful) {
  if (!doubtful) outbox._doubtful = outbox._copied;
  outbox._doubtful = outbox._copied = repeated(outbox);
  outbox._base += outbox._handled;
  outbox._handled = outbox._arrived = 0;
}
