"""The SockJS endpoints of an application together, and the handshake that leads through it.

Here the server and the framework meet; neither knows the other.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote_to_bytes

from sockjs_bridge import protocol
from sockjs_bridge.clock import Clock
from sockjs_bridge.contracts import Handler
from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.manager import Capacity
from sockjs_bridge.session import Session

#: The key of the `Handshake` in the WSGI environ.
HANDSHAKE = "sockjs_bridge.handshake"


class Handshake:
    """One opening's way through the application, as a GET request of the endpoint's base URL.

    The server puts it into the WSGI environ; the application accepts by leaving a handler.

    Attributes:
        endpoint: the one that is asked for.
        session: the one that is to open.
        handler: the application's side of the session; None while nobody accepted.
    """

    def __init__(self, endpoint: Endpoint, session: Session) -> None:
        self.endpoint = endpoint
        self.session = session
        self.handler: Handler | None = None


class Workers(Protocol):
    """Where the application's code for sessions runs; the server implements it.

    At its end the server waits a while for what still runs there.
    """

    def submit(self, function: Callable[[], object]) -> None:
        """Runs a short function in a pool of threads."""
        raise NotImplementedError

    def start(self, function: Callable[[], object], name: str) -> None:
        """Runs a function in a thread of its own.

        Raises:
            RuntimeError: the system gives no thread.
        """
        raise NotImplementedError

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine on the loop."""
        raise NotImplementedError


class Endpoints:
    """The SockJS endpoints of one application.

    Args:
        max_sessions: of one process, all endpoints together.
    """

    _unserved: ClassVar[weakref.WeakSet[Endpoints]] = weakref.WeakSet()

    def __init__(self, max_sessions: int) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._capacity = Capacity(max_sessions)
        self._clock: Clock | None = None
        self._workers: Workers | None = None
        Endpoints._unserved.add(self)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def __getitem__(self, name: str) -> Endpoint:
        return self._endpoints[name]

    def __contains__(self, name: object) -> bool:
        return name in self._endpoints

    def add(self, endpoint: Endpoint) -> None:
        """Adds an endpoint; the order is that of the look-up."""
        self._endpoints[endpoint.name] = endpoint
        if self._clock is not None:
            endpoint.start(self._clock, self._capacity)

    @property
    def clock(self) -> Clock:
        """The clock of the server's loop.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        if self._clock is None:
            raise RuntimeError("the application is not served by sockjs_bridge")
        return self._clock

    @property
    def workers(self) -> Workers:
        """Where views and hooks run.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        if self._workers is None:
            raise RuntimeError("the application is not served by sockjs_bridge")
        return self._workers

    def start(self, clock: Clock, workers: Workers) -> None:
        """Makes the endpoints ready; called by the server."""
        self._clock, self._workers = clock, workers
        Endpoints._unserved.discard(self)
        for endpoint in self:
            endpoint.start(clock, self._capacity)

    def close(self, code: int, reason: str) -> None:
        """Closes all sessions of all endpoints."""
        for endpoint in self:
            endpoint.manager.close(code, reason)

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(endpoint.manager.told for endpoint in self)

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for endpoint in self:
            endpoint.manager.finish()

    def find(self, path: str) -> tuple[Endpoint, protocol.Target] | None:
        """Finds the endpoint that a request's path is for.

        Args:
            path: percent-encoded, without the query.
        """
        for target in protocol.targets(path):
            try:
                base = unquote_to_bytes(target.base).decode()
            except UnicodeError:
                return None
            for endpoint in self:
                if endpoint.match(base):
                    return endpoint, target
        return None

    @classmethod
    def of(cls, application: object) -> Sequence[Endpoints]:
        """Returns the endpoints of a WSGI application.

        Args:
            application: where other WSGI code (filters, a composite) hides what is inside, the
                endpoints that no server serves yet are taken.
        """
        registry = getattr(application, "registry", None)
        endpoints = getattr(getattr(registry, "sockjs", None), "endpoints", None)
        if isinstance(endpoints, Endpoints):
            return [endpoints]
        return list(cls._unserved)
