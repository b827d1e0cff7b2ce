"""What application code holds of a connection, in each style of view."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from sockjs_bridge.core.contracts import Channel, Clock
from sockjs_bridge.core.joined import REFUSED, Joined
from sockjs_bridge.core.protocol import NORMAL
from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.pyramid.attempt import note_act
from sockjs_bridge.pyramid.checks import checked_close, checked_message, checked_room, encoded_info
from sockjs_bridge.pyramid.progress import Surviving


class Connection(Surviving):
    """A client's connection, as every style of view sees it, on any transport.

    Every method may be called in any thread and any task, unless it says otherwise.

    Args:
        channel: what it sends and hears by.
        clock: of the loop that the channel lives on.
    """

    def __init__(self, channel: Channel, clock: Clock) -> None:
        super().__init__(channel, clock)
        self._channel = channel
        self._clock = clock
        # The loop closes the channel later than a thread asks for it.
        self._closing = False

    @property
    def channel(self) -> Channel:
        """What it sends and hears by, for the bridge itself."""
        return self._channel

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._channel!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and other._channel is self._channel

    def __hash__(self) -> int:
        return hash(self._channel)

    @property
    def id(self) -> str:
        """The session's id."""
        return self._channel.id

    @property
    def transport(self) -> str:
        """The transport in use, by the name that the SockJS client gives it."""
        return self._channel.transport.name

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was negotiated with a raw WebSocket; None if there is none."""
        return self._channel.subprotocol

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._closing or self._channel.over

    @property
    def close_code(self) -> int | None:
        """The close code; None while it is open."""
        return self._channel.close_code

    @property
    def close_reason(self) -> str:
        """The reason that belongs to the close code."""
        return self._channel.close_reason

    def send(self, message: str) -> bool:
        """Sends a message. It returns before the message has left.

        Args:
            message: any text.

        Returns:
            False if the connection is over. It never raises because of that.

        Raises:
            TypeError: the message is not a string.
        """
        if type(message) is not str:
            checked_message(message)
        channel = self._channel
        if self._closing or channel.over:
            return False
        encoded = channel.transport.encode(message)
        note_act()
        self._clock.call_from_thread(channel.send_encoded, encoded)
        return not (self._closing or channel.over)

    def close(self, code: int = NORMAL[0], reason: str = NORMAL[1]) -> None:
        """Closes the connection. Messages that were sent before leave first.

        Args:
            code: 1000, or 3000 to 4999 (RFC 6455, 7.4.2).
            reason: a few words for the client.

        Raises:
            ValueError: an application may not use that close code.
            TypeError: the reason is not a string.
        """
        checked_close(code, reason)
        self._closing = True
        self._clock.call_from_thread(self._channel.close, code, reason)

    def join(
        self, room: str, info: Mapping[str, Any] | None = None, announce: bool = False
    ) -> Joined:
        """Joins a room. When the connection ends, it leaves all its rooms.

        Args:
            room: any name; a room exists as long as somebody is in it.
            info: what `SockJS.presence` tells of the connection, a dict that JSON can hold. If the
                connection is in the room already, it replaces what was told.
            announce: tell the other members in all processes that the connection joins, and later
                that it leaves: `WebSocketSession.on_join`, `WebSocketSession.on_leave`.

        Returns:
            A `Joined`: true if the connection is in the room, false if it is over. For a room with
            a history it says whether the client has all of it.

        Raises:
            TypeError: the name is not a string, or JSON cannot hold the info.
            ValueError: the name is empty, or the info is longer than ``max_presence_info``.
        """
        checked_room(room)
        told = encoded_info(info)
        note_act()
        return REFUSED if self._closing else self._channel.join(room, told, announce)

    def leave(self, room: str) -> bool:
        """Leaves a room.

        Args:
            room: its name.

        Returns:
            False if it was not in the room.

        Raises:
            TypeError: the name is not a string.
            ValueError: the name is empty.
        """
        checked_room(room)
        note_act()
        return self._channel.leave(room)

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; empty when it is over."""
        return self._channel.rooms

    @property
    def last_rooms(self) -> frozenset[str]:
        """The names of the rooms that it was in when it ended."""
        return self._channel.last_rooms

    def receive(self, timeout: float | None = None) -> Any:
        """Waits for the next message, in a view. In a session class it raises: use its hooks.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            RuntimeError: always, here.
        """
        raise RuntimeError("the messages of a session class go to on_message, not to receive()")

    async def _drain(self) -> None:
        """Waits, on the loop, until the client has taken most of what was sent."""
        # A producer that never waits would keep all others, and its own messages, from leaving.
        await asyncio.sleep(0)
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._channel.when_drained(partial(_resolve, drained))
        await drained
        self._check_open()

    def _check_open(self) -> None:
        if self.closed:
            raise self._end()

    def _end(self) -> ConnectionClosed:
        return ConnectionClosed(self.close_code or NORMAL[0], self.close_reason)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_END: Final = object()


