"""The SockJS endpoints of an application together, and the handshake that leads through it.

Here the server and the framework meet; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

from sockjs_bridge import protocol
from sockjs_bridge.broadcasts import Broadcasts
from sockjs_bridge.clock import Clock
from sockjs_bridge.contracts import Handler
from sockjs_bridge.credentials import UNKNOWN
from sockjs_bridge.endpoint import Endpoint
from sockjs_bridge.manager import Capacity
from sockjs_bridge.rooms import Rooms
from sockjs_bridge.session import Session

T = TypeVar("T")

#: The key of the `Handshake` in the WSGI environ.
HANDSHAKE = "sockjs_bridge.handshake"
#: The key of the `Inquiry` in the WSGI environ of every other request: its server is ours.
INQUIRY = "sockjs_bridge.inquiry"


class Handshake:
    """A question to the application, asked by a GET request of the endpoint's base URL.

    The server puts it into the WSGI environ; the application answers here and by its response.

    Attributes:
        endpoint: the one that is asked for.
        session: the one that is to open; a decoy where an open one is to go on.
        renewal: the session is open; a request of it came with other credentials than before.
        taken: a view would serve the connection.
        handler: the application's side of a session that is to open.
        identity: who asks, as the application's security policy says; None stands for nobody.
        failure: the status of the exception that an exception view turned into a response.
        release: drops what the application made for its response; called when that is over.
    """

    __slots__ = (
        *("endpoint", "failure", "handler", "identity", "release", "renewal", "session"),
        "taken",
    )

    def __init__(self, endpoint: Endpoint, session: Session, *, renewal: bool = False) -> None:
        self.endpoint = endpoint
        self.session = session
        self.renewal = renewal
        self.taken = False
        self.handler: Handler | None = None
        self.identity: object = UNKNOWN
        self.failure: int | None = None
        self.release: Callable[[], None] | None = None


class Inquiry:
    """What an application says of a request that the server handed to it as to any page.

    Attributes:
        found: the application's endpoints, when the request is for one of them: where the
            application is mounted behind other WSGI code, only it knows its own paths. With them
            its ``SCRIPT_NAME`` and ``PATH_INFO``.
        body: of that request, which the endpoint cannot read a second time.
    """

    def __init__(self) -> None:
        self.found: tuple[Endpoints, str, str] | None = None
        self.body = b""


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

    def rest(self, tire: Callable[[], bool]) -> None:
        """Has a function called every second or so until it returns False."""
        raise NotImplementedError


class Endpoints:
    """The SockJS endpoints of one application.

    Args:
        max_sessions: of one process, all endpoints together.
        max_body_size: bytes of the body of a request of the application; None for no bound.

    Attributes:
        max_body_size: as given.
        rooms: of all endpoints together.
    """

    #: How many base paths are remembered: each poll asks for one.
    REMEMBERED = 1000

    def __init__(self, max_sessions: int, max_body_size: int | None = None) -> None:
        self.max_body_size = max_body_size
        self._endpoints: dict[str, Endpoint] = {}
        self._matched: dict[str, Endpoint] = {}
        self._capacity = Capacity(max_sessions)
        self._clock: Clock | None = None
        self._workers: Workers | None = None
        self._broadcasts: Broadcasts | None = None
        self.rooms = Rooms()

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._endpoints.values())

    def __getitem__(self, name: str) -> Endpoint:
        return self._endpoints[name]

    def __contains__(self, name: object) -> bool:
        return name in self._endpoints

    def add(self, endpoint: Endpoint) -> None:
        """Adds an endpoint; the order is that of the look-up."""
        self._endpoints[endpoint.name] = endpoint
        self._matched.clear()
        if self._clock is not None:
            endpoint.start(self._clock, self._capacity, self.rooms, self._broadcasts)

    @property
    def clock(self) -> Clock:
        """The clock of the server's loop.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._clock)

    @property
    def workers(self) -> Workers:
        """Where views and hooks run.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._workers)

    @property
    def broadcasts(self) -> Broadcasts:
        """What takes messages to many sessions.

        Raises:
            RuntimeError: no server of ours serves the application.
        """
        return _served(self._broadcasts)

    def start(self, clock: Clock, workers: Workers) -> None:
        """Makes the endpoints ready; called by the server."""
        self._clock, self._workers = clock, workers
        self._broadcasts = Broadcasts(clock)
        for endpoint in self:
            endpoint.start(clock, self._capacity, self.rooms, self._broadcasts)

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
        """Finds the endpoint that a path within the application is for.

        Args:
            path: percent-encoded, without the query.
        """
        for target in protocol.targets(path):
            if (base := _decoded(target.base)) is None:
                return None
            if (endpoint := self.match(base)) is not None:
                return endpoint, target
        return None

    def match(self, base: str) -> Endpoint | None:
        """Returns the endpoint with a base path, percent-decoded."""
        known = self._matched.get(base)
        if known is None:
            known = next((endpoint for endpoint in self if endpoint.match(base)), None)
            if known is not None:
                if len(self._matched) >= self.REMEMBERED:
                    # A pattern may match any number of them.
                    self._matched.clear()
                self._matched[base] = known
        return known


class Mount(NamedTuple):
    """An application's place below a prefix of the server's paths.

    Attributes:
        endpoints: of the application.
        script_name: what the application takes the prefix for; a filter may have changed it.
    """

    endpoints: Endpoints
    script_name: str


class Site:
    """The applications with SockJS endpoints that one server serves, and where they are mounted.

    An application that the server calls directly is at the root. Where other WSGI code stands in
    between (filters, a composite), the first request for an endpoint goes the way of all pages,
    and the application says by the `Inquiry` that the request is for the endpoint. That holds for
    the host that was asked: a composite may choose by it.

    Args:
        application: the WSGI application.
    """

    #: How many mounts are remembered: a composite may mount at any prefix, a client name any host.
    MOUNTS = 1000

    def __init__(self, application: object) -> None:
        self._clock: Clock | None = None
        self._workers: Workers | None = None
        # By prefix and host; those that were asked for last are last.
        self._mounts: dict[tuple[str, str], list[Mount]] = {}
        # How long a prefix was so far: a path of slashes alone could be cut at each of them.
        self._longest = 0
        self._direct: Endpoints | None = None
        self._all: list[Endpoints] = []
        registry = getattr(application, "registry", None)
        endpoints = getattr(getattr(registry, "sockjs", None), "endpoints", None)
        if isinstance(endpoints, Endpoints):
            self._all.append(endpoints)
            self._direct = endpoints

    @property
    def max_body_size(self) -> int | None:
        """Bytes of the body of a request, as the application itself bounds it.

        Of one behind other WSGI code that is not known before it has read the body.
        """
        return self._direct.max_body_size if self._direct is not None else None

    @property
    def by_host(self) -> bool:
        """Whether the host that a request names matters to `find`."""
        return self._direct is None or bool(self._mounts)

    def start(self, clock: Clock, workers: Workers) -> None:
        """Makes the endpoints ready; those that are found later too."""
        self._clock, self._workers = clock, workers
        for endpoints in self._all:
            endpoints.start(clock, workers)

    def find(self, path: str, host: str = "") -> tuple[Endpoint, protocol.Target] | None:
        """Finds the endpoint that a request is for.

        Args:
            path: percent-encoded, without the query.
            host: that the request names.
        """
        for target in protocol.targets(path):
            if (base := _decoded(target.base)) is None:
                return None
            if self._direct is not None and (direct := self._direct.match(base)) is not None:
                return direct, target
            for prefix in _prefixes(base, self._longest) if self._mounts else ():
                key = prefix, host
                for mount in self._mounts.get(key, ()):
                    if (endpoint := mount.endpoints.match(base[len(prefix) :])) is not None:
                        self._mounts[key] = self._mounts.pop(key)
                        if mount.script_name:
                            target = target._replace(script_name=mount.script_name)
                        return endpoint, target
        return None

    def learn(self, path: str, inquiry: Inquiry, host: str = "") -> bool:
        """Notes where an application is mounted, if a request has shown it.

        Args:
            path: of that request, percent-encoded, without the query.
            inquiry: what the application said.
            host: that the request names.

        Returns:
            Whether `find` knows the endpoint now; another request may have shown it meanwhile.
        """
        if inquiry.found is None or self._clock is None or self._workers is None:
            return False
        endpoints, script_name, inner = inquiry.found
        try:
            whole = unquote_to_bytes(path).decode()
            inner = inner.encode("latin-1").decode()
            mount = Mount(endpoints, script_name.encode("latin-1").decode())
        except UnicodeError:
            return False
        key = whole.removesuffix(inner), host
        mounts = self._mounts.get(key, [])
        if not whole.endswith(inner):
            return False
        if mount in mounts:
            return True
        if endpoints not in self._all:
            self._all.append(endpoints)
            endpoints.start(self._clock, self._workers)
        if len(self._mounts) >= self.MOUNTS:
            del self._mounts[next(iter(self._mounts))]
        self._mounts[key] = [*mounts, mount]
        self._longest = max(self._longest, len(key[0]))
        return True

    def close(self, code: int, reason: str) -> None:
        """Closes all sessions of all endpoints."""
        for endpoints in self._all:
            endpoints.close(code, reason)

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(endpoints.told for endpoints in self._all)

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for endpoints in self._all:
            endpoints.finish()


def _served(part: T | None) -> T:
    if part is None:
        raise RuntimeError("the application is not served by sockjs_bridge")
    return part


def _decoded(base: str) -> str | None:
    if "%" not in base and base.isascii():
        return base
    try:
        return unquote_to_bytes(base).decode()
    except UnicodeError:
        return None


def _prefixes(base: str, longest: int) -> Iterator[str]:
    """Yields what may be the mount's part of a path, the longest first, as composites choose.

    Args:
        base: the path.
        longest: characters that a mount's part has at the most.
    """
    if 0 < len(base) <= longest:
        yield base
    end = base.rfind("/", 0, longest + 1)
    while end > 0:
        yield base[:end]
        end = base.rfind("/", 0, end)
    yield ""
