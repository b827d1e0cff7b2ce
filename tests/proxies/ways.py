"""What may stand between a browser and the server: the ways of the table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from tests.proxies.behaviour import STAGES, Behaviour, Cut, Drop, Lose


@dataclass(frozen=True)
class Way:
    """What stands between, and how it is seen that it did something.

    Attributes:
        behaviour: of the middlebox.
        deed: what it counts of what it is for; it must have, in the end.
        pause: the second half of the messages waits until it has, so many seconds at most: a client
            that is not silent may never have it happen.
        elsewhere: the page is of another origin than the server.
        nginx: stands there in its place, with so many lines more in its configuration.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    deed: str = ""
    pause: float = 0.0
    elsewhere: bool = False
    nginx: str | None = None


NO_UPGRADE = Behaviour(upgrade="refused")
HELD = Behaviour(upgrade="swallowed", hold=math.inf)
ROUND_TRIPS = (0.2, 0.6)


def _each_round_trip(ways: dict[str, Way]) -> dict[str, Way]:
    """Returns ways, each also with the delays that are asked for."""
    delayed = {
        f"{name}, {round(seconds * 1000)} ms": replace(
            way, behaviour=replace(way.behaviour, round_trip=seconds)
        )
        for name, way in ways.items()
        for seconds in ROUND_TRIPS
    }
    return ways | delayed


def _cuts() -> dict[str, Way]:
    found = {}
    for end in ("FIN", "RST", "clean"):
        for limit in ({"after_seconds": 2.0}, {"after_bytes": 3000}):
            cut = Cut(end, **limit)
            name = "2 s" if "after_seconds" in limit else "3000 bytes"
            found[f"streams cut after {name}, {end}"] = Way(replace(NO_UPGRADE, cut=cut), "cuts")
            if end != "clean":
                found[f"all cut after {name}, {end}"] = Way(Behaviour(cut=cut), "cuts")
    return found


def _drops() -> dict[str, Way]:
    found = {}
    for direction in ("to the client", "to the server", "both"):
        name = "both ways" if direction == "both" else direction
        found[f"frames dropped {name}"] = Way(Behaviour(drop=Drop(direction)), "dropped")
        for after, drop in (
            ("2000 bytes", Drop(direction, after_bytes=2000)),
            ("2 s", Drop(direction, after_seconds=2.0)),
        ):
            found[f"frames dropped {name} after {after}"] = Way(Behaviour(drop=drop), "dropped")
    return found


WAYS: dict[str, Way] = {
    **_each_round_trip(
        {
            "nothing": Way(),
            "Upgrade refused": Way(NO_UPGRADE, "upgrades"),
            "Upgrade swallowed": Way(Behaviour(upgrade="swallowed"), "upgrades"),
            "Upgrade held": Way(Behaviour(upgrade="held"), "upgrades"),
            "Upgrade never answered": Way(Behaviour(upgrade="unanswered"), "upgrades"),
            "responses held whole": Way(HELD, "held"),
        }
    ),
    **_drops(),
    "responses held up to 1000 bytes": Way(replace(HELD, hold=1000), "held"),
    "responses held up to 8192 bytes": Way(replace(HELD, hold=8192), "held"),
    "nginx without Upgrade": Way(nginx=""),
    "nginx without Upgrade, which buffers": Way(nginx="proxy_ignore_headers X-Accel-Buffering;"),
    "HTTP/1.0": Way(Behaviour(http_1_0=True), "old"),
    "idle cut after 2 s": Way(Behaviour(idle=2.0), "cuts", pause=6.0),
    "idle cut after 2 s, streams": Way(replace(NO_UPGRADE, idle=2.0), "cuts", pause=6.0),
    "idle cut after 8 s": Way(Behaviour(idle=8.0), "cuts", pause=12.0),
    **_cuts(),
    **{
        f"each fifth poll lost: {stage}": Way(replace(HELD, lose=Lose(stage)), "lost")
        for stage in STAGES
    },
    "2 % reset, 200 ms": Way(replace(NO_UPGRADE, round_trip=0.2, resets=0.02), "resets"),
    "2 % reset, responses held whole, 200 ms": Way(
        replace(HELD, round_trip=0.2, resets=0.02), "resets"
    ),
    "10 % reset, responses held whole": Way(replace(HELD, resets=0.1), "resets"),
    "Origin stripped": Way(replace(NO_UPGRADE, strips=("origin",)), "stripped"),
    "Origin stripped, WebSocket": Way(Behaviour(strips=("origin",)), "stripped"),
    "Cookie stripped": Way(Behaviour(strips=("cookie",)), "stripped"),
    "page of another origin": Way(elsewhere=True),
    "page of another origin, Upgrade refused": Way(NO_UPGRADE, "upgrades", elsewhere=True),
    "page of another origin, Origin stripped": Way(
        replace(NO_UPGRADE, strips=("origin",)), "stripped", elsewhere=True
    ),
    "answers to GET cached": Way(replace(NO_UPGRADE, caches=True), "upgrades"),
    "each tenth request 502 or 504": Way(replace(HELD, errors=10), "errors"),
    "path rewritten": Way(Behaviour(prefix="/app"), "rewritten"),
    "path rewritten, Upgrade refused": Way(replace(NO_UPGRADE, prefix="/app"), "rewritten"),
    "six connections": Way(Behaviour(connections=6)),
    "two connections": Way(Behaviour(connections=2), "waited"),
    "six connections, path rewritten": Way(
        replace(NO_UPGRADE, connections=6, prefix="/app"), "rewritten"
    ),
}
