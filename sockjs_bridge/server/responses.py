"""Responses to the requests that aiohttp has read, written past its writer.

aiohttp's own response classes encode headers as UTF-8, where PEP 3333 asks for latin-1, and invent
a Content-Type.
"""

from __future__ import annotations

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from sockjs_bridge.endpoint.outcomes import Answer, phrase
from sockjs_bridge.server.http1 import Dialect, head, known_head
from sockjs_bridge.server.reader import connection_of


class OwnResponse(web.StreamResponse):
    """A response whose bytes this server writes; aiohttp learns what became of it.

    Args:
        request: what it answers.
        status: of it.
        reason: of it; by default the usual one.
        delimited: its end is seen without the connection's.

    Attributes:
        dialect: what is to be written.
        sent: bytes of the body so far, without framing.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        status: int,
        reason: str | None = None,
        *,
        delimited: bool = True,
    ) -> None:
        super().__init__(status=status, reason=reason)
        version = min(request.version, HttpVersion11)
        self._request = request
        self._flow = connection_of(request).flow
        self.dialect = Dialect(f"{version.major}.{version.minor}", request.keep_alive and delimited)
        self.sent = 0

    @property
    def keep_alive(self) -> bool:
        """Whether the connection outlives the response."""
        return self.dialect.persistent

    @property
    def body_length(self) -> int:
        """How many bytes of the body were sent, without framing."""
        return self.sent

    def force_close(self) -> None:
        """Closes the connection after this response."""
        self.dialect = self.dialect._replace(persistent=False)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Does nothing: the head leaves with what follows it."""
        return request.writer

    def began(self) -> None:
        """Says that nothing else can answer the request any more: aiohttp sees it by this."""
        self._request.writer.output_size += 1

    async def write_eof(self, data: bytes = b"") -> None:
        """Does nothing: a session's receiver has written all of it."""

    def _write(self, data: bytes) -> None:
        """Hands bytes to the transport.

        Raises:
            ConnectionError: nobody is there to take them.
        """
        if self._flow.closing:
            raise ConnectionResetError("the peer is gone")
        self.began()
        self._flow.write(data)


class EndpointResponse(OwnResponse):
    """What an endpoint answers at once.

    Args:
        request: what it answers.
        answer: the endpoint's; headers are native strings (PEP 3333, "Unicode Issues").
    """

    def __init__(self, request: web.BaseRequest, answer: Answer) -> None:
        super().__init__(request, answer.status)
        self._answer = answer

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends it."""
        status, headers, body = self._answer.status, self._answer.headers, self._answer.body
        if self._request.method == "HEAD":
            # RFC 9110, 9.3.2: what GET would say of the length, as far as it is known.
            reason, length = phrase(status), len(body) or None
            self._write(head(status, reason, headers, self.dialect, length=length))
        else:
            self.sent = len(body)
            self._write(known_head(status, headers, len(body), self.dialect) + body)
