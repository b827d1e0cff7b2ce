"""A run: broadcasts, one after the other, to a session that has nothing else to write. No I/O.

Of a thousand sessions none is in the CPU's caches when its turn comes, and to fetch what is touched
takes longer than to compute with it. So in a run a session notes of each broadcast no more than
that it got it; what this comes to is counted at the end of the run (`Run._end_run`), which is
before anything else happens to the session.
"""

from __future__ import annotations

from typing import Final

from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.core.frames import Batch, Chunk, Package
from sockjs_bridge.resume.contracts import ResumeOwner
from sockjs_bridge.resume.kept import Kept
from sockjs_bridge.resume.states import Event, Life, State

#: How many batches there are in a run, at most.
LONGEST: Final = 32


def admits(batch: Batch, package: Package, owner: ResumeOwner) -> bool:
    """Tells whether a batch may be in runs; if so, those of an endpoint's sessions go on with it.

    Args:
        batch: the broadcasts.
        package: of it, for WebSockets.
        owner: of the sessions.
    """
    if batch.places is not None:
        # Some clients ask for its place.
        return False
    if package[1].size * LONGEST * 4 > owner.settings.max_queue_size:
        # What a run comes to is to be little beside what may be kept.
        return False
    batch.packages[owner] = package
    return True


class Run(Life):
    """A session that may be in a run.

    Args:
        owner: where the session lives.

    Attributes:
        messages_out: how many messages left, those that left again among them; without the run.
        bytes_out: the bytes of the frames that left; without the run.
    """

    # Apart from other classes' slots: what a batch of a run touches lies together in memory.
    __slots__ = (
        *("_kept", "_next", "_owner", "_pieces", "_run", "_wrote"),
        *("bytes_out", "messages_out"),
    )

    def __init__(self, owner: ResumeOwner) -> None:
        super().__init__()
        self._owner = owner
        self._kept = Kept(owner.settings.max_queue_size)
        self._pieces: list[bytes | Chunk] = self._kept.pieces
        # The number of the message that the receiver gets next.
        self._next = 1
        self.messages_out = self.bytes_out = 0
        # When the last frame left.
        self._wrote = owner.clock.time()
        # The WebSocket that gets the run's batches; None where there is no run.
        self._run: Receiver | None = None

    def _begin_run(self, receiver: Receiver) -> None:
        """Begins a run: nothing but broadcasts is to be written.

        Args:
            receiver: a WebSocket.
        """
        self._kept.begin_run()
        self._run = receiver

    def _end_run(self) -> None:
        """Ends the run, if there is one: something else is about to happen."""
        if self._run is not None:
            self._run = None
            count, on_wire = self._kept.end_run()
            self._next += count
            self.messages_out += count
            self.bytes_out += on_wire

    def _enter(self, event: Event) -> State | None:
        self._end_run()
        return super()._enter(event)
