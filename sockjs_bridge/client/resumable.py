"""A connection whose session survives: what `connect` returns with ``resume=True``."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from sockjs_bridge.client.baseconnection import BaseConnection, check_close, check_message
from sockjs_bridge.client.connection import HandshakeError
from sockjs_bridge.client.network import Network
from sockjs_bridge.client.resume.core import ResumableClient
from sockjs_bridge.client.resume.policy import Policy, Way
from sockjs_bridge.errors import ConnectionClosed

#: The ways of each transport that `connect` knows with ``resume=True``.
RESUMABLE_TRANSPORTS = {
    "auto": tuple(Way),
    "websocket": (Way.WEBSOCKET,),
    "xhr-streaming": (Way.STREAM,),
    "xhr-polling": (Way.POLL,),
}
_NAMES = {ways[0]: name for name, ways in RESUMABLE_TRANSPORTS.items() if name != "auto"}


@dataclass(frozen=True, slots=True)
class Event:
    """A change in the connection's session.

    Attributes:
        name: ``suspended``: no connection to the server works. ``resumed``: one works again; after
            ``lost`` or ``moved`` it is a new session. ``lost``: the session does not exist any
            more, a new one begins, and messages from the server may be missing. ``moved``: the
            server stops, a new session begins, and nothing is missing. ``missed``: the history of
            rooms does not reach back far enough. ``denied``: the server refuses this client.
        number: with ``lost``: how many messages were surely handled; later ones are sent again.
        rooms: with ``missed``: the names of the rooms.
        status: with ``denied``: the HTTP status.
    """

    name: str
    number: int | None = None
    rooms: tuple[str, ...] = ()
    status: int | None = None


class ResumableConnection(BaseConnection):
    """An open resumable session; made by `connect` with ``resume=True``.

    Each message arrives once and in order, both ways, whatever happens to the connections below. If
    that is impossible, an `Event` says so.

    Attributes:
        close_code: None until the connection is over.
        close_reason: None until the connection is over.
        suspended: no connection to the server works at present.
        id: of this client. The id of a message, ``message_id`` in the application, is this id, a
            hyphen, and the message's number.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        owns_http: bool,
        base: URL,
        transport: str,
        headers: Mapping[str, str],
        close_timeout: float,
        max_size: int | None,
        max_queue: int | None,
        max_unhandled: int | None,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        super().__init__(http, owns_http)
        self.suspended = False
        self._base = base
        self._close_timeout = close_timeout
        self._max_queue = max_queue
        self._max_unhandled = max_unhandled
        # Who waits for room waits in order.
        self._sending = asyncio.Lock()
        self._on_event = on_event
        self._over = asyncio.Event()
        self._last = self._handled = 0
        self._stopping: asyncio.Task[None] | None = None
        self._network = Network(http, base, headers, max_size)
        policy = Policy(RESUMABLE_TRANSPORTS[transport], random.random)
        self._core = ResumableClient(
            self._network, _Listener(self), self._network.time, _token, policy
        )
        self._network.serve(self._core)
        self.id = self._core.client

    def _condition(self) -> str:
        return "suspended" if self.suspended and self.close_code is None else super()._condition()

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        return str(self._base)

    @property
    def session_id(self) -> str:
        """The id of the current session, which this client chose."""
        return self._core.session

    @property
    def transport(self) -> str | None:
        """The transport in use, by the SockJS client's name; None while nothing is connected."""
        way = self._core.way
        return None if way is None else _NAMES[way]

    async def open(self, timeout: float | None) -> None:
        """Connects. `connect` has already done this.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            HandshakeError: the server refused, or does not know resumable sessions.
            ConnectionClosed: the server closed the session at once.
            TimeoutError: it was not open in time.
        """
        self._core.start()
        self._network.look()
        try:
            async with asyncio.timeout(timeout):
                await self._opened
        except BaseException as error:
            await self._stop(1006, "Not opened")
            if isinstance(error, TimeoutError):
                why = f": {self._network.failure}" if self._network.failure else ""
                raise TimeoutError(f"{self._base} did not open in time{why}") from None
            raise

    # What the application does

    async def send(self, message: str) -> None:
        """Sends a message. It is put into a queue, and leaves as soon as a connection works.

        It is kept until the server's application has handled it. While more than ``max_unhandled``
        of `connect` is kept, this waits for room. If the call is cancelled then, nothing is sent.

        Args:
            message: any text.

        Raises:
            TypeError: the message is not a string.
            ValueError: it is larger than the server accepts.
            ConnectionClosed: the connection is over, or closing.
        """
        check_message(message)
        self._check_open()
        async with self._sending:
            await self._wait_until(self._has_room)
            try:
                self._last = self._core.send(message)
            except ConnectionError:
                raise ConnectionClosed(1000, "Closing") from None
            self._network.look()

    def _has_room(self) -> bool:
        kept = self._core.counts.size
        return self._max_unhandled is None or kept <= self._max_unhandled

    async def _wait_until(self, condition: Callable[[], object]) -> None:
        """Waits until something holds, or raises where the connection is over before."""
        while not condition():
            await self._wait_for_change()

    async def handled(self) -> None:
        """Waits until the application at the server has handled all that was sent so far.

        The server says so in between what it sends: who does not receive, with ``max_queue``
        messages waiting, does not hear it.

        Raises:
            ConnectionClosed: the connection is over, and not all was handled.
        """
        last = self._last
        if self._handled < last and self.close_code is None:
            self._core.want_handled()
            self._network.look()
        await self._wait_until(lambda: self._handled >= last)

    def _go_on_reading(self) -> None:
        if not self._network.readable.is_set() and not self._full:
            self._network.readable.set()
            asyncio.get_running_loop().call_soon(self._network.look)

    @property
    def _full(self) -> bool:
        return self._max_queue is not None and len(self._messages) >= self._max_queue

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the session when all messages are handled, or after ``close_timeout``.

        Args:
            code: 1000 or 3000 to 4999 (RFC 6455, section 7.4).
            reason: at most 123 bytes of UTF-8 (RFC 6455, section 5.5).

        Raises:
            ValueError: the code or the reason may not be sent.
        """
        check_close(code, reason)
        # Nobody reads any more.
        self._max_queue = None
        self._network.readable.set()
        self._core.close(code, reason)
        self._network.look()
        try:
            async with asyncio.timeout(self._close_timeout):
                await self._over.wait()
        except TimeoutError:
            pass
        finally:
            await self._stop(code, reason)

    # What becomes of it

    def _finish(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._over.set()
            self._changed.set()
            if not self._opened.done():
                self._opened.set_exception(ConnectionClosed(code, reason))

    async def _stop(self, code: int, reason: str) -> None:
        self._finish(code, reason)
        if self._opened.done() and not self._opened.cancelled():
            # Who opens has been told, or is gone.
            self._opened.exception()
        await self._network.stop()
        await self._close_http()

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            # Not from within the core: it may send, or raise.
            asyncio.get_running_loop().call_soon(self._on_event, event)


class _Listener:
    """Fulfils `links.Listener` for a connection."""

    def __init__(self, connection: ResumableConnection) -> None:
        self._connection = connection

    def received(self, messages: list[str]) -> None:
        connection = self._connection
        connection._messages += messages
        connection._changed.set()
        if connection._full:
            connection._network.readable.clear()

    def handled(self, number: int) -> None:
        self._connection._handled = number
        self._connection._changed.set()

    def opened(self) -> None:
        connection = self._connection
        if not connection._opened.done():
            connection._opened.set_result(None)
        if connection.suspended:
            # In a new session, after the one that was suspended was lost.
            self.resumed()

    def suspended(self) -> None:
        self._connection.suspended = True
        self._connection._tell(Event("suspended"))

    def resumed(self) -> None:
        self._connection.suspended = False
        self._connection._tell(Event("resumed"))

    def lost(self, number: int) -> None:
        self._connection._tell(Event("lost", number=number))

    def moved(self) -> None:
        self._connection._tell(Event("moved"))

    def missed(self, rooms: list[tuple[str, str]]) -> None:
        self._connection._tell(Event("missed", rooms=tuple(name for _, name in rooms)))

    def denied(self, status: int) -> None:
        self._refused(status, f"HTTP status {status}")
        self._connection._tell(Event("denied", status=status))

    def unsupported(self) -> None:
        self._refused(404, f"no resumable sessions at {self._connection._base}")

    def _refused(self, status: int, message: str) -> None:
        if not self._connection._opened.done():
            self._connection._opened.set_exception(HandshakeError(status, message))

    def closed(self, code: int, reason: str) -> None:
        connection = self._connection
        connection._finish(code, reason)
        connection._stopping = asyncio.get_running_loop().create_task(
            connection._stop(code, reason)
        )


def _token() -> str:
    return secrets.token_urlsafe(16)
