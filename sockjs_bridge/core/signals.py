"""What the processes of an application say to each other, not to connections. No I/O."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from sockjs_bridge.core.contracts import Clock

#: The kind of signals that tell what a dead process had: room, member and text, of the store. One
#: process hears them.
GONE = "gone"

logger = logging.getLogger("sockjs_bridge.server")


class Signals:
    """Says something in every process of the application, this one included.

    Where there is one process, it hears what it says. `say` may be called in any thread; who hears
    is called on the loop.
    """

    def __init__(self) -> None:
        self._hearers: dict[str, Callable[[Any], object]] = {}
        self._missed: Callable[[], object] = lambda: None
        self._clock: Clock | None = None
        self._carry: Callable[[str], object] = self.hear

    def on(self, kind: str, hearer: Callable[[Any], object]) -> None:
        """Has something called for each signal of a kind.

        Args:
            kind: of signals; each has one hearer.
            hearer: called with the data.
        """
        self._hearers[kind] = hearer

    def on_missed(self, missed: Callable[[], object]) -> None:
        """Has something called when signals may have been missed."""
        self._missed = missed

    def start(self, clock: Clock) -> None:
        """Says from now on what is said.

        Args:
            clock: of the server's loop.
        """
        self._clock = clock

    def carry_by(self, carry: Callable[[str], object]) -> None:
        """Has signals carried to all processes.

        Args:
            carry: takes a text on the loop, and has each process `hear` it.
        """
        self._carry = carry

    def say(self, kind: str, data: Any) -> None:
        """Says something; nothing where the application is not served.

        Args:
            kind: of the signal.
            data: what JSON can hold.

        Raises:
            TypeError: it cannot.
            ValueError: the same: it holds itself, or what is no number.
        """
        text = json.dumps([kind, data], allow_nan=False)
        if self._clock is not None:
            self._clock.call_from_thread(self._carry, text)

    def missed(self) -> None:
        """Says that signals of other processes may have been missed; on the loop."""
        self._missed()

    def hear_alone(self, kind: str, data: Any) -> None:
        """Has a signal heard in this process alone, on the loop."""
        hearer = self._hearers.get(kind)
        # A newer release may say more.
        if hearer is not None:
            hearer(data)

    def hear(self, text: str) -> None:
        """Hears what a process has said, on the loop."""
        try:
            kind, data = json.loads(text)
        except (TypeError, ValueError):
            logger.warning("a signal is none: %.100r", text)
            return
        self.hear_alone(kind, data)
