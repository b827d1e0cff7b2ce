"""A connection for code that does not await: scripts, and tests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from sockjs_bridge.client.resumable import ResumableConnection

T = TypeVar("T")


class SyncConnection:
    """A connection whose session survives, for code that blocks; made by `connect_sync`.

    It lives on an event loop in a thread of its own. Its methods may be called in any thread.

    Args:
        opening: opens the connection.

    Raises:
        HandshakeError: see `connect`, as for the others.
        ConnectionClosed: the server closed the session at once.
        TimeoutError: it was not open in time.
    """

    def __init__(self, opening: Coroutine[Any, Any, ResumableConnection]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="sockjs client", daemon=True
        )
        self._thread.start()
        try:
            self._connection = self._run(opening)
        except BaseException:
            self._stop()
            raise

    def _run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        future = asyncio.run_coroutine_threadsafe(_within(timeout, coroutine), self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError("the connection was closed in another thread") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> ResumableConnection:
        """The connection; its methods belong to its loop."""
        return self._connection

    def send(self, message: str) -> None:
        """Sends a message, as `ResumableConnection.send`.

        Args:
            message: any text.
        """
        self._run(self._connection.send(message))

    def receive(self, timeout: float | None = None) -> str:
        """Waits for the next message.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the connection is over and all messages were returned.
            TimeoutError: no message came in time.
        """
        return self._run(self._connection.recv(), timeout)

    def handled(self, timeout: float | None = None) -> None:
        """Waits until the application at the server has handled all that was sent so far.

        Args:
            timeout: in seconds; None waits for ever.

        Raises:
            ConnectionClosed: the connection is over, and not all was handled.
            TimeoutError: not all was handled in time.
        """
        self._run(self._connection.handled(), timeout)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes the session, as `ResumableConnection.close`; again it does nothing.

        Args:
            code: 1000 or 3000 to 4999 (RFC 6455, section 7.4).
            reason: at most 123 bytes of UTF-8 (RFC 6455, section 5.5).
        """
        if not self._loop.is_closed():
            self._run(self._connection.close(code, reason))
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _within(timeout: float | None, coroutine: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(timeout):
        return await coroutine
