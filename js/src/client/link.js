// One connection of a session: a request that receives, or a WebSocket.

import { WEBSOCKET } from "./policy.js";

// Ms that a server may ask to wait. Beyond 25 days a browser's timer would fire at once.
const LONGEST = 3600e3;

/** @import { Host, Socket } from "./host.js" */
/** @import { Way } from "./session.js" */

/**
 * Times are ms of the host's clock. What has no value yet is left out.
 *
 * @typedef {object} Link
 * @property {Way} _way
 * @property {boolean} [_probe] it is only to prove that its way works.
 * @property {number} [_request] the number of its receive request.
 * @property {boolean} [_held] a poll that is answered when there is something.
 * @property {boolean} [_up] the handshake of a WebSocket is done.
 * @property {number} _askedAt
 * @property {number} [_emptyUntil] where it ends so soon, in good order, and brought nothing, it is none.
 * @property {number} [_number] of the message that comes next over it, from its welcome on.
 * @property {number} _welcomedAt
 * @property {number} _heardAt when anything came over it last.
 * @property {number} [_pingedAt] when the ping was sent that has no answer yet.
 * @property {number} [_pingAt] when it is pinged next.
 * @property {number} [_buffered] bytes that had not left when it was pinged.
 * @property {number} _quiet ms of silence that it may have.
 * @property {number} [_expected] the number that the server gives to what comes up without one.
 * @property {number} _upto the number of the last message that went up over it.
 * @property {boolean} [_saidClose]
 * @property {boolean} [_over] nothing comes or goes over it any more.
 * @property {Socket | { close: () => void }} _wire
 */

/**
 * What hears a link.
 *
 * @typedef {object} Hearer
 * @property {(link: Link) => void} _connected the handshake of a WebSocket is done.
 * @property {(link: Link, text: string) => void} _line a line, whole, without its end.
 * @property {(link: Link, status?: number, clean?: boolean, after?: number) => void} _gone it is over:
 *   the status of an HTTP answer, or the code of a close frame; 0 where there is none. clean: a
 *   response ended in good order. after: ms that the server asks to wait.
 */

/**
 * @param {Host} host
 * @param {Link} link
 * @param {string} url
 * @param {Hearer} on
 * @param {object} [body] of a request.
 */
export function open(host, link, url, on, body) {
  if (link._way === WEBSOCKET) {
    link._wire = host.websocket(url.replace("http", "ws"), {
      open: () => on._connected(link),
      text: (text) => on._line(link, text),
      close: (code) => on._gone(link, code),
    });
    return;
  }
  let rest = "";
  const request = host.request(url, JSON.stringify(body), {
    head: (status, header) => {
      const after = 1e3 * Number(header("Retry-After")) || 0;
      if (status !== 200) on._gone(link, status, false, Math.min(LONGEST, after));
    },
    text: (chunk) => {
      const lines = (rest + chunk).split("\n");
      // What has no line end is no line.
      rest = /** @type {string} */ (lines.pop());
      // A part of a line is a sign of life, too: a large one may take long.
      for (const line of ["h", ...lines]) on._line(link, line);
    },
    end: (failed) => on._gone(link, 0, !failed),
  });
  link._wire = { close: () => request.abort() };
}

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
