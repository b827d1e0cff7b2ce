"""What leaves a session: on its way to the client, no faster than that takes it. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sockjs_bridge.core import protocol
from sockjs_bridge.core.contracts import Owner, Receiver
from sockjs_bridge.core.deadlines import Deadlines
from sockjs_bridge.core.frames import Batch, Frames, make_frame
from sockjs_bridge.core.inbound import Inbound
from sockjs_bridge.core.outbox import Outbox
from sockjs_bridge.core.repeats import RepeatMemory
from sockjs_bridge.core.states import NEW, OPEN, TELL
from sockjs_bridge.core.transports import Transport


class Outbound(Inbound):
    """The way of a session's messages to its client.

    Args:
        owner: where the session lives.
        transport: the one that opens it.

    Attributes:
        opened_at: when it was made, in seconds of the clock.
        messages_out: how many messages left.
        bytes_out: the bytes of the frames that left.
        close_code: the code it was closed with, None before.
        close_reason: the reason that goes with it.
        dirty: it will be flushed at the end of the tick.
    """

    __slots__ = (
        *("_deadlines", "_frames", "_outbox", "_owner", "_receiver", "_repeats", "bytes_out"),
        *("close_code", "close_reason", "dirty", "messages_out", "opened_at"),
    )

    def __init__(self, owner: Owner[Any], transport: Transport) -> None:
        settings = owner.settings
        super().__init__(settings.max_inbound, transport, owner.traffic)
        self.opened_at = owner.clock.time()
        self.messages_out = self.bytes_out = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self.dirty = False
        self._owner = owner
        self._receiver: Receiver | None = None
        self._outbox = Outbox(settings.max_queue_size, settings.response_limit)
        # Frames that go before the messages that wait: `o`, a repeat.
        self._frames: tuple[bytes, ...] = ()
        self._deadlines = Deadlines(settings, self.opened_at)
        self._repeats: RepeatMemory | None = None

    def close(self, code: int, reason: str) -> None:
        """Closes the session: what is queued leaves first, then the close frame."""
        raise NotImplementedError

    # Queueing

    def send(self, text: str) -> bool:
        """Queues a message; it leaves at the end of the loop's tick.

        Returns:
            False when the session is over.
        """
        return self.send_encoded(self.transport.encode(text))

    def send_encoded(self, message: bytes) -> bool:
        """Queues a message that this transport's ``encode`` has made."""
        owner = self._owner
        # Which may be too much for it.
        owner.settle(self)
        if self.over:
            return False
        outbox = self._outbox
        if outbox.append(message):
            # The client may be quick, and the sender quicker than a tick.
            owner.flush_now(self)
            if outbox.too_large:
                # What waits is useless to a client that cannot keep up, and holds the memory.
                owner.monitor.dropped(len(outbox.messages))
                outbox.clear()
                self.close(*protocol.SLOW_CONSUMER)
        if not self.dirty:
            owner.flush_soon(self)
        return not self.over

    def queue(self, messages: Iterable[bytes]) -> None:
        """Queues messages as `send_encoded` does, as long as the session is not over."""
        for message in messages:
            if not self.send_encoded(message):
                return

    def _drop_queue(self) -> None:
        """Drops all messages that were sent so far and have not left."""
        dropped = self._owner.drop(self) + len(self._outbox.messages)
        if dropped:
            self._outbox.clear()
            self._owner.monitor.dropped(dropped)

    @property
    def queued(self) -> tuple[int, int]:
        """How many messages wait for the client, and their bytes."""
        return len(self._outbox.messages), self._outbox.size

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Calls back once, when little waits for the client (`Outbox.drained`) or it is over."""
        if self.over:
            callback()
        else:
            self._owner.settle(self)
            self._outbox.when_drained(callback)

    # Writing

    def take(self, batch: Batch, now: float) -> None:
        """Takes broadcasts: writes them to the receiver where nothing waits, queues them otherwise.

        Args:
            batch: the messages.
            now: seconds of the clock.
        """
        receiver = self._receiver
        if (
            receiver is not None
            and self.state is OPEN
            and not (self._outbox.messages or self._frames)
            and receiver.writable
        ):
            transport = receiver.transport
            frame = batch.frame(transport, receiver.callback, self._owner.settings.response_limit)
            if frame is not None:
                text, data = frame
                if self._put(receiver, text, data, now, len(batch.texts)):
                    if not transport.websocket:
                        self._end_response(receiver)
                    return
        self.queue(batch.messages(self.transport.encode))

    def flush(self, shared: Frames | None = None) -> None:
        """Writes what waits to the receiver, as far as it takes it.

        Args:
            shared: frames that other sessions have made in this tick, by what they hold.
        """
        outbox = self._outbox
        waiting = outbox.messages
        while (receiver := self._receiver) is not None:
            transport = receiver.transport
            if self._frames:
                if not receiver.writable or not self._write(receiver, self._frames[0]):
                    return
                self._frames = self._frames[1:]
            elif self.state is NEW:
                return
            elif waiting:
                if not receiver.writable:
                    return
                batch = outbox.batch()
                callback = receiver.callback
                if shared is None:
                    text, data = make_frame(batch, transport, callback)
                else:
                    text, data = shared.get((transport.name, batch), batch, transport, callback)
                if not self._put(receiver, text, data, self._owner.clock.time(), len(batch)):
                    return
                outbox.left(batch)
            elif self.state is OPEN:
                return
            else:
                if receiver.writable:
                    self._write_close(receiver)
                return
            if not transport.websocket:
                self._end_response(receiver)

    def _write(self, receiver: Receiver, text: bytes) -> bool:
        """Writes a frame that holds no message, and is a part of what a repeat gets."""
        data = receiver.transport.frame(text, receiver.callback)
        return self._put(receiver, text, data, self._owner.clock.time(), 0)

    def _put(
        self, receiver: Receiver, text: bytes | None, data: bytes, now: float, count: int
    ) -> bool:
        """Writes a frame, and notes that it left.

        Args:
            receiver: who takes it.
            text: of the frame, as a repeat gets it again; None where that gets another one.
            data: the frame.
            now: seconds of the clock.
            count: how many messages it holds.
        """
        if not receiver.write(data):
            return False
        deadlines, size = self._deadlines, len(data)
        deadlines.wrote = now
        deadlines.stalled = None
        deadlines.response_size += size
        self.bytes_out += size
        self.messages_out += count
        if self._traffic is not None and count:
            self._traffic.messages_out(receiver.transport.name, count, size)
        if self._repeats is not None and text is not None:
            self._repeats.wrote(text)
        return True

    def _write_close(self, receiver: Receiver) -> None:
        transport = receiver.transport
        if transport.control_frames:
            code = self.close_code or protocol.NORMAL[0]
            data = transport.frame(protocol.close_frame(code, self.close_reason), receiver.callback)
            # Not kept for a repeat: every receiver gets it anyway.
            if not self._put(receiver, None, data, self._owner.clock.time(), 0):
                return
            self._contact(TELL)
        receiver.end()

    def _end_response(self, receiver: Receiver) -> None:
        if not receiver.transport.streaming or (
            self._deadlines.response_size >= self._owner.settings.response_limit
        ):
            receiver.end()
