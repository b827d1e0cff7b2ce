"""The way down: what a session is sent, alone or with others."""

from __future__ import annotations

from collections.abc import Iterable

from sockjs_bridge.core import protocol
from sockjs_bridge.core.frames import Batch
from sockjs_bridge.resume import lines
from sockjs_bridge.resume.lines import Item
from sockjs_bridge.resume.run import LONGEST, admits
from sockjs_bridge.resume.states import OPEN, STEADY, UNATTENDED
from sockjs_bridge.resume.writing import Writing


class Outgoing(Writing):
    """What goes down."""

    __slots__ = ()

    def send(self, text: str) -> bool:
        """Sends a message; it leaves at the end of the loop's tick.

        Returns:
            False when the session is over.
        """
        return self.send_encoded(protocol.quote(text))

    def send_encoded(self, message: Item) -> bool:
        """Sends a quoted message, or tells what is none."""
        self._owner.settle(self)
        if self.over:
            return False
        if self._run is not None:
            self._end_run()
        kept = self._kept
        kept.append(message)
        if self.state is not OPEN or kept.size > kept.half_size:
            self._look_at_kept()
        self._owner.flush_soon(self)
        return not self.over

    def queue(self, messages: Iterable[Item]) -> None:
        """Sends messages as `send_encoded` does, as long as the session is not over."""
        for message in messages:
            if not self.send_encoded(message):
                return

    def _look_at_kept(self) -> None:
        kept = self._kept
        if kept.too_large:
            # A part of it is of no use to a client that counts.
            self._drop_kept()
            self.close(*protocol.SLOW_CONSUMER)
        elif self.state in UNATTENDED:
            self._owner.keeps(self, kept.size)
        elif kept.size > kept.half_size and not self._ack_asked:
            self._ack_asked = self._say_ack = True

    def take(self, batch: Batch, now: float) -> None:
        """Takes broadcasts: writes the shared frame where nothing waits, and keeps references.

        Args:
            batch: the messages.
            now: seconds of the clock.
        """
        claim = self._owner.claim
        if now >= claim.until and not claim.holds(now):
            self.cut()
        if (
            (receiver := self._run) is not None
            and len(self._pieces) % LONGEST
            and (package := batch.packages.get(self._owner)) is not None
            and receiver.writable
            and receiver.write(package[0])
        ):
            self._pieces.append(package[1])
            self._wrote = now
            if (traffic := self._owner.traffic) is not None:
                traffic.messages_out(receiver.transport.name, len(batch.texts), len(package[0]))
            return
        self._end_run()
        receiver, kept = self._receiver, self._kept
        package = None
        placed = batch.places is not None and self.positions is not None
        if (
            receiver is not None
            and self.state in STEADY
            and self._terms is None
            and not self._control
            and self._next == kept.sent + 1
            and not kept.noticing
            and (transport := receiver.transport).streaming
            and receiver.writable
        ):
            limit = self._owner.settings.response_limit
            package = batch.packages.get((transport.name, limit, placed))
            if package is None:
                package = lines.package(batch, transport, limit, placed=placed)
        if receiver is None or package is None or not receiver.write(package[0]):
            self.queue(batch.messages(protocol.quote))
            return
        data, chunk = package
        kept.extend(chunk)
        if placed:
            kept.placed = True
        self._wrote_to(receiver, chunk.count, len(data), now)
        if kept.size > kept.half_size:
            self._look_at_kept()
            if self._say_ack:
                self._owner.flush_soon(self)
        elif receiver.transport.websocket and admits(batch, package, self._owner):
            self._begin_run(receiver)
        if self._receiver is receiver and not receiver.transport.websocket:
            self._end_where_full(receiver)

    @property
    def queued(self) -> tuple[int, int]:
        """How many messages the client has not acknowledged, and their bytes; without the run."""
        return len(self._kept), self._kept.size

    def _drop_kept(self) -> None:
        """Drops all messages that the client does not have."""
        self._end_run()
        count = self._owner.drop(self) + len(self._kept)
        self._kept.clear()
        if count:
            self._owner.monitor.dropped(count)
