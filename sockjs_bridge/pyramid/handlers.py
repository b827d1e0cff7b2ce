"""What runs views and hooks: what all handlers have in common, and the ``async def`` views."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterator
from functools import lru_cache, partial
from typing import Any, Final

from pyramid.httpexceptions import HTTPException
from pyramid.request import Request

from sockjs_bridge.core.contracts import Workers
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.protocol import FAILED
from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.pyramid.connections import AsyncWebSocket, Connection, WebSocket
from sockjs_bridge.pyramid.debug import Watch, unwatched
from sockjs_bridge.pyramid.unit import Unit

logger = logging.getLogger("sockjs_bridge.views")


#: The status of a handshake in which something else than an HTTP exception was raised.
FAILURE: Final = 500


def refuse_unrun(result: object, advice: str = "declare it async def") -> None:
    """Raises a TypeError for code that a view or hook returned in place of running it.

    Args:
        result: what was returned.
        advice: how to write it where somebody had to await it.
    """
    if result is None or isinstance(result, Joined):
        # That may be awaited, and need not be.
        return
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            # It never began.
            result.close()
        raise TypeError(f"a view or hook returned {result!r}, which nobody awaits: {advice}")
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(
            f"a view or hook returned {result!r}, over which nobody iterates: it must not yield"
        )


@lru_cache(maxsize=1024)
def declared_async(function: Callable[..., object]) -> bool:
    """Tells whether a hook is to be awaited."""
    return inspect.iscoroutinefunction(function)


def stopped(error: BaseException, task: asyncio.Task[Any] | None, websocket: Connection) -> bool:
    """Tells whether the server ended a view or hook; else it is the code's own error.

    Args:
        error: what came out of it.
        task: the one that it ran in.
        websocket: its connection.
    """
    try:
        present = asyncio.current_task()
    except RuntimeError:
        present = None
    if task is None or present is not task:
        # It was dropped in the midst of it, and is taken apart.
        return True
    if not (isinstance(error, asyncio.CancelledError) and task.cancelling()):
        return False
    if websocket.channel.over:
        return True
    # The server closes the session first: it was the code that cancelled itself.
    for _ in range(task.cancelling()):
        task.uncancel()
    return False


def close_by(error: BaseException, request: Request, websocket: Connection) -> None:
    """Closes a connection whose view or hook raised an exception."""
    if isinstance(error, ConnectionClosed):
        websocket.close()
        return
    if isinstance(error, HTTPException):
        # Applications derive their own, with whatever they like in it.
        with contextlib.suppress(TypeError, ValueError):
            if error.code >= 400:
                websocket.close(4000 + error.code, error.title or "")
                return
    name = request.matched_route.name
    logger.error("route %r, %s: a view or hook raised", name, request.path, exc_info=error)
    websocket.close(*FAILED)


def failure_of(request: Request) -> int | None:
    """Returns the status of the exception that an exception view made a response of.

    Returns:
        500 for an exception that is no HTTP exception; None for none, and for a redirection.
    """
    error = request.exception
    if error is None:
        return None
    status: int = error.code if isinstance(error, HTTPException) else FAILURE
    return status if status >= 400 else None


class InboxHandler:
    """What the handlers of views have in common: messages wait for ``receive()``.

    Args:
        websocket: the connection, as the view sees it.
    """

    def __init__(self, websocket: WebSocket | AsyncWebSocket) -> None:
        self._websocket = websocket

    def opened(self) -> None:
        """Starts nothing."""

    def received(self, messages: list[str]) -> None:
        """Hands messages to ``receive()``."""
        self._websocket.arrived(messages)

    def backlog(self) -> int:
        """Returns how many messages the view did not receive yet."""
        return self._websocket.backlog()

    def handled(self) -> int:
        """Returns how many messages the view is through with."""
        progress = self._websocket.progress
        return 0 if progress is None else progress.handled

    def _finish(self) -> None:
        """Says that the view is through with all that it received."""
        if self._websocket.progress is not None:
            self._websocket.progress.finish()

    def suspended(self) -> None:
        """Does nothing: a view may look."""

    def resumed(self) -> None:
        """Does nothing: a view may look."""

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        """Does nothing: a view may ask who is there."""

    def closed(self, code: int, reason: str) -> None:
        """Releases a view that waits in ``receive()``."""
        self._websocket.ended()

    @contextlib.contextmanager
    def _asked_by(self, unit: Unit, *, asynchronous: bool) -> Iterator[None]:
        """Has ``receive()`` end what the view did so far, in the block of a ``with`` statement."""
        self._websocket.before_message = partial(unit.next, asynchronous=asynchronous)
        try:
            yield
        finally:
            # The request has the connection, and the unit the request.
            self._websocket.before_message = None


class AsyncViewHandler(InboxHandler):
    """Runs an ``async def`` view: one task on the loop for one connection.

    Args:
        view: the view, bound to its context and request.
        request: the handshake's.
        workers: where it runs.
        watch: wraps what the view returned.
    """

    def __init__(
        self,
        view: Callable[[], Coroutine[Any, Any, object]],
        request: Request,
        workers: Workers,
        watch: Watch = unwatched,
    ) -> None:
        super().__init__(request.websocket)
        self._view = view
        self._watch = watch
        self._unit = Unit(request)
        self._workers = workers

    def opened(self) -> None:
        """Starts the view."""
        self._unit.open()
        self._workers.spawn(self._run())

    async def _run(self) -> None:
        task = asyncio.current_task()
        unit = self._unit
        unit.in_task()
        with self._asked_by(unit, asynchronous=True):
            try:
                unit.begin(True)
                refuse_unrun(await self._watch(self._view()), "return await it")
                unit.end()
            except BaseException as error:
                unit.fail(error)
                if stopped(error, task, self._websocket):
                    raise
                close_by(error, unit.request, self._websocket)
            else:
                self._finish()
                self._websocket.close()
