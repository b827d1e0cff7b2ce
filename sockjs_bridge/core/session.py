"""One SockJS session: what its server, its application and its client do with it. No I/O.

It is one object, because each costs memory, and time with each message; what it consists of stands
in four files, each on top of the one before: `states`, `inbound`, `outbound`, and here what moves
its states.
"""

from __future__ import annotations

import logging
from typing import Any

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Handler, Owner, Receiver
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.deadlines import Beat
from sockjs_bridge.core.joined import NO_ROOMS, Joined
from sockjs_bridge.core.outbound import Outbound
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.repeats import RepeatMemory
from sockjs_bridge.core.states import (
    ABSENT,
    ACCEPT,
    ATTACH,
    ATTACHED,
    CLOSE,
    CLOSED,
    CLOSING,
    DETACH,
    END,
    GIVE_UP,
    LOSE,
    LOST,
    NEW,
    REPEAT,
)
from sockjs_bridge.core.transports import Transport

logger = logging.getLogger("sockjs_bridge.session")


class Session(Outbound):
    """A client's session; made by `Manager`, used on the loop only.

    It fulfils `Channel` for its application, `Recipient` for broadcasts, `Timed` for the wheel.

    Args:
        owner: where it lives.
        session_id: see `id`.
        transport: the one that opens it.
        base: see `base`.

    Attributes:
        id: the session's id in the URL, or a random one of a WebSocket.
        base: the URL path of the endpoint, whose pattern may match many.
        subprotocol: of a raw WebSocket, where one was agreed on.
        connection: what the application knows it by.
        credentials: what later requests of it must come with; None where none are asked for.
        last_rooms: the rooms that it was in when it ended.
        slot: the wheel's.
        userid: who opened it; None where nobody is signed in.
    """

    __slots__ = (
        *("base", "connection", "credentials", "id", "last_rooms", "slot", "subprotocol"),
        "userid",
        "__weakref__",
    )

    def __init__(
        self, owner: Owner[Session], session_id: str, transport: Transport, base: str = ""
    ) -> None:
        super().__init__(owner, transport)
        self.id = session_id
        self.base = base
        self.subprotocol: str | None = None
        self.slot: int | None = None
        self.connection: Any = None
        self.credentials: Credentials | None = None
        self.userid: str | None = None
        self.last_rooms = NO_ROOMS

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.transport.name} {self.state.value}>"

    @property
    def repeats(self) -> RepeatMemory:
        """The requests that a browser may repeat."""
        if self._repeats is None:
            # WebSockets never need it, nor do clients that do not number their requests.
            self._repeats = RepeatMemory(self._owner.clock.time)
        return self._repeats

    def placeholder(self) -> Session:
        """Returns a session that is over, in place of this one.

        The application sees it while it is asked who makes a request of this session: what its
        code does with the connection before it has decided must not reach who opened it.
        """
        session = Session(self._owner, self.id, self.transport, self.base)
        session._enter(END)
        return session

    # The application's side

    def accept(self, handler: Handler) -> bool:
        """Opens the session: the handshake succeeded.

        Returns:
            False when the session was over before; the handler is not called then.
        """
        if self._enter(ACCEPT) is None:
            return False
        self._handler = handler
        if self.transport.control_frames:
            self._frames += (protocol.OPEN,)
        self._owner.monitor.opened(self.transport.name)
        handler.opened()
        self.flush()
        return True

    def refuse(self, code: int, reason: str) -> None:
        """Opens and closes the session at once: the handshake was refused.

        A browser's client would retry over its other transports if it did not see ``o``.
        """
        if self.state is NEW:
            if self.transport.control_frames:
                self._frames += (protocol.OPEN,)
            # The refusal may have set a cookie, and all that is left to hear is the end.
            self.credentials = None
            self.close(code, reason)

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in; in any thread."""
        return self._owner.rooms_of(self)

    def join(self, room: str, info: str = "", announce: bool = False) -> Joined:
        """Enters a room; in any thread. False when the session is over."""
        return self._owner.join(self, room, info, announce)

    def leave(self, room: str) -> bool:
        """Leaves a room; in any thread. False when it was not in."""
        return self._owner.leave(self, room)

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        """Tells the application of somebody else in a room."""
        if self._handler is not None:
            self._handler.presence_changed(room, presence, joined=joined)

    # The end

    def abandon(self) -> None:
        """Forgets a session that never opened: its WebSocket's handshake was refused."""
        if self._receiver is not None:
            self._receiver = None
            self._contact(DETACH)
        self.finish()

    def close(self, code: int, reason: str) -> None:
        """Closes the session: what is queued leaves first, then the close frame."""
        handler = self._handler
        self._owner.settle(self)
        if self.state is NEW:
            # Nobody has allowed this client to read.
            self._drop_queue()
        if self._enter(CLOSE) is None:
            return
        # Afterwards: who joins from now on is refused.
        self.last_rooms = self._owner.leave_rooms(self)
        self.close_code, self.close_reason = code, reason
        if self.reception is not LOST:
            # A repeat is waited for no longer than without this.
            self._deadlines.since = self._owner.clock.time()
        if handler is not None:
            self._owner.monitor.ended(self.transport.name, code)
            # What has arrived is the application's.
            self.release()
            self._handler = None
            handler.closed(code, reason)
        self.ready()
        self._outbox.release()
        if self._receiver is not None:
            self._owner.flush_soon(self)

    def revoke(self, code: int, reason: str) -> None:
        """Closes the session without what is queued: its user may not read it any more."""
        self._drop_queue()
        self._frames = tuple(frame for frame in self._frames if frame is protocol.OPEN)
        if self._repeats is not None:
            self._repeats.forget()
        if self.reception is LOST:
            # A repeat of what was lost would be told nothing either.
            self._contact(GIVE_UP)
        self.credentials = None
        self.close(code, reason)
        # No repeat is waited for any more.
        self._owner.watch(self)

    def fail(self) -> None:
        """Ends the session at once, whatever its application does: something in it went wrong."""
        self._drop_queue()
        try:
            self.close(*protocol.FAILED)
        except Exception:
            # Who calls this has others to look after.
            logger.exception("%s: closing failed", self.id)
        self.finish()

    def finish(self) -> None:
        """Forgets a session that is closed, or never opened."""
        before = self._enter(END)
        if before is not None:
            if before is NEW:
                self.last_rooms = self._owner.leave_rooms(self)
            receiver, self._receiver = self._receiver, None
            if receiver is not None:
                self._contact(DETACH)
                receiver.abort()
            self._drop_queue()
            self._outbox.release()
            self._owner.forget(self)
            # What the application knows it by refers to it: a cycle is left to a collection of all
            # garbage, which holds up the loop.
            self.connection = None

    @property
    def told(self) -> bool:
        """Whether its client has heard, or hears now, that the session is over."""
        return self.reception not in (ABSENT, LOST)

    # The receiver's side

    def attach(self, receiver: Receiver) -> None:
        """Attaches a receiver, or answers it at once when another one is attached."""
        repeats = self._repeats if receiver.tag is None else self.repeats
        lost = self.reception is LOST
        former = self._receiver
        if repeats is not None and repeats.recognises(
            receiver, unfinished=lost or former is not None
        ):
            if former is not None:
                self._receiver = None
                former.abort()
            self._frames = (*(repeats.frames or ()), *self._frames)
            self._contact(REPEAT)
        elif former is not None:
            code, reason = protocol.ALREADY_OPEN
            text = protocol.close_frame(code, reason)
            receiver.write(receiver.transport.frame(text, receiver.callback))
            receiver.end()
            return
        else:
            if lost:
                self._interrupt()
            self._contact(ATTACH)
        self._receiver = receiver
        self.transport = receiver.transport
        self._deadlines.attached(receiver, self._owner.clock.time())
        if repeats is not None:
            repeats.begin(receiver)
        self.flush()
        self._owner.watch(self)

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
        self._deadlines.since = self._owner.clock.time()
        lost = lost and self.reception is ATTACHED and not receiver.transport.websocket
        if lost and self._repeats is not None and self._repeats.expected:
            self._contact(LOSE)
        else:
            self._contact(DETACH)
            if receiver.transport.websocket:
                self._drop_queue()
                self.close(code, reason)
                self.finish()
                return
            if lost:
                self._interrupt()
        self._owner.watch(self)

    def _interrupt(self) -> None:
        if self.reception is LOST:
            self._contact(GIVE_UP)
        if self._repeats is not None:
            self._repeats.forget()
        self._drop_queue()
        self._frames = ()
        self.close(*protocol.INTERRUPTED)
        # The application may have closed it meanwhile; but the client misses messages.
        self.close_code, self.close_reason = protocol.INTERRUPTED

    # Time

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        receiver = self._receiver
        if self.state is CLOSED:
            return None
        if self.reception is LOST:
            return self._deadlines.repeat_due
        if receiver is None or self.state is CLOSING:
            return self._deadlines.client_due
        return self._deadlines.receiver_due(receiver)

    def on_deadline(self, now: float) -> None:
        """Does what is due: ends the session or the response, or sends a heartbeat."""
        receiver, deadlines = self._receiver, self._deadlines
        if self.reception is LOST:
            self._interrupt()
        elif receiver is None or self.state is CLOSING:
            if deadlines.client_is_gone(now):
                self.close(*protocol.TIMED_OUT)
                self.finish()
        elif self.state is NEW:
            deadlines.put_off(now)
        elif receiver.transport.websocket:
            self._beat(receiver, now)
        elif not receiver.writable:
            if deadlines.reader_is_gone(receiver.peer, now):
                receiver.abort()
        elif receiver.transport.streaming and deadlines.is_old(now):
            receiver.end()
            deadlines.since = now
        elif self._write(receiver, protocol.HEARTBEAT):
            self._end_response(receiver)

    def _beat(self, receiver: Receiver, now: float) -> None:
        beat = self._deadlines.beat(receiver, now, awaited=self.awaited)
        if beat is Beat.DEAD:
            self.close(*protocol.NO_HEARTBEAT)
        elif beat is not Beat.NOTHING:
            receiver.ping()
            visible = beat is Beat.HEARTBEAT and receiver.transport.control_frames
            if visible and receiver.writable:
                self._write(receiver, protocol.HEARTBEAT)
