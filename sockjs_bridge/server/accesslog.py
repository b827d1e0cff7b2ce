"""One line per HTTP request, in Apache's combined log format."""

from __future__ import annotations

import logging
import re
import time as clock
from functools import lru_cache
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from sockjs_bridge.endpoint.request import RequestHead
from sockjs_bridge.server.proxy import Client
from sockjs_bridge.server.reader import connection_of

CLIENT: Final = web.RequestKey("sockjs_bridge.client", Client)
"""Who made the request, once the proxy's headers were read."""
POLL: Final = web.RequestKey("sockjs_bridge.poll", bool)
"""True on a request that a SockJS client repeats all the time."""
REMOTE_USER: Final = web.RequestKey("sockjs_bridge.remote_user", str)
"""Who is signed in, as the WSGI application's REMOTE_USER says."""

#: Nobody is left to read the answer: nginx's number for it.
GONE: Final = 499

# strftime's %b follows the locale; the format does not.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")


class AccessLogger(AbstractAccessLogger):
    """Writes ``host - user [time] "request" status bytes "referer" "user-agent"``.

    Lines go to the logger ``sockjs_bridge.access`` at level INFO. What came from the client
    is escaped as Apache does it, so no request can start a line or end a quotation.

    Args:
        logger: taken for aiohttp's sake; the lines go to this package's own logger.
        log_format: taken for aiohttp's sake; the format is fixed.
    """

    log_polls = False
    """Whether requests marked with `POLL` are written too."""

    def __init__(self, logger: logging.Logger, log_format: str) -> None:
        super().__init__(logging.getLogger("sockjs_bridge.access"), log_format=log_format)

    @property
    def enabled(self) -> bool:
        """Whether anybody listens to the logger."""
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Writes the line of one request.

        Args:
            request: what was asked.
            response: what was answered.
            time: how long it took, in seconds.
        """
        if request.get(POLL) and not self.log_polls:
            return
        client = request.get(CLIENT)
        remote = client.remote if client is not None else connection_of(request).addresses.peer
        user = request.get(REMOTE_USER) or "-"
        self.write(request, response.status, _body_size(response), time, remote, user)

    def write(
        self,
        head: RequestHead,
        status: int,
        size: int,
        time: float,
        remote: str,
        user: str = "-",
    ) -> None:
        """Writes the line of one request, whoever has read it.

        Args:
            head: what was asked.
            status: what was answered.
            size: bytes of the answer's body.
            time: how long it took, in seconds.
            remote: address of who asked.
            user: who is signed in.
        """
        major, minor = head.version
        self.logger.info(
            '%s - %s [%s] "%s %s HTTP/%d.%d" %d %s "%s" "%s"',
            _escaped(remote),
            # A blank would shift the columns behind it.
            _escaped(user).replace(" ", r"\x20"),
            _timestamp(int(clock.time() - time)),
            _escaped(head.method),
            _escaped(head.raw_path),
            major,
            minor,
            status,
            size or "-",
            _escaped(head.headers.get("Referer", "-")),
            _escaped(head.headers.get("User-Agent", "-")),
        )


def _body_size(response: web.StreamResponse) -> int:
    if isinstance(response, web.Response):
        # aiohttp counts the head too.
        return len(response.body) if isinstance(response.body, bytes) else 0
    return response.body_length


class EveryRequestLogger(AccessLogger):
    """Writes the lines of polls and sends too."""

    log_polls = True


def _escaped(text: str) -> str:
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return "\\" + character
    try:
        # aiohttp keeps bytes that are no UTF-8 as surrogates (PEP 383).
        data = character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)


@lru_cache(maxsize=8)
def _timestamp(seconds: int) -> str:
    local = clock.localtime(seconds)
    month = _MONTHS[local.tm_mon - 1]
    return clock.strftime(f"%d/{month}/%Y:%H:%M:%S %z", local)
