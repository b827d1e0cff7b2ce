"""One SockJS session: its states, its outbound queue, its deadlines. No I/O.

The states and what may follow them stand in `TRANSITIONS`; nothing outside of this module
assigns one.

======== ============================ ===================================================
state    what holds                   a receiver that arrives (none attached) gets
======== ============================ ===================================================
NEW      the handshake is under way   nothing yet
OPEN     messages flow                ``o`` (once in a life), then what is queued
CLOSING  the application was told     what is queued, then ``c[…]``
CLOSED   the session is forgotten     --
======== ============================ ===================================================

A receiver that arrives while another one is attached gets ``c[2010,…]``, in any state.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Handler, Peer, Receiver
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.inbound import Inbound
from sockjs_bridge.core.outbox import Outbox, SharedFrames, frame_of
from sockjs_bridge.core.repeats import WINDOW, RepeatMemory
from sockjs_bridge.core.transports import Transport

if TYPE_CHECKING:
    from sockjs_bridge.core.broadcasts import Crowd
    from sockjs_bridge.core.manager import Manager


class State(enum.Enum):
    """Where a session stands."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"

    # An enumeration's own is written in Python, and asked for at each look into the table.
    __hash__ = object.__hash__


class Event(enum.Enum):
    """What moves a session on."""

    ACCEPT = "accept"
    CLOSE = "close"
    END = "end"

    __hash__ = object.__hash__


TRANSITIONS = {
    (State.NEW, Event.ACCEPT): State.OPEN,
    (State.NEW, Event.CLOSE): State.CLOSING,
    (State.NEW, Event.END): State.CLOSED,
    (State.OPEN, Event.CLOSE): State.CLOSING,
    (State.CLOSING, Event.END): State.CLOSED,
}

#: How many times within ``disconnect_delay`` it is looked whether a client takes what was written.
LOOKS = 4


