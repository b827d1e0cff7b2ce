"""How it stands with the lease of a process, and what changes that. Nothing else assigns a state.

========= ======================================= ========================================
state     what holds                              resumable sessions
========= ======================================= ========================================
NEW       no lease yet                            are served
HELD      the lease is renewed                    are served
ASKING    it was not, and others are asked        are served until the lease would be over
          whether they reach the store
FENCED    others may have taken this process for  wait: links end, requests are refused
          dead; only the store can tell
LAPSED    they have, or will                      have ended: their clients hear ``lost``
DEGRADED  nobody reaches the store, so that       are served
          nobody can take anybody for dead
========= ======================================= ========================================
"""

from __future__ import annotations

from sockjs_bridge.core.statemachine import StateMachine, TableEnum


class LeaseState(TableEnum):
    """How it stands with the lease of this process."""

    NEW = "new"
    HELD = "held"
    ASKING = "asking"
    FENCED = "fenced"
    LAPSED = "lapsed"
    DEGRADED = "degraded"


class LeaseEvent(TableEnum):
    """What changes that.

    Attributes:
        RENEW: the store has noted it.
        REFUSE: another process has declared this one dead.
        MISS: this process ran, and could not renew it for too long.
        STALL: this process stood still for as long as the lease.
        REACHED: another process reaches the store.
        UNREACHED: no other one says that it does.
    """

    RENEW = "renew"
    REFUSE = "refuse"
    MISS = "miss"
    STALL = "stall"
    REACHED = "reached"
    UNREACHED = "unreached"


_S, _E = LeaseState, LeaseEvent

LEASE_TRANSITIONS = {
    (_S.NEW, _E.RENEW): _S.HELD,
    (_S.HELD, _E.REFUSE): _S.LAPSED,
    (_S.HELD, _E.MISS): _S.ASKING,
    (_S.HELD, _E.STALL): _S.FENCED,
    (_S.ASKING, _E.RENEW): _S.HELD,
    (_S.ASKING, _E.REFUSE): _S.LAPSED,
    (_S.ASKING, _E.STALL): _S.FENCED,
    (_S.ASKING, _E.REACHED): _S.FENCED,
    (_S.ASKING, _E.UNREACHED): _S.DEGRADED,
    (_S.FENCED, _E.RENEW): _S.HELD,
    (_S.FENCED, _E.REFUSE): _S.LAPSED,
    # Asked once more, when the lease is over.
    (_S.FENCED, _E.REACHED): _S.LAPSED,
    (_S.FENCED, _E.UNREACHED): _S.DEGRADED,
    (_S.LAPSED, _E.RENEW): _S.HELD,
    (_S.DEGRADED, _E.RENEW): _S.HELD,
    (_S.DEGRADED, _E.REFUSE): _S.LAPSED,
    (_S.DEGRADED, _E.STALL): _S.FENCED,
    (_S.DEGRADED, _E.REACHED): _S.FENCED,
}

#: No resumable session may be served.
FENCING = frozenset({_S.FENCED, _S.LAPSED})


class LeaseLife(StateMachine[LeaseState, LeaseEvent]):
    """What has such a state."""

    __slots__ = ()

    _initial, _table = LeaseState.NEW, LEASE_TRANSITIONS
