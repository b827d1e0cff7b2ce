"""Sessions of ``~r1`` that another one of their client's replaces, in whichever process they are.

A page that is loaded again tells the session of the page before it (``replaces``), but not which
process has that. So all of them hear of it, and the one that has it checks the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sockjs_bridge.core.signals import Signals
from sockjs_bridge.endpoint.endpoint import Endpoint

#: The kind of signals by which a process has others end such a session.
KIND = "end_former"


class FormerSessions:
    """Ends sessions that are replaced.

    Args:
        signals: by which processes tell each other.
        endpoints: returns those of this process.
    """

    def __init__(self, signals: Signals, endpoints: Callable[[], Iterable[Endpoint]]) -> None:
        self._signals = signals
        self._endpoints = endpoints
        signals.on(KIND, self._hear)

    def end(self, place: tuple[str, str], proof: bytes) -> None:
        """Has a session ended, wherever it is.

        Args:
            place: the URL path of its endpoint, percent-decoded, and its id.
            proof: the SHA-256 of its key; the key itself stays in this process.
        """
        self._signals.say(KIND, [*place, proof.hex()])

    def _hear(self, data: Any) -> None:
        base, session_id, proof = data
        for endpoint in self._endpoints():
            endpoint.end_former((base, session_id), bytes.fromhex(proof))