class Session(Inbound):
    """A client's session; made by `Manager`, used on the loop only.

    Attributes:
        id: the session's id in the URL, or a random one of a WebSocket.
        key: its place in the endpoint, whose pattern may match many base URLs, and the id.
        transport: the last transport that received.
        subprotocol: of a raw WebSocket, where one was agreed on.
        state: where it stands.
        over: nothing is sent any more; may be read in any thread.
        close_code: the code it was closed with, None before.
        close_reason: the reason that goes with it.
        opened_at: when it was made, in seconds of the clock.
        connection: what the application knows it by.
        credentials: what later requests of it must come with; None where none are asked for.
        last_rooms: the rooms that it was in when it ended.
        messages_out: how many messages left.
        bytes_out: the bytes of the frames that left.
        slot: the wheel's.
        dirty: it will be flushed at the end of the tick.
    """

    __slots__ = (
        *("_beat", "_beats", "_carried", "_frames", "_looked", "_lost", "_manager", "_outbox"),
        *("_peer", "_pinged", "_receiver"),
        *("_repeats", "_response_bytes", "_said_close", "_settings", "_since", "_stalled"),
        *("_wrote", "bytes_out", "close_code", "close_reason", "connection", "credentials"),
        *("dirty", "id", "key", "last_rooms", "messages_out", "opened_at", "over"),
        *("slot", "state", "subprotocol", "transport"),
        "__weakref__",
    )

    #: Seconds that a WebSocket's peer has to show any sign of life after a ping.
    PONG_TIMEOUT: ClassVar[float] = 10.0
    #: Seconds in which a repeat of a request whose response broke off is waited for.
    REPEAT_WINDOW: ClassVar[float] = WINDOW

    def __init__(
        self, manager: Manager, session_id: str, transport: Transport, base: str = ""
    ) -> None:
        super().__init__(manager.settings.max_inbound)
        self.id = session_id
        self.key = (base, session_id)
        self.transport = transport
        self.subprotocol: str | None = None
        self.state = State.NEW
        self.over = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.opened_at = manager.clock.time()
        self.messages_out = self.bytes_out = 0
        self.slot: int | None = None
        self.dirty = False
        self.connection: Any = None
        self.credentials: Credentials | None = None
        self.last_rooms: frozenset[str] = frozenset()
        self._manager = manager
        self._settings = manager.settings
        self._receiver: Receiver | None = None
        # The other end of the last receiver's connection, and how many requests that had carried.
        self._peer: Peer | None = None
        self._carried = 0
        self._outbox = Outbox(self._settings.max_queue_size, self._settings.response_limit)
        # Frames that go before the messages that wait: `o`, a repeat.
        self._frames: list[bytes] = []
        # When the receiver came or went, when the last frame left, what its response holds.
        self._since = self._wrote = self._beat = self.opened_at
        # When it was last asked whether the client takes what is on its way to it.
        self._looked = self.opened_at
        self._beats = 0
        self._pinged: float | None = None
        self._response_bytes = 0
        # Since when the client takes nothing.
        self._stalled: float | None = None
        self._repeats: RepeatMemory | None = None
        # A response broke off, and its request may be repeated yet.
        self._lost = False
        # The client was told that it is over: it may drop the connection then.
        self._said_close = False

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.transport.name} {self.state.value}>"

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; may be read in any thread."""
        return self._manager.rooms.of(self)

    def join(self, room: str) -> bool:
        """Enters a room, in any thread; False when the session is over."""
        return self._manager.rooms.join(self, room)

    def leave(self, room: str) -> bool:
        """Leaves a room, in any thread; False when it was not in."""
        return self._manager.rooms.leave(self, room)

    @property
    def repeats(self) -> RepeatMemory:
        """The requests that a browser may repeat."""
        if self._repeats is None:
            # WebSockets never need it, nor do clients that do not number their requests.
            self._repeats = RepeatMemory(self._manager.clock.time)
        return self._repeats

    def decoy(self) -> Session:
        """Returns a session that is over, in place of this one.

        The application sees it while it is asked who makes a request of this session: what its
        code does with the connection before it has decided must not reach who opened it.
        """
        session = Session(self._manager, self.id, self.transport, self.key[0])
        session._enter(Event.END)
        return session

    def _enter(self, event: Event) -> bool:
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            return False
        self.state = state
        if event is not Event.ACCEPT:
            self.over = True
            # Afterwards: who joins from now on is refused.
            self.last_rooms |= self._manager.rooms.leave_all(self)
        return True

    # The application's side

    def accept(self, handler: Handler) -> bool:
        """Opens the session: the handshake succeeded.

        Returns:
            False when the session was over before; the handler is not called then.
        """
        if not self._enter(Event.ACCEPT):
            return False
        self._handler = handler
        if self.transport.control_frames:
            self._frames.append(protocol.OPEN)
        handler.opened()
        self._manager.schedule_flush(self)
        return True

    def refuse(self, code: int, reason: str) -> None:
        """Opens and closes the session at once: the handshake was refused.

        A browser's client would retry over its other transports if it did not see ``o``.
        """
        if self.state is State.NEW:
            if self.transport.control_frames:
                self._frames.append(protocol.OPEN)
            # The refusal may have set a cookie, and all that is left to hear is the end.
            self.credentials = None
            self.close(code, reason)

    def send(self, text: str) -> bool:
        """Queues a message; it leaves at the end of the loop's tick.

        Returns:
            False when the session is over.
        """
        return self.send_encoded(self.transport.encode(text))

    def send_encoded(self, message: bytes) -> bool:
        """Queues a message that this transport's ``encode`` has made."""
        broadcasts = self._manager.broadcasts
        if broadcasts.crowd is not None:
            # Which may be too much for it.
            broadcasts.settle(self)
        if self.over:
            return False
        outbox = self._outbox
        if outbox.append(message):
            # The client may be quick, and the sender quicker than a tick.
            self._manager.write(self)
            if outbox.too_large:
                # What waits is useless to a client that cannot keep up, and holds the memory.
                outbox.clear()
                self.close(*protocol.SLOW_CONSUMER)
        if not self.dirty:
            self._manager.schedule_flush(self)
        return not self.over

    def queue_all(self, messages: Iterable[bytes]) -> None:
        """Queues messages as `send_encoded` does, as long as the session is not over."""
        for message in messages:
            if not self.send_encoded(message):
                return

    def _drop_queue(self) -> None:
        """Drops all messages that were sent so far and have not left."""
        self._manager.broadcasts.drop(self)
        self._outbox.clear()

    def write_crowd(self, crowd: Crowd, now: float) -> None:
        """Takes broadcasts: writes them to the receiver where nothing waits, queues them otherwise.

        Args:
            crowd: the messages.
            now: seconds of the clock.
        """
        receiver = self._receiver
        frame = None
        if (
            receiver is not None
            and self.state is State.OPEN
            and not (self._outbox.messages or self._frames)
            and receiver.writable
        ):
            frame = crowd.frame(receiver, self._settings.response_limit)
        if receiver is None or frame is None or not receiver.write(frame[1]):
            self.queue_all(crowd.encoded(self.transport.encode))
            return
        size = len(frame[1])
        self._wrote = now
        self.bytes_out += size
        self.messages_out += len(crowd.texts)
        if self._repeats is not None:
            self._repeats.wrote(frame[0])
        if not receiver.transport.websocket:
            self._stalled = None
            self._response_bytes += size
            self._end_response(receiver)

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Calls back once, when little waits for the client (`Outbox.drained`) or it is over."""
        if self.over:
            callback()
        else:
            self._manager.broadcasts.settle(self)
            self._outbox.when_drained(callback)

    def abandon(self) -> None:
        """Forgets a session that never opened: its WebSocket's handshake was refused."""
        self._receiver = None
        self.finish()

    def close(self, code: int, reason: str) -> None:
        """Closes the session: what is queued leaves first, then the close frame."""
        handler = self._handler
        self._manager.broadcasts.settle(self)
        if self.state is State.NEW:
            # Nobody has allowed this client to read.
            self._outbox.clear()
        if not self._enter(Event.CLOSE):
            return
        self.close_code, self.close_reason = code, reason
        if not self._lost:
            # A repeat is waited for no longer than without this.
            self._since = self._manager.clock.time()
        if handler is not None:
            # What has arrived is the application's.
            self.release()
            self._handler = None
            handler.closed(code, reason)
        self.ready()
        self._outbox.release()
        self._manager.schedule_flush(self)

    def revoke(self, code: int, reason: str) -> None:
        """Closes the session without what is queued: its user may not read it any more."""
        self._drop_queue()
        self._frames = [frame for frame in self._frames if frame is protocol.OPEN]
        if self._repeats is not None:
            self._repeats.forget()
        # A repeat of what was lost would be told nothing either.
        self._lost = False
        self.credentials = None
        self.close(code, reason)

    def fail(self) -> None:
        """Ends the session at once: something in it went wrong."""
        self._drop_queue()
        self.close(*protocol.FAILED)
        self.finish()

    @property
    def told(self) -> bool:
        """Whether its client has heard, or hears now, that the session is over."""
        return self._said_close or self._receiver is not None

    # The receiver's side

    def attach(self, receiver: Receiver) -> None:
        """Attaches a receiver, or answers it at once when another one is attached."""
        repeats = self._repeats if receiver.tag is None else self.repeats
        unfinished = self._receiver is not None or self._lost
        if repeats is not None and repeats.recognises(receiver, unfinished=unfinished):
            if self._receiver is not None:
                lost, self._receiver = self._receiver, None
                lost.abort()
            self._frames[:0] = repeats.frames or ()
            self._said_close = False  # Nothing of it was heard.
        elif self._receiver is not None:
            self._turn_away(receiver, *protocol.ALREADY_OPEN)
            return
        elif self._lost:
            self._interrupt()
        self._lost = False
        self._receiver = receiver
        self._peer, self._carried = receiver.peer, receiver.peer.carried
        self.transport = receiver.transport
        self._since = self._wrote = self._beat = self._manager.clock.time()
        self._stalled = None
        self._response_bytes = 0
        if repeats is not None:
            repeats.begin(receiver)
        self.flush()
        self._manager.wheel.update(self)

    @staticmethod
    def _turn_away(receiver: Receiver, code: int, reason: str) -> None:
        frame = receiver.transport.frame(protocol.close_frame(code, reason), receiver.callback)
        receiver.write(frame)
        receiver.end()

    def detach(self, receiver: Receiver, *, lost: bool, code: int = 1006, reason: str = "") -> None:
        """Says that a receiver is gone.

        Args:
            receiver: the one; ignored unless it is the attached one.
            lost: its connection broke before the response was complete.
            code: the close code of a WebSocket's peer.
            reason: the reason of a WebSocket's peer.
        """
        if receiver is not self._receiver:
            return
        self._receiver = None
        self._since = self._manager.clock.time()
        if receiver.transport.websocket:
            self._drop_queue()
            self.close(code, reason)
            self.finish()
            return
        if lost and not self._said_close:
            if self._repeats is not None and self._repeats.expected:
                self._lost = True
            else:
                self._interrupt()
        self._manager.wheel.update(self)

    def _interrupt(self) -> None:
        self._lost = False
        if self._repeats is not None:
            self._repeats.forget()
        self._drop_queue()
        self._frames.clear()
        self.close(*protocol.INTERRUPTED)
        # The application may have closed it meanwhile; but the client misses messages.
        self.close_code, self.close_reason = protocol.INTERRUPTED

    def finish(self) -> None:
        """Forgets a session that is closed, or never opened."""
        if self._enter(Event.END):
            receiver, self._receiver = self._receiver, None
            if receiver is not None:
                receiver.abort()
            self._outbox.release()
            self._manager.forget(self)
            # What the application knows it by refers to it: a cycle is left to a collection of all
            # garbage, which holds up the loop.
            self.connection = None

    # Writing

    def flush(self, shared: SharedFrames | None = None) -> None:
        """Writes what waits to the receiver, as far as it takes it.

        Args:
            shared: frames that other sessions have made in this tick, by what they hold.
        """
        outbox = self._outbox
        waiting = outbox.messages
        while (receiver := self._receiver) is not None:
            if self._frames:
                if not receiver.writable or not self._write(receiver, self._frames[0]):
                    return
                del self._frames[0]
            elif self.state is State.NEW:
                return
            elif waiting:
                if not receiver.writable:
                    return
                batch = outbox.batch()
                text, data = frame_of(batch, receiver, shared)
                if not self._put(receiver, data):
                    return
                if self._repeats is not None:
                    self._repeats.wrote(text)
                outbox.left(batch)
                self.messages_out += len(batch)
            elif self.state is State.OPEN:
                return
            else:
                if receiver.writable:
                    self._write_close(receiver)
                return
            if not receiver.transport.websocket:
                self._end_response(receiver)

    def _write(self, receiver: Receiver, text: bytes) -> bool:
        if not self._put(receiver, receiver.transport.frame(text, receiver.callback)):
            return False
        if self._repeats is not None:
            self._repeats.wrote(text)
        return True

    def _put(self, receiver: Receiver, data: bytes) -> bool:
        if not receiver.write(data):
            return False
        self._wrote = self._manager.clock.time()
        self._stalled = None
        self._response_bytes += len(data)
        self.bytes_out += len(data)
        return True

    def _write_close(self, receiver: Receiver) -> None:
        if receiver.transport.control_frames:
            code = self.close_code or protocol.NORMAL[0]
            text = protocol.close_frame(code, self.close_reason)
            # Not kept for a repeat: every receiver gets it anyway.
            if not self._put(receiver, receiver.transport.frame(text, receiver.callback)):
                return
            self._said_close = True
        receiver.end()

    def _end_response(self, receiver: Receiver) -> None:
        streaming = receiver.transport.streaming
        if not streaming or self._response_bytes >= self._settings.response_limit:
            receiver.end()

    # Time

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        settings = self._settings
        receiver = self._receiver
        if self.state is State.CLOSED:
            return None
        if self._lost:
            return self._since + self.REPEAT_WINDOW
        if receiver is None or self.state is State.CLOSING:
            look = max(self._since, self._looked) + settings.disconnect_delay / LOOKS
            return min(look, self._alone_since + settings.disconnect_delay)
        if receiver.transport.websocket:
            due = self._beat + settings.heartbeat_delay
            return due if self._pinged is None else min(due, self._pinged + self.PONG_TIMEOUT)
        due = self._wrote + settings.heartbeat_delay
        if receiver.transport.streaming:
            due = min(due, self._since + settings.response_max_age)
        return due

    def on_deadline(self, now: float) -> None:
        """Does what is due: ends the session or the response, or sends a heartbeat."""
        receiver = self._receiver
        if self._lost:
            self._interrupt()
        elif receiver is None or self.state is State.CLOSING:
            self._wait_for_client(now)
        elif self.state is State.NEW:
            # The handshake takes its time; nothing may be written before it ends.
            self._wrote = self._since = self._beat = now
        elif receiver.transport.websocket:
            self._beat_websocket(receiver, now)
        elif not receiver.writable:
            self._wait_for_reader(receiver, now)
        elif receiver.transport.streaming and (
            now >= self._since + self._settings.response_max_age
        ):
            receiver.end()
            self._since = now
        elif self._write(receiver, protocol.HEARTBEAT):
            self._end_response(receiver)

    @property
    def _alone_since(self) -> float:
        """Since when nobody receives, or takes what the session ends with."""
        return max(self._since, self._wrote)

    def _wait_for_client(self, now: float) -> None:
        """Ends the session, unless what was written is still on its way to a client that reads."""
        self._looked = now
        peer = self._peer
        # What is taken of a later response says nothing: a proxy has one connection for many.
        if peer is not None and peer.carried == self._carried:
            self._since = max(self._since, peer.taken(now))
        if now >= self._alone_since + self._settings.disconnect_delay:
            self.close(*protocol.TIMED_OUT)
            self.finish()

    def _wait_for_reader(self, receiver: Receiver, now: float) -> None:
        """Gives a client that reads nothing some time before its connection is dropped.

        Neither a heartbeat nor an end would reach it now.
        """
        self._stalled = max(self._stalled or now, receiver.peer.taken(now))
        if now >= self._stalled + self._settings.response_max_age:
            receiver.abort()
        self._wrote = self._since = now

    def _beat_websocket(self, receiver: Receiver, now: float) -> None:
        if self._pinged is not None and (receiver.heard >= self._pinged or self.awaited):
            # Where the application is slow, reading stopped on our side: no sign can come.
            self._pinged = None
        if self._pinged is not None and now >= self._pinged + self.PONG_TIMEOUT:
            if receiver.peer.taken(now) >= self._pinged:
                # The ping is still on its way to a client that reads slowly.
                self._pinged = None
            else:
                self.close(*protocol.NO_HEARTBEAT)
        elif now >= self._beat + self._settings.heartbeat_delay:
            self._beat = now
            self._beats += 1
            if self._pinged is None:
                self._pinged = now
                # From here on it can be told.
                receiver.peer.taken(now)
            receiver.ping()
            # A page's script cannot see a ping.
            if self._beats % 2 == 0 and receiver.transport.control_frames and receiver.writable:
                self._write(receiver, protocol.HEARTBEAT)
