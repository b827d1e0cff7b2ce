"""The way up: what a client sends beside its receive requests, and how far its application is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sockjs_bridge.core import protocol
from sockjs_bridge.core.claim import NEVER
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.arrivals import Upload
from sockjs_bridge.resume.contracts import ResumeOwner, WebSocketLink
from sockjs_bridge.resume.deadlines import Deadlines
from sockjs_bridge.resume.frames import Send
from sockjs_bridge.resume.states import DRAINING, LIVE, TAKING, UNATTENDED, Event, State

#: A client sent what the protocol does not allow.
BROKEN = protocol.BROKEN_FRAMING


class Incoming(Deadlines):
    """What comes up.

    Attributes:
        awaited: somebody waits for `ready`, or did when it was called last; may be read in any
            thread. Where that begins this is set first: a thread that handles a message meanwhile
            is to say so.
        bytes_in: the characters of the messages that came.
    """

    __slots__ = ("_close_after", "_grown", "awaited", "bytes_in")

    def __init__(self, owner: ResumeOwner, key: tuple[str, str]) -> None:
        super().__init__(owner, key)
        self.awaited = False
        self.bytes_in = 0
        # Something came after the first welcome: it is more than one POST.
        self._grown = False
        # The client's own end, and which of its messages has to be handled before.
        self._close_after: tuple[int, int, str] | None = None

    @property
    def grown(self) -> bool:
        """Whether its client has proved that it got the welcome."""
        return self._grown

    def heard(self) -> None:
        """Notes that something came after the first welcome."""
        if not self._grown:
            self._grown = True
            if self._enter(Event.HEAR) is not None and self._receiver is None:
                self._enter(Event.DETACH)

    def _come_back(self) -> None:
        self._owner.resumption.resumed(self.transport)
        # It was open.
        assert self._arrivals.handler is not None
        self._arrivals.handler.resumed()

    def take_send(self, send: Send, done: Callable[[], object]) -> Upload | None:
        """Takes an ``xhr_send`` whose key and user are the client's.

        Args:
            send: the request.
            done: called when what has to wait was taken, or never will be.

        Returns:
            What waits for room, to be withdrawn after a second; None where `answer` is due now.
        """
        if send.received is not None and send.received > self.sent:
            self.close(*BROKEN)
            return None
        self.heard()
        if self._enter(Event.HEAR) is State.AWAY:
            self._come_back()
        if self.state in UNATTENDED:
            # The window begins anew.
            self._since = self._owner.clock.time()
            self._owner.watch(self)
        if send.received is not None:
            self.acknowledge(send.received)
        first, waits = send.first or 1, False

        def taken() -> None:
            # Where not all were taken, the client sends the rest again, and this with it.
            if send.close is not None and self.arrived >= first + len(send.messages) - 1:
                self.close_when_handled(*send.close)
            if waits:
                done()

        upload = Upload(first, send.messages, self.break_framing, taken)
        self.take_upload(upload)
        waits = upload in self._arrivals.waiting
        return upload if waits else None

    def withdraw(self, upload: Upload) -> None:
        """Lets an upload wait no longer."""
        self._arrivals.withdraw(upload)

    def answer(self) -> dict[str, Any]:
        """Returns what a send is answered with."""
        counts: dict[str, Any] = {"arrived": self.arrived, "received": self.handled}
        if self.close_code is not None:
            if self._lost:
                counts["lost"] = {"received": self.handled}
            else:
                counts["closed"] = [self.close_code, self.close_reason]
        return counts

    def take_upload(self, upload: Upload) -> None:
        """Takes messages of the client."""
        if self.state in TAKING and not self._arrivals.overrun and self._served():
            size, before = sum(map(len, upload.messages)), self._arrivals.arrived
            self.bytes_in += size
            self.awaited = True
            self._arrivals.offer(upload)
            self._count_in(before, size)
            self._look_at_handled()
            self._look_who_waits()
        elif upload.done is not None:
            upload.done()

    def _served(self) -> bool:
        """Tells whether what comes may be taken; where it may not, what it came over is dropped.

        A message that was passed over would be a gap to those that follow it.
        """
        claim = self._owner.claim
        if claim.until == NEVER or claim.holds(self._owner.clock.time()):
            return True
        self.cut()
        return False

    def _take_waiting(self) -> None:
        before = self._arrivals.arrived
        self._arrivals.take()
        self._count_in(before)

    def _count_in(self, before: int, size: int = 0) -> None:
        """Has messages counted.

        Args:
            before: how many had been taken before them.
            size: characters that have come; 0 where that was counted when they came.
        """
        traffic, count = self._owner.traffic, self._arrivals.arrived - before
        if traffic is not None and (count or size):
            traffic.messages_in(self.transport.name, count, size)

    def take_next(self, first: int, messages: list[str]) -> int | None:
        """Takes messages that came over a WebSocket where nothing is in their way.

        Args:
            first: the number of the first one.
            messages: the messages, at least one.

        Returns:
            For how many there still is room; None where `take_upload` has to look at them.
        """
        if not self._grown:
            self.heard()
        if self.state not in TAKING or (self._owner.claim.until != NEVER and not self._served()):
            return None
        room = self._arrivals.take_next(first, messages)
        if room is None:
            return None
        # One message, as nearly always, is not copied.
        size = len("".join(messages))
        self.bytes_in += size
        if (traffic := self._owner.traffic) is not None:
            traffic.messages_in(self.transport.name, len(messages), size)
        if not (self._telling and room):
            self._look_at_handled()
        return room

    def hear_of(self, received: int) -> bool:
        """Hears over a WebSocket how many messages the client has; False where that is too many."""
        if not self._grown:
            self.heard()
        if received > self.sent:
            return False
        self.acknowledge(received)
        return True

    def acknowledge(self, received: int) -> None:
        """Hears how many messages the client has; the caller has seen by `sent` that it may."""
        written = None if self._receiver is None else self._next - 1
        self._kept.acknowledge(received, written)
        self._ack_asked = False
        if self.state in UNATTENDED:
            self._owner.keeps(self, self._kept.size)
        elif self.state is DRAINING:
            self._owner.flush_soon(self)

    def close_when_handled(self, code: int, reason: str) -> None:
        """Closes the session for its client, when all that has arrived is handled."""
        # While the server leaves it takes nothing more, and this comes again in the next session.
        if self.state in LIVE & TAKING:
            self.awaited = True
            self._close_after = self._arrivals.announced, code, reason
            self._look_at_handled()

    def _gap_of(self, link: WebSocketLink | None) -> Callable[[], object]:
        def gap() -> None:
            if link is not None and link is not self._link:
                link.end()
            else:
                self.break_framing()

        return gap

    def break_framing(self) -> None:
        """Ends the session: its client sent what the protocol does not allow."""
        self.close(*BROKEN)

    # How far both sides are

    @property
    def sent(self) -> int:
        """How many messages the application has sent."""
        self._end_run()
        return self._kept.sent

    @property
    def arrived(self) -> int:
        """How many messages of the client need not be sent again over this session."""
        return self._arrivals.arrived

    @property
    def handled(self) -> int:
        """How many messages of the client were handled."""
        return self._arrivals.handled

    @property
    def messages_in(self) -> int:
        """How many messages were handed on."""
        return self._arrivals.arrived

    @property
    def unhandled(self) -> int:
        """How many messages wait for the application."""
        return self._arrivals.unhandled

    @property
    def full(self) -> bool:
        """Whether no more is to be read from the client now."""
        return self.state in TAKING and self._arrivals.full

    @property
    def overrun(self) -> bool:
        """Whether more sends wait than a client that sends in turn can have."""
        return self._arrivals.overrun

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Calls back once, when the session is not `full` any more or is over."""
        self.awaited = True
        if self.full:
            self._arrivals.when_ready(callback)
        else:
            self._look_who_waits()
            callback()

    def stop_waiting(self, callback: Callable[[], object]) -> None:
        """Does not call back for `when_ready`: who waited is over."""
        self._arrivals.stop_waiting(callback)

    def _look_who_waits(self) -> None:
        arrivals = self._arrivals
        self.awaited = bool(
            self._slow
            or arrivals.waiting
            or arrivals.callbacks
            or self._close_after is not None
            or self.state is DRAINING
        )

    def ready(self) -> None:
        """Says that messages were handled."""
        if self.state in TAKING and self._served():
            self._take_waiting()
        self._look_at_handled()
        self._look_who_waits()

    def _look_at_handled(self) -> None:
        closing = self._close_after
        if closing is not None and self.handled >= closing[0]:
            self._close_after = None
            self.close(closing[1], closing[2])
        if self.state is DRAINING:
            self._owner.flush_soon(self)
        elif self._told < self._arrivals.arrived:
            if not self._telling and self._streams:
                self._telling = True
                # `tell` looks at it again.
                self._slow = False
                self._owner.tell_soon(self)
            self._busy_soon()

    @property
    def _streams(self) -> bool:
        """Whether the receiver gets more than one response's worth."""
        return self._receiver is not None and self._receiver.transport.streaming

    def tell(self) -> None:
        """Tells the client how many messages were handled, if it does not know."""
        self._telling = False
        if self._streams:
            # From here on the handler says when there is more.
            self.awaited = True
            handled = self._arrivals.handled
            self._say_received = handled > self._told
            self._slow = handled < self._arrivals.arrived
            self._look_who_waits()
            if self._say_received:
                self.flush()

    def pong(self, value: int) -> None:
        """Answers a ping of the attached WebSocket."""
        self._end_run()
        self._control += (lines.pong(value, self._next - 1),)
        self._owner.flush_soon(self)
