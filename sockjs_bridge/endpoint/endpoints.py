"""The SockJS endpoints of an application together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import ClassVar, TypeVar
from urllib.parse import unquote_to_bytes

from sockjs_bridge.core import protocol
from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient, Workers
from sockjs_bridge.core.history import History
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.presences import Presences
from sockjs_bridge.core.readiness import Readiness
from sockjs_bridge.core.rooms import Rooms
from sockjs_bridge.core.signals import Signals
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.former import FormerSessions
from sockjs_bridge.endpoint.homes import Homes
from sockjs_bridge.endpoint.outcomes import Answer
from sockjs_bridge.endpoint.users import Users
from sockjs_bridge.resume.contracts import ResumeMonitor
from sockjs_bridge.resume.shared import Shared

T = TypeVar("T")


class Endpoints:
    """The SockJS endpoints of one application.

    Args:
        max_sessions: of one process, all endpoints and applications together.
        max_body_size: bytes of the body of a request of the application; None for no bound.
        page_threads: how many threads there may be for its pages; None leaves it to the server.

    Attributes:
        body_limits: bytes in place of ``max_body_size``, by patterns of paths: the first that fits.
        page_threads: as given.
        rooms: of all endpoints together.
        monitor: what is counted; to be set before the server starts.
        resumption: what is counted of how resumable sessions go on; as `monitor`.
        answers: what the server itself answers a GET of a path with, on the loop, without the
            application; by paths within the application, percent-encoded. Where other WSGI code
            stands in between, such a path is the application's after all.
        history: of rooms that have one; None where none has. To be set before the server starts.
        cluster: the processes that serve the application together; None where there is one. To be
            set before the server starts.
        signals: what the processes of the application say to each other.
        presences: who is in the rooms, for the application. To be set before the server starts.
        users: closes their connections.
    """

    #: How many base paths are remembered, and how many that are none: each poll and page asks.
    REMEMBERED: ClassVar[int] = 1000

    def __init__(
        self,
        max_sessions: int,
        max_body_size: int | None = None,
        page_threads: int | None = None,
    ) -> None:
        self._max_body_size = max_body_size
        self.body_limits: list[tuple[re.Pattern[str], int]] = []
        self.page_threads = page_threads
        self._endpoints: dict[str, Endpoint] = {}
        self._matched: dict[str, Endpoint] = {}
        # Apart from those: anybody can ask for what there is not.
        self._missed: set[str] = set()
        self._max_sessions = max_sessions
        self._hub: Hub | None = None
        self._shared: Shared | None = None
        self._workers: Workers | None = None
        self.rooms: Rooms[Recipient] = Rooms()
        self.monitor = Monitor()
        self.resumption = ResumeMonitor()
        self.answers: dict[str, Callable[[], Answer]] = {}
        self._when_served: list[Callable[[Hub], object]] = []
        self.history: History | None = None
        self.cluster: Homes | None = None
        self.signals = Signals()
        self.presences = Presences(self.rooms, self.signals)
        self.users = Users(
            self.signals, lambda: chain.from_iterable(each.all_sessions for each in self)
        )
        self._former = FormerSessions(self.signals, lambda: self)

    def max_body_size(self, path: str) -> int | None:
        """Returns how many bytes the body of a request may have; None where nothing bounds it.

        Args:
            path: of the request, percent-encoded, without the query.
        """
        for pattern, size in self.body_limits:
            if pattern.fullmatch(path):
                return size
        return self._max_body_size

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def __getitem__(self, name: str) -> Endpoint:
        return self._endpoints[name]

    def get(self, name: str) -> Endpoint | None:
        """Returns the endpoint of a name; None where there is none."""
        return self._endpoints.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._endpoints

    def add(self, endpoint: Endpoint) -> None:
        """Adds an endpoint; the order is that of the look-up."""
        self._endpoints[endpoint.name] = endpoint
        self._matched.clear()
        self._missed.clear()
        if self._hub is not None:
            self._start(endpoint, self._hub)

    @property
    def served(self) -> bool:
        """Whether a server of ours serves the application, or did."""
        return self._hub is not None

    @property
    def hub(self) -> Hub:
        """What the sessions share.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._hub)

    @property
    def clock(self) -> Clock:
        """The clock of the server's loop.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._hub).clock

    @property
    def workers(self) -> Workers:
        """Where views and hooks run.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._workers)

    @property
    def readiness(self) -> Readiness:
        """Whether the process is to get new clients.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._shared).readiness

    @property
    def broadcasts(self) -> Broadcasts:
        """What takes messages to many sessions.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return self.hub.broadcasts

    def when_served(self, callback: Callable[[Hub], object]) -> None:
        """Calls back, on the loop, as a server starts with this application; each time."""
        self._when_served.append(callback)

    def start(self, clock: Clock, workers: Workers, shared: Shared | None = None) -> None:
        """Makes the endpoints ready; called by the server.

        Args:
            clock: of the server's loop.
            workers: where views and hooks run.
            shared: what the applications of the process share.
        """
        self._shared = Shared() if shared is None else shared
        capacity = Capacity(self._max_sessions, self._shared.places)
        self._workers = workers
        if self.cluster is not None:
            self.history = self.cluster.history
        self.signals.start(clock)
        self.presences.start(clock)
        self._hub = Hub(clock, capacity, self.rooms, self.monitor, self.history, self.presences)
        for endpoint in self:
            self._start(endpoint, self._hub)
        for callback in self._when_served:
            callback(self._hub)

    def _start(self, endpoint: Endpoint, hub: Hub) -> None:
        endpoint.start(hub, self._shared, self.resumption, self.cluster, self._former.end)

    def find(self, path: str) -> tuple[Endpoint, protocol.Target] | None:
        """Finds the endpoint that a path within the application is for.

        Args:
            path: percent-encoded, without the query.
        """
        for target in protocol.targets(path):
            if (base := decoded(target.base)) is None:
                return None
            if (endpoint := self.match(base)) is not None:
                return endpoint, target
        return None

    def match(self, base: str) -> Endpoint | None:
        """Returns the endpoint with a base path, percent-decoded."""
        known = self._matched.get(base)
        if known is not None or base in self._missed:
            return known
        known = next((endpoint for endpoint in self if endpoint.match(base)), None)
        if known is None:
            if len(self._missed) >= self.REMEMBERED:
                self._missed.clear()
            self._missed.add(base)
        else:
            if len(self._matched) >= self.REMEMBERED:
                # A pattern may match any number of them.
                self._matched.clear()
            self._matched[base] = known
        return known


def _served(part: T | None) -> T:
    if part is None:
        raise RuntimeError("the application is not served by sockjs_bridge")
    return part


def decoded(base: str) -> str | None:
    """Returns a base path without its percent-encoding, None where that is no UTF-8."""
    if "%" not in base and base.isascii():
        return base
    try:
        return unquote_to_bytes(base).decode()
    except UnicodeError:
        return None
