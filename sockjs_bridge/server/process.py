"""The life of a process that serves, whoever started it: until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Callable

from sockjs_bridge.server.ending import end_tasks
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.runner import Runner

logger = logging.getLogger("sockjs_bridge.server")

#: Those that Python begins with.
PYTHON_THRESHOLDS = gc.get_threshold()


class Stop:
    """What a process is told about its end; made on the loop.

    Attributes:
        requested: it is to end.
        hurried: it is to wait for nothing.
        drain: clients may take their time.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.hurried = asyncio.Event()
        self.drain = True

    def request(self, *, drain: bool = True) -> None:
        """Has it accept no more, and end when requests, views and hooks have ended.

        Args:
            drain: see `Runner.stop`.
        """
        self.drain = drain
        self.requested.set()

    def hurry(self) -> None:
        """Has it end without waiting for any of them."""
        self.requested.set()
        self.hurried.set()


async def serve(
    runner: Runner,
    options: ServerOptions,
    sockets: list[socket.socket],
    stop: Stop,
    started: Callable[[], object],
) -> None:
    """Serves until it is told to stop, and ends what runs on the loop then.

    Args:
        runner: what serves.
        options: of the server.
        sockets: bound ones.
        stop: by which it is told.
        started: called as soon as it serves.

    Raises:
        RuntimeError: the system gives no thread.
    """
    await runner.start(sockets)
    spare_collections(options.full_gc_after)
    started()
    await stop.requested.wait()
    logger.info("shutting down, waiting up to %g s for requests", options.shutdown_timeout)
    stopping = asyncio.create_task(runner.stop(drain=stop.drain))
    hurrying = asyncio.create_task(stop.hurried.wait())
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    if stopping.done():
        stopping.result()
    await end_tasks()


def spare_collections(full_gc_after: int) -> None:
    """Has Python look less often for garbage among all objects.

    Nothing is changed where the application has set thresholds of its own.

    Args:
        full_gc_after: see `ServerOptions`.
    """
    if full_gc_after and gc.isenabled() and gc.get_threshold() == PYTHON_THRESHOLDS:
        gc.collect()
        # What was made at the start stays: no collection has to look at it.
        gc.freeze()
        gc.set_threshold(*PYTHON_THRESHOLDS[:2], full_gc_after)
