"""What is due of one session, and when: heartbeats, expiry, the age of a response. No I/O.

Which of its clocks runs depends on the session's states (`Session.deadline`):

====================== ============================== ==========================================
what the session is in what is waited for             what is done when it did not come
====================== ============================== ==========================================
LOST                   the repeat of a request        the session is closed: interrupted
ABSENT, TOLD, CLOSING  the client, or that it takes   the session is forgotten
                       what was written
attached: WebSocket    a sign of life after a ping    the session is closed: no heartbeat
attached: not writable that some of it is taken       the connection is dropped
attached: a stream     that it gets old               the response ends
attached: otherwise    a message that leaves          a heartbeat leaves
====================== ============================== ==========================================
"""

from __future__ import annotations

import enum

from sockjs_bridge.core.contracts import Peer, Receiver
from sockjs_bridge.core.repeats import WINDOW
from sockjs_bridge.core.settings import Settings

#: Seconds that a WebSocket's peer has to show any sign of life after a ping.
PONG_TIMEOUT = 10.0
#: How many times within ``disconnect_delay`` it is asked whether a client takes what was written.
CHECKS = 4


class Beat(enum.Enum):
    """What is due on a WebSocket."""

    NOTHING = "nothing"
    PING = "ping"
    HEARTBEAT = "heartbeat"
    DEAD = "dead"


class Deadlines:
    """The clocks of one session; all times are seconds of the loop's clock.

    Args:
        settings: of the endpoint.
        now: when the session begins.

    Attributes:
        since: when the receiver came or went.
        wrote: when the last frame left.
        stalled: since when the client takes nothing of a response; None where it does.
        response_size: the bytes of the frames of the response.
    """

    __slots__ = (
        *("_asked", "_beat", "_carried", "_checked", "_peer", "_quiet", "_settings"),
        *("response_size", "since", "stalled", "wrote"),
    )

    def __init__(self, settings: Settings, now: float) -> None:
        self.since = self.wrote = now
        self.stalled: float | None = None
        self.response_size = 0
        self._settings = settings
        # The other end of the last receiver's connection, and how many requests that had carried.
        self._peer: Peer | None = None
        self._carried = 0
        # When it was last asked whether the client takes what is on its way to it.
        self._checked = now
        # When the last ping was due, when the one left that has no answer yet, and whether the last
        # one went without a heartbeat that a script can see.
        self._beat = now
        self._asked: float | None = None
        self._quiet = False

    def attached(self, receiver: Receiver, now: float) -> None:
        """Says that a receiver has come."""
        self._peer, self._carried = receiver.peer, receiver.peer.carried
        self.since = self.wrote = self._beat = now
        self.stalled = None
        self.response_size = 0

    def put_off(self, now: float) -> None:
        """Begins anew: nothing can be written before the handshake ends."""
        self.wrote = self.since = self._beat = now

    # Nobody receives

    @property
    def repeat_due(self) -> float:
        """Until when the repeat of a request that was lost is waited for."""
        return self.since + WINDOW

    @property
    def client_due(self) -> float:
        """When to ask next whether the client is gone (`client_is_gone`)."""
        delay = self._settings.disconnect_delay
        return min(max(self.since, self._checked) + delay / CHECKS, self._alone_since + delay)

    @property
    def _alone_since(self) -> float:
        """Since when nobody receives, or takes what the session ends with."""
        return max(self.since, self.wrote)

    def client_is_gone(self, now: float) -> bool:
        """Tells whether the time of a client that does not come back is over.

        It is not while what was written is still on its way to a client that reads.
        """
        self._checked = now
        peer = self._peer
        # What is taken of a later response says nothing: a proxy has one connection for many.
        if peer is not None and peer.carried == self._carried:
            self.since = max(self.since, peer.taken(now))
        return now >= self._alone_since + self._settings.disconnect_delay

    # A receiver is attached

    def receiver_due(self, receiver: Receiver) -> float:
        """Returns when something is due for the receiver."""
        settings = self._settings
        if receiver.transport.websocket:
            due = self._beat + settings.heartbeat_delay
            return due if self._asked is None else min(due, self._asked + PONG_TIMEOUT)
        due = self.wrote + settings.heartbeat_delay
        if receiver.transport.streaming:
            due = min(due, self.since + settings.response_max_age)
        return due

    def reader_is_gone(self, peer: Peer, now: float) -> bool:
        """Tells whether the time of a client that takes nothing of a response is over.

        Neither a heartbeat nor an end would reach it now, and neither is due.
        """
        self.stalled = max(self.stalled or now, peer.taken(now))
        self.wrote = self.since = now
        return now >= self.stalled + self._settings.response_max_age

    def is_old(self, now: float) -> bool:
        """Tells whether a stream has lasted as long as it may (``response_max_age``)."""
        return now >= self.since + self._settings.response_max_age

    def beat(self, receiver: Receiver, now: float, *, awaited: bool) -> Beat:
        """Tells what is due on a WebSocket; a ping is taken for sent.

        Args:
            receiver: the one.
            now: seconds of the clock.
            awaited: nothing is read: the application is slow, and no sign of life can come.
        """
        if self._asked is not None and (receiver.heard >= self._asked or awaited):
            self._asked = None
        if self._asked is not None and now >= self._asked + PONG_TIMEOUT:
            if receiver.peer.taken(now) < self._asked:
                return Beat.DEAD
            # The ping is still on its way to a client that reads slowly.
            self._asked = None
            return Beat.NOTHING
        if now < self._beat + self._settings.heartbeat_delay:
            return Beat.NOTHING
        self._beat = now
        if self._asked is None:
            self._asked = now
            # From here on it can be told.
            receiver.peer.taken(now)
        # A page's script cannot see a ping; every other time there is something for it too.
        self._quiet = not self._quiet
        return Beat.PING if self._quiet else Beat.HEARTBEAT
