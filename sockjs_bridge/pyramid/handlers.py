"""What runs the application's code for a session: the core's `Handler` for views and classes."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from pyramid.httpexceptions import HTTPException
from pyramid.request import Request
from pyramid.threadlocal import RequestContext

from sockjs_bridge.clock import Clock
from sockjs_bridge.endpoints import Workers
from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.protocol import FAILED
from sockjs_bridge.pyramid.views import WebSocket, WebSocketSession
from sockjs_bridge.session import Session

logger = logging.getLogger("sockjs_bridge.views")

#: What a client hears when all threads for blocking views are taken.
NO_THREAD = (4503, "Too many connections")


class BlockingThreads:
    """Starts the threads of blocking views.

    Args:
        limit: how many may run at once.
    """

    def __init__(self, limit: int) -> None:
        self._free = threading.BoundedSemaphore(limit)

    def start(self, workers: Workers, function: Callable[[], object], name: str) -> bool:
        """Runs a function in a new thread.

        Args:
            workers: of the server.
            function: to run.
            name: of the thread.

        Returns:
            False when too many run already.
        """
        if not self._free.acquire(blocking=False):
            return False

        def run() -> None:
            try:
                function()
            finally:
                self._free.release()

        try:
            workers.start(run, name)
        except RuntimeError:
            logger.exception("the system starts no more threads")
            self._free.release()
            return False
        return True


def _close_by(error: BaseException, request: Request, websocket: WebSocket) -> None:
    """Closes a connection whose view or hook raised an exception."""
    if isinstance(error, ConnectionClosed):
        websocket.close()
    elif isinstance(error, HTTPException) and error.code >= 400:
        websocket.close(4000 + error.code, error.title)
    else:
        name = request.matched_route.name
        logger.error("route %r, %s: a view or hook raised", name, request.path, exc_info=error)
        websocket.close(*FAILED)


class ViewHandler:
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
        self._view = view
        self._request = request
        self._threads = threads
        self._workers = workers
        self._websocket: WebSocket = request.websocket
        # The router takes the context away when the handshake is over.
        self._context = request.context

    def opened(self, session: Session) -> None:
        """Starts the view."""
        if not self._threads.start(self._workers, self._run, f"sockjs-view-{session.id}"):
            logger.warning("%s: all threads for blocking views are taken", self._request.path)
            session.close(*NO_THREAD)

    def received(self, messages: list[str]) -> None:
        """Hands messages to ``receive()``."""
        self._websocket.arrived(messages)

    def backlog(self) -> int:
        """Returns how many messages the view did not receive yet."""
        return self._websocket.backlog()

    def closed(self, code: int, reason: str) -> None:
        """Releases a view that waits in ``receive()``."""
        self._websocket.ended()

    def _run(self) -> None:
        self._request.context = self._context
        with RequestContext(self._request):
            try:
                self._view()
            except BaseException as error:
                _close_by(error, self._request, self._websocket)
            else:
                self._websocket.close()


class SessionHandler:
    """Calls the hooks of a session class, one after another.

    Args:
        make: makes the instance.
        request: the handshake's.
        clock: of the loop.
        workers: where hooks run.
    """

    #: How many hooks of one session run in a row before other sessions have their turn.
    FAIR = 16

    def __init__(
        self,
        make: Callable[[], WebSocketSession],
        request: Request,
        clock: Clock,
        workers: Workers,
    ) -> None:
        self._request = request
        self._websocket: WebSocket = request.websocket
        self._context = request.context
        self._clock = clock
        self._workers = workers
        self._session: Session | None = None
        self._instance = make()
        self._calls: deque[tuple[str, tuple[str, ...]]] = deque()
        self._running = False

    def opened(self, session: Session) -> None:
        """Has ``on_open`` called."""
        self._session = session
        self._request.context = self._context
        self._queue("on_open")

    def received(self, messages: list[str]) -> None:
        """Has ``on_message`` called for each message."""
        for message in messages:
            self._queue("on_message", message)

    def backlog(self) -> int:
        """Returns how many calls wait."""
        return len(self._calls)

    def closed(self, code: int, reason: str) -> None:
        """Has ``on_close`` called."""
        self._queue("on_close")
        if hasattr(type(self._instance), "on_closed"):
            self._queue("on_closed")

    def _queue(self, hook: str, *arguments: str) -> None:
        # Most classes leave hooks out: that costs no thread.
        if getattr(type(self._instance), hook) is not getattr(WebSocketSession, hook, None):
            self._calls.append((hook, arguments))
            self._pump()

    def _pump(self) -> None:
        if self._running or not self._calls:
            return
        self._running = True
        if self._next_is_async():
            self._workers.spawn(self._run_async())
        else:
            try:
                self._workers.submit(self._run_plain)
            except RuntimeError:
                logger.exception("the system starts no threads")
                self._calls.clear()
                self._running = False
                self._websocket.close(*NO_THREAD)

    def _next_is_async(self) -> bool:
        return inspect.iscoroutinefunction(getattr(self._instance, self._calls[0][0]))

    def _take(self) -> Callable[[], Any]:
        """Takes the next call out of the queue, which may make room for messages."""
        hook, arguments = self._calls.popleft()
        if self._session is not None and self._session.awaited:
            self._clock.call_from_thread(self._session.ready)
        call: Callable[[], Any] = partial(getattr(self._instance, hook), *arguments)
        return call

    async def _run_async(self) -> None:
        turns = 0
        while self._calls and self._next_is_async():
            turns += 1
            if turns % self.FAIR == 0:
                await asyncio.sleep(0)
            call = self._take()
            try:
                await call()
            except BaseException as error:
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                    # The server stops; otherwise it is the hook's own, as any other error.
                    raise
                _close_by(error, self._request, self._websocket)
        self._paused()

    def _run_plain(self) -> None:
        with RequestContext(self._request):
            for _ in range(self.FAIR):
                if not self._calls or self._next_is_async():
                    break
                call = self._take()
                try:
                    call()
                except BaseException as error:
                    _close_by(error, self._request, self._websocket)
        self._clock.call_from_thread(self._paused)

    def _paused(self) -> None:
        """Goes on when a run of hooks has ended. Called on the loop."""
        self._running = False
        self._pump()
