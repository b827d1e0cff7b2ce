"""How far an application is with the messages of a client whose session survives."""

from __future__ import annotations

from sockjs_bridge.core.contracts import Channel, Clock
from sockjs_bridge.resume.session import ResumableSession


class Progress:
    """What application code may ask of a message, and what its client is promised.

    A message is handled when its hook has returned, or when the view has asked for the next one.

    Args:
        channel: of the connection.
        clock: of the loop that the channel lives on.
    """

    # Of all others: they pay nothing for it.
    _resumable: ResumableSession | None = None
    _begun = 0
    _done = 0
    _handled = 0

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self._clock = clock
        if isinstance(channel, ResumableSession):
            self._resumable = channel

    @property
    def suspended(self) -> bool:
        """Whether nobody has received for ``disconnect_delay``; what is sent is kept meanwhile.

        Always False for clients whose session ends with its connection.
        """
        return self._resumable is not None and self._resumable.suspended

    @property
    def message_id(self) -> str | None:
        """What the message that is being handled is known by, over all sessions of its client.

        It is the same when a message comes again because a server died before it could say that it
        had handled it: whoever keeps it in a unique column does each exactly once. None where no
        message is being handled, and for clients that number none.
        """
        if self._resumable is None or self._begun == self._done:
            return None
        return self._resumable.message_id(self._begun)

    @property
    def repeated(self) -> bool:
        """Whether the message that is being handled may have been handled before."""
        if self._resumable is None or self._begun == self._done:
            return False
        return self._resumable.repeated(self._begun)

    # For the bridge itself

    @property
    def survives(self) -> bool:
        """Whether anybody wants to know which messages were handled."""
        return self._resumable is not None

    @property
    def handled(self) -> int:
        """How many messages were handled, as the loop knows: behind what was sent meanwhile."""
        return self._handled

    def begin_message(self) -> None:
        """Says that the next message is being handled."""
        if self._resumable is not None:
            self._begun += 1

    def begin_again(self) -> None:
        """Says that a hook begins with a message, maybe with the same as before."""
        self._begun = self._done + 1

    def messages_handled(self) -> None:
        """Says that all that was begun is handled. Callable in any thread."""
        if self._resumable is not None and self._done != self._begun:
            self._done = self._begun
            # In its order: what the application has sent before is not there yet, and the client
            # may be waiting for this to close.
            self._clock.call_from_thread(self._publish, self._done)

    def _publish(self, count: int) -> None:
        resumable = self._resumable
        self._handled = max(self._handled, count)
        if resumable is not None and resumable.awaited:
            resumable.ready()

    def pass_over(self, count: int) -> None:
        """Says that nobody wants some messages: they are handled. Called on the loop."""
        self._begun += count
        self._done = self._handled = self._begun
