"""Where the application's code for sessions runs: pool, threads of their own, and the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from sockjs_bridge.server.loop import look_until
from sockjs_bridge.server.relief import Relief
from sockjs_bridge.server.threads import ThreadPool, start_thread


class SessionWorkers:
    """Fulfils `sockjs_bridge.core.contracts.Workers`; used on the loop.

    Hooks that wait, for a database or a network, must not delay those of other sessions: where
    one waits for a thread, the pool grows.

    Args:
        size: how many threads the pool for plain hooks has as long as hooks are quick.
        max_size: how many it may have.
    """

    #: Seconds between two calls of what is repeated.
    TICK = 1.0
    #: How many of these are called in one go, so that a crowd cannot hold up the loop.
    BATCH = 100

    def __init__(self, size: int, max_size: int) -> None:
        # Not the pool of the WSGI application: slow hooks must not keep pages waiting.
        self._pool = ThreadPool(size, "sockjs-hooks", max_size)
        self._relief = Relief(self._pool)
        self._threads: set[threading.Thread] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._repeated: set[Callable[[], bool]] = set()
        self._stopped = False

    def prepare(self) -> None:
        """Has a thread in the pool, whatever the system gives later.

        Raises:
            RuntimeError: there is none now.
        """
        self._pool.start()

    def submit(self, function: Callable[[], object]) -> None:
        """Runs a function in the pool; drops it when the server has stopped.

        Raises:
            RuntimeError: the system gives no thread.
        """
        if self._stopped:
            return
        self._pool.submit(function)
        self._relief.watch()

    def start(self, function: Callable[[], object], name: str) -> None:
        """Runs a function in a thread of its own, a daemon: it cannot hold the process.

        Raises:
            RuntimeError: the system gives no thread.
        """

        def run() -> None:
            try:
                function()
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.add(thread)
        try:
            start_thread(thread)
        except RuntimeError:
            self._threads.discard(thread)
            raise

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine on the loop."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def repeat(self, function: Callable[[], bool]) -> None:
        """Calls a function every `TICK` seconds until it returns False."""
        if not self._repeated:
            asyncio.get_running_loop().call_later(self.TICK, self._tick)
        self._repeated.add(function)

    def _tick(self, waiting: list[Callable[[], bool]] | None = None) -> None:
        if waiting is None:
            waiting = list(self._repeated)
        for function in waiting[-self.BATCH :]:
            if not function():
                self._repeated.discard(function)
        del waiting[-self.BATCH :]
        loop = asyncio.get_running_loop()
        if waiting:
            loop.call_soon(self._tick, waiting)
        elif self._repeated:
            loop.call_later(self.TICK, self._tick)

    async def stop(self, timeout: float) -> None:
        """Waits until all of it has ended, and drops the rest.

        Args:
            timeout: in seconds.
        """
        end = asyncio.get_running_loop().time() + timeout
        await look_until(lambda: not (self._tasks or self._threads or self._pool.busy), end)
        self._stopped = True
        self._pool.close()
