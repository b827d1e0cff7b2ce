"""The end of the way down: how what a session was sent reaches the receiver that is attached.

Everything of one go leaves in one write: the welcome, what was asked, the messages, what there is
to say, the end. Nothing is noted as written before the receiver has accepted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sockjs_bridge.core import protocol
from sockjs_bridge.core.claim import NEVER
from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.core.frames import Batch, Frames
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.arrivals import Arrivals
from sockjs_bridge.resume.contracts import ResumeOwner, WebSocketLink
from sockjs_bridge.resume.frames import ReceiveRequest
from sockjs_bridge.resume.lines import Item
from sockjs_bridge.resume.run import Run
from sockjs_bridge.resume.states import LEAVING, STEADY, State
from sockjs_bridge.resume.transports import POLL


class Writing(Run):
    """What is written to the receiver that is attached, if any.

    Attributes:
        id: the session's id in the URL.
        key: its place in the endpoint: the base URL and the id.
        transport: the last transport that received.
        close_code: the code it was closed with, None before.
        close_reason: the reason that goes with it.
        slot: the wheel's.
        dirty: it will be flushed at the end of the tick.
        over: nothing is sent any more; may be read in any thread.
        connection: what the application knows it by.
        userid: who opened it; None where nobody is signed in.
        positions: what the client has of rooms with history, by the rooms' keys; None where it
            understands no ``p[…]``.
    """

    __slots__ = (
        *("_ack_asked", "_arrivals", "_ask_drained", "_attached_at", "_beat", "_control"),
        *("_heartbeat", "_hurry", "_link", "_lost", "_pinged"),
        *("_receiver", "_response_bytes", "_say_ack", "_say_busy", "_say_received", "_since"),
        *("_slow", "_spread", "_stalled", "_telling", "_terms", "_told", "_welcomed"),
        *("close_code", "close_reason", "connection", "dirty", "id", "key"),
        *("over", "positions", "slot", "transport", "userid"),
    )

    def __init__(self, owner: ResumeOwner, key: tuple[str, str]) -> None:
        super().__init__(owner)
        settings = owner.settings
        self._arrivals = Arrivals(settings.max_inbound)
        self.transport: Transport = POLL
        self.slot: int | None = None
        self.key = key
        self.id = key[1]
        self.dirty = False
        self.over = False
        self.connection: Any = None
        self.userid: str | None = None
        self.positions: dict[str, str] | None = None
        # Its client is told that it is lost, not that it was closed.
        self._lost = False
        self.close_code: int | None = None
        self.close_reason = ""
        self._receiver: Receiver | None = None
        self._link: WebSocketLink | None = None
        # What the welcome of the receiver tells beside; None once it is written.
        self._terms: Mapping[str, Any] | None = None
        self._welcomed = False
        # Lines that go before the messages.
        self._control: tuple[bytes, ...] = ()
        # A poll that is to end with the welcome alone.
        self._hurry = False
        self._response_bytes = 0
        self._heartbeat = settings.heartbeat_delay
        # How many handled messages the client was told of; `tell` will be called.
        self._told = 0
        self._telling = False
        # The application takes its time, and is to say when it has handled more.
        self._slow = False
        self._say_received = self._say_ack = self._say_busy = False
        self._ack_asked = self._ask_drained = False
        self._spread = 0.0
        # Since when nobody receives, or the session is over.
        self._since = self._wrote
        # When the receiver came, when it was pinged, and since when no answer came.
        self._attached_at = self._beat = self._wrote
        self._pinged: float | None = None
        # Since when the client takes nothing.
        self._stalled: float | None = None

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        """Tells the application of somebody else in a room."""
        handler = self._arrivals.handler
        if handler is not None and not self.over:
            handler.presence_changed(room, presence, joined=joined)

    def queue(self, messages: Iterable[Item]) -> None:
        """Sends messages, as long as the session is not over."""
        raise NotImplementedError

    def take(self, batch: Batch, now: float) -> None:
        """Takes broadcasts."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        """Closes the session."""
        raise NotImplementedError

    def tell(self) -> None:
        """Tells the client how many messages were handled."""
        raise NotImplementedError

    def finish(self) -> None:
        """Forgets the session."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Ends the session: its client has been away for too long, or too much is kept."""
        raise NotImplementedError

    def fail(self) -> None:
        """Ends the session at once: something in it went wrong."""
        raise NotImplementedError

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        raise NotImplementedError

    def on_deadline(self, now: float) -> None:
        """Does what is due."""
        raise NotImplementedError

    def _let_go(self) -> None:
        raise NotImplementedError

    # How it is written

    def cut(self) -> None:
        """Lets go of the receiver, and writes nothing to it: others may have its client by now.

        What there is to say waits for a receive request, as ever.
        """
        receiver, link = self._receiver, self._link
        if receiver is None:
            return
        self._let_go()
        if link is not None:
            link.end()
        else:
            receiver.abort()
        self._owner.watch(self)

    def _begin(
        self,
        request: ReceiveRequest,
        receiver: Receiver,
        terms: Mapping[str, Any] | None,
        link: WebSocketLink | None,
    ) -> None:
        self._receiver, self._link = receiver, link
        self.transport = receiver.transport
        self._next = max(request.received, self._kept.acked) + 1
        self._kept.acknowledge(0, self._next - 1)
        self._kept.restart(self._next)
        self._terms = terms or {}
        self._control = ()
        self._hurry = request.now or request.new or self.state is State.ENDED
        self._response_bytes = 0
        self._say_ack = self._say_busy = self._say_received = self._ack_asked = False
        self._ask_drained = self.state is State.DRAINING and receiver.transport.streaming
        self._heartbeat = self._owner.settings.heartbeat_delay
        if request.heartbeat is not None:
            self._heartbeat = min(self._heartbeat, request.heartbeat)
        self._attached_at = self._wrote = self._beat = self._owner.clock.time()
        self._pinged = self._stalled = None
        if not receiver.transport.streaming:
            self._owner.resumption.polled()

    def flush(self, shared: Frames | None = None) -> None:
        """Writes what there is to the receiver, as far as it takes it.

        Args:
            shared: passed over: what many get is shared as a batch (`take`).
        """
        if self._run is not None:
            self._end_run()
        claim = self._owner.claim
        if claim.until != NEVER and not claim.holds(self._owner.clock.time()):
            self.cut()
        while (receiver := self._receiver) is not None and receiver.writable:
            if self._write_messages(receiver) or not self._write_once(receiver):
                return

    def _write_messages(self, receiver: Receiver) -> bool:
        """Writes what most writes are: all messages in a line, and what was handled, if more was.

        Returns:
            False where `_write_once` has to look at it.
        """
        if (
            self.state not in STEADY
            or self._terms is not None
            or self._control
            or self._say_ack
            or self._say_busy
            or not receiver.transport.websocket
            or (kept := self._kept).noticing
            or (kept.placed and self.positions is not None)
            or not (messages := kept.rest(self._next))
        ):
            return False
        line = lines.array(messages)
        if len(line) > lines.MAX_LINE or len(line) > self._owner.settings.response_limit:
            return False
        data, handled = protocol.websocket_text(line), self._arrivals.handled
        if handled > self._told:
            data += protocol.websocket_text(lines.COUNTS % (kept.sent, handled))
        if receiver.write(data):
            self._told = handled
            self._say_received = False
            self._wrote_to(receiver, len(messages), len(data), self._owner.clock.time())
        return True

    def _write_once(self, receiver: Receiver) -> bool:
        """Writes what fits into a response; returns whether there may be more."""
        if self.state in (State.NEW, State.ADMITTED, State.GONE):
            return False
        streaming, kept = receiver.transport.streaming, self._kept
        waits = self._hurry or self._control or len(kept) or kept.has_news
        if not (streaming or waits or self.state is State.ENDED or self.drained):
            # A poll is held, and its welcome composed when it leaves.
            return False
        handled = self._arrivals.handled
        parts = self._head(handled)
        room = self._owner.settings.response_limit
        if not receiver.transport.websocket:
            room = max(1, room - self._response_bytes)
        portion = kept.after(self._next, room)
        parts += lines.messages(portion.items, placed=self.positions is not None)
        at = self._next + portion.messages - 1
        complete = at == kept.sent or not len(kept)
        end = False
        if (said := self._counts(at, handled, streaming, bool(portion.items))) is not None:
            parts.append(said)
        if complete and self.state is State.ENDED:
            parts.append(protocol.close_frame(self.close_code or 0, self.close_reason))
            end = True
        elif complete and self.drained:
            parts.append(lines.moved(self._spread))
            end = True
        if not parts:
            return False
        frame, callback = receiver.transport.frame, receiver.callback
        data = b"".join(frame(line, callback) for line in parts)
        if not receiver.write(data):
            return False
        self._welcome_written(handled)
        if said is not None:
            self._told = handled
            self._say_received = self._say_ack = self._say_busy = False
            self._ask_drained = False
        kept.wrote(portion)
        self._wrote_to(receiver, portion.messages, len(data), self._owner.clock.time())
        if end:
            self._finish_response(receiver)
            if self.state is State.DRAINING:
                self._owner.resumption.moved(receiver.transport)
                self.finish()
            return False
        if not receiver.transport.websocket:
            self._end_where_full(receiver)
        return not complete

    def _head(self, handled: int) -> list[bytes]:
        if self._terms is None or not self._opened:
            return [*self._control]
        return [lines.welcome(self._next, handled, self._terms), *self._control]

    @property
    def _opened(self) -> bool:
        """Whether the application let it in: who is refused gets no welcome."""
        return self._arrivals.handler is not None

    def _welcome_written(self, handled: int) -> None:
        self._control = ()
        self._hurry = False
        if self._terms is None:
            return
        self._terms = None
        self._told = handled
        if self._opened:
            self._welcomed = True
            if self._link is not None:
                self._link.welcomed(handled)

    def _counts(self, at: int, handled: int, streaming: bool, with_messages: bool) -> bytes | None:
        """Returns the line that tells and asks, None where there is nothing to say."""
        if not streaming and not self._ask_drained:
            # A poll's welcome has told it, and the next request acknowledges.
            return None
        told = handled if self._terms is not None and self._opened else self._told
        received = handled if handled > told or self._ask_drained else None
        ack = self._say_ack or self._ask_drained
        due = with_messages or self._say_received or self.state in LEAVING
        if ack or self._say_busy or (due and received is not None):
            return lines.counts(at, received, ack=ack, busy=self._say_busy)
        return None

    @property
    def drained(self) -> bool:
        """Whether the server leaves, and both sides have all that was sent."""
        return (
            self.state is State.DRAINING
            and self._arrivals.handled == self._arrivals.arrived
            and self._kept.acked == self._kept.sent
        )

    def _wrote_to(self, receiver: Receiver, count: int, size: int, now: float) -> None:
        self._next += count
        self.messages_out += count
        self.bytes_out += size
        self._wrote = now
        self._stalled = None
        if not receiver.transport.websocket:
            self._response_bytes += size
        traffic = self._owner.traffic
        if traffic is not None and count:
            traffic.messages_out(receiver.transport.name, count, size)

    def _end_where_full(self, receiver: Receiver) -> None:
        transport = receiver.transport
        if not transport.streaming or (self._response_bytes >= self._owner.settings.response_limit):
            self._finish_response(receiver)

    def _finish_response(self, receiver: Receiver) -> None:
        link = self._link
        self._let_go()
        if link is not None:
            link.end()
        else:
            receiver.end()
        self._owner.watch(self)
