"""The way of a response's blocks from the application's thread to the loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from sockjs_bridge.endpoint.handshake import Inquiry
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.wsgi.budget import Budget, Holder, leaving_order
from sockjs_bridge.server.wsgi.exchange import ClientGone, Head
from sockjs_bridge.server.wsgi.response import WSGIResponse


class Outflow:
    """What the responses of a process share while they are on their way; used on the loop.

    Args:
        pool: where the application runs.
        max_memory: bytes that may wait for clients, all responses together.

    Attributes:
        pool: as given.
        memory: what waits for clients, in bytes.
    """

    def __init__(self, pool: ThreadPool, max_memory: int) -> None:
        # One that alone needs more than all may have must not end the others.
        self.memory = Budget(max_memory, max_memory // 2)
        self.pool = pool
        # Bytes that threads have brought and the loop has not seen: many may begin at once.
        self._brought = 0
        self._lock = threading.Lock()
        # Those whose threads wait for their clients; each has one.
        self._waiting: dict[Holder, int] = {}
        # Those of them that were broken off, and whose threads do not know yet.
        self._leaving: set[Holder] = set()

    def room(self) -> int:
        """Returns how many bytes one response may have waiting before its thread must wait too."""
        # The other half is for what exists already: whole bodies, and blocks of waiting threads.
        held = self.memory.total + self._brought
        return self.memory.limit // 16 if held <= self.memory.limit // 2 else 0

    def bring(self, size: int) -> None:
        """Notes bytes that a thread brings, below 0 those that the loop counts from now on."""
        with self._lock:
            self._brought += size

    def begin_waiting(self, response: WSGIResponse) -> None:
        """Notes that a response's thread waits; with too many of these, one is broken off."""
        if self._waiting and self.pool.lent - len(self._leaving) > self.pool.max_lent:
            first = leaving_order(self._waiting)[0]
            del self._waiting[first]
            self._leaving.add(first)
            first.give_way()
        self._waiting[response] = 1

    def end_waiting(self, response: WSGIResponse) -> None:
        """Notes that a response's thread goes on."""
        self._waiting.pop(response, None)

    def end(self, response: WSGIResponse) -> None:
        """Notes that a response's thread is free."""
        self._leaving.discard(response)


class Outlet:
    """Carries blocks from the application's thread to the loop, and there to the client.

    A thread whose client is slow goes on until so much waits that there is no room; then it waits
    too, but not as one of those that answer requests.

    Args:
        make: makes the response of its head.
        shared: what it shares with the others.
        inquiry: where the application may say that the endpoint answers.

    Attributes:
        response: once a block was sent.
        broken: nobody takes more blocks.
        inquiry: as given.
    """

    def __init__(
        self, make: Callable[[Head], WSGIResponse], shared: Outflow, inquiry: Inquiry
    ) -> None:
        self.response: WSGIResponse | None = None
        self.broken = False
        self.inquiry = inquiry
        self._make = make
        self._shared = shared
        self._pool = shared.pool
        self._clock = shared.pool.clock()
        self._blocks: deque[bytes] = deque()
        # Bytes: only the thread changes the first, only the loop the others.
        self._brought = self._arrived = self._taken = 0
        self._room: threading.Event | None = None
        self._lent = False
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    # In the thread

    def send(self, head: Head, block: bytes) -> None:
        """Sends a block, and returns when the next may come.

        Raises:
            ClientGone: nobody takes it.
        """
        if self.inquiry.found is not None:
            self.broken = True
            raise ClientGone("the endpoint answers in place of the application")
        if self._room is None:
            self._room = threading.Event()
            # From here on it may take as long as it likes.
            self._lent = self._pool.lend()
        self._brought += len(block)
        self._shared.bring(len(block))
        self._clock.call_from_thread(self._arrive, head, block)
        if not self._has_room():
            self._wait(self._room)
        if self.broken:
            raise ClientGone("the client is gone")

    def end(self) -> None:
        """Says that no more blocks come; in any thread, once the application is through."""
        self._clock.call_from_thread(self._end)

    def _wait(self, room: threading.Event) -> None:
        self._lent = self._lent or self._pool.lend(beyond=True)
        self._clock.call_from_thread(self._begin_waiting)
        while not (self.broken or self._has_room()):
            room.clear()
            # The loop may have made room meanwhile, and will not say it again.
            if not (self.broken or self._has_room()):
                room.wait()
        self._clock.call_from_thread(self._end_waiting)

    def _has_room(self) -> bool:
        return self._brought - self._taken <= self._shared.room()

    # On the loop

    async def carry(self) -> None:
        """Writes what the thread sends, until it sends no more."""
        while (block := await self._next()) is not None:
            assert self.response is not None
            try:
                await self.response.write(block)
            except ConnectionError:
                self.break_off()

    def break_off(self) -> None:
        """Has the thread's next block fail, and drops those that wait."""
        self.broken = True
        if self.response is not None:
            self.response.abort()
            while self._blocks:
                self._shared.memory.release(self.response, len(self._blocks.popleft()))
        if self._room is not None:
            self._room.set()

    async def _next(self) -> bytes | None:
        while not self._blocks:
            # What it sent last may have been overtaken.
            if self._ended and self._arrived == self._brought:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        block = self._blocks.popleft()
        self._taken += len(block)
        assert self.response is not None
        assert self._room is not None
        self._shared.memory.release(self.response, len(block))
        if self._has_room():
            self._room.set()
        return block

    def _arrive(self, head: Head, block: bytes) -> None:
        self._arrived += len(block)
        self._shared.bring(-len(block))
        if not self.broken:
            if self.response is None:
                self.response = self._make(head)
            self._blocks.append(block)
            self._shared.memory.hold(self.response, len(block))
        self._tell()

    def _end(self) -> None:
        self._ended = True
        if self.response is not None:
            self._shared.end(self.response)
        self._tell()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _begin_waiting(self) -> None:
        if self.response is not None and not self.broken:
            self._shared.begin_waiting(self.response)

    def _end_waiting(self) -> None:
        if self.response is not None:
            self._shared.end_waiting(self.response)
