"""Back-pressure: who does not read is not read from, and who takes nothing is dropped.

Whatever is written to a connection is written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from typing import Final

try:
    import fcntl
    import termios
except ImportError:
    # Windows: what the system holds counts as taken.
    HAS_TIOCOUTQ = False
else:
    HAS_TIOCOUTQ = True

from sockjs_bridge.core.clock import DeadlineWheel
from sockjs_bridge.core.contracts import Clock, Peer

logger = logging.getLogger("sockjs_bridge.server")

#: Seconds in which the peer of a SockJS response or WebSocket must take some of it.
SOCKJS_PATIENCE: Final = 15.0
#: The same for everything else; pages bring their own (``send_timeout``).
PATIENCE: Final = 60.0
#: Seconds between two looks at a peer that may be taking nothing, at most.
LOOK: Final = 5.0
#: Bytes that are gathered for one write, at most.
GATHERED: Final = 16_384


# Why nothing is read from a peer at present; an enumeration's flags would cost more than a message.
#: It does not read what it was sent.
UNREAD: Final = 1
#: Too much waits of what it has sent.
BEHIND: Final = 2

_COUNT = struct.Struct("i")


def untaken(transport: asyncio.Transport) -> int:
    """Returns how many bytes were written to a connection that its peer's system did not take."""
    size = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if HAS_TIOCOUTQ and connection is not None:
        try:
            # tcp(7), SIOCOUTQ: what is not sent yet, or not acknowledged.
            answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size))
        except (OSError, ValueError):
            # It is closed, or of a kind that cannot tell.
            return size
        size += int(_COUNT.unpack(answer)[0])
    return size


