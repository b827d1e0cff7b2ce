"""Whether a process is to get new clients: what a balancer asks it."""

from __future__ import annotations


class Readiness:
    """Why a process is to get no new clients; nothing speaks against it at first.

    Only a balancer heeds it: whoever comes all the same is served. Changed on the loop, read in
    any thread.
    """

    __slots__ = ("_reasons",)

    def __init__(self) -> None:
        self._reasons: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against it, in the order in which it came up; nothing where it is ready."""
        return self._reasons

    def block(self, reason: str) -> None:
        """Says that the process is to get no new clients.

        Args:
            reason: for people, in a word or two; the same once more changes nothing.
        """
        if reason not in self._reasons:
            self._reasons += (reason,)

    def unblock(self, reason: str) -> None:
        """Says that this reason holds no more; there may be others."""
        self._reasons = tuple(each for each in self._reasons if each != reason)
