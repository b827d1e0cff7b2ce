"""Which processes live, as the store said last: for who has to know at once, and of one alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sockjs_bridge.cluster.store import Store, StoreError
from sockjs_bridge.core.contracts import Clock

#: Seconds for which it is believed that a process lives, and that it does not.
LIVES: Final = 1.0
IS_GONE: Final = 0.25

#: Hears what a process says of itself, None where it does not live.
Found = Callable[[str | StoreError | None], object]


class Leases:
    """Looks processes up; many look-ups are one question to the store.

    Args:
        store: what the processes share.
        clock: of the loop.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: Mapping[str, str] = {}
        self._read = float("-inf")
        # Who lived when the store was lost, and until when that is believed.
        self._spared: Mapping[str, str] = {}
        self._spared_until = float("-inf")
        self._waiting: list[tuple[str, Found]] = []

    def known(self, node: str) -> str | None:
        """Returns what a process says of itself, where it is known by now that it lives."""
        fresh = self._clock.time() < self._read + LIVES
        return self._about(node) if fresh else None

    def _about(self, node: str) -> str | None:
        about = self._known.get(node)
        if about is None and self._clock.time() < self._spared_until:
            return self._spared.get(node)
        return about

    def look_up(self, node: str, found: Found) -> None:
        """Looks a process up.

        Args:
            node: its name; clients may have made it up.
            found: called with what there is, before this returns or later. Where the store cannot
                be reached, who lived before lives.
        """
        about = self._about(node)
        if self._clock.time() < self._read + (IS_GONE if about is None else LIVES):
            found(about)
            return
        self._waiting.append((node, found))
        if len(self._waiting) == 1:
            self._store.leases(self._hear)

    def doubt(self) -> None:
        """Says that somebody may have come or gone: who looks next hears what the store says."""
        self._read = float("-inf")

    def spare(self, living: Mapping[str, str], seconds: float) -> None:
        """Believes for a while of processes that they live, also without a lease.

        The store was away, or has forgotten: they renew their leases when they reach it.

        Args:
            living: what each of them said of itself.
            seconds: how long that is believed.
        """
        self._spared, self._spared_until = living, self._clock.time() + seconds
        self.doubt()

    def _hear(self, leases: Mapping[str, str] | StoreError) -> None:
        waiting, self._waiting = self._waiting, []
        if not isinstance(leases, StoreError):
            self._known, self._read = leases, self._clock.time()
        for node, found in waiting:
            about = self._about(node)
            found(leases if about is None and isinstance(leases, StoreError) else about)