class Flow(Peer):
    """Both directions of one connection: what is written to it, and whether it is read from.

    Writers ask `paused` before what can wait, or await `drain` behind it; they write and close the
    connection here. The loop's protocol passes on what the transport says. Whether a peer *takes*
    what is on its way is looked at only when a deadline comes: Linux tells of what its buffers hold
    (``SIOCOUTQ``, tcp(7), unix(7)); elsewhere it is what the transport holds.

    Args:
        transport: of the connection.
        clock: the loop's.
        wheel: of the server's connections.

    Attributes:
        paused: more waits in the kernel and the transport than the peer should owe.
        patience: seconds in which the peer must take some of what the transport holds.
        slot: the wheel's.
    """

    __slots__ = (
        *("_due", "_gathered", "_holds", "_leaving", "_now", "_pending", "_room", "_taken"),
        *("_transport", "_wheel", "patience", "paused", "slot"),
    )

    def __init__(self, transport: asyncio.Transport, clock: Clock, wheel: DeadlineWheel) -> None:
        super().__init__()
        self.paused = False
        self.patience = PATIENCE
        self.slot: int | None = None
        self._transport: asyncio.Transport | None = transport
        self._now = clock.time
        self._wheel = wheel
        self._holds = 0
        self._leaving = False
        self._due: float | None = None
        # What leaves in one write; None while each is one of its own.
        self._gathered: bytearray | None = None
        # What was on its way when it was last looked, and when it was seen to become less.
        self._pending = 0
        self._taken = 0.0
        # Done when a writer that waits may go on.
        self._room: asyncio.Future[None] | None = None

    # Writing

    def write(self, data: bytes) -> None:
        """Writes, as long as there is a connection."""
        if self._gathered is not None:
            self._gathered += data
            if len(self._gathered) > GATHERED:
                self.release()
        elif self._transport is not None:
            self._transport.write(data)

    def gather(self) -> None:
        """Has what is written from now on leave in one write, which costs a packet and a call."""
        self._gathered = bytearray()

    def release(self) -> None:
        """Writes what was gathered, and gathers no more."""
        gathered, self._gathered = self._gathered, None
        if gathered and self._transport is not None:
            self._transport.write(bytes(gathered))

    async def drain(self) -> None:
        """Waits until the peer owes little enough that more may be written.

        Raises:
            ConnectionError: the peer is gone, or has taken nothing for its `patience`.
        """
        if self.paused and self._transport is not None:
            self.watch()
            self._taken = self._now()
            self._pending = untaken(self._transport)
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None
        if self.closing:
            raise ConnectionResetError("the peer is gone")

    def idle(self) -> float:
        """Returns the seconds for which who waits in `drain` has seen the peer take nothing."""
        if self._room is None:
            return 0.0
        now = self._now()
        return now - self.taken(now)

    def _go_on(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # What the transport says

    def pause_writing(self) -> None:
        """Says that the transport holds much."""
        self.paused = True
        self.watch()

    def resume_writing(self) -> None:
        """Says that the transport holds little again."""
        self.paused = False
        self._taken = self._now()
        self._go_on()

    def lost(self) -> None:
        """Says that the connection is over."""
        self.paused = True
        self._transport = None
        self._due = None
        self._wheel.drop(self)
        self._go_on()

    # Reading

    def hold(self, why: int) -> None:
        """Reads nothing for the present.

        Args:
            why: `UNREAD` or `BEHIND`.
        """
        self._holds |= why
        if self._transport is not None:
            # Others may have resumed it.
            self._transport.pause_reading()

    def let_go(self, why: int, *, resume: bool = True) -> None:
        """Reads again, unless there is another reason not to.

        Args:
            why: the reason that is none any more.
            resume: False where somebody else has paused the transport, and will resume it.
        """
        if self._holds & why:
            self._holds &= ~why
            if resume and not self._holds and self._transport is not None:
                self._transport.resume_reading()

    # Taking

    def taken(self, now: float) -> float:
        """As `Peer.taken`."""
        if self._transport is None:
            return self._taken
        pending = untaken(self._transport)
        if pending < self._pending:
            self._taken = now
        self._pending = pending
        return self._taken

    # The end

    @property
    def closing(self) -> bool:
        """Whether nothing that is written arrives any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def unsent(self) -> int:
        """The bytes that the transport holds; they are lost where it is dropped."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def take_over(self, protocol: asyncio.Protocol) -> None:
        """Has another protocol hear what the transport says from now on."""
        assert self._transport is not None
        self._transport.set_protocol(protocol)

    def close(self) -> None:
        """Closes the connection when the peer has taken what was written."""
        self.release()
        if self._transport is not None:
            self._transport.close()
            self.watch()

    def leave(self, patience: float, *, last: bool = False) -> None:
        """Drops the connection when the peer has taken nothing for a while, or all.

        Until then it is read from: a peer that still sends when its connection closes would lose
        what is on its way to it (RFC 9112, 9.6).

        Args:
            patience: seconds that it has for its own end, from the last byte that it took.
            last: nothing more is written; the peer is told so.
        """
        self.release()
        if self._transport is None:
            return
        if last and self._transport.can_write_eof() and not self._transport.is_closing():
            # The peer may have reset the connection, which the loop has not seen yet.
            with contextlib.suppress(OSError):
                self._transport.write_eof()
        self._leaving = True
        self.patience = patience
        self._taken = self._now()
        self._look_from(self._taken)

    def abort(self, *, reset: bool = False) -> None:
        """Drops the connection.

        Args:
            reset: as an error that the peer cannot take for an end in good order.
        """
        self._gathered = None
        if self._transport is None:
            return
        connection = self._transport.get_extra_info("socket")
        if reset and connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    # Deadlines

    def watch(self) -> None:
        """Drops the peer if it takes nothing of what the transport holds."""
        if self._transport is None:
            return
        now = self._now()
        if self._due is None:
            self._taken = now
        self._look_from(now)

    def _look_from(self, now: float) -> None:
        due = now + min(LOOK, self.patience / 4)
        if self._due is None or due < self._due:
            self._due = due
            self._wheel.update(self)

    def deadline(self) -> float | None:
        """Returns when `on_deadline` wants to be called, in seconds of the clock."""
        return self._due

    def on_deadline(self, now: float) -> None:
        """Looks whether the peer takes anything."""
        self._due = None
        if self._transport is None:
            return
        # What the kernel holds it delivers without us.
        if not (self._leaving or self._transport.get_write_buffer_size()):
            return
        if now >= self.taken(now) + self.patience:
            if self._room is not None:
                logger.info("a client took nothing for %g seconds", self.patience)
            self.abort()
        else:
            self._look_from(now)

    def fail(self) -> None:
        """Drops the connection: what was due raised an exception."""
        self.abort()
