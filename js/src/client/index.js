// What the built file has, and the package for bundlers.

/** @typedef {import("./sockjs.js").SockJSOptions} SockJSOptions */
/** @typedef {import("./events.js").SockJSEvents} SockJSEvents */
/** @typedef {import("./events.js").SockJSMessageEvent} SockJSMessageEvent */
/** @typedef {import("./events.js").SockJSCloseEvent} SockJSCloseEvent */

export { SockJS } from "./sockjs.js";
