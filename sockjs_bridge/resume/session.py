"""A session that survives its connections: counts, keeps, goes on. No I/O.

A sibling of `sockjs_bridge.core.session.Session`: fulfils what views, rooms and broadcasts need of
one, is called by its deadlines, and takes receivers. Its states stand in ``states``, the way down
in ``outgoing``, the way up in ``incoming``, time in ``deadlines``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.joined import NO_ROOMS, Joined
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.arrivals import Upload
from sockjs_bridge.resume.contracts import ResumableHandler, ResumeOwner, WebSocketLink
from sockjs_bridge.resume.frames import ReceiveRequest
from sockjs_bridge.resume.incoming import BROKEN, Incoming
from sockjs_bridge.resume.states import KEEPING, LIVE, OVER, Event, State

#: The same client has opened a session in place of this one.
REPLACED = (1000, "Replaced")


def digest(key: str) -> bytes:
    """Returns what is kept of a key: its SHA-256."""
    return hashlib.sha256(key.encode()).digest()


def placeholder(owner: ResumeOwner, key: tuple[str, str]) -> ResumableSession:
    """Makes a session that is over, in place of one that was; see `Session.placeholder`."""
    session = ResumableSession(owner, key)
    session._enter(Event.END)
    session.over = True
    return session


class ResumableSession(Incoming):
    """A client's session over any number of connections; made by the manager, used on the loop.

    Attributes:
        incarnation: tells it from another session of the same id, before it or after it.
        proof: the SHA-256 of the client's key, None before a receive request brought it.
        subprotocol: always None; a raw WebSocket's.
        opened_at: when it was made, in seconds of the clock.
        credentials: what later requests of it must come with; None where none are asked for.
        last_rooms: the rooms that it was in when it ended.
        links: its WebSockets, those that have not said hello among them.
    """

    __slots__ = (
        *("_client", "_first_number", "_repeated", "_request", "_waiting_handler"),
        *("credentials", "incarnation"),
        *("last_rooms", "links", "opened_at", "proof", "subprotocol"),
        "__weakref__",
    )

    def __init__(self, owner: ResumeOwner, key: tuple[str, str], incarnation: str = "") -> None:
        super().__init__(owner, key)
        self.incarnation = incarnation
        self.proof: bytes | None = None
        self.subprotocol: str | None = None
        self.opened_at = self._since
        self.credentials: Credentials | None = None
        self.last_rooms = NO_ROOMS
        self.links: tuple[WebSocketLink, ...] = ()
        # Its application's side, which opens when the key is there.
        self._waiting_handler: ResumableHandler | None = None
        # The newest receive request.
        self._request = 0
        self._client: str | None = None
        self._first_number = 1
        self._repeated = 0

    def placeholder(self) -> ResumableSession:
        """Returns a session that is over, in place of this one; see `Session.placeholder`."""
        return placeholder(self._owner, self.key)

    def __repr__(self) -> str:
        return f"<ResumableSession {self.id} {self.transport.name} {self.state.value}>"

    # The application's side

    def accept(self, handler: ResumableHandler) -> bool:
        """Opens the session: the application lets it in.

        Without a key the application's side waits for the receive request that brings it.

        Returns:
            False when the session was over before; the handler is not called then.
        """
        if self.state is not State.NEW:
            return False
        if self.proof is None:
            self._enter(Event.ADMIT)
            self._waiting_handler = handler
            self._since = self._owner.clock.time()
            self._owner.watch(self)
            return True
        self._open(handler)
        return True

    def _open(self, handler: ResumableHandler) -> None:
        self._enter(Event.OPEN)
        self._waiting_handler = None
        self._arrivals.handler = handler
        self._owner.monitor.opened(self.transport.name)
        handler.opened()
        self._take_waiting()
        self._look_at_handled()
        if self._receiver is None:
            self._since = self._owner.clock.time()
        self._owner.flush_soon(self)
        self._owner.watch(self)

    def refuse(self, code: int, reason: str) -> None:
        """Closes a session that never opened: the application refused it."""
        if self.state in (State.NEW, State.ADMITTED):
            self.credentials = None
            self.close(code, reason)

    @property
    def client(self) -> str | None:
        """What its client calls itself, over all its sessions; None where it does not say."""
        return self._client

    def message_id(self, number: int) -> str | None:
        """Returns what a message is known by over all sessions of its client ("Message ids").

        Args:
            number: counts the messages of this session, from 1.

        Returns:
            None where the client has told no id of its own.
        """
        if self._client is None:
            return None
        return f"{self._client}-{self._first_number + number - 1}"

    def repeated(self, number: int) -> bool:
        """Tells whether a message may have been handled before, in a session that was lost."""
        return number <= self._repeated

    def close(self, code: int, reason: str) -> None:
        """Closes the session: what is sent leaves first, then the close frame."""
        self._owner.settle(self)
        before = self._enter(Event.CLOSE)
        if before is None:
            return
        self.close_code, self.close_reason = code, reason
        self._close_after = None
        self._leave()
        if self._receiver is None or not self._receiver.transport.streaming:
            self._hurry = True
        self._owner.flush_soon(self)
        self._owner.watch(self)
        if self._receiver is None:
            self._owner.keeps(self, self._kept.size)

    def _leave(self) -> None:
        """Ends the application's side."""
        self.over = True
        self._since = self._owner.clock.time()
        self._owner.keeps(self, None)
        # Afterwards: who joins from now on is refused.
        self.last_rooms |= self._owner.leave_rooms(self)
        self._waiting_handler = None
        self._arrivals.release()
        if self._arrivals.handler is not None:
            self._owner.monitor.ended(self.transport.name, self.close_code or 0)
            self._arrivals.handler.closed(self.close_code or 0, self.close_reason)
        self._kept.release()

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Calls back once, when little is kept for the client or it is over."""
        if self.over:
            callback()
        else:
            self._owner.settle(self)
            self._end_run()
            self._kept.when_drained(callback)

    def revoke(self, code: int, reason: str) -> None:
        """Closes the session without what is kept: its user may not read it any more.

        Before it has a key nobody has proved to be its client, whose user that would be.
        """
        if self.proof is None:
            return
        self._drop_kept()
        self.credentials = None
        self.close(code, reason)

    def fail(self) -> None:
        """Ends the session at once: something in it went wrong."""
        self._drop_kept()
        self.close(*protocol.FAILED)
        self.finish()

    def lose(self) -> None:
        """Ends the session: its client hears that it is lost."""
        self._drop_kept()
        self.finish()

    def abandon(self) -> None:
        """Forgets a session that never opened: its WebSocket's handshake was refused."""
        if self.state in (State.NEW, State.ADMITTED):
            self.finish()

    def finish(self) -> None:
        """Forgets the session; its links end."""
        if self._enter(Event.END) is None:
            return
        if not self.over:
            # The server has stopped: another one knows nothing of it.
            self._lost = True
            self.close_code, self.close_reason = protocol.GO_AWAY
            self._leave()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.abort()
        for link in self.links:
            link.end()
        self._owner.keeps(self, None)
        self._owner.forget(self)
        # A cycle is left to a collection of all garbage, which holds up the loop.
        self.connection = None

    @property
    def new(self) -> bool:
        """Whether the application has still to say whether it opens."""
        return self.state is State.NEW

    @property
    def live(self) -> bool:
        """Whether it is open to the application; may be read in any thread."""
        return self.state in LIVE

    @property
    def lost(self) -> bool:
        """Whether its client is told that it is lost, not that it was closed."""
        return self._lost

    @property
    def suspended(self) -> bool:
        """Whether the application was told that nobody receives; may be read in any thread."""
        return self.state is State.AWAY

    # The client's side

    def proves(self, key: str) -> bool:
        """Tells whether a key is the client's; the first one becomes it."""
        if self.proof is None:
            return True
        return hmac.compare_digest(self.proof, digest(key))

    def is_stale(self, request: ReceiveRequest) -> bool:
        """Tells whether a newer receive request came before this one."""
        return request.request < self._request

    def attach(
        self,
        request: ReceiveRequest,
        receiver: Receiver,
        terms: Mapping[str, Any] | None = None,
        link: WebSocketLink | None = None,
    ) -> None:
        """Takes a receive request, whose key and user are the client's.

        Args:
            request: the request.
            receiver: what it is answered over.
            terms: what the welcome tells beside, to a request with ``new``.
            link: the WebSocket, where it is one.
        """
        if self.is_stale(request):
            self._owner.resumption.stale(receiver.transport)
            self._answer(receiver, lines.stale(self._request))
            return
        if request.received > self.sent:
            self._answer(receiver, protocol.close_frame(*BROKEN))
            self.close(*BROKEN)
            return
        if self.proof is None:
            self._introduce(request)
        elif self._welcomed:
            self.heard()
        self._request = request.request
        self._replace(receiver)
        # First: who is back is not ended for what is kept, be it others'.
        before = self._enter(Event.ATTACH)
        self._owner.keeps(self, None)
        self.acknowledge(request.received)
        self._begin(request, receiver, terms, link)
        if before is State.AWAY:
            self._come_back()
        if self.state is State.ADMITTED and self._waiting_handler is not None:
            self._open(self._waiting_handler)
        if request.messages:
            # Before the welcome, which tells what was handled of them.
            gap = self._gap_of(link)
            self.take_upload(Upload(request.first, request.messages, gap, receiver=receiver))
        self._owner.flush_now(self)
        self._look_at_handled()
        self._owner.watch(self)

    def _introduce(self, request: ReceiveRequest) -> None:
        self.proof = digest(request.key)
        # Its own: what was asked for once is taken out.
        self.positions = None if request.rooms is None else {**request.rooms}
        self._client, self._first_number = request.client, request.base
        self._repeated = request.repeated
        self._owner.introduced(self, request.replaces)

    def _replace(self, receiver: Receiver) -> None:
        former = self._receiver
        if former is None or former is receiver:
            return
        self._owner.resumption.replaced(former.transport)
        link = self._link
        self._receiver = self._link = None
        if link is not None:
            link.replaced()
        else:
            # So that two who share a session notice it.
            self._answer(former, lines.stale(self._request))

    def _answer(self, receiver: Receiver, line: bytes) -> None:
        """Answers a receive request that does not take over, or does no more."""
        data = receiver.transport.frame(line, receiver.callback)
        # While the application is being asked, and until the loop is told what it says.
        if (receiver.writable or not receiver.begun) and receiver.write(data):
            receiver.end()
        else:
            receiver.abort()

    def detach(
        self, receiver: Receiver, *, lost: bool = True, code: int = 1006, reason: str = ""
    ) -> None:
        """Says that a receiver is gone, in whatever way; nothing is interrupted."""
        self._arrivals.withdraw_of(receiver)
        if receiver is self._receiver:
            self._let_go()
            self._owner.watch(self)

    def _let_go(self) -> None:
        self._end_run()
        self._receiver = self._link = None
        self._busy_at = None
        if self.state not in OVER:
            self._since = self._owner.clock.time()
        self._kept.acknowledge(0, None)
        self._enter(Event.DETACH)
        if self.state in KEEPING:
            self._owner.keeps(self, self._kept.size)

    # Rooms

    @property
    def max_catch_up(self) -> int:
        """Bytes that it may be sent at a go: half of what it may keep."""
        return self._owner.settings.max_queue_size // 2

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is in; in any thread."""
        return self._owner.rooms_of(self)

    def join(self, room: str, info: str = "", announce: bool = False) -> Joined:
        """Enters a room, where it stays while it is suspended; false when it is over."""
        return self._owner.join(self, room, info, announce)

    def leave(self, room: str) -> bool:
        """Leaves a room; False when it was not in."""
        return self._owner.leave(self, room)

    # The server leaves

    def drain(self, until: float, spread: float) -> None:
        """Takes no more input; tells the client to go when both have all that they sent.

        Args:
            until: when it is told at the latest, in seconds of the clock.
            spread: seconds within which the client comes back elsewhere.
        """
        if self._enter(Event.DRAIN) is None:
            return
        self.awaited = True
        self._owner.keeps(self, None)
        self._drain_until, self._spread = until, spread
        self._waiting_handler = None
        self._ask_drained = True
        self._arrivals.release()
        self._owner.flush_soon(self)
        self._owner.watch(self)
