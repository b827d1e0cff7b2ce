// What a page says to close(), checked as a WebSocket does it; and what it is told where that cannot be.

/**
 * An error by the name that WebSocket gives it. sockjs-client has the name in the message.
 *
 * @param {string} name
 * @param {string} message
 */
export const refusal = (name, message) => new DOMException(`${name}: ${message}`, name);

/**
 * @param {number} [code] 1000, or 3000 to 4999.
 * @param {number} [size] of the reason.
 * @throws {DOMException} InvalidAccessError: another code.
 * @throws {SyntaxError} A reason that is larger than 123.
 */
export function checkClose(code, size = 0) {
  if (code && !/^(1000|[34]...)$/.test(`${code}`)) throw refusal("InvalidAccessError", `code ${code}`);
  if (size > 123) throw new SyntaxError("Invalid reason");
}
