"""The life of a resumable session: its states, and what moves it on. Nothing else assigns a state.

========= ================================= ==========================================
state     what holds                        a receive request gets
========= ================================= ==========================================
NEW       the application is being asked    nothing yet
ADMITTED  it let a handshake in; no key yet --
YOUNG     nothing came since the welcome    the welcome, what is sent
OPEN      a receiver is attached            the welcome, what it lacks; it takes over
SUSPENDED nobody receives                   the same
AWAY      … and the application was told    the same, and the application is told
DRAINING  the server leaves                 the same; then ``moved``
ENDED     closed                            the welcome, what it lacks, then ``c[…]``
GONE      forgotten                         a tombstone's line
========= ================================= ==========================================

While YOUNG, DRAINING or ENDED a receiver may be attached or not.
"""

from __future__ import annotations

from sockjs_bridge.core.statemachine import StateMachine, TableEnum


class State(TableEnum):
    """Where a session stands."""

    NEW = "new"
    ADMITTED = "admitted"
    YOUNG = "young"
    OPEN = "open"
    SUSPENDED = "suspended"
    AWAY = "away"
    DRAINING = "draining"
    ENDED = "ended"
    GONE = "gone"


# For what each message asks: to look a member up in its enumeration takes longer than to compare.
NEW, OPEN, DRAINING = State.NEW, State.OPEN, State.DRAINING


class Event(TableEnum):
    """What moves a session on.

    Attributes:
        ADMIT: the application lets a handshake in; no receive request has brought the key.
        OPEN: the application lets it in, and the key is there.
        HEAR: something came from the client after its first welcome.
        ATTACH: a receive request takes over.
        DETACH: nobody receives any more.
        MISS: nobody has received for ``disconnect_delay``.
        CLOSE: the application or the client closes it, or the protocol is broken.
        DRAIN: the server leaves.
        END: it is over, and forgotten.
    """

    ADMIT = "admit"
    OPEN = "open"
    HEAR = "hear"
    ATTACH = "attach"
    DETACH = "detach"
    MISS = "miss"
    CLOSE = "close"
    DRAIN = "drain"
    END = "end"


TRANSITIONS = {
    (State.NEW, Event.ADMIT): State.ADMITTED,
    (State.NEW, Event.OPEN): State.YOUNG,
    (State.NEW, Event.CLOSE): State.ENDED,
    (State.NEW, Event.DRAIN): State.DRAINING,
    (State.NEW, Event.END): State.GONE,
    (State.ADMITTED, Event.OPEN): State.YOUNG,
    (State.ADMITTED, Event.CLOSE): State.ENDED,
    (State.ADMITTED, Event.DRAIN): State.DRAINING,
    (State.ADMITTED, Event.END): State.GONE,
    # Whether anybody receives is told by an event of its own, which follows.
    (State.YOUNG, Event.HEAR): State.OPEN,
    (State.YOUNG, Event.CLOSE): State.ENDED,
    (State.YOUNG, Event.DRAIN): State.DRAINING,
    (State.YOUNG, Event.END): State.GONE,
    (State.OPEN, Event.DETACH): State.SUSPENDED,
    (State.OPEN, Event.CLOSE): State.ENDED,
    (State.OPEN, Event.DRAIN): State.DRAINING,
    (State.OPEN, Event.END): State.GONE,
    (State.SUSPENDED, Event.ATTACH): State.OPEN,
    (State.SUSPENDED, Event.MISS): State.AWAY,
    (State.SUSPENDED, Event.CLOSE): State.ENDED,
    (State.SUSPENDED, Event.DRAIN): State.DRAINING,
    (State.SUSPENDED, Event.END): State.GONE,
    (State.AWAY, Event.ATTACH): State.OPEN,
    # A send: the client is back, though it does not receive yet.
    (State.AWAY, Event.HEAR): State.SUSPENDED,
    (State.AWAY, Event.CLOSE): State.ENDED,
    (State.AWAY, Event.DRAIN): State.DRAINING,
    (State.AWAY, Event.END): State.GONE,
    (State.DRAINING, Event.CLOSE): State.ENDED,
    (State.DRAINING, Event.END): State.GONE,
    (State.ENDED, Event.END): State.GONE,
}

#: What is sent to a receiver just leaves.
STEADY = frozenset({State.YOUNG, State.OPEN})
#: The client is told of an end.
LEAVING = frozenset({State.DRAINING, State.ENDED})
#: Nothing is sent any more.
OVER = frozenset({State.ENDED, State.GONE})
#: The application is, or may be, called.
LIVE = frozenset({State.YOUNG, State.OPEN, State.SUSPENDED, State.AWAY, State.DRAINING})
#: What arrives is taken.
TAKING = frozenset(
    {State.NEW, State.ADMITTED, State.YOUNG, State.OPEN, State.SUSPENDED, State.AWAY}
)
#: Nobody receives.
UNATTENDED = frozenset({State.SUSPENDED, State.AWAY})
#: What is kept while nobody receives counts against ``max_suspended_bytes`` there.
KEEPING = UNATTENDED | {State.ENDED}


class Life(StateMachine[State, Event]):
    """What has such a state."""

    __slots__ = ()

    _initial = State.NEW
    _table = TRANSITIONS
