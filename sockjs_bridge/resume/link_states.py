"""The states of a WebSocket below ``~r1``. Nothing else assigns one.

========== ====================== ==========================================================
state      what holds             what comes over it
========== ====================== ==========================================================
WAITING    no hello yet           a hello, a ping; anything else ends the link
ASKING     the application is     kept until it has said who that is
           being asked
ATTACHED   the session's receiver everything; what is broken ends the session
REPLACED   another one receives   a hello, messages, acknowledgements; ``close`` and what is
                                  broken end the link
OVER       ended                  nothing is taken
========== ====================== ==========================================================
"""

from __future__ import annotations

from sockjs_bridge.core.statemachine import StateMachine, TableEnum


class LinkState(TableEnum):
    """Where a WebSocket stands."""

    WAITING = "waiting"
    ASKING = "asking"
    ATTACHED = "attached"
    REPLACED = "replaced"
    OVER = "over"


class LinkEvent(TableEnum):
    """What moves a WebSocket on."""

    ASK = "ask"
    ATTACH = "attach"
    REPLACE = "replace"
    END = "end"


LINK_TRANSITIONS = {
    (LinkState.WAITING, LinkEvent.ASK): LinkState.ASKING,
    (LinkState.WAITING, LinkEvent.ATTACH): LinkState.ATTACHED,
    (LinkState.WAITING, LinkEvent.END): LinkState.OVER,
    (LinkState.ASKING, LinkEvent.ATTACH): LinkState.ATTACHED,
    (LinkState.ASKING, LinkEvent.END): LinkState.OVER,
    (LinkState.ATTACHED, LinkEvent.REPLACE): LinkState.REPLACED,
    (LinkState.ATTACHED, LinkEvent.ASK): LinkState.ASKING,
    (LinkState.ATTACHED, LinkEvent.END): LinkState.OVER,
    (LinkState.REPLACED, LinkEvent.ATTACH): LinkState.ATTACHED,
    (LinkState.REPLACED, LinkEvent.ASK): LinkState.ASKING,
    (LinkState.REPLACED, LinkEvent.END): LinkState.OVER,
}

#: What comes is taken.
TAKING = frozenset({LinkState.ATTACHED, LinkState.REPLACED})


class LinkLife(StateMachine[LinkState, LinkEvent]):
    """What has such a state."""

    __slots__ = ()

    _initial = LinkState.WAITING
    _table = LINK_TRANSITIONS
