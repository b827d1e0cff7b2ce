// The life of a resumable session as a table. Nothing else assigns a state.
//
// state       what holds                                     what is sent meanwhile
// connecting  no welcome of this session yet                 goes with the first request
// open        a way was proved by a welcome                  goes out
// suspended   it broke, others are tried                     waits in its order
// moving      the server leaves; a random part of its time   waits
// closing     the page has closed it                         is refused; what waits goes out first
// closed      it was closed by the page                      is refused
// stopped     the server has closed it, or refuses it        is refused
//
// event       welcome: a way works, in both directions. break: the current one broke, or is silent.
//             lost: the server knows the session no more, a new one begins. moved: the same, somewhat
//             later (due), and nothing is doubtful. close: the page closes. end: the session is over.
//             begin: the page begins a new one.

/** @import { State } from "./session.js" */
/** @typedef {"welcome" | "break" | "lost" | "moved" | "due" | "close" | "end" | "begin"} Event */
/** @typedef {{ [event in Event]?: [State, ("open" | "suspended" | "resumed")?] }} Row */

/** @type {Row} */
const CLOSE = { close: ["closing"], end: ["stopped"] };
/** @type {Row} */
const LIVE = { ...CLOSE, lost: ["connecting"], moved: ["moving"] };
/** @type {Row} */
const OVER = { begin: ["connecting"] };

/**
 * What follows, and what the page is told of it. An event that is missing for a state is passed over.
 *
 * @type {Record<State, Row>}
 */
export const TRANSITIONS = {
  connecting: { ...LIVE, welcome: ["open", "open"] },
  open: { ...LIVE, break: ["suspended", "suspended"] },
  suspended: { ...LIVE, welcome: ["open", "resumed"] },
  moving: { ...CLOSE, due: ["connecting"] },
  closing: { ...OVER, end: ["closed"] },
  stopped: { ...OVER, close: ["closed"] },
  closed: OVER,
};
