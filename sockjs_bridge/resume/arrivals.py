"""What arrives for a session: counted, each once, no faster than its application takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sockjs_bridge.core.contracts import Receiver
from sockjs_bridge.resume.contracts import ResumableHandler

#: How many uploads of one session may wait for room; a client has one at a time over each way, so
#: that more are an attack on the memory.
WAITING_UPLOADS = 8


class Upload:
    """Messages that came together, and wait for room.

    Args:
        first: the number of the first one.
        messages: the messages.
        gap: called in place of taking them where they leave a gap.
        done: called once, when all are taken or none will be any more.
        receiver: with which they wait no longer: its client sends them again; None where they are
            withdrawn otherwise.
    """

    __slots__ = ("done", "first", "gap", "messages", "receiver")

    def __init__(
        self,
        first: int,
        messages: Sequence[str],
        gap: Callable[[], object],
        done: Callable[[], object] | None = None,
        receiver: Receiver | None = None,
    ) -> None:
        self.first = first
        self.messages = messages
        self.gap = gap
        self.done = done
        self.receiver = receiver


class Arrivals:
    """The way of a session's messages to its application.

    A message is taken if its number is the next one when there is room for it. One that is known
    is dropped, by whatever way it comes: two copies may wait for room at the same time.

    Args:
        max_inbound: messages that may wait in the handler.

    Attributes:
        arrived: how many messages were taken.
        waiting: uploads that have no room yet, in the order in which they came.
        callbacks: who is called when there is room again.
        handler: the application's side, None before it is open.
    """

    __slots__ = ("_max_inbound", "arrived", "callbacks", "handler", "waiting")

    def __init__(self, max_inbound: int) -> None:
        self._max_inbound = max_inbound
        self.arrived = 0
        # No lists: empty ones are a fifth of what a silent session takes beyond a stock one.
        self.waiting: tuple[Upload, ...] = ()
        self.handler: ResumableHandler | None = None
        self.callbacks: tuple[Callable[[], object], ...] = ()

    @property
    def handled(self) -> int:
        """How many messages the application has handled: what a client is promised."""
        return 0 if self.handler is None else self.handler.handled()

    @property
    def announced(self) -> int:
        """The number of the last message that has come, or waits for room."""
        waiting = [
            upload.first + len(upload.messages) - 1 for upload in self.waiting if upload.messages
        ]
        return max([self.arrived, *waiting])

    @property
    def unhandled(self) -> int:
        """How many messages wait for the application, those without room yet among them."""
        waiting = 0 if self.handler is None else self.handler.backlog()
        return waiting + sum(len(upload.messages) for upload in self.waiting)

    @property
    def full(self) -> bool:
        """Whether no more messages are taken now."""
        handler = self.handler
        return bool(self.waiting) or handler is None or handler.backlog() >= self._max_inbound

    @property
    def _room(self) -> int:
        handler = self.handler
        return 0 if handler is None else self._max_inbound - handler.backlog()

    @property
    def overrun(self) -> bool:
        """Whether more uploads wait than an honest client has."""
        return len(self.waiting) >= WAITING_UPLOADS

    def take_next(self, first: int, messages: list[str]) -> int | None:
        """Takes messages where nobody waits and there is room for all.

        Args:
            first: the number of the first one.
            messages: the messages.

        Returns:
            For how many there still is room; None where they were not taken.
        """
        handler = self.handler
        if handler is None or first != self.arrived + 1 or self.waiting or self.callbacks:
            return None
        room = self._max_inbound - handler.backlog() - len(messages)
        if room < 0:
            return None
        # Before the call, which may lead back to here.
        self.arrived += len(messages)
        handler.received(messages)
        return room

    def offer(self, upload: Upload) -> None:
        """Takes what there is room for; the rest waits."""
        self.waiting += (upload,)
        self.take()

    def withdraw(self, upload: Upload) -> None:
        """Lets an upload wait no longer: its sender is told what was taken."""
        self.waiting = tuple(other for other in self.waiting if other is not upload)

    def withdraw_of(self, receiver: Receiver) -> None:
        """Lets nothing wait any longer that came with a receiver that is gone.

        While the application stands still, a client that comes back again and again would have
        so much wait that nothing more is taken of it.
        """
        if self.waiting:
            self.waiting = tuple(other for other in self.waiting if other.receiver is not receiver)

    def take(self) -> None:
        """Takes what there is room for."""
        while self.waiting:
            upload = self.waiting[0]
            known = self.arrived + 1 - upload.first
            if known < 0 and upload.messages:
                self.waiting = self.waiting[1:]
                upload.gap()
                self._finish(upload)
            elif known < 0 or known >= len(upload.messages):
                self.waiting = self.waiting[1:]
                self._finish(upload)
            elif (room := self._room) > 0 and self.handler is not None:
                batch = list(upload.messages[known : known + room])
                # Before the call, which may lead back to here.
                self.arrived += len(batch)
                self.handler.received(batch)
            else:
                return
        if not self.full:
            callbacks, self.callbacks = self.callbacks, ()
            for callback in callbacks:
                callback()

    @staticmethod
    def _finish(upload: Upload) -> None:
        if upload.done is not None:
            upload.done()

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Calls back once, when it is not `full` any more, or at `release`."""
        if callback not in self.callbacks:
            self.callbacks += (callback,)

    def stop_waiting(self, callback: Callable[[], object]) -> None:
        """Does not call back: who waited is over."""
        self.callbacks = tuple(other for other in self.callbacks if other != callback)

    def release(self) -> None:
        """Says that nothing is taken any more: what waits was never promised to anybody."""
        waiting, self.waiting = self.waiting, ()
        callbacks, self.callbacks = self.callbacks, ()
        for upload in waiting:
            self._finish(upload)
        for callback in callbacks:
            callback()
