"""What a middlebox does to what goes through it, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

ACTIONS = frozenset(
    ("websocket", "xhr", "xhr_send", "xhr_streaming", "eventsource", "htmlfile", "jsonp")
)
"""What clients ask of a session: the last segments of these paths."""

UPGRADES = ("passed", "refused", "swallowed", "held", "unanswered")
"""What becomes of a request for ``Upgrade``: it is passed on; answered 403; passed on without
``Upgrade``; passed on, and its answer is held; never passed on nor answered."""

DIRECTIONS = ("to the client", "to the server", "both")

ENDS = ("FIN", "RST", "clean")
"""How a response or a WebSocket's connection is cut off. Clean: the response looks complete (its
last chunk, a shorter Content-Length, or 504 in place of one that has not begun); where nothing can
look complete, FIN."""

STAGES = ("before the head", "after the head", "empty", "mid-frame")
"""What a client gets of a lost poll, which the server has answered: nothing; the head, and the
connection ends; a response that looks complete, without a body; one whose last frame lacks its
end."""


@dataclass(frozen=True)
class Drop:
    """What follows a 101 is dropped, and neither end is told.

    Attributes:
        direction: one of `DIRECTIONS`.
        after_bytes: that are passed on before, in that direction; of both, in each.
        after_seconds: that everything is passed on before, from the 101 on.
    """

    direction: str = "to the client"
    after_bytes: int = 0
    after_seconds: float = 0.0

    def __post_init__(self) -> None:
        assert self.direction in DIRECTIONS


@dataclass(frozen=True)
class Cut:
    """Each response is cut off, and so is each WebSocket.

    Attributes:
        end: one of `ENDS`.
        after_bytes: of the body, or of what follows a 101, that the client gets.
        after_seconds: from the request, or from the 101.
    """

    end: str = "FIN"
    after_bytes: float = math.inf
    after_seconds: float = math.inf

    def __post_init__(self) -> None:
        assert self.end in ENDS


@dataclass(frozen=True)
class Lose:
    """Some answers to polls are lost.

    Attributes:
        stage: one of `STAGES`.
        each: how many polls there are to one that is lost.
    """

    stage: str
    each: int = 5

    def __post_init__(self) -> None:
        assert self.stage in STAGES


@dataclass(frozen=True)
class Behaviour:
    """All that a middlebox does; by default nothing but passing on.

    Attributes:
        round_trip: seconds that a request and its answer take together, half of it each.
        upgrade: one of `UPGRADES`.
        drop: what becomes of WebSocket frames.
        hold: bytes of a body up to which it is held, until more come or it is complete; inf: held
            whole.
        http_1_0: to both sides: no chunks, no keep-alive.
        busy: seconds, from the first request for one of `ACTIONS` on, in which all of these wait: a
            server whose /info alone is quick.
        idle: seconds without a byte in either direction after which what goes on is cut, by FIN.
        cut: where responses and WebSockets end.
        lose: what becomes of polls.
        resets: the chance that a request meets an RST, before the server has it or when it answers.
        strips: the names of fields, in lower case, that requests lose.
        caches: answers to GET are stored and used again, whatever their ``Cache-Control``.
        errors: each so many-th request is answered 502, unseen by the server, or in turn 504, in
            place of the server's answer; 0: none.
        prefix: of all paths at the client's side, which the server's paths lack.
        connections: at most so many at once; others wait.
    """

    round_trip: float = 0.0
    upgrade: str = "passed"
    drop: Drop | None = None
    hold: float = 0
    http_1_0: bool = False
    busy: float = 0.0
    idle: float = math.inf
    cut: Cut = Cut()
    lose: Lose | None = None
    resets: float = 0.0
    strips: tuple[str, ...] = ()
    caches: bool = False
    errors: int = 0
    prefix: str = ""
    connections: int = 0

    def __post_init__(self) -> None:
        assert self.upgrade in UPGRADES
