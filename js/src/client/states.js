// The life of a resumable session as a table. Nothing else assigns a state.
//
// state       what holds                                     what is sent meanwhile
// connecting  no welcome of this session yet                 goes with the first request
// open        a way was proved by a welcome                  goes out
// suspended   it broke, others are tried                     waits in its order
// moving      the server leaves; a random part of its time   waits
// closing     the page has closed it                         is refused; what waits goes out first
// closed      over                                           is refused
//
// event       welcome: a way works, in both directions. break: the current one broke, or is silent.
//             lost: the server knows the session no more, a new one begins. moved: the same, somewhat
//             later (due), and nothing is doubtful. close: the page closes. end: the server has closed
//             the session, refuses it, or does not know ~r1.

/** @import { State } from "./session.js" */
/** @typedef {"welcome" | "break" | "lost" | "moved" | "due" | "close" | "end"} Event */
/** @typedef {{ [event in Event]?: [State, ("opened" | "suspended" | "resumed")?] }} Row */

/** @type {Row} */
const CLOSE = { close: ["closing"], end: ["closed"] };
/** @type {Row} */
const LIVE = { ...CLOSE, lost: ["connecting"], moved: ["moving"] };

/**
 * What follows, and what the page is told of it. An event that is missing for a state is passed over.
 *
 * @type {Record<State, Row>}
 */
export const TRANSITIONS = {
  connecting: { ...LIVE, welcome: ["open", "opened"] },
  open: { ...LIVE, break: ["suspended", "suspended"] },
  suspended: { ...LIVE, welcome: ["open", "resumed"] },
  moving: { ...CLOSE, due: ["connecting"] },
  closing: { end: ["closed"] },
  closed: {},
};
