"""What runs the application's code for a session: the core's `Handler` for views and classes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from functools import lru_cache, partial
from typing import Any

from pyramid.httpexceptions import HTTPException
from pyramid.request import Request

from sockjs_bridge.clock import Clock
from sockjs_bridge.endpoints import Workers
from sockjs_bridge.errors import ConnectionClosed
from sockjs_bridge.protocol import FAILED
from sockjs_bridge.pyramid.application import BlockingThreads
from sockjs_bridge.pyramid.debug import Watch, dotted_name, unwatched
from sockjs_bridge.pyramid.transactions import attempts
from sockjs_bridge.pyramid.unit import Unit
from sockjs_bridge.pyramid.views import AsyncWebSocket, Connection, WebSocket, WebSocketSession
from sockjs_bridge.session import Session

logger = logging.getLogger("sockjs_bridge.views")

#: What a client hears when all threads for blocking views are taken.
NO_THREAD = (4503, "Too many connections")


def refuse_unrun(result: object, advice: str = "declare it async def") -> None:
    """Raises a TypeError for code that a view or hook returned in place of running it.

    Args:
        result: what was returned.
        advice: how to write it where somebody had to await it.
    """
    if result is None:
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


def _stopped(error: BaseException, task: asyncio.Task[Any] | None, websocket: Connection) -> bool:
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
    if websocket.session.over:
        return True
    # The server closes the session first: it was the code that cancelled itself.
    for _ in range(task.cancelling()):
        task.uncancel()
    return False


def _close_by(error: BaseException, request: Request, websocket: Connection) -> None:
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


class InboxHandler:
    """What the handlers of views have in common: messages wait for ``receive()``.

    Args:
        websocket: the view's face of the connection.
    """

    def __init__(self, websocket: WebSocket | AsyncWebSocket) -> None:
        self._websocket = websocket

    def opened(self, session: Session) -> None:
        """Starts nothing."""

    def received(self, messages: list[str]) -> None:
        """Hands messages to ``receive()``."""
        self._websocket.arrived(messages)

    def backlog(self) -> int:
        """Returns how many messages the view did not receive yet."""
        return self._websocket.backlog()

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

    def opened(self, session: Session) -> None:
        """Starts the view."""
        self._unit.open()
        if not self._threads.start(self._workers, self._run, f"sockjs-view-{session.id}"):
            path = self._unit.request.path
            logger.warning("%s: all threads for blocking views are taken", path)
            session.close(*NO_THREAD)

    def _run(self) -> None:
        unit = self._unit
        with unit.in_thread(), self._asked_by(unit, asynchronous=False):
            try:
                unit.begin(False)
                refuse_unrun(self._view())
                unit.end()
            except BaseException as error:
                unit.fail(error)
                _close_by(error, unit.request, self._websocket)
            else:
                self._websocket.close()


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

    def opened(self, session: Session) -> None:
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
                if _stopped(error, task, self._websocket):
                    raise
                _close_by(error, unit.request, self._websocket)
            else:
                self._websocket.close()


def made(session_class: Callable[[Request], WebSocketSession], request: Request) -> Any:
    """Makes the instance of a session class for a connection.

    Raises:
        TypeError: its ``__init__`` left out that of `WebSocketSession`.
    """
    instance = session_class(request)
    if not hasattr(instance, "websocket"):
        name = dotted_name(session_class)
        raise TypeError(f"{name}: its __init__ must call super().__init__(request)")
    return instance


#: A hook's name, and what it is called with.
_Call = tuple[str, tuple[str, ...]]


def _has_hook(session_class: type[object], hook: str) -> bool:
    return getattr(session_class, hook) is not getattr(WebSocketSession, hook, None)


@lru_cache(maxsize=1024)
def _declared_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function)


class SessionHandler:
    """Calls the hooks of a session class, one after another.

    Args:
        session_class: the class.
        request: the handshake's.
        clock: of the loop.
        workers: where hooks run.
        watch: wraps what an asynchronous hook awaits.
    """

    __slots__ = (
        *("_broken", "_calls", "_clock", "_hears", "_instance", "_runner", "_running", "_session"),
        *("_taken", "_talks", "_tired", "_tries", "_unit", "_wake", "_watch", "_websocket"),
        "_workers",
    )

    #: How many hooks of one session run in a row before other sessions have their turn.
    FAIR = 16

    def __init__(
        self,
        session_class: Callable[[Request], WebSocketSession],
        request: Request,
        clock: Clock,
        workers: Workers,
        watch: Watch = unwatched,
    ) -> None:
        self._unit = Unit(request)
        self._websocket: Connection = request.websocket
        self._clock = clock
        self._workers = workers
        # It would be called for each message.
        self._watch = None if watch is unwatched else watch
        self._session: Session | None = None
        self._instance = self._websocket.session.connection = made(session_class, request)
        self._hears = _has_hook(type(self._instance), "on_message")
        self._calls: deque[_Call] | None = None
        self._running = False
        # The task that runs asynchronous hooks waits a while for the next one, as a new task for
        # each would cost more than most hooks do. It is told whether to go on.
        self._runner: asyncio.Task[Any] | None = None
        self._wake: asyncio.Future[bool] | None = None
        self._tired = False
        self._talks = False
        # The call that runs, and how often it failed.
        self._taken: _Call | None = None
        self._tries = 0
        # A hook raised: who wrote it does not count on the messages behind it.
        self._broken = False

    def opened(self, session: Session) -> None:
        """Has ``on_open`` called."""
        self._session = session
        self._unit.open()
        self._queue("on_open")

    def received(self, messages: list[str]) -> None:
        """Has ``on_message`` called for each message."""
        self._talks = True
        # Most classes leave hooks out: that costs no thread.
        if self._hears:
            if self._calls is None:
                self._calls = deque()
            for message in messages:
                self._calls.append(("on_message", (message,)))
            if not self._running:
                self._pump()

    def backlog(self) -> int:
        """Returns how many calls wait."""
        return len(self._calls) if self._calls else 0

    def closed(self, code: int, reason: str) -> None:
        """Has ``on_close`` called."""
        self._queue("on_close")
        if hasattr(type(self._instance), "on_closed"):
            self._queue("on_closed")
        if not self._calls:
            self._rouse(False)

    def _queue(self, hook: str, *arguments: str) -> None:
        if _has_hook(type(self._instance), hook):
            if self._calls is None:
                self._calls = deque()
            self._calls.append((hook, arguments))
            if not self._running:
                self._pump()

    def _pump(self) -> None:
        self._running = True
        if self._async_hook() is not None:
            if not self._rouse(True):
                self._workers.spawn(self._run_async())
        else:
            try:
                self._workers.submit(self._run_plain)
            except RuntimeError as error:
                path = self._unit.request.path
                logger.error("%s: no thread is left for a hook: %s", path, error)
                self._calls = None
                self._running = False
                self._websocket.close(*NO_THREAD)

    def _async_hook(self) -> Callable[..., Any] | None:
        """Returns the hook of the next call if it is asynchronous."""
        assert self._calls is not None
        try:
            hook: Callable[..., Any] = getattr(self._instance, self._calls[0][0])
            return hook if _declared_async(getattr(hook, "__func__", hook)) else None
        except Exception:
            # What cannot even be looked up fails where it is called.
            return None

    def _take(self) -> _Call | None:
        """Takes the next call out of the queue, which may make room for messages.

        Returns:
            The call; None for a message that came after a hook had raised.
        """
        assert self._calls is not None
        call = self._taken = self._calls.popleft()
        session = self._session
        if session is not None and session.awaited:
            self._clock.call_from_thread(session.ready)
        return None if self._broken and call[0] == "on_message" else call

    async def _run_async(self) -> None:
        task, session = asyncio.current_task(), self._session
        assert task is not None and session is not None
        self._runner = task
        self._unit.in_task()
        self._workers.rest(self._tire)
        try:
            go_on = True
            while go_on:
                await self._run_hooks(task)
                self._paused()
                # A session that never said anything may never do.
                if session.over or not self._talks:
                    break
                self._wake = task.get_loop().create_future()
                go_on = await self._wake
        finally:
            if self._runner is task:
                self._runner = None

    async def _run_hooks(self, task: asyncio.Task[Any]) -> None:
        turns = 0
        unit, watch = self._unit, self._watch
        while self._calls and (hook := self._async_hook()) is not None:
            if turns == self.FAIR:
                turns = 0
                await asyncio.sleep(0)
            turns += 1
            call = self._take()
            if call is None:
                continue
            try:
                unit.begin(True)
                awaited = hook(*call[1])
                result = await (awaited if watch is None else watch(awaited))
                if result is not None:
                    refuse_unrun(result, "return await it")
                unit.end()
            except BaseException as error:
                again = unit.fail(error)
                if _stopped(error, task, self._websocket):
                    raise
                self._failed(error, again)
            else:
                self._tries = 0

    def _rouse(self, go_on: bool) -> bool:
        """Tells the task that waits for a hook to run it, or to end; False where none waits."""
        if self._wake is None or self._wake.done():
            return False
        self._wake.set_result(go_on)
        self._tired = False
        return True

    def _tire(self) -> bool:
        """Ends the task if it waits since the last call; returns whether to be called again."""
        if self._runner is None:
            return False
        if self._tired:
            return not self._rouse(False)
        self._tired = True
        return True

    def _run_plain(self) -> None:
        unit = self._unit
        with unit.in_thread():
            for _ in range(self.FAIR):
                if not self._calls or self._async_hook() is not None:
                    break
                call = self._take()
                if call is None:
                    continue
                try:
                    unit.begin(False)
                    # Looked up here: one that is no function fails as one that raises.
                    hook, arguments = call
                    refuse_unrun(getattr(self._instance, hook)(*arguments))
                    unit.end()
                except BaseException as error:
                    self._failed(error, unit.fail(error))
                else:
                    self._tries = 0
        self._clock.call_from_thread(self._paused)

    def _failed(self, error: BaseException, again: bool) -> None:
        """Has a hook that raised run again, where it may, or closes the connection."""
        request = self._unit.request
        self._tries += 1
        if again and self._tries < attempts(request.registry.settings):
            assert self._calls is not None and self._taken is not None
            self._calls.appendleft(self._taken)
        else:
            self._tries = 0
            self._broken = True
            _close_by(error, request, self._websocket)

    def _paused(self) -> None:
        """Goes on when a run of hooks has ended. Called on the loop."""
        self._running = False
        if self._calls:
            self._pump()
        else:
            # Empty it would take as much memory as the rest of a silent session.
            self._calls = None
