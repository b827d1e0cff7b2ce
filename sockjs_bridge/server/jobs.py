"""What becomes of the jobs of a pool of threads, and who is told."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from sockjs_bridge.server.loop import LoopClock


class Awaiting:
    """A task of a loop that waits for a job.

    A `concurrent.futures.Future`, chained to the loop's, takes longer than many a job does, and
    wakes the loop for each of them.

    Args:
        future: what it awaits.
        clock: of the loop.
    """

    __slots__ = ("_clock", "_future")

    def __init__(self, future: asyncio.Future[Any], clock: LoopClock) -> None:
        self._future = future
        self._clock = clock

    def set_running_or_notify_cancel(self) -> bool:
        """Returns whether the job is to run."""
        return not self._future.cancelled()

    def set_result(self, result: object) -> None:
        """Tells what the job returned."""
        self._clock.call_from_thread(self._tell, self._future.set_result, result)

    def set_exception(self, error: BaseException) -> None:
        """Tells what the job raised."""
        self._clock.call_from_thread(self._tell, self._future.set_exception, error)

    def _tell(self, tell: Callable[[Any], None], outcome: object) -> None:
        if not self._future.done():
            tell(outcome)

    def cancel(self) -> bool:
        """Tells that the job does not run."""
        self._clock.call_from_thread(self._future.cancel)
        return True


#: Who waits for what becomes of a job.
Observer = concurrent.futures.Future[Any] | Awaiting
Job = tuple[Observer, Callable[[], Any]]


def outcome_of(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Runs a function; returns what it returned, and what it raised as a future can carry it."""
    try:
        return function(), None
    except BaseException as error:
        # An event loop ends at SystemExit and KeyboardInterrupt, takes CancelledError for a
        # cancellation, and its futures refuse StopIteration.
        if isinstance(error, Exception) and not isinstance(
            error, (StopIteration, concurrent.futures.CancelledError)
        ):
            return None, error
        wrapped = RuntimeError(f"{type(error).__name__} was raised in a thread")
        wrapped.__cause__ = error
        return None, wrapped
