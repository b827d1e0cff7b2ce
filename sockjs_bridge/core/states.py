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

import enum


class _Name(enum.Enum):
    """A member of one of the enumerations below."""

    # Theirs is a function in Python, called twice for each look-up in a table: polls come often.
    __hash__ = object.__hash__


class State(_Name):
    """How far the life of a session is."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Event(_Name):
    """What moves a session on."""

    ACCEPT = "accept"
    CLOSE = "close"
    END = "end"


TRANSITIONS = {
    (State.NEW, Event.ACCEPT): State.OPEN,
    (State.NEW, Event.CLOSE): State.CLOSING,
    (State.NEW, Event.END): State.CLOSED,
    (State.OPEN, Event.CLOSE): State.CLOSING,
    (State.CLOSING, Event.END): State.CLOSED,
}


class Reception(_Name):
    """Who receives."""

    ABSENT = "absent"
    ATTACHED = "attached"
    LOST = "lost"
    TELLING = "telling"
    TOLD = "told"


class Contact(_Name):
    """What changes who receives."""

    ATTACH = "attach"
    REPEAT = "repeat"
    TELL = "tell"
    DETACH = "detach"
    LOSE = "lose"
    GIVE_UP = "give up"


RECEPTIONS = {
    (Reception.ABSENT, Contact.ATTACH): Reception.ATTACHED,
    (Reception.TOLD, Contact.ATTACH): Reception.TELLING,
    # Nothing of what the receiver before was sent was heard.
    **{(reception, Contact.REPEAT): Reception.ATTACHED for reception in Reception},
    (Reception.ATTACHED, Contact.TELL): Reception.TELLING,
    (Reception.TELLING, Contact.TELL): Reception.TELLING,
    (Reception.ATTACHED, Contact.DETACH): Reception.ABSENT,
    (Reception.TELLING, Contact.DETACH): Reception.TOLD,
    (Reception.ATTACHED, Contact.LOSE): Reception.LOST,
    (Reception.LOST, Contact.GIVE_UP): Reception.ABSENT,
}


class States:
    """Both states of one session.

    Attributes:
        state: how far its life is.
        reception: who receives.
        over: nothing is sent any more; may be read in any thread.
    """

    __slots__ = ("over", "reception", "state")

    def __init__(self) -> None:
        self.state = State.NEW
        self.reception = Reception.ABSENT
        self.over = False

    def _enter(self, event: Event) -> bool:
        """Moves its life on; False, and nothing is changed, where the event means nothing."""
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            return False
        self.state = state
        self.over = state is not State.OPEN
        return True

    def _contact(self, contact: Contact) -> None:
        """Notes that who receives has changed."""
        self.reception = RECEPTIONS[self.reception, contact]
