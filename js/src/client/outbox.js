// What a client counts of the messages that go up: those that wait until they are handled.

/** @import { Receipt } from "./receipts.js" */

const encoder = new TextEncoder();

/** @param {string} text @returns {number} its bytes in UTF-8. */
export const sizeOf = (text) => encoder.encode(text).length;

/**
 * @param {unknown} value
 * @returns {number} the bytes of its JSON, and of the comma behind it.
 */
export const bytesOf = (value) => sizeOf(JSON.stringify(value)) + 1;

/**
 * @typedef {{ -readonly [key in keyof Receipt]: Receipt[key] }} Own a receipt that may change.
 * @typedef {{ _receipt: Own, _bytes: number, _settle: (sure: boolean) => void }} Waiting
 */

/**
 * Numbers are those of the present session, from 1. A message's number over all sessions, which its id
 * is made of, is `_base` more, less 1.
 *
 * @typedef {ReturnType<typeof newOutbox>} Outbox
 */
export const newOutbox = () => ({
  /** The client's id, which outlives sessions. */
  _client: "",
  /** @type {Waiting[]} */
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
  /** SockJS was open, and nothing has come in its place: it tells of nothing that it was handled. */
  _plain: false,
});

/** @param {Outbox} outbox @returns {number} the number of the last message that was sent. */
export const last = ({ _handled, _waiting }) => _handled + _waiting.length;

/** @param {Outbox} outbox @returns {number} how many messages were handled over all sessions. */
export const settled = ({ _base, _handled }) => _base + _handled - 1;

/** @param {Outbox} outbox @returns {number} how many of those that wait may have been handled. */
export const repeated = ({ _doubtful, _handled }) => Math.max(0, _doubtful - _handled);

/** @param {Outbox} outbox what `lost` tells of it. */
export const lossOf = (outbox) => ({ handled: settled(outbox), repeated: repeated(outbox) });

/**
 * @param {Outbox} outbox
 * @param {string} text
 * @param {number} [bytes]
 * @returns {Receipt}
 */
export function add(outbox, text, bytes = bytesOf(text)) {
  let settle = /** @type {Waiting["_settle"]} */ (/** @type {unknown} */ (undefined));
  /** @type {Promise<boolean>} */
  const handled = new Promise((resolve) => (settle = resolve));
  const id = `${outbox._client}-${outbox._base + last(outbox)}`;
  const receipt = { id, text, handled };
  outbox._size += bytes;
  outbox._waiting.push({ _receipt: receipt, _bytes: bytes, _settle: settle });
  return receipt;
}

/**
 * @param {Outbox} outbox
 * @param {number} handled so many messages were.
 * @returns {number} how many of them are new.
 */
export function forget(outbox, handled) {
  const done = outbox._waiting.splice(0, Math.max(0, handled - outbox._handled));
  for (const { _bytes, _settle } of done) {
    outbox._size -= _bytes;
    _settle(!outbox._plain);
  }
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
  for (const { _receipt, _bytes } of outbox._waiting.slice(first - outbox._handled - 1)) {
    budget -= _bytes;
    if (budget < 0 && found.length >= least) break;
    found.push(_receipt.text);
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
