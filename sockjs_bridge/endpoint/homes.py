"""What an application's endpoints need of the other processes of a cluster, and tell of sessions.

`sockjs_bridge.cluster.cluster` fulfils it, where ``sockjs.cluster`` is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sockjs_bridge.core.contracts import Clock
from sockjs_bridge.core.history import History


class ClusterError(Exception):
    """A process cannot take part in its cluster; the text is one sentence for who starts it."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that serves the application.

    Attributes:
        name: which no other process has; empty without a cluster, and under another server.
        sessions: how many it has, of all applications that it serves; of another process as it
            said last, which it does every 1.5 s or so (``cluster_lease`` × 0.3).
        leaving: it takes no new sessions.
        own: it is the one that tells this.
    """

    name: str
    sessions: int
    leaving: bool = False
    own: bool = False


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

    @property
    def may_come_twice(self) -> bool:
        """Whether the request does no harm where its home may have handled it before.

        A client of ``~r1`` that names its home has had a welcome, and all it says is counted.
        Before, another process may make the session anew, and would take its messages for new
        ones: only the client can say that they are repeated.
        """
        return self.resumable and bool(self.home)


class Homes(Protocol):
    """The processes of a cluster, as the endpoints of one of them see them.

    Attributes:
        node: the name of this process, in URLs of ``~r1``.
        secret: the same in all processes.
        history: the rooms, once started.
        drain: seconds over which clients leave a process that ends; None where nothing says that.
    """

    drain: float | None
    node: str
    secret: bytes
    history: History | None

    @property
    def declared(self) -> object:
        """Which rooms have a history; to be filled before it is started."""
        raise NotImplementedError

    async def start(self, clock: Clock) -> None:
        """Begins to share what is shared; before anything is served.

        Raises:
            ClusterError: that cannot be.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """Ends; nothing is served any more."""
        raise NotImplementedError

    @property
    def others(self) -> int:
        """How many other processes take new sessions."""
        raise NotImplementedError

    def processes(self) -> list[Process]:
        """Lists the processes, this one first; in any thread."""
        raise NotImplementedError

    def leave(self) -> None:
        """Lets the others know that this process takes no new sessions."""
        raise NotImplementedError

    def ended(self, base: str, session_id: str) -> None:
        """Hears that a stock session over HTTP is over."""
        raise NotImplementedError
