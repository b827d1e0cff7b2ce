"""A stream that only proves that its way works ("Receiving", ``probe``)."""

from __future__ import annotations

from sockjs_bridge.core.contracts import Clock, Receiver
from sockjs_bridge.resume import lines

#: Seconds that it stays open: a proxy that holds responses back must be noticed.
OPEN_FOR = 5.0


class Probe:
    """Stands where a stream has its session, which hears nothing of it.

    Args:
        clock: of the loop.
        value: what it is answered with.
    """

    def __init__(self, clock: Clock, value: int) -> None:
        self._clock = clock
        self._answer: bytes | None = lines.pong(value)
        self._receiver: Receiver | None = None

    def attach(self, receiver: Receiver) -> None:
        """Answers, and stays open."""
        self._receiver = receiver
        self.flush()
        self._clock.call_at(self._clock.time() + OPEN_FOR, self._end)

    def flush(self) -> None:
        """Writes the answer, as soon as the receiver takes it."""
        receiver, answer = self._receiver, self._answer
        if receiver is not None and answer is not None and receiver.writable:
            self._answer = None
            receiver.write(receiver.transport.frame(answer, receiver.callback))

    def _end(self) -> None:
        if self._receiver is not None:
            self._receiver.end()

    def detach(
        self, receiver: Receiver, *, lost: bool = True, code: int = 1006, reason: str = ""
    ) -> None:
        """Says that the receiver is gone, in whatever way."""
        self._receiver = None