class WebSocket(Connection):
    """The connection of a blocking view.

    Iterating over it gives the messages, until it is over.

    Attributes:
        before_message: called when the view asks for a message; for the bridge itself.
    """

    def __init__(self, channel: Channel, clock: Clock) -> None:
        super().__init__(channel, clock)
        self.before_message: Callable[[], object] | None = None
        self._inbox: SimpleQueue[Any] = SimpleQueue()

    def receive(self, timeout: float | None = None) -> str:
        """Waits for the next message.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the client has left, or the connection was closed.
            TimeoutError: no message came in time.
        """
        if self.before_message is not None:
            self.before_message()
        progress = self._progress
        if progress is not None:
            progress.finish()
        try:
            message = self._inbox.get(timeout=timeout)
        except Empty:
            raise TimeoutError(f"no message within {timeout} s") from None
        if message is _END:
            # For the next call.
            self._inbox.put(_END)
            raise self._end()
        if self._channel.awaited:
            self._clock.call_from_thread(self._channel.ready)
        if progress is not None:
            progress.begin()
        text: str = message
        return text

    def __iter__(self) -> Iterator[str]:
        try:
            while True:
                yield self.receive()
        except ConnectionClosed:
            return

    def drain(self, timeout: float | None = None) -> None:
        """Waits until at most a quarter of ``max_queue_size`` waits for the client.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the client has left, or the connection was closed.
            TimeoutError: the client did not take enough in time.
        """
        if self._channel.over:
            # The loop may have ended too, and would never answer.
            raise self._end()
        drained = threading.Event()
        self._clock.call_from_thread(self._channel.when_drained, drained.set)
        if not drained.wait(timeout):
            raise TimeoutError(f"the client did not take what was sent within {timeout} s")
        self._check_open()

    def arrived(self, messages: list[str]) -> None:
        """Puts messages where `receive` takes them from. Called on the loop."""
        for message in messages:
            self._inbox.put(message)

    def ended(self) -> None:
        """Releases `receive`. Called on the loop."""
        self._inbox.put(_END)

    def backlog(self) -> int:
        """Returns how many messages wait for `receive`."""
        return self._inbox.qsize()


class AsyncWebSocket(Connection):
    """The connection of an ``async def`` view.

    Await its methods on the server's event loop, where such views run.

    Attributes:
        before_message: called when the view asks for a message; for the bridge itself.
    """

    #: How many messages a view gets in a row before others have their turn.
    FAIR: Final = 16

    def __init__(self, channel: Channel, clock: Clock) -> None:
        super().__init__(channel, clock)
        self.before_message: Callable[[], object] | None = None
        self._inbox: deque[str] = deque()
        self._waiting: set[asyncio.Future[None]] = set()
        self._ended = False
        self._in_a_row = 0

    async def receive(self, timeout: float | None = None) -> str:
        """Waits for the next message.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the client has left, or the connection was closed.
            TimeoutError: no message came in time.
        """
        if self.before_message is not None:
            self.before_message()
        progress = self._progress
        if progress is not None:
            progress.finish()
        self._in_a_row += 1
        if self._in_a_row % self.FAIR == 0 or (self._ended and not self._inbox):
            # A view that asks on and on, after the end even, must not keep the loop for itself.
            await asyncio.sleep(0)
        if not self._inbox:
            if self._ended:
                raise self._end()
            try:
                async with asyncio.timeout(timeout):
                    await self._wait()
            except TimeoutError:
                raise TimeoutError(f"no message within {timeout} s") from None
        message = self._inbox.popleft()
        if progress is not None:
            progress.begin()
        self._channel.ready()
        return message

    async def _wait(self) -> None:
        while not self._inbox:
            if self._ended:
                raise self._end()
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)

    def __aiter__(self) -> AsyncWebSocket:
        return self

    async def __anext__(self) -> str:
        try:
            return await self.receive()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def drain(self) -> None:
        """Waits until at most a quarter of ``max_queue_size`` waits for the client.

        Raises:
            ConnectionClosed: the client has left, or the connection was closed.
        """
        await self._drain()

    def arrived(self, messages: list[str]) -> None:
        """Puts messages where `receive` takes them from. Called on the loop."""
        self._inbox.extend(messages)
        self._wake()

    def ended(self) -> None:
        """Releases `receive`. Called on the loop."""
        self._ended = True
        self._wake()

    def backlog(self) -> int:
        """Returns how many messages wait for `receive`."""
        return len(self._inbox)

    def _wake(self) -> None:
        for future in self._waiting:
            _resolve(future)
