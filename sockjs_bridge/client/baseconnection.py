"""What the application does alike with each connection: it receives, iterates and closes."""

from __future__ import annotations

import abc
import asyncio
from collections import deque
from typing import Self

import aiohttp
from yarl import URL

from sockjs_bridge.errors import ConnectionClosed

#: Close codes of an ordinary ending: iteration ends without an error.
QUIET_CODES = frozenset({1000, 1001, 3000})


class BaseConnection(abc.ABC):
    """The receiving side of a connection.

    Args:
        http: the aiohttp session that makes its requests.
        owns_http: whether that session is closed with the connection.

    Attributes:
        close_code: None until the connection is over.
        close_reason: None until the connection is over.
    """

    def __init__(self, http: aiohttp.ClientSession, owns_http: bool) -> None:
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._http = http
        self._owns_http = owns_http
        self._messages: deque[str] = deque()
        # Set where there is something that who waits may have waited for: a message, the end.
        self._changed = asyncio.Event()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        url = shown(URL(self.url))
        return f"<{type(self).__name__} {url} {self.transport} {self._condition()}>"

    def _condition(self) -> str:
        if self.close_code is not None:
            return f"closed {self.close_code} {self.close_reason!r}"
        return "open" if self._opened.done() else "connecting"

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The URL that it connects to."""

    @property
    @abc.abstractmethod
    def transport(self) -> str | None:
        """The transport in use, by the SockJS client's name; None while nothing is connected."""

    async def recv(self) -> str:
        """Waits for the next message.

        Messages that arrived before the end are still returned after it.

        Raises:
            ConnectionClosed: the connection is over and all messages were returned.
        """
        while not self._messages:
            await self._wait_for_change()
        message = self._messages.popleft()
        self._go_on_reading()
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        try:
            return await self.recv()
        except ConnectionClosed as closed:
            if closed.code in QUIET_CODES:
                raise StopAsyncIteration from None
            raise

    async def _wait_for_change(self) -> None:
        """Waits until something is new, or raises where the connection is over."""
        self._check_open()
        self._changed.clear()
        await self._changed.wait()

    def _check_open(self) -> None:
        if self.close_code is not None:
            raise ConnectionClosed(self.close_code, self.close_reason or "")

    @abc.abstractmethod
    def _go_on_reading(self) -> None:
        """Hears that a message was taken: there may be room for others."""

    async def _close_http(self) -> None:
        if self._owns_http:
            await self._http.close()


def shown(url: URL) -> URL:
    """Returns what may be shown of a URL: user and query may be a password and a ticket."""
    return url.with_user(None).with_query(None).with_fragment(None)


def check_message(message: object) -> None:
    """Checks what is to be sent.

    Raises:
        TypeError: it is not a string.
    """
    if not isinstance(message, str):
        raise TypeError(f"a message is a str, not {type(message).__name__}")


def check_close(code: int, reason: str) -> None:
    """Checks what a connection is to be closed with.

    Raises:
        ValueError: the code or the reason may not be sent (RFC 6455, 5.5 and 7.4).
    """
    if code != 1000 and not 3000 <= code <= 4999:
        raise ValueError(f"a close code is 1000 or 3000 to 4999, not {code}")
    if len(reason.encode()) > 123:
        raise ValueError("a close reason is at most 123 bytes of UTF-8")
