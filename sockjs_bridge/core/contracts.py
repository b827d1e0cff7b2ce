"""Every seam of the core: who calls whom, in which thread, and what may call back when.

Where nothing else is said, everything is called on the loop, and nothing here may block. In order:
time, server, application, where a session lives, who hears the same. What is counted: `monitor`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Final, Protocol, TypeVar

from sockjs_bridge.core.frames import Batch, Frames
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.native import mypyc_attr

S_contra = TypeVar("S_contra", contravariant=True)


# Time


class Clock(Protocol):
    """What the core needs of an event loop; tests hold one that they wind by hand.

    The server implements it, over its loop. No method calls back before it returns.
    """

    def time(self) -> float:
        """Returns monotonic seconds."""
        raise NotImplementedError

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Calls back at the end of the loop's present tick."""
        raise NotImplementedError

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Calls back at a time of this clock."""
        raise NotImplementedError

    def call_from_thread(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Calls back on the loop; safe in any thread, keeps the order of one thread's calls."""
        raise NotImplementedError


class Timed(Protocol):
    """Something that has a deadline: a session, a connection.

    `DeadlineWheel` calls it. `on_deadline` and `fail` may do anything, to others too, and call the
    wheel back for any object.

    Attributes:
        slot: where the wheel keeps it; the wheel's own note.
    """

    slot: int | None

    def deadline(self) -> float | None:
        """Returns when it wants to be called next, None for never; changes nothing."""
        raise NotImplementedError

    def on_deadline(self, now: float) -> None:
        """Does what is due."""
        raise NotImplementedError

    def fail(self) -> None:
        """Ends: what was due raised an exception. Never raises one."""
        raise NotImplementedError


# The server's side

_KEYS: Final = itertools.count(1)


@mypyc_attr(allow_interpreted_subclasses=True)
class Peer:
    """The other end of a connection.

    The server makes one for each connection, and writes what it sees into it; sessions read it. It
    never calls back.

    Attributes:
        broken: the connection was reset, or ended while a request was being handled; a browser
            repeats the request then.
        ended: the connection is over, in whatever way.
        carried: how many polls, sends and pages were asked for over it.
    """

    __slots__ = ("_key", "broken", "carried", "ended")

    def __init__(self) -> None:
        self.broken = self.ended = False
        self.carried = 0
        self._key: Hashable = None

    @property
    def key(self) -> Hashable:
        """What identifies the connection, in this process and as long as that runs: a value."""
        if self._key is None:
            # Most connections are never asked.
            self._key = next(_KEYS)
        return self._key

    def taken(self, now: float) -> float:
        """Returns when it was last seen to take some of what is on its way; 0 where it never was.

        Somebody must have asked before: it is compared. In seconds of the clock, as `now` is.
        """
        return 0.0


class Receiver(Protocol):
    """What is attached to a session: the open poll, stream or WebSocket.

    The server implements it, and hands it to `Session.attach`. It calls `Session.flush` when
    `writable` becomes true, and `Session.detach` once, when the response is over or the peer is
    gone.

    The session calls it from within `attach`, `flush`, and whatever else leads to a write. `write`
    and `ping` never call the session back; `end` and `abort` may call `detach` before they return.

    Attributes:
        transport: how frames become bytes.
        callback: the function that a jsonp or htmlfile client named.
        tag: the client's ``t`` parameter, by which a browser's repeat is recognised.
        peer: the other end of its connection.
        begun: whether its response has; one that has not is not writable, but takes all there is.
    """

    transport: Transport
    callback: str
    tag: str | None
    peer: Peer
    begun: bool

    @property
    def heard(self) -> float:
        """When the last byte arrived from the peer, in seconds of the clock."""
        raise NotImplementedError

    @property
    def writable(self) -> bool:
        """Whether a frame would be accepted now."""
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        """Takes one frame's bytes; False when it does not, and nothing of them left."""
        raise NotImplementedError

    def ping(self) -> None:
        """Pings the peer (WebSocket only; RFC 6455, 5.5.2)."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends the response in good order; nothing is written afterwards."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drops the connection; nothing is written afterwards."""
        raise NotImplementedError


# The application's side


class Handler(Protocol):
    """The application's side of a session.

    The framework makes it with the `Channel` that it is for; the session calls it. All methods but
    `backlog` may call the channel's ``send_encoded``, ``close``, ``ready``, ``join`` and ``leave``.
    What one of them raises comes out of the session's method that led to it.
    """

    def opened(self) -> None:
        """The session is open; called once, first."""
        raise NotImplementedError

    def received(self, messages: list[str]) -> None:
        """Messages arrived."""
        raise NotImplementedError

    def backlog(self) -> int:
        """Returns how many messages arrived and are not handled yet."""
        raise NotImplementedError

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        """Somebody else has come to a room that the session is in, or left it."""
        raise NotImplementedError

    def closed(self, code: int, reason: str) -> None:
        """The session is over; called once, last."""
        raise NotImplementedError


