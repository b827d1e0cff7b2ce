"""One response that carries the receivers of several sessions ("Several sessions over one way").

A browser opens six connections to a host over HTTP/1.1: of seven pages with a stream each, one
waits for ever. Here the pages of a browser share one. A session has a receiver as ever, a `Port`,
and does not know that others write to the same response.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sockjs_bridge.core.contracts import Clock, Peer, Receiver
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.session import ResumableSession, digest

#: Seconds that it lives without a response, or without a session.
GRACE = 5.0


class Port:
    """A session's receiver within a `Mux`; fulfils `Receiver`.

    Args:
        mux: that carries it.
        number: the client's, which stands before each line.
        transport: of the session.
        session: the one that it is attached to.
    """

    __slots__ = (
        *("_ended", "_mux", "begun", "callback", "number", "peer", "session", "tag", "transport"),
    )

    def __init__(
        self, mux: Mux, number: int, transport: Transport, session: ResumableSession
    ) -> None:
        self._mux = mux
        self._ended = False
        self.number = number
        self.transport = transport
        self.session = session
        self.callback = ""
        self.tag: str | None = None
        self.begun = True
        self.peer: Peer = mux

    @property
    def heard(self) -> float:
        """When the last byte arrived from the peer, in seconds of the clock."""
        return self._mux.heard

    @property
    def writable(self) -> bool:
        """Whether a frame would be accepted now."""
        return not self._ended and self._mux.writable

    def write(self, data: bytes) -> bool:
        """Takes lines."""
        return not self._ended and self._mux.write(self, data)

    def ping(self) -> None:
        """Does nothing: HTTP has no pings."""

    def end(self) -> None:
        """Ends this receiver in good order, and no other one."""
        self._end(lost=False)

    def abort(self) -> None:
        """Ends it as well: the connection is others', too."""
        self._end(lost=True)

    def _end(self, *, lost: bool) -> None:
        if not self._ended:
            self._ended = True
            self._mux.let_go(self)
            self.session.detach(self, lost=lost)

    def drop(self) -> None:
        """Says that nothing of it gets through any more."""
        self._ended = True
        self.session.detach(self, lost=True)


