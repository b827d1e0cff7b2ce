"""Messages that are encoded, and framed, once for all who get them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from sockjs_bridge.core.transports import Transport

#: A frame's text, which is what a repeat gets again, and its bytes on the wire.
Frame = tuple[bytes, bytes]


def make_frame(messages: Iterable[bytes], transport: Transport, callback: str) -> Frame:
    """Makes the frame of some messages.

    Args:
        messages: as ``transport.encode`` has made them.
        transport: of the receiver.
        callback: of the receiver.
    """
    text = transport.pack(messages)
    return text, transport.frame(text, callback)


class Frames:
    """Frames that others may need too, by what they hold and the transport that they are for."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[Hashable, Frame] = {}

    def __len__(self) -> int:
        return len(self._made)

    def get(
        self, key: Hashable, messages: Iterable[bytes], transport: Transport, callback: str
    ) -> Frame:
        """Returns a frame, which is made the first time.

        Args:
            key: what stands for the transport and the messages.
            messages: as ``transport.encode`` has made them.
            transport: of the receiver.
            callback: of the receiver.
        """
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = make_frame(messages, transport, callback)
        elif transport.takes_callback:
            # Clients make up names of their own, so that none would be asked for again.
            return made[0], transport.frame(made[0], callback)
        return made

    def clear(self) -> None:
        """Forgets all frames."""
        self._made.clear()


class Batch(Frames):
    """Texts that leave together, in one frame for each transport.

    Attributes:
        texts: the messages, in order.
    """

    __slots__ = ("_encoded", "_size", "texts")

    #: Characters of text that wait together, unless it is one message.
    MAX_SIZE = 2**16

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._size = 0
        self._encoded: dict[Callable[[str], bytes], list[bytes]] = {}

    def has_room(self, text: str) -> bool:
        """Tells whether a message may be added."""
        return not self.texts or self._size + len(text) + 1 <= self.MAX_SIZE

    def add(self, text: str) -> None:
        """Adds a message: frames are made anew, what is encoded is not."""
        self.texts.append(text)
        self._size += len(text) + 1
        self.clear()
        for encode, messages in self._encoded.items():
            messages.append(encode(text))

    def messages(self, encode: Callable[[str], bytes]) -> list[bytes]:
        """Returns the messages as a transport queues them; the list grows with `add`."""
        messages = self._encoded.get(encode)
        if messages is None:
            messages = self._encoded[encode] = list(map(encode, self.texts))
        return messages

    def frame(self, transport: Transport, callback: str, limit: int) -> Frame | None:
        """Returns the frame that holds all messages.

        Args:
            transport: of the receiver.
            callback: of the receiver.
            limit: bytes of messages that leave in one frame, if there is more than one.

        Returns:
            None where they are more.
        """
        key = transport.name, limit
        made = self._made.get(key)
        if made is not None and not transport.takes_callback:
            return made
        messages = self.messages(transport.encode)
        if len(messages) > 1 and sum(map(len, messages)) + len(messages) > limit:
            return None
        return self.get(key, messages, transport, callback)
