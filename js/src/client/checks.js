// What a page says to the constructors, and to close(): checked as a WebSocket does it.

import { absolute } from "./attempts.js";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * An error by the name that WebSocket gives it. sockjs-client has the name in the message.
 *
 * @param {string} name
 * @param {string} message
 */
export const refusal = (name, message) => new DOMException(`${name}: ${message}`, name);

/**
 * @param {string | URL} url of an endpoint, which may be relative to the page's.
 * @throws {SyntaxError} It cannot be.
 * @throws {DOMException} SecurityError: http from a page of https, unless to loopback.
 */
export function addressOf(url) {
  const { location } = globalThis;
  const address = absolute(url, location?.href);
  if (!url || !address || !/^https?:$/.test(address.protocol) || address.hash) {
    throw new SyntaxError(`Invalid URL: ${url}`);
  }
  const secure = location?.protocol === "https:";
  if (secure && address.protocol < location.protocol && !LOOPBACK.test(address.hostname)) {
    throw refusal("SecurityError", "https only");
  }
  return address;
}

/**
 * @param {number} [code] 1000, or 3000 to 4999.
 * @param {number} [size] of the reason.
 * @throws {DOMException} InvalidAccessError: another code.
 * @throws {SyntaxError} A reason that is larger than 123.
 */
export function checkClose(code, size = 0) {
  if (code && code !== 1000 && !(code >= 3000 && code < 5000)) {
    throw refusal("InvalidAccessError", `code ${code}`);
  }
  if (size > 123) throw new SyntaxError("Invalid reason");
}
