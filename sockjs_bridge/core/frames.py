"""Messages that are encoded, and framed, once for all who get them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sockjs_bridge.core.transports import Transport
from sockjs_bridge.native import mypyc_attr


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands in a room with history.

    Attributes:
        room: the room's key, a keyed hash of its name.
        epoch: of the room's history.
        number: within the epoch, one after the other.
    """

    room: str
    epoch: str
    number: int


@mypyc_attr(native_class=False)
class Placed(bytes):
    """An encoded message that has a place: bytes as any other for who does not ask for it.

    Attributes:
        place: in a room with history.
    """

    place: Place


def placed(encoded: bytes, place: Place) -> Placed:
    """Gives an encoded message its place."""
    message = Placed(encoded)
    message.place = place
    return message


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


class Chunk:
    """Messages that left together, for who keeps them: one object for all.

    Args:
        messages: as ``transport.encode`` has made them.
        frame_size: see there.

    Attributes:
        messages: the messages.
        count: how many there are.
        size: their bytes, and one more for each.
        frame_size: the bytes on the wire in which they left.
    """

    __slots__ = ("count", "frame_size", "messages", "size")

    def __init__(self, messages: Sequence[bytes], frame_size: int = 0) -> None:
        self.messages = tuple(messages)
        self.count = len(self.messages)
        self.frame_size = frame_size
        self.size = sum(map(len, messages)) + len(messages)


#: What is written, in bytes on the wire, and what is kept of it.
Package = tuple[bytes, Chunk]


class Batch(Frames):
    """Texts that leave together, in one frame for each transport.

    Attributes:
        texts: the messages, in order.
        places: of those that are of a room with history, by their index; None where none is.
        packages: those that were made of all messages, by the transport's name, how many bytes may
            leave together, and whether places are told; or by whatever else stands for these.
    """

    __slots__ = ("_encoded", "_size", "packages", "places", "texts")

    #: Characters of text that wait together, unless it is one message.
    MAX_SIZE: ClassVar[int] = 2**16

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.places: dict[int, Place] | None = None
        self.packages: dict[object, Package] = {}
        self._size = 0
        self._encoded: dict[Callable[[str], bytes], list[bytes]] = {}

    def has_room(self, text: str) -> bool:
        """Tells whether a message may be added."""
        return not self.texts or self._size + len(text) + 1 <= self.MAX_SIZE

    def add(self, text: str, place: Place | None = None) -> None:
        """Adds a message: frames are made anew, what is encoded is not.

        Args:
            text: the message.
            place: in a room with history.
        """
        if place is not None:
            if self.places is None:
                self.places = {}
            self.places[len(self.texts)] = place
        self.texts.append(text)
        self._size += len(text) + 1
        self.clear()
        self.packages.clear()
        for encode, messages in self._encoded.items():
            message = encode(text)
            messages.append(message if place is None else placed(message, place))

    def messages(self, encode: Callable[[str], bytes]) -> list[bytes]:
        """Returns the messages as a transport queues them; the list grows with `add`."""
        messages = self._encoded.get(encode)
        if messages is None:
            messages = self._encoded[encode] = list(map(encode, self.texts))
            for index, place in (self.places or {}).items():
                messages[index] = placed(messages[index], place)
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
