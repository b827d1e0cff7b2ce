"""Where the applications with SockJS endpoints are that one server serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Clock, Workers
from sockjs_bridge.core.readiness import Readiness
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.endpoint.endpoints import Endpoints, decoded
from sockjs_bridge.endpoint.handshake import Inquiry
from sockjs_bridge.endpoint.outcomes import Answer
from sockjs_bridge.resume.shared import Shared


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
    the host that was asked: a composite may choose by it. Whatever strangers ask for, nothing is
    noted but where `find` finds an endpoint from then on.

    Args:
        application: the WSGI application.
    """

    #: How many mounts are remembered: a composite may mount at any prefix, a client name any host.
    MOUNTS = 1000
    #: Characters of a host with its port (RFC 1035, 2.3.4): a longer one is none.
    LONGEST_HOST = 260

    def __init__(self, application: object) -> None:
        # Once it is started: what sessions need of the server.
        self._served: tuple[Clock, Workers] | None = None
        self._closed = False
        self._shared = Shared()
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
    def direct(self) -> Endpoints | None:
        """The endpoints of the application itself; None where other WSGI code stands before it."""
        return self._direct

    @property
    def sessions(self) -> int:
        """How many sessions there are, of all applications."""
        return self._shared.places.taken

    @property
    def readiness(self) -> Readiness:
        """Whether the process is to get new clients."""
        return self._shared.readiness

    def max_body_size(self, path: str) -> int | None:
        """Returns how many bytes of a request's body the application takes; None: any number.

        Of one behind other WSGI code that is not known before it has read the body.

        Args:
            path: of the request, percent-encoded, without the query.
        """
        return self._direct.max_body_size(path) if self._direct is not None else None

    @property
    def page_threads(self) -> int | None:
        """How many threads there may be for pages, as the application says; None where it does not.

        Of one behind other WSGI code that is not known.
        """
        return self._direct.page_threads if self._direct is not None else None

    @property
    def by_host(self) -> bool:
        """Whether the host that a request names matters to `find`."""
        return self._direct is None or bool(self._mounts)

    def answer(self, path: str) -> Callable[[], Answer] | None:
        """Returns what a GET of a path is answered with, without the application.

        Args:
            path: percent-encoded, without the query.

        Returns:
            None where it is not for the server to answer.
        """
        return None if self._direct is None else self._direct.answers.get(path)

    def lasting(self, base: str) -> bool:
        """Tells whether no mount can change what `find` says of a session's URL.

        Args:
            base: the part of its path in front of server, session and transport, percent-decoded.
        """
        return self._direct is not None and self._direct.match(base) is not None

    def start(self, clock: Clock, workers: Workers) -> None:
        """Makes the endpoints ready; those that are found later too."""
        self._served = clock, workers
        for endpoints in self._all:
            endpoints.start(clock, workers, self._shared)

    def find(self, path: str, host: str = "") -> tuple[Endpoint, protocol.Target] | None:
        """Finds the endpoint that a request is for.

        Args:
            path: percent-encoded, without the query.
            host: that the request names.
        """
        for target in protocol.targets(path):
            if (base := decoded(target.base)) is None:
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
        if inquiry.found is None or self._served is None or self._closed:
            # No session begins any more, in no application.
            return False
        endpoints, script_name, inner = inquiry.found
        try:
            whole = unquote_to_bytes(path).decode()
            inner = inner.encode("latin-1").decode()
            mount = Mount(endpoints, script_name.encode("latin-1").decode())
        except UnicodeError:
            return False
        key = whole.removesuffix(inner), host
        if not whole.endswith(inner) or not _leads(path, key[0], endpoints):
            return False
        if len(host) > self.LONGEST_HOST:
            return False
        if endpoints is self._direct and not key[0]:
            # At the root it needs no mount.
            return True
        mounts = self._mounts.get(key, [])
        if any(known.endpoints is endpoints for known in mounts):
            return True
        if endpoints not in self._all:
            self._all.append(endpoints)
            endpoints.start(*self._served, self._shared)
        if len(self._mounts) >= self.MOUNTS:
            del self._mounts[next(iter(self._mounts))]
        self._mounts[key] = [*mounts, mount]
        self._longest = max(self._longest, len(key[0]))
        return True

    def close(self, code: int, reason: str, within: float = 0.0) -> Iterator[None]:
        """Closes all sessions of all endpoints, some at each step; see `Hub.close`."""
        self._closed = True
        return chain.from_iterable([each.hub.close(code, reason, within) for each in self._all])

    @property
    def told(self) -> bool:
        """Whether every client has heard that its session is over."""
        return all(endpoints.hub.told for endpoints in self._all)

    def finish(self) -> None:
        """Forgets the sessions that are left: the server has stopped."""
        for endpoints in self._all:
            endpoints.hub.finish()


def _leads(path: str, prefix: str, endpoints: Endpoints) -> bool:
    """Tells whether a path leads to one of some endpoints, mounted at a prefix.

    What an application finds may be another reading of it: it never sees what was encoded.
    """
    for target in protocol.targets(path):
        base = decoded(target.base)
        if base is not None and base.startswith(prefix):
            inner = base[len(prefix) :]
            if (not inner or inner.startswith("/")) and endpoints.match(inner) is not None:
                return True
    return False


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
