// What the built file has, and the package for bundlers.

/** @typedef {import("./sockjs.js").SockJSOptions} SockJSOptions */
/** @typedef {import("./events.js").SockJSEvents} SockJSEvents */
/** @typedef {import("./events.js").SockJSMessageEvent} SockJSMessageEvent */
/** @typedef {import("./events.js").SockJSCloseEvent} SockJSCloseEvent */
/** @typedef {import("./reconnecting.js").ReconnectingSockJSOptions} ReconnectingSockJSOptions */
/** @typedef {import("./receipts.js").ReconnectingSockJSEvents} ReconnectingSockJSEvents */
/** @typedef {import("./receipts.js").ReconnectingState} ReconnectingState */
/** @typedef {import("./receipts.js").Receipt} Receipt */

export { ReconnectingSockJS } from "./reconnecting.js";
export { SockJS } from "./sockjs.js";
