"""A request that opened a session, on a clock and with threads that the test holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from sockjs_bridge import WebSocket
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.session import Session
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from tests.support import BY_NAME, HandClock, Recorder, make_manager


class HandWorkers:
    """Fulfils `sockjs_bridge.core.contracts.Workers`: things run when the test says so.

    Attributes:
        jobs: what waits for a thread of the pool.
        threads: what waits for a thread of its own, by name.
        coroutines: what waits for the loop.
        exhausted: the system gives no more threads.
    """

    def __init__(self) -> None:
        self.jobs: list[Callable[[], object]] = []
        self.threads: dict[str, Callable[[], object]] = {}
        self.coroutines: list[Coroutine[Any, Any, None]] = []
        self.exhausted = False

    def submit(self, function: Callable[[], object]) -> None:
        if self.exhausted:
            raise RuntimeError("can't start new thread")
        self.jobs.append(function)

    def start(self, function: Callable[[], object], name: str) -> None:
        if self.exhausted:
            raise RuntimeError("can't start new thread")
        self.threads[name] = function

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.coroutines.append(coroutine)

    def repeat(self, function: Callable[[], bool]) -> None:
        # As quick as can be: a loop of `run` ends with its coroutine.
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: function() and self.repeat(function))

    def run(self) -> None:
        """Run what waits, once."""
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job()
        threads, self.threads = self.threads, {}
        for thread in threads.values():
            thread()
        coroutines, self.coroutines = self.coroutines, []
        for coroutine in coroutines:
            asyncio.run(coroutine)


class Opening:
    """A session with its receiver and its request.

    Args:
        transport: by name.
        settings: of the endpoint.
    """

    def __init__(self, transport: str = "websocket", **settings: Any) -> None:
        self.clock = HandClock()
        self.manager = make_manager(self.clock, **settings)
        self.session: Session = self.manager.create("s1", BY_NAME[transport])
        self.receiver = Recorder(BY_NAME[transport])
        self.session.attach(self.receiver)
        self.websocket = WebSocket(self.session, self.clock)
        self.request = Request.blank("/chat")
        self.request.registry = Registry()
        self.request.websocket = self.websocket
        self.request.context = SimpleNamespace(name="context")
        self.request.matched_route = SimpleNamespace(name="chat")
        self.workers = HandWorkers()

    def settle(self) -> None:
        """Run everything that waits, in threads and on the loop, until nothing does."""
        settle(self.clock, self.workers)


class Connected:
    """A connection of a whole application, opened as the server does it, without a network.

    Args:
        app: the application.
        path: of the endpoint, with a query maybe.
        headers: of the handshake.
        monitor: what is counted.

    Attributes:
        status: of the handshake's response; below 300 the session is open.
    """

    def __init__(
        self,
        app: Any,
        path: str,
        headers: dict[str, str] | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.clock = HandClock()
        self.workers = HandWorkers()
        endpoints = app.registry.sockjs.endpoints
        if monitor is not None:
            endpoints.monitor = monitor
        endpoints.start(self.clock, self.workers)
        endpoint, _ = endpoints.find(path.partition("?")[0])
        self.session: Session = endpoint.manager.create("s1", BY_NAME["websocket"])
        self.receiver = Recorder(BY_NAME["websocket"])
        self.session.attach(self.receiver)
        self.handshake = Handshake(endpoint, self.session)
        environ = {HANDSHAKE: self.handshake, "REMOTE_ADDR": "127.0.0.1"}
        request = Request.blank(path, environ=environ, headers=headers)
        self.status: int = request.get_response(app).status_code
        if self.handshake.release is not None:
            self.handshake.release()
        if self.status < 300:
            assert self.session.accept(self.handshake.handler)

    def say(self, *messages: str) -> list[str]:
        """Have messages arrive and all code run until nothing waits.

        Returns:
            The frames so far.
        """
        self.session.deliver(list(messages), 1)
        return self.settle()

    def settle(self) -> list[str]:
        """Have all code run until nothing waits; return the frames so far."""
        settle(self.clock, self.workers)
        return self.receiver.frames


def settle(clock: HandClock, workers: HandWorkers) -> None:
    """Run everything that waits, in threads and on the loop, until nothing does."""
    for _ in range(1000):
        clock.settle()
        if not (workers.jobs or workers.threads or workers.coroutines):
            return
        workers.run()
    raise AssertionError("it does not settle")
