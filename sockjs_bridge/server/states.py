"""Who has a connection: this server, aiohttp or a WebSocket.

Two readers of requests share a connection. Those of the plainest form are read here, and what the
endpoint answers at once is answered within ``data_received``. Everything else goes to aiohttp as it
came: nothing but aiohttp decides what is odd, what is an error, and where a request ends.

The rules:

1. aiohttp gets to know of a connection by the first request that is not answered here. It loses
   the connection again when the next one is, which needs two certainties. All that it got were
   whole requests; and it has answered them, so that responses keep their order. It says the second
   only some ticks of the loop behind the last byte, and a quick client's next request is there
   before: that one is deferred. So is one whose turn has not come (`turns`).
2. Once aiohttp got what was not read to its end here, where requests begin is known to it alone,
   and the connection is its own for good. So a request that is never completed meets aiohttp's
   own limits.
3. One request at a time: what arrives while one is answered here, or while the application is
   asked about a WebSocket, is kept, and read behind that.

`State` and `TRANSITIONS` are these rules. Nothing but `Ownership` assigns a state, and a pair that
the table lacks is an error of this server's own.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from sockjs_bridge.native import mypyc_attr


class State(enum.IntEnum):
    """Who has a connection, and what for."""

    #: Nothing is asked, and aiohttp does not know of the connection.
    IDLE = enum.auto()
    #: A request has begun; the rest of it is awaited here.
    PARTIAL = enum.auto()
    #: A request has come, which may be answered here when aiohttp is through with the one before;
    #: or one whose turn has not come.
    DEFERRED = enum.auto()
    #: A request is being answered here.
    ANSWERING = enum.auto()
    #: It is answered; what came behind it is read in the next tick.
    CATCHING_UP = enum.auto()
    #: aiohttp has it, and got whole requests only.
    LENT = enum.auto()
    #: aiohttp has it for good.
    AIOHTTP = enum.auto()
    #: aiohttp has read a WebSocket's handshake, and the application is asked about it.
    HANDSHAKE = enum.auto()
    #: The last response was written.
    CLOSING = enum.auto()
    #: A WebSocket has it.
    UPGRADED = enum.auto()
    #: The peer is gone.
    LOST = enum.auto()


class Event(enum.IntEnum):
    """What changes that."""

    #: The beginning of a plain request has arrived, and no more.
    BEGUN = enum.auto()
    #: A plain request has arrived, and aiohttp may be answering the one before, or too many are
    #: beginning.
    EARLY = enum.auto()
    #: A plain request is answered here.
    TAKEN = enum.auto()
    #: A plain request is aiohttp's to answer.
    PASSED = enum.auto()
    #: Something else is aiohttp's: it is not plain, or its rest has not come.
    ODD = enum.auto()
    #: The response was written.
    ANSWERED = enum.auto()
    #: The same, and something came behind the request.
    ANSWERED_AND_MORE = enum.auto()
    #: The same, and there is no other request; or none has come for too long.
    ENDED = enum.auto()
    #: What came behind a request is read.
    READ_ON = enum.auto()
    #: aiohttp's request is a handshake.
    ASKED = enum.auto()
    #: The handshake was refused.
    REFUSED = enum.auto()
    #: The same, and aiohttp goes on for good, as it did before, or for what came behind it.
    REFUSED_AND_MORE = enum.auto()
    #: The handshake was accepted.
    ACCEPTED = enum.auto()
    #: The loop says that the connection is over.
    LOST = enum.auto()


#: Seconds that the rest of a request may take: browsers send head and body one after the other.
HOLD: Final = 0.25
#: How many ticks of the loop aiohttp has, after the last byte of a response, to say that it waits
#: for the next request.
DEFERRALS: Final = 3

#: Where what arrives is read.
READING: Final = frozenset({State.IDLE, State.PARTIAL, State.DEFERRED, State.LENT})
#: Where it is kept until something else is through.
KEEPING: Final = frozenset({State.ANSWERING, State.CATCHING_UP, State.HANDSHAKE})

_READ: Final = {
    Event.TAKEN: State.ANSWERING,
    Event.PASSED: State.LENT,
    Event.ODD: State.AIOHTTP,
    Event.LOST: State.LOST,
}
#: The same where aiohttp may know of the connection.
_SHARED: Final = {
    **_READ,
    Event.BEGUN: State.PARTIAL,
    Event.EARLY: State.DEFERRED,
    Event.ASKED: State.HANDSHAKE,
}

#: What follows from an event in a state. A pair that is missing is impossible.
TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.IDLE: {
        **_READ,
        Event.BEGUN: State.PARTIAL,
        Event.EARLY: State.DEFERRED,
        Event.ENDED: State.CLOSING,
    },
    State.PARTIAL: _SHARED,
    State.DEFERRED: {**_READ, Event.EARLY: State.DEFERRED, Event.ASKED: State.HANDSHAKE},
    State.ANSWERING: {
        Event.ANSWERED: State.IDLE,
        Event.ANSWERED_AND_MORE: State.CATCHING_UP,
        Event.ENDED: State.CLOSING,
        # It cannot be answered here after all.
        Event.PASSED: State.LENT,
        Event.ACCEPTED: State.UPGRADED,
        Event.LOST: State.LOST,
    },
    State.CATCHING_UP: {Event.READ_ON: State.IDLE, Event.LOST: State.LOST},
    State.LENT: _SHARED,
    State.AIOHTTP: {Event.ASKED: State.HANDSHAKE, Event.LOST: State.LOST},
    State.HANDSHAKE: {
        Event.REFUSED: State.LENT,
        Event.REFUSED_AND_MORE: State.AIOHTTP,
        Event.ACCEPTED: State.UPGRADED,
        Event.LOST: State.LOST,
    },
    State.CLOSING: {Event.LOST: State.LOST},
    State.UPGRADED: {},
    State.LOST: {},
}


@mypyc_attr(allow_interpreted_subclasses=True)
class Ownership:
    """A connection's state.

    Args:
        state: to begin with.

    Attributes:
        state: who has the connection, and what for.
    """

    __slots__ = ("state",)

    def __init__(self, state: State) -> None:
        self.state = state

    def move(self, event: Event) -> None:
        """Follows from an event.

        Raises:
            RuntimeError: it is impossible in this state.
        """
        try:
            self.state = TRANSITIONS[self.state][event]
        except KeyError:
            raise RuntimeError(f"{event.name} is impossible in {self.state.name}") from None
