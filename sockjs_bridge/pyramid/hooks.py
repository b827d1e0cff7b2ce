"""What calls the hooks of a session class, one after another.

Calls wait in a queue: ``on_open``, ``on_message`` for each message, ``on_close``. At most one run
takes calls out of it at a time, so that the hooks of one session never overlap: for plain hooks a
job in the pool of threads, for asynchronous ones a task on the loop. A run ends its turn where
nothing waits or the next hook is of the other kind, a job also after `SessionHandler.FAIR` calls,
so that other sessions have the thread.

A task that has nothing to do waits a while for the next call, as a new task for each message would
cost more than most hooks do. It is told what to go on with, or to end.

`states` says who runs the hooks when. What becomes of a call:

* A hook that returned is done with.
* One that raised an error after which it may run again (`Unit.fail`) is called once more, before
  all others, up to ``retry.attempts`` times in all; that is counted anew for each call.
* After any other error the connection is closed, and messages that wait are dropped: who wrote the
  hook does not count on them. ``on_close`` is called all the same.
* Where the server cancels a task in the midst of a hook, nothing follows: the state stays TASK.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

from pyramid.request import Request

from sockjs_bridge.core.contracts import Channel, Clock, Workers
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.endpoint.loglimit import LogLimit
from sockjs_bridge.pyramid.connections import Connection
from sockjs_bridge.pyramid.debug import Watch, unwatched
from sockjs_bridge.pyramid.handlers import close_by, declared_async, refuse_unrun, stopped
from sockjs_bridge.pyramid.sessions import WebSocketSession, make_instance
from sockjs_bridge.pyramid.states import (
    ASYNC,
    IDLE,
    LAST,
    PAUSED,
    PLAIN,
    POOL,
    RESUME,
    SPAWN,
    STALE,
    SUBMIT,
    TASK,
    TICK,
    TRANSITIONS,
    WAITING,
    Event,
    State,
)
from sockjs_bridge.pyramid.threads import NO_THREAD
from sockjs_bridge.pyramid.transactions import attempts
from sockjs_bridge.pyramid.unit import Unit

logger = logging.getLogger("sockjs_bridge.views")

#: How many calls may wait before those are passed over that tell of other members of rooms.
MAX_WAITING_CALLS = 1000
#: Counts nothing.
NO_MONITOR = Monitor()

# Many sessions may be too slow for as many who come and go.
_log_limit = LogLimit()

_RUNNING = frozenset({POOL, TASK})
#: Hooks that are not called any more once one has raised.
_OF_OTHERS = frozenset({"on_message", "on_join", "on_leave"})
_WITH_TASK = frozenset({TASK, WAITING, STALE})

#: A hook's name, and what it is called with.
_Call = tuple[str, tuple[Any, ...]]
_Hook = Callable[..., Any]


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
        monitor: what is counted.
    """

    __slots__ = (
        *("_calls", "_channel", "_clock", "_count", "_current", "_failed", "_failures"),
        *("_has_received", "_instance", "_state", "_progress", "_takes_messages", "_unit", "_wake"),
        *("_watch", "_websocket", "_workers"),
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
        monitor: Monitor = NO_MONITOR,
    ) -> None:
        self._unit = Unit(request)
        self._websocket: Connection = request.websocket
        self._channel: Channel = self._websocket.channel
        self._progress = self._websocket.progress
        self._clock = clock
        self._workers = workers
        # Either would be called for each message.
        self._watch = None if watch is unwatched else watch
        counts = type(monitor).hook is not Monitor.hook
        self._count = monitor.hook if counts else None
        self._instance = self._channel.connection = make_instance(session_class, request)
        self._takes_messages = _has_hook(type(self._instance), "on_message")
        self._calls: deque[_Call] | None = None
        self._state: State = IDLE
        # Tells the task that waits which hook is next; None: to end.
        self._wake: asyncio.Future[_Hook | None] | None = None
        self._has_received = False
        # The call that runs, and how often it raised.
        self._current: _Call | None = None
        self._failures = 0
        self._failed = False

    def opened(self) -> None:
        """Has ``on_open`` called."""
        self._unit.open()
        self._queue("on_open")

    def received(self, messages: list[str]) -> None:
        """Has ``on_message`` called for each message.

        Args:
            messages: in the order in which they were sent.
        """
        self._has_received = True
        # Most classes leave hooks out: that costs no thread.
        if self._takes_messages:
            if self._calls is None:
                self._calls = deque()
            for message in messages:
                self._calls.append(("on_message", (message,)))
            if self._state not in _RUNNING:
                self._go_on()
        elif self._progress is not None:
            self._progress.pass_over(len(messages))

    def handled(self) -> int:
        """Returns for how many messages ``on_message`` has returned."""
        return 0 if self._progress is None else self._progress.handled

    def suspended(self) -> None:
        """Has ``on_suspend`` called."""
        self._queue("on_suspend")

    def resumed(self) -> None:
        """Has ``on_resume`` called."""
        self._queue("on_resume")

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        """Has ``on_join`` or ``on_leave`` called."""
        if self._calls is not None and len(self._calls) >= MAX_WAITING_CALLS:
            path = self._unit.request.path
            if _log_limit.allows(path, perf_counter()):
                logger.warning(
                    "%s: hooks are too slow for those who come and go, who are passed over", path
                )
            return
        self._queue("on_join" if joined else "on_leave", room, presence)

    def backlog(self) -> int:
        """Returns how many calls wait."""
        return len(self._calls) if self._calls else 0

    def closed(self, code: int, reason: str) -> None:
        """Has ``on_close`` called.

        Args:
            code: the close code, which the session has too.
            reason: the reason that goes with it.
        """
        self._queue("on_close")
        if hasattr(type(self._instance), "on_closed"):
            self._queue("on_closed")
        if self._state not in _RUNNING:
            self._go_on()

    def _queue(self, hook: str, *arguments: Any) -> None:
        if _has_hook(type(self._instance), hook):
            if self._calls is None:
                self._calls = deque()
            self._calls.append((hook, arguments))
            if self._state not in _RUNNING:
                self._go_on()

    # The states

    def _go_on(self) -> None:
        """Looks what comes next. Nothing runs."""
        while self._calls:
            hook = self._async_hook()
            self._move(PLAIN if hook is None else ASYNC, hook)
            if self._state in _RUNNING:
                return
        # Empty it would take as much memory as the rest of a silent session.
        self._calls = None
        if self._channel.over or not self._has_received:
            self._move(LAST)

    def _move(self, event: Event, hook: _Hook | None = None) -> None:
        """Follows from an event; of `ASYNC`, the hook of the call that waits comes with it."""
        self._state, action = TRANSITIONS[self._state, event]
        if action is None:
            return
        wake = self._wake
        if wake is not None and wake.done():
            # The server has cancelled the task as it waited.
            wake = None
        if action is RESUME and wake is not None:
            wake.set_result(hook)
        elif action is RESUME or action is SPAWN:
            self._workers.spawn(self._run_async(hook))
        elif action is SUBMIT:
            self._submit()
        elif wake is not None:
            wake.set_result(None)

    def _submit(self) -> None:
        try:
            self._workers.submit(self._run_plain)
        except RuntimeError as error:
            path = self._unit.request.path
            logger.error("%s: no thread is left for a hook: %s", path, error)
            self._calls = None
            self._move(PAUSED)
            self._websocket.close(*NO_THREAD)

    def _paused(self) -> None:
        # Nothing is done on that way.
        self._state, _ = TRANSITIONS[self._state, PAUSED]
        self._go_on()

    def _tick(self) -> bool:
        """Takes note that a second or so has passed; returns whether to be called again."""
        self._move(TICK)
        # When the session is over no task waits any more, and one that was cancelled stays TASK.
        return self._state in _WITH_TASK and not self._channel.over

    # The runs

    def _async_hook(self) -> _Hook | None:
        """Returns the hook of the next call if it is asynchronous."""
        assert self._calls is not None
        try:
            hook: _Hook = getattr(self._instance, self._calls[0][0])
            return hook if declared_async(getattr(hook, "__func__", hook)) else None
        except Exception:
            # What cannot even be looked up fails where it is called.
            return None

    def _take(self) -> _Call | None:
        """Takes the next call out of the queue, which may make room for messages.

        Returns:
            The call; None for what others did after a hook had raised.
        """
        assert self._calls is not None
        call = self._current = self._calls.popleft()
        channel = self._channel
        if channel.awaited:
            self._clock.call_from_thread(channel.ready)
        if self._failed and call[0] in _OF_OTHERS:
            return None
        if self._progress is not None and call[0] == "on_message":
            self._progress.begin_hook()
        return call

    async def _run_async(self, hook: _Hook | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._unit.in_task()
        self._workers.repeat(self._tick)
        while hook is not None:
            await self._run_hooks(task, hook)
            self._paused()
            if self._state is not WAITING:
                return
            self._wake = task.get_loop().create_future()
            hook = await self._wake

    async def _run_hooks(self, task: asyncio.Task[Any], first: _Hook) -> None:
        turns = 0
        unit, watch, count = self._unit, self._watch, self._count
        hook: _Hook | None = first
        while hook is not None:
            if turns == self.FAIR:
                turns = 0
                await asyncio.sleep(0)
            turns += 1
            call = self._take()
            if call is not None:
                begun = 0.0 if count is None else perf_counter()
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
                    self._raised(error, again)
                else:
                    self._failures = 0
                    if self._progress is not None and call[0] == "on_message":
                        self._progress.finish_in_task()
                if count is not None:
                    count(call[0], perf_counter() - begun)
            hook = self._async_hook() if self._calls else None

    def _run_plain(self) -> None:
        unit, count = self._unit, self._count
        with unit.in_thread():
            for _ in range(self.FAIR):
                if not self._calls or self._async_hook() is not None:
                    break
                call = self._take()
                if call is None:
                    continue
                begun = 0.0 if count is None else perf_counter()
                try:
                    unit.begin(False)
                    # Looked up here: one that is no function fails as one that raises.
                    hook, arguments = call
                    refuse_unrun(getattr(self._instance, hook)(*arguments))
                    unit.end()
                except BaseException as error:
                    self._raised(error, unit.fail(error))
                else:
                    self._failures = 0
                    if self._progress is not None and call[0] == "on_message":
                        self._progress.finish()
                if count is not None:
                    count(call[0], perf_counter() - begun)
        self._clock.call_from_thread(self._paused)

    def _raised(self, error: BaseException, again: bool) -> None:
        """Has a hook that raised run again, where it may, or closes the connection."""
        request = self._unit.request
        self._failures += 1
        if again and self._failures < attempts(request.registry.settings):
            assert self._calls is not None and self._current is not None
            self._calls.appendleft(self._current)
        else:
            self._failures = 0
            self._failed = True
            close_by(error, request, self._websocket)