class Channel(Protocol):
    """What views, hooks and their connection hold of a session.

    Attributes may be read, and `join` and `leave` called, in any thread; the other methods on the
    loop (`Clock.call_from_thread`). `send_encoded`, `close` and `ready` may call the `Handler`.

    Attributes:
        id: in the URL, or a random one of a WebSocket.
        transport: the last transport that received.
        subprotocol: of a raw WebSocket, where one was agreed on.
        over: nothing is sent any more.
        close_code: the code it was closed with, None before.
        close_reason: the reason that goes with it.
        last_rooms: the rooms that it was in when it ended.
        connection: what the application knows it by.
    """

    id: str
    transport: Transport
    subprotocol: str | None
    over: bool
    close_code: int | None
    close_reason: str
    last_rooms: frozenset[str]
    connection: Any

    def send_encoded(self, message: bytes) -> bool:
        """Queues a message that this transport's ``encode`` has made; False when it is over."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        """Closes it: what is queued leaves first, then the close frame."""
        raise NotImplementedError

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Calls back once, when little waits for the client or it is over; maybe at once."""
        raise NotImplementedError

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for `ready`."""
        raise NotImplementedError

    def ready(self) -> None:
        """Says that messages were handled."""
        raise NotImplementedError

    @property
    def rooms(self) -> frozenset[str]:
        """The names of the rooms that it is in."""
        raise NotImplementedError

    def join(self, room: str, info: str = "", announce: bool = False) -> Joined:
        """Enters a room; false when it is over. See `BaseManager.join`."""
        raise NotImplementedError

    def leave(self, room: str) -> bool:
        """Leaves a room; False when it was not in."""
        raise NotImplementedError


class Workers(Protocol):
    """Where the application's code for sessions runs; the server implements it.

    Handlers call it. Nothing that is handed over runs before the method returns. At its end the
    server waits a while for what still runs there.

    Raises:
        RuntimeError: `submit` or `start`, where the system gives no thread.
    """

    def submit(self, function: Callable[[], object]) -> None:
        """Runs a short function in a pool of threads."""
        raise NotImplementedError

    def start(self, function: Callable[[], object], name: str) -> None:
        """Runs a function in a thread of its own."""
        raise NotImplementedError

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine on the loop."""
        raise NotImplementedError

    def repeat(self, function: Callable[[], bool]) -> None:
        """Has a function called every second or so until it returns False."""
        raise NotImplementedError


# Who hears others


class Member(Protocol):
    """What a room needs of a session: it is hashed, too.

    Attributes:
        over: it may enter no room any more; read under the rooms' lock, in any thread.
        connection: what the application knows it by.
    """

    over: bool
    connection: Any


class Recipient(Member, Timed, Protocol):
    """What is written to with many others: a session, as `Broadcasts` and `Flusher` call it.

    `take`, `queue` and `flush` may end it, as `fail` does, and with that lead to the application.

    Attributes:
        id: for the log.
        userid: who opened it, as text; None where nobody is signed in.
        transport: whose ``encode`` makes its messages.
        dirty: it is written at the end of the tick; the flusher's own note.
    """

    id: str
    userid: str | None
    transport: Transport
    dirty: bool

    def take(self, batch: Batch, now: float) -> None:
        """Takes messages, ``now`` in seconds: writes them where nothing waits, or queues them."""
        raise NotImplementedError

    def queue(self, messages: Iterable[bytes]) -> None:
        """Queues messages that its transport's ``encode`` has made, as long as it is not over."""
        raise NotImplementedError

    def presence_changed(self, room: str, presence: Presence, *, joined: bool) -> None:
        """Tells its application of somebody else in a room; see `Handler.presence_changed`."""
        raise NotImplementedError

    def flush(self, shared: Frames | None = None) -> None:
        """Writes what waits to the receiver, as far as it takes it.

        ``shared`` has frames that others have made in this tick.
        """
        raise NotImplementedError


# Where a session lives


class Owner(Protocol[S_contra]):
    """Where a session lives: what it needs of its endpoint and its process.

    Sessions call it; `Manager` is the one for those of this process. `flush_now` and `settle` may
    call the session back, and through it the application; `watch` asks for its deadline; the others
    call nothing back.

    Attributes:
        settings: of the endpoint.
        clock: of the loop.
        monitor: what is counted.
        traffic: `Monitor.traffic`, looked at once.
    """

    settings: Settings
    clock: Clock
    monitor: Monitor
    traffic: Monitor | None

    def watch(self, session: S_contra) -> None:
        """Sees to it that a session is called by its deadline, which may be earlier now."""
        raise NotImplementedError

    def flush_soon(self, session: S_contra) -> None:
        """Has a session written at the end of the loop's tick, among many some ticks later."""
        raise NotImplementedError

    def flush_now(self, session: S_contra) -> None:
        """Writes what waits in a session; ends it where that fails."""
        raise NotImplementedError

    def settle(self, session: S_contra) -> None:
        """Lets a session have what is under way to many: something else is to come behind that."""
        raise NotImplementedError

    def drop(self, session: S_contra) -> int:
        """Lets a session go without what is under way to many; returns how many messages."""
        raise NotImplementedError

    def rooms_of(self, session: S_contra) -> frozenset[str]:
        """Returns the rooms that a session is in; in any thread."""
        raise NotImplementedError

    def join(self, session: S_contra, room: str, info: str = "", announce: bool = False) -> Joined:
        """Puts a session into a room; see `Channel.join`. In any thread."""
        raise NotImplementedError

    def leave(self, session: S_contra, room: str) -> bool:
        """Takes a session out of a room; False when it was not in. In any thread."""
        raise NotImplementedError

    def leave_rooms(self, session: S_contra) -> frozenset[str]:
        """Takes a session that is over out of all rooms, and returns which those were."""
        raise NotImplementedError

    def forget(self, session: S_contra) -> None:
        """Drops a session that is over, and logs what it was."""
        raise NotImplementedError