class Mux(Peer):
    """Stands where a response has its session; over several responses, one after the other.

    For the sessions it is the other end: how much that takes is told of the present connection.

    Args:
        clock: of the loop.
        settings: of the endpoint.
        flush: writes what waits in a session.
        forget: called once, when it is over.
    """

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        flush: Callable[[ResumableSession], object],
        forget: Callable[[], object],
    ) -> None:
        super().__init__()
        self._clock = clock
        self._settings = settings
        self._flush = flush
        self._forget = forget
        self._receiver: Receiver | None = None
        self._ports: dict[int, Port] = {}
        # What is to be said to the client itself.
        self._said: list[bytes] = [lines.MUX + b"\n"]
        self._size = 0
        self._ends = self._leaves = self._over = False
        # Since when there is no response, or no session.
        self._idle: float | None = clock.time()
        self._look()

    def taken(self, now: float) -> float:
        """Returns when the peer was last seen to take something; see `Peer`."""
        return 0.0 if self._receiver is None else self._receiver.peer.taken(now)

    @property
    def heard(self) -> float:
        """When the last byte arrived from the peer, in seconds of the clock."""
        return 0.0 if self._receiver is None else self._receiver.heard

    @property
    def writable(self) -> bool:
        """Whether lines would be accepted now."""
        return self._receiver is not None and self._receiver.writable

    # Its responses

    def attach(self, receiver: Receiver) -> None:
        """Goes on over a response; a former one ends."""
        if self._over:
            receiver.end()
            return
        former, self._receiver = self._receiver, receiver
        if former is not None:
            former.end()
        self._size = 0
        self._ends = False
        self._clock.call_at(
            self._clock.time() + self._settings.response_max_age, partial(self._end, receiver)
        )
        self._count()
        self.flush()

    def flush(self) -> None:
        """Writes what waits, of the client's own and of all sessions."""
        if self._said and self.writable:
            said, self._said = self._said, []
            self._write(b"".join(said))
        for port in list(self._ports.values()):
            self._flush(port.session)

    def detach(
        self, receiver: Receiver, *, lost: bool = True, code: int = 1006, reason: str = ""
    ) -> None:
        """Says that a response is over; where it is lost, so is what was written to it."""
        if receiver is not self._receiver:
            return
        self._receiver = None
        if lost:
            self.finish()
        else:
            self._count()

    def _end(self, receiver: Receiver) -> None:
        """Ends a response, whose client asks for the next one."""
        if receiver is self._receiver:
            self._receiver = None
            self._count()
            receiver.end()

    def _write(self, data: bytes) -> bool:
        receiver = self._receiver
        if receiver is None or not receiver.write(data):
            return False
        self._size += len(data)
        full = not receiver.transport.streaming or self._size >= self._settings.response_limit
        if full and not self._ends:
            # What others have to say in this tick leaves with it.
            self._ends = True
            self._clock.call_soon(partial(self._end, receiver))
        return True

    # Its sessions

    def open(self, number: int, transport: Transport, session: ResumableSession) -> Port:
        """Makes a session's receiver, which is to be attached; a former one of that number is lost.

        Args:
            number: the client's, which stands before each line.
            transport: of the session.
            session: that it is for.
        """
        former = self._ports.pop(number, None)
        if former is not None:
            former.drop()
        port = self._ports[number] = Port(self, number, transport, session)
        self._count()
        return port

    def write(self, port: Port, data: bytes) -> bool:
        """Takes lines of a session."""
        mark = b"%d " % port.number
        return self._write(b"".join(mark + line + b"\n" for line in data.split(b"\n")[:-1]))

    def let_go(self, port: Port) -> None:
        """Hears that a session's receiver has ended, and tells the client."""
        del self._ports[port.number]
        line = b"%d \n" % port.number
        if not (self.writable and self._write(line)):
            self._said.append(line)
        self._count()

    # Its end

    def _count(self) -> None:
        if self._receiver is not None and self._ports:
            self._idle = None
        elif self._idle is None:
            self._idle = self._clock.time()
        if self._leaves and not self._ports:
            self.finish()

    def leave(self) -> None:
        """Ends it as soon as it has no session: the server leaves."""
        self._leaves = True
        self._count()

    def _look(self) -> None:
        now = self._clock.time()
        if self._idle is not None and now >= self._idle + GRACE:
            self.finish()
        elif not self._over:
            self._clock.call_at(now + GRACE, self._look)

    def finish(self) -> None:
        """Ends it: its sessions have no receiver any more."""
        if self._over:
            return
        self._over = True
        receiver, self._receiver = self._receiver, None
        ports, self._ports = self._ports, {}
        for port in ports.values():
            port.drop()
        if receiver is not None and receiver.writable:
            receiver.end()
        elif receiver is not None:
            receiver.abort()
        self._forget()


class Muxes:
    """Those of one endpoint.

    Args:
        clock: of the loop.
        settings: of the endpoint.
        flush: writes what waits in a session.
        take_place: raises `TooManySessions` where no more may begin.
        give_back: frees a place.
    """

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        flush: Callable[[ResumableSession], object],
        take_place: Callable[[], object],
        give_back: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._flush = flush
        self._take_place = take_place
        self._give_back = give_back
        self._muxes: dict[bytes, Mux] = {}

    def __len__(self) -> int:
        return len(self._muxes)

    def find(self, key: str) -> Mux | None:
        """Finds one by its key."""
        return self._muxes.get(digest(key))

    def open(self, key: str) -> Mux:
        """Finds one, or makes it.

        Raises:
            TooManySessions: there are ``max_sessions`` already, or the server stops.
        """
        name = digest(key)
        found = self._muxes.get(name)
        if found is None:
            self._take_place()
            found = Mux(self._clock, self._settings, self._flush, partial(self._drop, name))
            self._muxes[name] = found
        return found

    def _drop(self, name: bytes) -> None:
        del self._muxes[name]
        self._give_back()

    def leave(self) -> None:
        """Ends each as soon as it has no session: the server leaves."""
        for mux in list(self._muxes.values()):
            mux.leave()

    def finish(self) -> None:
        """Ends all."""
        for mux in list(self._muxes.values()):
            mux.finish()
