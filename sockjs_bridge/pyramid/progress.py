"""How far an application is with the messages of a client whose session survives."""

from __future__ import annotations

from sockjs_bridge.core.contracts import Channel, Clock
from sockjs_bridge.resume.session import ResumableSession


class Progress:
    """Counts what is handled: a hook has returned, or the view has asked for the next message.

    Args:
        session: whose client is promised that.
        clock: of the loop.

    Attributes:
        session: as given.
        handled: how many messages were handled, as the loop knows: behind what was sent meanwhile.
    """

    __slots__ = ("_begun", "_clock", "_done", "handled", "session")

    def __init__(self, session: ResumableSession, clock: Clock) -> None:
        self.session = session
        self.handled = 0
        self._clock = clock
        self._begun = self._done = 0

    @property
    def number(self) -> int | None:
        """The number of the message that is being handled; None where there is none."""
        return None if self._begun == self._done else self._begun

    def begin(self) -> None:
        """Says that a view has the next message."""
        self._begun += 1

    def begin_hook(self) -> None:
        """Says that a hook begins with a message, maybe with the same as before."""
        self._begun = self._done + 1

    def finish(self) -> None:
        """Says that all that was begun is handled. Callable in any thread."""
        if self._done != self._begun:
            self._done = self._begun
            # In its order: what the application has sent before is not there yet, and the client
            # may be waiting for this to close.
            self._clock.call_from_thread(self._publish, self._done)

    def finish_in_task(self) -> None:
        """As `finish`, on the loop: what the application has sent before is there already."""
        self.handled = self._done = self._begun
        if self.session.awaited:
            self._clock.call_from_thread(self.session.ready)

    def _publish(self, count: int) -> None:
        self.handled = max(self.handled, count)
        if self.session.awaited:
            self.session.ready()

    def pass_over(self, count: int) -> None:
        """Says that nobody wants some messages: they are handled. Called on the loop."""
        self._begun += count
        self._done = self.handled = self._begun


class Surviving:
    """What application code may ask about a connection, if its session is resumable.

    Args:
        channel: of the connection.
        clock: of the loop that the channel lives on.
    """

    # Of all others: they pay nothing for it.
    _progress: Progress | None = None

    def __init__(self, channel: Channel, clock: Clock) -> None:
        if isinstance(channel, ResumableSession):
            self._progress = Progress(channel, clock)

    @property
    def progress(self) -> Progress | None:
        """How far it is with its messages, for the bridge itself; None where nobody asks."""
        return self._progress

    @property
    def suspended(self) -> bool:
        """Whether no client has received for ``disconnect_delay``. Messages are kept meanwhile.

        Only resumable sessions can be suspended; for others it is False.
        """
        return self._progress is not None and self._progress.session.suspended

    @property
    def message_id(self) -> str | None:
        """The id of the message that is being handled, over all sessions of its client.

        A message may come again, because a server died before it could confirm it. It then has the
        same id. Store the id in a unique column to do each message exactly once. None if no message
        is being handled, and for clients that do not number their messages.
        """
        number = None if self._progress is None else self._progress.number
        if self._progress is None or number is None:
            return None
        return self._progress.session.message_id(number)

    @property
    def repeated(self) -> bool:
        """Whether the message that is being handled may have been handled before."""
        number = None if self._progress is None else self._progress.number
        if self._progress is None or number is None:
            return False
        return self._progress.session.repeated(number)
