// One connection of a session: a request that receives, or a WebSocket.

/** @import { Socket } from "./host.js" */
/** @import { Way } from "./session.js" */
/** @import { SockJS } from "./sockjs.js" */

/**
 * Times are ms of the host's clock. What has no value yet is left out.
 *
 * @typedef {object} Link
 * @property {Way} _way
 * @property {boolean} [_probe] it is only to prove that its way works.
 * @property {number} _turn the number of its receive request.
 * @property {boolean} [_held] a poll that is answered when there is something.
 * @property {boolean} [_up] the handshake of a WebSocket is done.
 * @property {number} _askedAt
 * @property {number} _emptyUntil where it ends so soon, in good order, and brought nothing, it is none.
 * @property {number} _number of the message that comes next over it, from its welcome on.
 * @property {number} _welcomedAt
 * @property {number} _heardAt when anything came over it last.
 * @property {number} [_pingedAt] when the ping was sent that has no answer yet.
 * @property {number} [_pingAt] when it is pinged next.
 * @property {number} _buffered bytes that had not left when it was pinged.
 * @property {number} _quiet ms of silence that it may have.
 * @property {number} [_expected] the number that the server gives to what comes up without one.
 * @property {number} _upto the number of the last message that went up over it.
 * @property {boolean} [_saidClose]
 * @property {boolean} [_over] nothing comes or goes over it any more.
 * @property {InstanceType<typeof SockJS>} [_sock] it is no link of `~r1`, but a connection of SockJS.
 * @property {Socket | { close: () => void }} _wire
 */

/**
 * @param {Way} way
 * @param {number} now
 * @param {boolean} [probe]
 */
export const newLink = (way, now, probe) =>
  /** @type {Link} */ ({
    _way: way,
    _probe: probe,
    _turn: 0,
    _number: 0,
    _buffered: 0,
    _askedAt: now,
    _heardAt: now,
  });

/**
 * @param {Link} link a WebSocket.
 * @param {object} frame
 */
export const write = (link, frame) => /** @type {Socket} */ (link._wire).send(JSON.stringify(frame));

/**
 * @param {Link} link
 * @returns {number} bytes that have not left yet.
 */
export const left = (link) => /** @type {Socket} */ (link._wire).bufferedAmount ?? 0;
