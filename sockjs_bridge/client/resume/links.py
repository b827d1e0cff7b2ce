"""One connection of a client, and what its I/O and its application have to do for the core."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from sockjs_bridge.client.resume.policy import Way


@dataclass(slots=True, eq=False)
class Link:
    """A request that receives, or a WebSocket.

    Attributes:
        way: what it is.
        session: the id of the session that it is for.
        opened_at: when it was begun, in seconds of the clock.
        new: a handshake may make the session.
        body: of an HTTP request.
        probe: it only proves that its way works.
        request: the number of its receive request, 0 where it asked nothing yet.
        held: its answer may come late without meaning anything: a poll without ``now``.
        up: the handshake of a WebSocket is done.
        asked_at: when it asked.
        number: of the message that comes next over it, None before a welcome.
        welcomed_at: when it was welcomed last.
        heard_at: when anything came over it last.
        pinged_at: when the ping was sent that has no answer yet, None where there is none.
        next_ping: when it is pinged next.
        expected: the number that the server gives to what comes without one.
        upto: the number of the last message that went up over it.
        acknowledged: how many messages the server was told over it that the client has.
        said_close: the client's end went up over it.
        sent_at: when something went up over it that nothing before was waiting for an answer with.
        fruitful: it has brought messages.
        replaced: a newer request is to take over, or has.
        over: nothing comes or goes over it any more.
    """

    way: Way
    session: str
    opened_at: float
    new: bool = False
    body: dict[str, Any] = field(default_factory=dict, repr=False)
    probe: bool = False
    request: int = 0
    held: bool = False
    up: bool = False
    asked_at: float = 0.0
    number: int | None = None
    welcomed_at: float = 0.0
    heard_at: float = 0.0
    pinged_at: float | None = None
    next_ping: float = 0.0
    expected: int = 1
    upto: int = 0
    acknowledged: int = 0
    said_close: bool = False
    sent_at: float = 0.0
    fruitful: bool = False
    replaced: bool = False
    over: bool = False


@dataclass(slots=True, eq=False)
class Post:
    """A request that sends.

    Attributes:
        session: the id of the session that it is for.
        body: of the request.
        sent_at: when it was begun, in seconds of the clock.
    """

    session: str
    body: dict[str, Any] = field(repr=False)
    sent_at: float


class Network(Protocol):
    """What moves bytes for a client. None of these calls the core back."""

    def open(self, link: Link) -> None:
        """Begins a request or a handshake: `Asking.connected`, `line` and `ended` follow."""
        raise NotImplementedError

    def write(self, link: Link, frame: object) -> None:
        """Sends a JSON value over a WebSocket."""
        raise NotImplementedError

    def close(self, link: Link) -> None:
        """Drops a connection; nothing follows."""
        raise NotImplementedError

    def post(self, post: Post) -> None:
        """Begins a request that sends: `Sending.answered` or `failed` follows."""
        raise NotImplementedError

    def drop(self, post: Post) -> None:
        """Drops a request that sends; nothing follows."""
        raise NotImplementedError


class Listener(Protocol):
    """The application's side. Each may call the core back."""

    def received(self, messages: list[str]) -> None:
        """Messages arrived."""
        raise NotImplementedError

    def handled(self, number: int) -> None:
        """So many messages, over all sessions, were handled by the server."""
        raise NotImplementedError

    def opened(self) -> None:
        """A session began; the first, or a new one after `lost` or `moved`."""
        raise NotImplementedError

    def suspended(self) -> None:
        """No way works."""
        raise NotImplementedError

    def resumed(self) -> None:
        """One does again."""
        raise NotImplementedError

    def lost(self, number: int) -> None:
        """The session is no more, and what comes down may have a hole.

        Args:
            number: so many messages, over all sessions, were handled for sure.
        """
        raise NotImplementedError

    def moved(self) -> None:
        """The server leaves; a new session follows, and nothing is doubtful."""
        raise NotImplementedError

    def missed(self, rooms: list[tuple[str, str]]) -> None:
        """The history of rooms, by keys and names, does not reach back."""
        raise NotImplementedError

    def denied(self, status: int) -> None:
        """The server refuses this client; called before `closed`."""
        raise NotImplementedError

    def unsupported(self) -> None:
        """The server does not know ``~r1``; called before `closed`."""
        raise NotImplementedError

    def closed(self, code: int, reason: str) -> None:
        """It is over; called once, last."""
        raise NotImplementedError
