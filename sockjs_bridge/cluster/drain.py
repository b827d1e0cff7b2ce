"""How fast clients may leave a process that ends, or has died: others have to open their sessions.

Opening a session costs 0.4 to 0.7 ms, so that a core opens 1400 to 2500 a second and does nothing
else then.
"""

from __future__ import annotations

from typing import NamedTuple

#: Sessions that a process opens in a second beside its own work: half of what it can.
OPENINGS = 700.0
#: Of ``shutdown_timeout``: how long clients may take to leave, unless a setting says it.
SHARE = 0.8
#: Seconds over which clients come back at least: few are no crowd, and need not come at once.
SHORTEST = 1.0


class Pace(NamedTuple):
    """How clients leave.

    Attributes:
        seconds: in which all have left.
        pause: seconds between two goes.
    """

    seconds: float
    pause: float


def spread(sessions: int, others: int) -> float:
    """Returns over how many seconds the clients of a process come back to others.

    Args:
        sessions: how many there are.
        others: how many processes take them; with none they come back to the same one.
    """
    return max(SHORTEST, sessions / (OPENINGS * max(1, others)))


def pace(sessions: int, others: int, seconds: float, batch: int) -> Pace:
    """Returns how fast clients leave: no faster than others can take them, if time allows.

    Args:
        sessions: how many there are.
        others: how many processes take them.
        seconds: in which all have left.
        batch: how many leave in one go.
    """
    goes = -(-sessions // batch)
    # The last go needs no pause behind it, but time until its clients have heard.
    return Pace(seconds, min(batch / (OPENINGS * max(1, others)), seconds / (goes + 1)))
