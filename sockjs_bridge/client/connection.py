"""A connection: what all transports share. How bytes move is left to the subclasses."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sockjs_bridge.client.baseconnection import BaseConnection, check_close, check_message
from sockjs_bridge.client.wire import ProtocolError, decode_close, decode_message, decode_messages
from sockjs_bridge.errors import ConnectionClosed


class HandshakeError(ConnectionError):
    """The connection did not open.

    Args:
        status: of the server's answer, None if there was none.
        message: what happened.

    Attributes:
        status: as given.
    """

    def __init__(self, status: int | None, message: str) -> None:
        super().__init__(message)
        self.status = status


def describe(error: Exception) -> str:
    """Returns an error in a few words; time-outs often have no text."""
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `sockjs_bridge.client.connect`; times in seconds, sizes in bytes."""

    transport: str
    headers: Mapping[str, str] = field(repr=False)
    open_timeout: float | None
    close_timeout: float
    send_timeout: float | None
    idle_timeout: float | None
    max_size: int | None
    max_queue: int | None


class Connection(BaseConnection):
    """An open SockJS connection, made by `connect`.

    Attributes:
        status: of the HTTP answer to the opening request.
        response_headers: of that answer.
        heartbeats: how many heartbeat frames were received so far.
        close_code: once the connection is over, None before.
        close_reason: once the connection is over, None before.
    """

    _runner: asyncio.Task[None]

    def __init__(
        self,
        http: aiohttp.ClientSession,
        owns_http: bool,
        url: URL,
        session_id: str,
        options: Options,
    ) -> None:
        super().__init__(http, owns_http)
        self.status: int | None = None
        self.response_headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
        self.heartbeats = 0
        self._url = url
        self._session_id = session_id
        self._options = options
        self._has_room = asyncio.Event()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wire_close = (1000, "")

    @property
    def transport(self) -> str:
        """The transport, by the SockJS client's name."""
        return self._options.transport

    @property
    def url(self) -> str:
        """The session's URL. On raw-websocket, which has no sessions, the URL of the WebSocket."""
        return str(self._url)

    @property
    def session_id(self) -> str:
        """The session's id, which this client chose. A raw-websocket server never gets it."""
        return self._session_id

    async def send(self, message: str) -> None:
        """Sends a message.

        It returns when the message was written (WebSocket) or when the server has taken it (HTTP).
        Over HTTP only one request is under way at a time. Messages that other tasks send meanwhile
        leave together in the next one. A cancelled call may still deliver its message.

        Args:
            message: any text.

        Raises:
            TypeError: the message is not a string.
            ValueError: the message has a lone surrogate, which raw-websocket cannot carry.
            ConnectionClosed: the connection is over, or ended before the message was sent.
        """
        check_message(message)
        self._check_open()
        await self._send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection, and waits until its tasks and sockets are gone.

        A WebSocket carries code and reason to the server. HTTP cannot: the receiving request is
        aborted. If the connection is over already, this only waits.

        Args:
            code: 1000 or 3000 to 4999 (RFC 6455, 7.4).
            reason: at most 123 bytes of UTF-8 (RFC 6455, 5.5).

        Raises:
            ValueError: the code or the reason may not be sent.
        """
        check_close(code, reason)
        self._finish(code, reason, wire_close=(code, reason))
        await asyncio.wait({self._runner})

    async def open(self) -> None:
        """Connects. `connect` has already done this.

        Raises:
            HandshakeError: the server could not be reached or refused.
            ConnectionClosed: the server closed the session without opening it.
            TimeoutError: ``open_timeout`` is over.
        """
        self._runner = asyncio.create_task(self._run(), name=f"sockjs client {self._session_id}")
        try:
            async with asyncio.timeout(self._options.open_timeout):
                await self._opened
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"{self._url} did not open in time") from None
            raise

    def _go_on_reading(self) -> None:
        self._has_room.set()

    def _accept(self, status: int, headers: CIMultiDictProxy[str]) -> None:
        """Notes the answer to the opening request."""
        self.status = status
        self.response_headers = headers

    def _finish(
        self,
        code: int,
        reason: str,
        *,
        wire_close: tuple[int, str] = (1000, ""),
        error: HandshakeError | None = None,
    ) -> None:
        """Declares the connection over, and wakes all who wait. Only the first call counts."""
        if self._over.done():
            return
        self.close_code = code
        self.close_reason = reason
        self._wire_close = wire_close
        if not self._opened.done():
            self._opened.set_exception(error or ConnectionClosed(code, reason))
        self._over.set_result(None)
        self._changed.set()

    async def _run(self) -> None:
        """Receives until the connection is over, then lets go of everything that it holds."""
        receiver = asyncio.create_task(self._receive(), name=f"sockjs receiver {self._session_id}")
        try:
            # A plain await would hand a cancellation on to the future that others wait for.
            await asyncio.wait({self._over})
        finally:
            self._finish(1006, "Cancelled")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.close_timeout):
                    await self._disconnect(*self._wire_close)
            receiver.cancel()
            await asyncio.wait({receiver})
            await self._close_http()

    async def _receive(self) -> None:
        try:
            async with contextlib.aclosing(self._frames()) as frames:
                async for frame in frames:
                    self._take(frame)
                    await self._wait_for_room()
        except HandshakeError as error:
            self._finish(1006, str(error), error=error)
        except ConnectionClosed as closed:
            self._finish(closed.code, closed.reason)
        except ProtocolError as broken:
            self._finish(broken.code, broken.reason, wire_close=(1002, ""))
        except (aiohttp.ClientError, OSError) as lost:
            reason = f"Connection lost: {describe(lost)}"
            refusal = HandshakeError(None, reason) if self.status is None else None
            self._finish(1006, reason, error=refusal)
        finally:
            self._finish(1006, "Connection lost")

    async def _wait_for_room(self) -> None:
        limit = self._options.max_queue
        while limit is not None and len(self._messages) >= limit:
            self._has_room.clear()
            await self._has_room.wait()

    def _take(self, frame: str) -> None:
        """Acts on one SockJS frame (sockjs-protocol, section "Protocol and framing")."""
        kind, payload = frame[:1], frame[1:]
        if frame == "o":
            if self._opened.done():
                raise ProtocolError("Server lost session")
            self._opened.set_result(None)
        elif kind == "c":
            raise ConnectionClosed(*decode_close(payload))
        elif not self._opened.done():
            raise ProtocolError(f"Broken framing: {frame[:20]!r} before the open frame")
        elif kind == "a":
            self._deliver(decode_messages(payload))
        elif kind == "m":
            self._deliver([decode_message(payload)])
        elif frame == "h":
            self.heartbeats += 1
        else:
            raise ProtocolError(f"Broken framing: unknown frame {frame[:20]!r}")

    def _deliver(self, messages: list[str]) -> None:
        self._messages.extend(messages)
        self._changed.set()

    @abc.abstractmethod
    def _frames(self) -> AsyncGenerator[str, None]:
        """Connects and yields frames; raises when the connection is over."""

    @abc.abstractmethod
    async def _send(self, message: str) -> None:
        """Brings one message to the server."""

    @abc.abstractmethod
    async def _disconnect(self, code: int, reason: str) -> None:
        """Ends what the transport has open, apart from the generator of frames."""
