"""The states of a session, and what may follow them. No I/O.

There are two: how far its life is (`State`), and who receives (`Reception`). What moves them stands
in `TRANSITIONS` and `RECEPTIONS`; nothing outside of this module assigns one. Together:

======== ============================ ============================= ===============================
life     ABSENT: nobody receives      ATTACHED: a receiver does     LOST: its response broke off
======== ============================ ============================= ===============================
NEW      the client has to come       nothing is written: the       an HTTP client may repeat its
                                      handshake is under way        request
OPEN     messages are queued; the     ``o`` (once in a life), what  the same; what it was sent is
         client has to come           is queued, heartbeats         kept, and sent again then
CLOSING  the application was told;    what is queued, then          the same; else the client is
         the client has to come, or   ``c[…]``, after which it is   told that it was interrupted
         the session is forgotten     TELLING
CLOSED   forgotten                    --                            --
======== ============================ ============================= ===============================

Only a CLOSING session is TELLING (the close frame was written to who is attached, or to one before)
or TOLD (nobody is attached any more): the client may drop the connection then, and nothing is lost.

A receiver that arrives while another one is attached gets ``c[2010,…]``, in any state, unless it is
the repeat of that one's request: that takes its place.
"""

from __future__ import annotations

from sockjs_bridge.core.statemachine import StateMachine, TableEnum


class State(TableEnum):
    """How far the life of a session is."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Event(TableEnum):
    """What moves a session on."""

    ACCEPT = "accept"
    CLOSE = "close"
    END = "end"


# By name: to look a member up in its enumeration costs more than the rest of a comparison, and some
# are made with each message.
NEW, OPEN, CLOSING, CLOSED = State
ACCEPT, CLOSE, END = Event

TRANSITIONS = {
    (NEW, ACCEPT): OPEN,
    (NEW, CLOSE): CLOSING,
    (NEW, END): CLOSED,
    (OPEN, CLOSE): CLOSING,
    (CLOSING, END): CLOSED,
}


class Reception(TableEnum):
    """Who receives."""

    ABSENT = "absent"
    ATTACHED = "attached"
    LOST = "lost"
    TELLING = "telling"
    TOLD = "told"


class Contact(TableEnum):
    """What changes who receives."""

    ATTACH = "attach"
    REPEAT = "repeat"
    TELL = "tell"
    DETACH = "detach"
    LOSE = "lose"
    GIVE_UP = "give up"


ABSENT, ATTACHED, LOST, TELLING, TOLD = Reception
ATTACH, REPEAT, TELL, DETACH, LOSE, GIVE_UP = Contact

RECEPTIONS = {
    (ABSENT, ATTACH): ATTACHED,
    (TOLD, ATTACH): TELLING,
    # Nothing of what the receiver before was sent was heard.
    **{(reception, REPEAT): ATTACHED for reception in Reception},
    (ATTACHED, TELL): TELLING,
    (TELLING, TELL): TELLING,
    (ATTACHED, DETACH): ABSENT,
    (TELLING, DETACH): TOLD,
    (ATTACHED, LOSE): LOST,
    (LOST, GIVE_UP): ABSENT,
}


class States(StateMachine[State, Event]):
    """Both states of one session.

    Attributes:
        state: how far its life is.
        reception: who receives.
        over: nothing is sent any more; may be read in any thread.
    """

    __slots__ = ("over", "reception")

    _initial = NEW
    _table = TRANSITIONS

    def __init__(self) -> None:
        super().__init__()
        self.reception = ABSENT
        self.over = False

    def _enter(self, event: Event) -> State | None:
        """Moves its life on, as `StateMachine._enter`."""
        before = super()._enter(event)
        if before is not None:
            self.over = self.state is not OPEN
        return before

    def _contact(self, contact: Contact) -> None:
        """Notes that who receives has changed."""
        self.reception = RECEPTIONS[self.reception, contact]
