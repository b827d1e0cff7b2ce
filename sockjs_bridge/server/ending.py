"""The end of a server's loop, which no code of the application may hold."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sockjs_bridge.server import aiohttp_parts
from sockjs_bridge.server.threads import ThreadPool

logger = logging.getLogger("sockjs_bridge.server")

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that a task has to end when it was cancelled.
LAST_WORDS = 0.5
#: Threads for `asyncio.to_thread`; as many as Python has at the most.
THREADS = 32


class DaemonExecutor(concurrent.futures.ThreadPoolExecutor):
    """What `asyncio.to_thread` runs in: a call that never returns does not hold the process.

    Loops take no executors but of this class; of its own threads, for which the interpreter waits
    at its end, none is ever started.
    """

    def __init__(self) -> None:
        super().__init__(1)
        self._pool = ThreadPool(THREADS, "asyncio")

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """Has a function run in a daemon thread."""
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more; waits for nothing."""
        self._pool.close()


async def end_tasks() -> None:
    """Cancels all other tasks of the loop, and forgets those that do not end.

    asyncio waits at its end for every task, even for one that catches each `CancelledError`.
    """
    tasks = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    _, left = await asyncio.wait(tasks, timeout=LAST_WORDS)
    for task in left:
        logger.warning("was cancelled and does not end: %s", repr(task))
        aiohttp_parts.forget_task(task)
