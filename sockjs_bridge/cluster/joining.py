"""Who enters a room where the store must be asked what a client has missed."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future

from sockjs_bridge.cluster.entrants import Entrant
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.later import PATIENCE, awaited, on_loop
from sockjs_bridge.resume.session import ResumableSession


class Joining(Joined):
    """A `Joined` whose `recovered` is known later."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        super().__init__(True)
        self._future: Future[bool | None] = Future()

    def found(self, recovered: bool | None) -> None:
        """Says what `recovered` is."""
        self._future.set_result(recovered)

    @property
    def recovered(self) -> bool | None:
        """See `Joined`; waited for in a thread, False where it is not known in time."""
        if not self._future.done() and on_loop():
            return None
        try:
            return self._future.result(PATIENCE)
        except TimeoutError:
            return False

    def __repr__(self) -> str:
        known = self._future.result() if self._future.done() else "?"
        return f"<Joined True recovered={known}>"

    def __await__(self) -> Generator[object, None, Joined]:
        try:
            yield from awaited(self._future)
        except TimeoutError:
            return Joined(True, recovered=False)
        return self


class ClusterEntrant(Entrant):
    """A session that enters a room of a cluster.

    Attributes:
        joining: what `join` has returned; None where it knew all.
    """

    __slots__ = ("joining",)

    def __init__(self, session: ResumableSession) -> None:
        super().__init__(session)
        self.joining: Joining | None = None

    def over(self) -> None:
        """Tells who waits for it what came of it."""
        if self.joining is not None:
            self.joining.found(self.recovered)
