"""What is due in a resumable session, and when: `Timed`, called by the wheel."""

from __future__ import annotations

import math

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.contracts import ResumeOwner
from sockjs_bridge.resume.outgoing import Outgoing
from sockjs_bridge.resume.states import NEW, OPEN, TAKING, Event, State

#: Seconds that a WebSocket has to show any sign of life after a ping.
PONG_TIMEOUT = 10.0
#: Seconds that a WebSocket may go without a hello.
HELLO_TIMEOUT = 10.0
#: Seconds between two lines that say that the server reads nothing now.
BUSY_EVERY = 1.0
#: Nobody has received for the ``resume_window``.
TIMED_OUT = (3001, "Timed out")


class Deadlines(Outgoing):
    """The time of a session."""

    __slots__ = ("_busy_at", "_drain_until")

    def __init__(self, owner: ResumeOwner, key: tuple[str, str]) -> None:
        super().__init__(owner, key)
        self._busy_at: float | None = None
        self._drain_until = 0.0

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        due = self._ends_at()
        receiver = self._receiver
        if receiver is not None and self.state is not NEW:
            transport = receiver.transport
            due = min(due, self._wrote + self._heartbeat)
            if transport.websocket:
                due = min(due, self._beat + self._heartbeat)
                if self._pinged is not None:
                    due = min(due, self._pinged + PONG_TIMEOUT)
            elif transport.streaming:
                due = min(due, self._attached_at + self._owner.settings.response_max_age)
            if transport.streaming and self._busy_at is not None:
                due = min(due, self._busy_at)
        return None if due == math.inf else due

    def _ends_at(self) -> float:
        """Returns when the state ends by itself; never is infinity."""
        if self.state is OPEN:
            return math.inf
        delay, window = self._owner.settings.disconnect_delay, self._owner.resume_window
        match self.state:
            case State.ADMITTED:
                return self._since + HELLO_TIMEOUT
            case State.YOUNG if self._receiver is None:
                return self._since + delay
            case State.SUSPENDED:
                return self._since + min(delay, window)
            case State.AWAY:
                return self._since + window
            case State.DRAINING:
                return self._drain_until
            case State.ENDED:
                return self._since + (window if self.grown else min(delay, window))
        return math.inf

    @property
    def grown(self) -> bool:
        """Whether its client has proved that it got the welcome."""
        raise NotImplementedError

    def on_deadline(self, now: float) -> None:
        """Does what is due."""
        if now >= self._ends_at():
            self._end_state(now)
        elif (receiver := self._receiver) is not None:
            self._attend(receiver, now)

    def _end_state(self, now: float) -> None:
        match self.state:
            case State.SUSPENDED if now < self._since + self._owner.resume_window:
                self._enter(Event.MISS)
                # It was open.
                assert self._arrivals.handler is not None
                self._arrivals.handler.suspended()
            case State.DRAINING:
                self._leave_undrained()
            case State.ENDED:
                self.finish()
            case _:
                self.give_up()

    def give_up(self) -> None:
        """Ends the session: its client has been away for too long, or too much is kept."""
        if self.state is not State.ENDED:
            # Who was told to close, or is to be, is told so for good.
            self._lost = True
        self._drop_kept()
        self.close(*TIMED_OUT)
        self.finish()

    def _leave_undrained(self) -> None:
        """Tells a client to go although not all is acknowledged: the time is over."""
        receiver = self._receiver
        if receiver is not None and self._owner.claim.holds(self._owner.clock.time()):
            arrivals = self._arrivals
            if arrivals.handled < arrivals.arrived:
                # What is being handled is doubtful, which `moved` would deny.
                line = lines.lost(arrivals.handled)
                self._owner.resumption.lost(receiver.transport)
            else:
                line = lines.moved(self._spread)
                self._owner.resumption.moved(receiver.transport)
            parts = [*self._head(arrivals.handled), line]
            frame = receiver.transport.frame
            if receiver.writable:
                receiver.write(b"".join(frame(part, receiver.callback) for part in parts))
                self._finish_response(receiver)
        self.finish()

    # While a receiver is attached

    def _attend(self, receiver: Receiver, now: float) -> None:
        if self._busy_at is not None and now >= self._busy_at:
            self._say_busy_now(now)
        if receiver.transport.websocket and not self._beats(receiver, now):
            return
        beat = now >= self._wrote + self._heartbeat
        aged = (
            receiver.transport.streaming
            and not receiver.transport.websocket
            and now >= self._attached_at + self._owner.settings.response_max_age
        )
        if (beat or aged) and not receiver.writable:
            self._wait_for_reader(receiver, now)
            return
        if beat and not aged:
            self._control += (protocol.HEARTBEAT,)
        if beat or aged or self._say_busy:
            self.flush()
        if aged and self._receiver is receiver and receiver.writable:
            self._finish_response(receiver)

    def _say_busy_now(self, now: float) -> None:
        if self.state in TAKING and self._arrivals.full:
            self._say_busy = True
            self._busy_at = now + BUSY_EVERY
        else:
            self._busy_at = None

    def _busy_soon(self) -> None:
        """Sees to it that the client hears that the server lives while it reads nothing."""
        if self._busy_at is None and self._arrivals.full and self._receiver is not None:
            self._busy_at = self._owner.clock.time() + BUSY_EVERY
            self._owner.watch(self)

    def _wait_for_reader(self, receiver: Receiver, now: float) -> None:
        """Gives a client that reads nothing some time before its connection is dropped."""
        self._end_run()
        self._stalled = max(self._stalled or now, receiver.peer.taken(now))
        if now >= self._stalled + self._owner.settings.response_max_age:
            receiver.abort()
            self._let_go()
        else:
            self._wrote = self._attached_at = now

    def _beats(self, receiver: Receiver, now: float) -> bool:
        """Pings a WebSocket; returns False where its peer is gone."""
        if self._pinged is not None and (receiver.heard >= self._pinged or self._arrivals.full):
            # Where the application is slow, reading stopped on our side: no sign can come.
            self._pinged = None
        if self._pinged is not None and now >= self._pinged + PONG_TIMEOUT:
            if receiver.peer.taken(now) < self._pinged:
                # The session is untouched.
                self._let_go()
                receiver.abort()
                return False
            # The ping is still on its way to a client that reads slowly.
            self._pinged = None
        if now >= self._beat + self._heartbeat:
            self._beat = now
            if self._pinged is None:
                self._pinged = now
                # From here on it can be told.
                receiver.peer.taken(now)
            receiver.ping()
        return True
