"""The panel of pyramid_debugtoolbar: sessions, rooms, the last minute, and a handshake's steps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from html import escape

from pyramid.request import Request
from pyramid.response import Response
from pyramid_debugtoolbar.panels import DebugPanel

from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.endpoint.origins import OriginPolicy
from sockjs_bridge.pyramid.application import SockJS
from sockjs_bridge.pyramid.debug import dotted_name
from sockjs_bridge.pyramid.extensions import noted_userid
from sockjs_bridge.pyramid.handlers import failure_of

#: How many rooms are shown, the fullest ones.
ROOMS = 50

# What arrives is counted as the payload, what leaves with what the transport puts around it.
_HEADS = ("opened", "ended", "messages in", "payload bytes in", "messages out", "frame bytes out")


class LastMinute(Monitor):
    """Counts what happened in the last minute, and passes all on to another monitor.

    Args:
        other: what the application counts by.
        now: in seconds of a monotonic clock.
    """

    #: Seconds for which is counted.
    SPAN = 60

    def __init__(self, other: Monitor, now: Callable[[], float] = time.monotonic) -> None:
        self._other = other
        self._now = now
        # By second; the first is the oldest.
        self._counts: dict[int, Counter[tuple[str, str]]] = {}

    def _add(self, transport: str, **numbers: int) -> None:
        now = int(self._now())
        if now not in self._counts:
            self._forget(now)
            self._counts[now] = Counter()
        for name, number in numbers.items():
            self._counts[now][transport, name.replace("_", " ")] += number

    def _forget(self, now: int) -> None:
        for second in [second for second in self._counts if second <= now - self.SPAN]:
            del self._counts[second]

    def table(self) -> dict[str, Counter[str]]:
        """Returns the counts of the last minute, by transport; in any thread."""
        first, found = int(self._now()) - self.SPAN, dict[str, Counter[str]]()
        for second, counts in list(self._counts.items()):
            if second > first:
                for (transport, name), number in list(counts.items()):
                    found.setdefault(transport, Counter())[name] += number
        return found

    def opened(self, transport: str) -> None:
        """Counts a session that opened."""
        self._add(transport, opened=1)
        self._other.opened(transport)

    def ended(self, transport: str, code: int) -> None:
        """Counts a session that is over."""
        self._add(transport, ended=1)
        self._other.ended(transport, code)

    def messages_in(self, transport: str, count: int, size: int) -> None:
        """Counts messages that arrived."""
        self._add(transport, messages_in=count, payload_bytes_in=size)
        self._other.messages_in(transport, count, size)

    def messages_out(self, transport: str, count: int, size: int) -> None:
        """Counts messages that left."""
        self._add(transport, messages_out=count, frame_bytes_out=size)
        self._other.messages_out(transport, count, size)

    def refused(self, status: int) -> None:
        """Passes on that a request was refused."""
        self._other.refused(status)

    def handshake(self, status: int, seconds: float) -> None:
        """Passes on that the application was asked."""
        self._other.handshake(status, seconds)

    def hook(self, name: str, seconds: float) -> None:
        """Passes on that a hook has run."""
        self._other.hook(name, seconds)

    def dropped(self, count: int) -> None:
        """Passes on that messages were thrown away."""
        self._other.dropped(count)

    def broadcast(self, recipients: int) -> None:
        """Passes on that a message for many was sent."""
        self._other.broadcast(recipients)

    def missed(self, clients: int) -> None:
        """Passes on that clients are told of missing messages."""
        self._other.missed(clients)

    def relayed(self, outcome: str) -> None:
        """Passes on that a request was handed on to another process."""
        self._other.relayed(outcome)

    def engine(self, seconds: float) -> None:
        """Passes on how long the engine took."""
        self._other.engine(seconds)

    def unpublished(self, count: int) -> None:
        """Passes on that messages did not reach the engine."""
        self._other.unpublished(count)

    def degraded(self, on: bool) -> None:
        """Passes on whether the engine cannot be reached."""
        self._other.degraded(on)


class SockJSPanel(DebugPanel):  # type: ignore[misc]
    """What is connected at present; and, for a handshake, how it went.

    Args:
        request: which the toolbar shows.
    """

    name = "sockjs"
    title = nav_title = "SockJS"
    has_content = True

    def __init__(self, request: Request) -> None:
        self._sockjs: SockJS = request.registry.sockjs
        # The toolbar keeps requests for long, and the panel nothing but words of them.
        self._request: Request | None = request
        self._steps: list[tuple[str, str]] = []

    @property
    def nav_subtitle(self) -> str:
        """How many sessions are open."""
        return str(sum(len(endpoint.sessions) for endpoint in self._sockjs.endpoints))

    def process_response(self, response: Response) -> None:
        """Notes the steps of a handshake."""
        request, self._request = self._request, None
        handshake = None if request is None else request.environ.get(HANDSHAKE)
        if handshake is not None:
            self._steps = list(_steps(request, handshake, response))

    def render_content(self, request: Request) -> str:
        """Returns the panel as HTML, with what is true now.

        Args:
            request: of the toolbar itself.
        """
        endpoints = self._sockjs.endpoints
        open_ = Counter(
            (endpoint.name, session.transport.name)
            for endpoint in endpoints
            for session in endpoint.sessions
        )
        sessions = [(*key, count) for key, count in sorted(open_.items())]
        rooms = Counter({name: len(self._sockjs.members(name)) for name in self._sockjs.rooms()})
        parts = [
            _table("Steps of the handshake", ("step", "result"), self._steps),
            _table("Open sessions", ("route", "transport", "sessions"), sessions),
            _table("Rooms", ("room", "members"), rooms.most_common(ROOMS)),
        ]
        if isinstance(endpoints.monitor, LastMinute):
            counts = sorted(endpoints.monitor.table().items())
            rows = [(name, *(numbers[head] for head in _HEADS)) for name, numbers in counts]
            parts.append(_table("The last minute", ("transport", *_HEADS), rows))
        return "".join(parts)


def _steps(request: Request, handshake: Handshake, response: Response) -> Iterable[tuple[str, str]]:
    origin, route = OriginPolicy.of(request.headers), getattr(request, "matched_route", None)
    userid, status = noted_userid(request), failure_of(request) or response.status_int
    yield "transport", handshake.session.transport.name
    yield "endpoint", handshake.endpoint.name
    # Of one that is refused the application hears nothing.
    yield "origin", origin or "not told"
    yield "tweens", "passed" if handshake.reached else "one of them answered"
    yield "route", "none" if route is None else f"{route.name} ({route.pattern})"
    # Not its repr, which is the application's code and may fail.
    yield "context", dotted_name(type(getattr(request, "context", None)))
    yield "user", "nobody" if userid is None else _shown(userid)
    yield "view", handshake.view or "none took the connection"
    opens = handshake.taken and status < 300
    yield "answer", f"{status}: the connection {'opens' if opens else 'is refused'}"


def _shown(userid: object) -> str:
    try:
        return str(userid)
    except Exception:
        return dotted_name(type(userid))


def _table(title: str, heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Returns a table as HTML, with the classes of the toolbar's own; none for no rows."""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    if not body:
        return f"<h4>{escape(title)}</h4><p>None.</p>"
    head = f"<thead><tr>{_cells('th', heads)}</tr></thead>"
    table = f'<table class="table table-striped">{head}<tbody>{body}</tbody></table>'
    return f"<h4>{escape(title)}</h4>{table}"


def _cells(tag: str, values: Iterable[object]) -> str:
    return "".join(f"<{tag}>{escape(str(value))}</{tag}>" for value in values)
