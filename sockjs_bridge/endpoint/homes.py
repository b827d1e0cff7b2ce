"""What an application's endpoints need of the other processes of a cluster, and tell of sessions.

`sockjs_bridge.cluster.cluster` fulfils it, where ``sockjs.cluster`` is set.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.history import History
from sockjs_bridge.core.monitor import Monitor


class ClusterError(Exception):
    """A process cannot take part in its cluster; the text is one sentence for who starts it."""


class Missing(NamedTuple):
    """A session that a request is for, and that is not here.

    Attributes:
        base: the URL path of its endpoint, percent-decoded.
        session_id: from the URL.
        opens: the request opens it where there is none.
        resumable: it is one of ``~r1``.
        home: the process that has it, as the URL says; empty where it says nothing.
        lasts: seconds that it lives without a receiver.
    """

    base: str
    session_id: str
    opens: bool
    resumable: bool
    home: str
    lasts: float


class Homes(Protocol):
    """The processes of a cluster, as the endpoints of one of them see them.

    Attributes:
        node: the name of this process, in URLs of ``~r1``.
        secret: the same in all processes.
        history: of rooms, from `start` on.
    """

    node: str
    secret: bytes
    history: History | None

    @property
    def declared(self) -> object:
        """Which rooms keep their messages (`cluster.declared.DeclaredRooms`)."""
        raise NotImplementedError

    async def start(self, clock: Clock, monitor: Monitor) -> None:
        """Begins to share what is shared; before anything is served.

        Raises:
            ClusterError: that cannot be.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Ends; nothing is served any more."""
        raise NotImplementedError

    def ended(self, base: str, session_id: str) -> None:
        """Hears that a stock session over HTTP is over."""
        raise NotImplementedError
