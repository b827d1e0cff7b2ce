"""How blocking views are run: each in a thread, and no more of them than may be."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary

from pyramid.request import Request

from sockjs_bridge.core.contracts import Workers
from sockjs_bridge.pyramid.handlers import InboxHandler, close_by, refuse_unrun
from sockjs_bridge.pyramid.unit import Unit

logger = logging.getLogger("sockjs_bridge.views")

#: What a client hears when all threads for blocking views are taken.
NO_THREAD = (4503, "Too many connections")

#: How many blocking views run, by the workers of their server: those of all its applications.
_running: WeakKeyDictionary[Workers, int] = WeakKeyDictionary()
_lock = threading.Lock()


def _count(workers: Workers, change: int, limit: int | None = None) -> bool:
    """Counts the blocking views of a server.

    Args:
        workers: of the server.
        change: how many more there are.
        limit: how many there may be, None for any number.

    Returns:
        False, and nothing is changed, where there would be more than may be.
    """
    with _lock:
        running = _running.get(workers, 0) + change
        if limit is not None and running > limit:
            return False
        _running[workers] = running
        return True


class BlockingThreads:
    """Starts the threads of an application's blocking views.

    Args:
        limit: how many may run at once in the process, those of other applications counted.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def start(self, workers: Workers, function: Callable[[], object], name: str) -> bool:
        """Runs a function in a new thread.

        Args:
            workers: of the server.
            function: to run.
            name: of the thread.

        Returns:
            False when too many run already, or the system gives no thread.
        """
        if not _count(workers, 1, self._limit):
            return False

        def run() -> None:
            try:
                function()
            finally:
                _count(workers, -1)

        try:
            workers.start(run, name)
        except RuntimeError as error:
            logger.error("the system starts no more threads: %s", error)
            _count(workers, -1)
            return False
        return True


class ViewHandler(InboxHandler):
    """Runs a blocking view: one thread for one connection.

    Args:
        view: the view, bound to its context and request.
        request: the handshake's.
        threads: how many such views may run.
        workers: where it runs.
    """

    def __init__(
        self,
        view: Callable[[], object],
        request: Request,
        threads: BlockingThreads,
        workers: Workers,
    ) -> None:
        super().__init__(request.websocket)
        self._view = view
        self._unit = Unit(request)
        self._threads = threads
        self._workers = workers

    def opened(self) -> None:
        """Starts the view."""
        self._unit.open()
        channel = self._websocket.channel
        if not self._threads.start(self._workers, self._run, f"sockjs-view-{channel.id}"):
            path = self._unit.request.path
            logger.warning("%s: all threads for blocking views are taken", path)
            channel.close(*NO_THREAD)

    def _run(self) -> None:
        unit = self._unit
        with unit.in_thread(), self._asked_by(unit, asynchronous=False):
            try:
                unit.begin(False)
                refuse_unrun(self._view())
                unit.end()
            except BaseException as error:
                unit.fail(error)
                close_by(error, unit.request, self._websocket)
            else:
                self._finish()
                self._websocket.close()
