"""A SockJS client for Python, for tests, load tests and services.

::

    async with connect("http://localhost:6543/chat", transport="xhr-polling") as ws:
        await ws.send("hello")
        async for message in ws:
            ...
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, Literal, TypeVar, cast, overload

import aiohttp
from yarl import URL

from sockjs_bridge.client.baseconnection import shown
from sockjs_bridge.client.connection import Connection, HandshakeError, Options
from sockjs_bridge.client.http import HTTPConnection
from sockjs_bridge.client.resumable import RESUMABLE_TRANSPORTS, Event, ResumableConnection
from sockjs_bridge.client.sync import SyncConnection
from sockjs_bridge.client.websocket import RawWebSocketConnection, WebSocketConnection
from sockjs_bridge.client.wire import HTTP_TRANSPORTS, WEBSOCKET_TRANSPORTS, extend_url
from sockjs_bridge.errors import ConnectionClosed

__all__ = [
    "TRANSPORTS",
    "Connection",
    "ConnectionClosed",
    "Event",
    "HandshakeError",
    "ResumableConnection",
    "SyncConnection",
    "connect",
    "connect_sync",
]

#: The transports that `connect` knows, by the SockJS client's names.
TRANSPORTS = (*WEBSOCKET_TRANSPORTS, *HTTP_TRANSPORTS)


_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

_last_timestamp = 0

C = TypeVar("C", Connection, ResumableConnection)


def unique_milliseconds() -> int:
    """Returns the time in milliseconds since 1970, and never the same value twice.

    Servers take an identical ``t`` for the repeat of a request, and programs send more than one
    request in a millisecond.
    """
    global _last_timestamp
    _last_timestamp = max(_last_timestamp + 1, time.time_ns() // 1_000_000)
    return _last_timestamp


class connect(Generic[C]):
    """Connects to a SockJS endpoint over one transport.

    Await it to get an open `Connection`, or use it as an asynchronous context manager, which closes
    the connection at its end. Only a resumable session changes from one transport to another.

    Args:
        url: the endpoint's base URL, http or https (ws and wss mean the same). Its query, in yarl's
            canonical form, is sent with each request.
        transport: one of `TRANSPORTS`, ``websocket`` by default. With ``resume``: ``auto`` (the
            default), ``websocket``, ``xhr-streaming`` or ``xhr-polling``.
        resume: opens a resumable session: a `ResumableConnection`, to a server of this package.
            Then ``session_id``, ``timestamp``, ``send_timeout`` and ``idle_timeout`` have no
            effect.
        on_event: with ``resume``: called with each `Event`, on the loop.
        headers: for each request, for example ``Origin``, ``Cookie`` or ``Authorization``.
        session: the aiohttp session to use. It is not closed, and its cookies, TLS settings and
            limit of connections apply (an HTTP transport needs two). By default each connection has
            its own session, with a cookie jar that accepts cookies from hosts that are IP
            addresses.
        session_id: the SockJS session id; random by default.
        timestamp: returns the ``t`` parameter of each HTTP request; None leaves it out. By default
            it is the time in milliseconds, never the same value twice.
        open_timeout: seconds within which the session must open.
        close_timeout: seconds for the closing handshake of a WebSocket. After that the socket is
            closed without it.
        send_timeout: seconds for one send. After that the connection is closed with 1006.
        idle_timeout: seconds without a byte from the server, heartbeats included. After that the
            connection is closed with 1006. A WebSocket is sent a ping when two thirds of the time
            are over.
        max_size: bytes of one frame. With a larger one the connection is closed with 1009.
        max_queue: messages that may wait for `Connection.recv` before reading from the server
            stops. The frame that crosses the limit is still read completely.
        max_unhandled: with ``resume``: how much is kept of messages that the server has not
            handled, in characters plus 64 for each message. Beyond it `ResumableConnection.send`
            waits, so the memory of a client without a connection is limited.

    None means no limit, where the type allows it.

    Raises:
        ValueError: the URL or the transport is not valid.
        HandshakeError: the server could not be reached, or answered with a status other than 200 or
            101. Redirects are not followed. With ``resume``: the server refused this client (401 or
            403), or has no resumable sessions (404). Other failures are tried again until
            ``open_timeout``.
        ConnectionClosed: the server closed the session without opening it, or is not a SockJS
            server. A session that opens and closes at once is returned instead, and its
            `Connection.recv` raises.
        TimeoutError: ``open_timeout`` is over.
    """

    @overload
    def __init__(
        self: connect[Connection],
        url: str | URL,
        *,
        resume: Literal[False] = ...,
        transport: str | None = ...,
        headers: Mapping[str, str] | None = ...,
        session: aiohttp.ClientSession | None = ...,
        session_id: str | None = ...,
        timestamp: Callable[[], int] | None = ...,
        open_timeout: float | None = ...,
        close_timeout: float = ...,
        send_timeout: float | None = ...,
        idle_timeout: float | None = ...,
        max_size: int | None = ...,
        max_queue: int | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: connect[ResumableConnection],
        url: str | URL,
        *,
        resume: Literal[True],
        transport: str | None = ...,
        headers: Mapping[str, str] | None = ...,
        session: aiohttp.ClientSession | None = ...,
        open_timeout: float | None = ...,
        close_timeout: float = ...,
        max_size: int | None = ...,
        max_queue: int | None = ...,
        max_unhandled: int | None = ...,
        on_event: Callable[[Event], object] | None = ...,
    ) -> None: ...

    def __init__(
        self,
        url: str | URL,
        *,
        resume: bool = False,
        transport: str | None = None,
        headers: Mapping[str, str] | None = None,
        session: aiohttp.ClientSession | None = None,
        session_id: str | None = None,
        timestamp: Callable[[], int] | None = unique_milliseconds,
        open_timeout: float | None = 10.0,
        close_timeout: float = 5.0,
        send_timeout: float | None = 60.0,
        idle_timeout: float | None = 60.0,
        max_size: int | None = 16 * 1024 * 1024,
        max_queue: int | None = 1024,
        max_unhandled: int | None = 16 * 1024 * 1024,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        known = RESUMABLE_TRANSPORTS if resume else TRANSPORTS
        if transport is None:
            transport = "auto" if resume else "websocket"
        if transport not in known:
            raise ValueError(f"no transport {transport!r}: known are {', '.join(known)}")
        base = URL(url)
        scheme = _SCHEMES.get(base.scheme)
        if scheme is None or not base.host:
            raise ValueError(f"not an http or https URL: {url}")
        self._base = base.with_scheme(scheme)
        self._http = session
        self._session_id = session_id
        self._timestamp = timestamp
        self._options = Options(
            transport=transport,
            headers=headers or {},
            open_timeout=open_timeout,
            close_timeout=close_timeout,
            send_timeout=send_timeout,
            idle_timeout=idle_timeout,
            max_size=max_size,
            max_queue=max_queue,
        )
        self._resume = resume
        self._max_unhandled = max_unhandled
        self._on_event = on_event
        self._connection: C | None = None

    def __repr__(self) -> str:
        return f"<connect {shown(self._base)} {self._options.transport}>"

    def __await__(self) -> Generator[Any, None, C]:
        return self._connect().__await__()

    async def __aenter__(self) -> C:
        self._connection = await self._connect()
        return self._connection

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._connection is not None  # __aenter__ returned
        await self._connection.close()

    async def _connect(self) -> C:
        owns_http = self._http is None
        http = self._http or aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        open_one = self._open_resumable if self._resume else self._open_stock
        return cast(C, await open_one(http, owns_http))

    async def _open_resumable(
        self, http: aiohttp.ClientSession, owns_http: bool
    ) -> ResumableConnection:
        options = self._options
        connection = ResumableConnection(
            http,
            owns_http,
            self._base,
            options.transport,
            options.headers,
            options.close_timeout,
            options.max_size,
            options.max_queue,
            self._max_unhandled,
            self._on_event,
        )
        await connection.open(options.open_timeout)
        return connection

    async def _open_stock(self, http: aiohttp.ClientSession, owns_http: bool) -> Connection:
        session_id = self._session_id or secrets.token_hex(16)
        session_url = extend_url(self._base, f"/{secrets.randbelow(1000):03}/{session_id}")
        connection: Connection
        match self._options.transport:
            case "raw-websocket":
                url = extend_url(self._base, "/websocket")
                connection = RawWebSocketConnection(http, owns_http, url, session_id, self._options)
            case "websocket":
                connection = WebSocketConnection(
                    http, owns_http, session_url, session_id, self._options
                )
            case _:
                connection = HTTPConnection(
                    http, owns_http, session_url, session_id, self._options, self._timestamp
                )
        await connection.open()
        return connection


def connect_sync(url: str | URL, **options: Any) -> SyncConnection:
    """Connects from code that does not await, with a resumable session.

    ::

        with connect_sync("http://localhost:6543/notes") as ws:
            ws.send("a note")
            ws.handled(timeout=5)

    Args:
        url: as for `connect`.
        **options: as for `connect` with ``resume=True``. ``on_event`` is called in the thread of
            the connection. ``session`` is not allowed.

    Raises:
        TypeError: an option is unknown.
        ValueError: the URL or the transport is not valid.
        HandshakeError: as for `connect`.
        ConnectionClosed: as for `connect`.
        TimeoutError: ``open_timeout`` is over.
    """
    opening = connect(url, resume=True, **options)

    async def open_it() -> ResumableConnection:
        return await opening

    return SyncConnection(open_it)
