"""A connection for code that does not await: scripts, and tests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from sockjs_bridge.client.resumable import ResumableConnection

T = TypeVar("T")

#: Seconds for what was interrupted to let go of what it holds.
LEAVE = 2.0


class SyncConnection:
    """A resumable session for code that blocks; made by `connect_sync`.

    It runs on an event loop in its own thread, which ends with it. Its methods may be called in any
    other thread. An interruption of one of them, Ctrl-C for example, only interrupts that one.

    Args:
        opening: opens the connection.

    Raises:
        HandshakeError: as for `connect`.
        ConnectionClosed: the server closed the session at once.
        TimeoutError: it was not open in time.
    """

    def __init__(self, opening: Callable[[], Coroutine[Any, Any, ResumableConnection]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._stopped = False
        #: Code and reason of a close that was interrupted.
        self._unclosed: tuple[int, str] | None = None
        self._thread = threading.Thread(target=self._live, name="sockjs client", daemon=True)
        self._thread.start()
        try:
            self._connection = self._run(opening)
        except BaseException:
            self._stop()
            raise

    def _live(self) -> None:
        # At its end the runner cancels what is left, and waits for it.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            loop = runner.get_loop()
            loop.run_forever()
            if self._unclosed is not None and self._connection.close_code is None:
                # Whoever closed it was interrupted before that had begun: it begins, and no more.
                closing = loop.create_task(self._connection.close(*self._unclosed))
                loop.call_soon(closing.cancel)
                loop.run_until_complete(asyncio.wait([closing], timeout=LEAVE))
            if leaving := [task for task in asyncio.all_tasks(loop) if task.cancelling()]:
                loop.run_until_complete(asyncio.wait(leaving, timeout=LEAVE))

    def _run(self, call: Callable[[], Coroutine[Any, Any, T]], timeout: float | None = None) -> T:
        if threading.current_thread() is self._thread:
            raise RuntimeError("this would wait for itself: it is called on the connection's loop")
        with self._lock:
            # Before the loop stops, or not at all: nobody would answer.
            future = None
            if not self._stopped:
                future = asyncio.run_coroutine_threadsafe(_within(timeout, call), self._loop)
        if future is None:
            return _at_once(call())
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            # The loop has stopped before it got to that, or in the middle of it: it is over.
            self._thread.join()
            return _at_once(call())
        except BaseException:
            # Ctrl-C: a message that comes later must not go to somebody who waits no more.
            future.cancel()
            raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {getattr(self, '_connection', None)!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def connection(self) -> ResumableConnection:
        """The connection. Its methods must be called on its loop."""
        return self._connection

    def send(self, message: str, timeout: float | None = None) -> None:
        """Sends a message, like `ResumableConnection.send`.

        Args:
            message: any text.
            timeout: in seconds, to wait for room; None waits for ever.

        Raises:
            TimeoutError: there was no room in time. The message is not sent.
        """
        self._run(lambda: self._connection.send(message), timeout)

    def receive(self, timeout: float | None = None) -> str:
        """Waits for the next message.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the connection is over and all messages were returned.
            TimeoutError: no message came in time.
        """
        return self._run(self._connection.recv, timeout)

    def handled(self, timeout: float | None = None) -> None:
        """Waits until the server's application has handled all messages so far.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the connection is over, and not all messages were handled.
            TimeoutError: not all messages were handled in time.
        """
        self._run(self._connection.handled, timeout)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the session, like `ResumableConnection.close`. A second call has no effect.

        Args:
            code: 1000 or 3000 to 4999 (RFC 6455, section 7.4).
            reason: at most 123 bytes of UTF-8 (RFC 6455, section 5.5).

        Raises:
            ValueError: the code or the reason may not be sent. The connection is still open.
        """
        if self._stopped:
            return
        try:
            self._run(lambda: self._leave(code, reason))
        except ValueError:
            raise
        except BaseException:
            self._unclosed = (code, reason)
            self._stop()
            raise
        self._stop()

    async def _leave(self, code: int, reason: str) -> None:
        # Where another thread was quicker, no loop is there to wait on.
        if not self._stopped:
            await self._connection.close(code, reason)

    def _stop(self) -> None:
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


async def _within(timeout: float | None, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async with asyncio.timeout(timeout):
        return await call()


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine of a connection that is over: it waits for nothing."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
