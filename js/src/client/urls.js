// The URLs of a client.

import { refusal } from "./checks.js";

// What a page of https may connect to.
const SECURE = /^(https|http:..(localhost|127[.\d]+|\[::1])[:/])/;

/**
 * @param {string | URL} url
 * @param {string} [base]
 * @returns {?URL} None where it cannot be.
 */
export function absolute(url, base) {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
}

/** @param {URL} url Its path gets no slash at its end. */
export const trimmed = ({ href }) => href.replace(/^([^?]*?)\/+(?=\?|$)/, "$1");

/**
 * @param {string | URL} url of an endpoint, which may be relative to the page's.
 * @throws {SyntaxError} It cannot be.
 * @throws {DOMException} SecurityError: http from a page of https, unless to loopback.
 */
export function addressOf(url) {
  const { location } = globalThis;
  const address = absolute(url, location?.href);
  if (!url || !address || !/^https?:[^#]*$/.test(address.href)) throw new SyntaxError(`Invalid URL: ${url}`);
  if (location?.protocol === "https:" && !SECURE.test(address.href)) {
    throw refusal("SecurityError", "A page of https needs an https URL");
  }
  return address;
}

/**
 * Appends to the path of a URL, and to its query: what is there is the application's.
 *
 * @param {string} url
 * @param {string} path
 * @param {string} [query]
 */
export function below(url, path, query) {
  const [start, ...own] = url.split("?");
  const all = [own.join("?"), query].filter(Boolean).join("&");
  return start + path + (all && `?${all}`);
}

/** @param {string} name of a transport, as SockJS has it. @returns {string} the last part of its URL. */
export const lastOf = (name) => name.replace("-polling", "").replace("-", "_");
