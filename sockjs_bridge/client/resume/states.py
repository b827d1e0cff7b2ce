"""The life of a client's resumable session as a table. Nothing else assigns a state.

========== ============================================= =====================================
state      what holds                                    what is sent meanwhile
========== ============================================= =====================================
CONNECTING no welcome of this session yet                goes with the first request
OPEN       a way was proved by a welcome                 goes out
SUSPENDED  it broke, others are tried                    waits in its order
MOVING     the server leaves; a random part of its time  waits
CLOSING    the application has closed it                 is refused; what waits goes out first
CLOSED     over                                          is refused
========== ============================================= =====================================
"""

from __future__ import annotations

from sockjs_bridge.core.statemachine import StateMachine, TableEnum


class ClientState(TableEnum):
    """Where a client stands."""

    CONNECTING = "connecting"
    OPEN = "open"
    SUSPENDED = "suspended"
    MOVING = "moving"
    CLOSING = "closing"
    CLOSED = "closed"


class ClientEvent(TableEnum):
    """What moves a client on.

    Attributes:
        WELCOME: a way works, in both directions.
        BREAK: the current way broke, or is silent.
        LOST: the server knows the session no more: a new one begins.
        MOVED: the server leaves: a new one begins somewhat later.
        DUE: the time of a move has come.
        CLOSE: the application closes.
        END: the server has closed the session, refuses it, or does not know ``~r1``.
    """

    WELCOME = "welcome"
    BREAK = "break"
    LOST = "lost"
    MOVED = "moved"
    DUE = "due"
    CLOSE = "close"
    END = "end"


TRANSITIONS = {
    (ClientState.CONNECTING, ClientEvent.WELCOME): ClientState.OPEN,
    (ClientState.CONNECTING, ClientEvent.LOST): ClientState.CONNECTING,
    (ClientState.CONNECTING, ClientEvent.MOVED): ClientState.MOVING,
    (ClientState.CONNECTING, ClientEvent.CLOSE): ClientState.CLOSING,
    (ClientState.CONNECTING, ClientEvent.END): ClientState.CLOSED,
    (ClientState.OPEN, ClientEvent.BREAK): ClientState.SUSPENDED,
    (ClientState.OPEN, ClientEvent.LOST): ClientState.CONNECTING,
    (ClientState.OPEN, ClientEvent.MOVED): ClientState.MOVING,
    (ClientState.OPEN, ClientEvent.CLOSE): ClientState.CLOSING,
    (ClientState.OPEN, ClientEvent.END): ClientState.CLOSED,
    (ClientState.SUSPENDED, ClientEvent.WELCOME): ClientState.OPEN,
    (ClientState.SUSPENDED, ClientEvent.LOST): ClientState.CONNECTING,
    (ClientState.SUSPENDED, ClientEvent.MOVED): ClientState.MOVING,
    (ClientState.SUSPENDED, ClientEvent.CLOSE): ClientState.CLOSING,
    (ClientState.SUSPENDED, ClientEvent.END): ClientState.CLOSED,
    (ClientState.MOVING, ClientEvent.DUE): ClientState.CONNECTING,
    # In the new session, where messages are left.
    (ClientState.MOVING, ClientEvent.CLOSE): ClientState.CLOSING,
    (ClientState.MOVING, ClientEvent.END): ClientState.CLOSED,
    # There, too.
    (ClientState.CLOSING, ClientEvent.LOST): ClientState.CLOSING,
    (ClientState.CLOSING, ClientEvent.MOVED): ClientState.CLOSING,
    (ClientState.CLOSING, ClientEvent.END): ClientState.CLOSED,
}


class ClientLife(StateMachine[ClientState, ClientEvent]):
    """What has a client's state."""

    __slots__ = ()

    _initial, _table = ClientState.CONNECTING, TRANSITIONS
