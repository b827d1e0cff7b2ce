"""Session classes, and what calls their hooks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from pyramid.request import Request

from sockjs_bridge.core.contracts import Channel, Clock, Workers
from sockjs_bridge.core.protocol import NORMAL
from sockjs_bridge.pyramid.connections import Connection
from sockjs_bridge.pyramid.debug import Watch, dotted_name, unwatched
from sockjs_bridge.pyramid.hooks import close_by, declared_async, refuse_unrun, stopped
from sockjs_bridge.pyramid.threads import NO_THREAD
from sockjs_bridge.pyramid.transactions import attempts, transaction
from sockjs_bridge.pyramid.unit import Unit

logger = logging.getLogger("sockjs_bridge.views")


class WebSocketSession:
    """A connection as an object: subclass it, and decorate it with `websocket_view`.

    The hooks of one session run one after another, in order; those of different sessions side by
    side. Plain hooks run in a pool of threads, asynchronous ones on the event loop.

    Args:
        request: the handshake's.

    Attributes:
        request: the handshake's: matchdict, context, identity, registry, settings.
        websocket: the connection.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.websocket: Connection = request.websocket

    def on_open(self) -> Any:
        """Called first, once."""

    def on_message(self, message: str) -> Any:
        """Called for each message.

        Args:
            message: as the client sent it.
        """

    def on_close(self) -> Any:
        """Called last, once; `close_code` and `close_reason` are set."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self.websocket.id

    @property
    def close_code(self) -> int | None:
        """The code it was closed with; None while it is open."""
        return self.websocket.close_code

    @property
    def close_reason(self) -> str:
        """The reason that goes with the code."""
        return self.websocket.close_reason

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self.websocket.closed

    def send(self, message: str) -> bool:
        """Sends a message, as `WebSocket.send`."""
        return self.websocket.send(message)

    def close(self, code: int = NORMAL[0], reason: str = NORMAL[1]) -> None:
        """Closes the connection, as `WebSocket.close`."""
        self.websocket.close(code, reason)

    def join(self, room: str) -> bool:
        """Enters a room, as `WebSocket.join`."""
        return self.websocket.join(room)

    def leave(self, room: str) -> bool:
        """Leaves a room, as `WebSocket.leave`."""
        return self.websocket.leave(room)

    @property
    def transport(self) -> str:
        """The transport in use, by the name that the SockJS client gives it."""
        return self.websocket.transport

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, as `WebSocket.subprotocol`."""
        return self.websocket.subprotocol

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; none in `on_close`."""
        return self.websocket.rooms

    @property
    def last_rooms(self) -> frozenset[str]:
        """The names of the rooms that it was in when it ended."""
        return self.websocket.last_rooms

    async def drain(self) -> None:
        """Waits, in an asynchronous hook, as `AsyncWebSocket.drain`.

        Raises:
            ConnectionClosed: the connection is over.
        """
        await self.websocket._drain()

    def transaction(self) -> AbstractContextManager[Any]:
        """Has what is done in the block of a ``with`` statement committed at its end.

        The hook has a transaction of pyramid_tm anyway, which is committed when it returns. The
        block takes it over, what was done before included, and a new one begins behind it: for
        hooks that tell others, who must not hear of what is not committed. It is aborted when the
        block raises or has doomed it.

        An error that the data managers call retryable makes the whole hook run again with the
        same message, up to ``retry.attempts`` (3) times in all, unless something was sent,
        broadcast, joined, left or committed already: then the connection is closed with 4500.

        Returns:
            A context manager; its target is the transaction.

        Raises:
            RuntimeError: pyramid_tm is not in use; or the block is inside of such a block; or the
                hook is asynchronous and the transaction manager is one for all sessions of the
                thread (set ``tm.manager_hook`` to ``pyramid_tm.explicit_manager``).
        """
        return transaction(self.request)


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
        *("_broken", "_calls", "_channel", "_clock", "_hears", "_instance", "_runner", "_running"),
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
        self._channel: Channel = self._websocket.session
        self._instance = self._channel.connection = made(session_class, request)
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

    def opened(self) -> None:
        """Has ``on_open`` called."""
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
            return hook if declared_async(getattr(hook, "__func__", hook)) else None
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
        if self._channel.awaited:
            self._clock.call_from_thread(self._channel.ready)
        return None if self._broken and call[0] == "on_message" else call

    async def _run_async(self) -> None:
        task = self._runner = asyncio.current_task()
        assert task is not None
        self._unit.in_task()
        self._workers.rest(self._tire)
        try:
            go_on = True
            while go_on:
                await self._run_hooks(task)
                self._paused()
                # A session that never said anything may never do.
                if self._channel.over or not self._talks:
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
                if stopped(error, task, self._websocket):
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
            close_by(error, request, self._websocket)

    def _paused(self) -> None:
        """Goes on when a run of hooks has ended. Called on the loop."""
        self._running = False
        if self._calls:
            self._pump()
        else:
            # Empty it would take as much memory as the rest of a silent session.
            self._calls = None
