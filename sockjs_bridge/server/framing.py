"""A reader of the frames that a WebSocket's client sends (RFC 6455).

It is strict: what must not be sent fails the connection as soon as it is seen. Section numbers
are the RFC's.
"""

from __future__ import annotations

import codecs
from typing import Any, Final

from sockjs_bridge.server.aiohttp_parts import unmasked

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

#: Bytes of a control frame's payload, at most (5.5).
MAX_CONTROL: Final = 125

PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
INVALID_TEXT: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

_OPCODES = {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}
# 7.4.1, and IANA's registry for 1012 to 1014: what may be on the wire below 3000.
_CODES = {*range(1000, 1004), *range(1007, 1015)}
# The first byte of a text in a single frame, and the second one's bit for a mask.
_WHOLE_TEXT = 0x80 | TEXT
_MASKED = 0x80

#: Its opcode, and what a message or a control frame holds.
Frame = tuple[int, Any]

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class BrokenFrame(Exception):
    """A client sent what it must not.

    Attributes:
        code: the close code that tells it so (7.4.1).
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class FrameReader:
    """Reads messages and control frames out of what arrives.

    Args:
        max_size: bytes of a message.

    Attributes:
        empty: all that has arrived was read.
    """

    __slots__ = (
        *("_at", "_data", "_final", "_kind", "_left", "_mask", "_max_size", "_message"),
        *("_small", "_utf8", "empty"),
    )

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        # What can be told by one or two bytes.
        self._small = min(2**16 - 1, max_size)
        # What has arrived, and how far it was read.
        self._data = b""
        self._at = 0
        self.empty = True
        # The message that is under way, if any: its opcode, and what has come of it.
        self._kind: int | None = None
        self._message = bytearray()
        self._utf8: codecs.IncrementalDecoder | None = None
        # The frame of it that is under way: how much is missing; None between two frames.
        self._left: int | None = None
        self._mask = b""
        self._final = False

    def feed(self, data: bytes) -> None:
        """Takes what has arrived."""
        if self.empty:
            self._data = data
        else:
            self._data = self._data[self._at :] + data
            self._at = 0
        self.empty = not self._data

    @property
    def unread(self) -> int:
        """Bytes that have arrived and were not read yet."""
        return len(self._data) - self._at

    def alone(self, data: bytes) -> str | None:
        """Reads what has arrived where it is what nearly all is: one short text in one frame.

        Args:
            data: all of it.

        Returns:
            The text; None where it is anything else, which is to be fed.
        """
        size = len(data) - 6
        if (
            not 0 <= size <= MAX_CONTROL
            or data[0] != _WHOLE_TEXT
            or data[1] != size | _MASKED
            or size > self._max_size
            or self._kind is not None
            or not self.empty
        ):
            return None
        try:
            return unmasked(data[6:], data[2:6]).decode()
        except UnicodeDecodeError:
            return None

    def texts(self, most: int) -> list[str]:
        """Reads the next messages where they are what nearly all are.

        Args:
            most: how many.

        Returns:
            Texts that came in one frame each, all of which has arrived; where there is none, `next`
            is to read.
        """
        data, at, small = self._data, self._at, self._small
        total = len(data)
        texts: list[str] = []
        if self._left is not None or self._kind is not None:
            return texts
        for _ in range(most):
            if total - at < 8 or data[at] != _WHOLE_TEXT:
                break
            size, begin = data[at + 1] ^ _MASKED, at + 6
            if size > MAX_CONTROL:
                if size > 126:
                    # Its length takes eight bytes, or it has no mask.
                    break
                size, begin = data[at + 2] << 8 | data[at + 3], at + 8
                if size <= MAX_CONTROL:
                    break
            end = begin + size
            if size > small or end > total:
                break
            try:
                texts.append(unmasked(data[begin:end], data[begin - 4 : begin]).decode())
            except UnicodeDecodeError:
                break
            at = end
        self._at = at
        if at == total:
            # A silent connection keeps nothing of what was read.
            self._data, self._at, self.empty = b"", 0, True
        return texts

    def next(self) -> Frame | None:
        """Reads the next message or control frame.

        Returns:
            Its opcode and what it holds; None where its rest has not arrived yet.

        Raises:
            BrokenFrame: the client broke the protocol; there is nothing more to be read.
        """
        while True:
            frame = None if self._begun() else self._head()
            if not self._begun():
                break
            frame = self._payload()
            if frame is not None or self._begun():
                break
        if frame is None or self._at == len(self._data):
            # Only what is missing something is kept.
            self._data = self._data[self._at :]
            self._at = 0
            self.empty = not self._data
        return frame

    def _begun(self) -> bool:
        """Tells whether a frame's payload is under way."""
        return self._left is not None

    def _head(self) -> Frame | None:
        """Reads the head of a frame, all of it where it is a control frame (5.2)."""
        data, at = self._data, self._at
        if len(data) - at < 2:
            return None
        first, second = data[at], data[at + 1]
        kind, final, size = first & 0x0F, first > 0x7F, second & 0x7F
        if first & 0x70:
            raise BrokenFrame(PROTOCOL_ERROR, "a reserved bit")
        if kind not in _OPCODES:
            raise BrokenFrame(PROTOCOL_ERROR, f"opcode {kind}")
        if not second & _MASKED:
            raise BrokenFrame(PROTOCOL_ERROR, "a frame without a mask")
        if kind >= CLOSE:
            return self._control(kind, final, size)
        if (kind == CONTINUATION) != (self._kind is not None):
            raise BrokenFrame(PROTOCOL_ERROR, "a fragment out of its order")
        at += 2
        if size > MAX_CONTROL:
            width, least = (2, 126) if size == 126 else (8, 65536)
            if len(data) - at < width:
                return None
            size = int.from_bytes(data[at : at + width])
            at += width
            if not least <= size < 1 << 63:
                raise BrokenFrame(PROTOCOL_ERROR, "a length that is not written as it must be")
        if len(self._message) + size > self._max_size:
            raise BrokenFrame(TOO_BIG, f"a message above {self._max_size} bytes")
        if len(data) - at < 4:
            return None
        self._mask = data[at : at + 4]
        self._at = at + 4
        self._left, self._final = size, final
        if kind != CONTINUATION:
            self._kind = kind
            self._utf8 = _utf8_decoder() if kind == TEXT else None
        return None

    def _control(self, kind: int, final: bool, size: int) -> Frame | None:
        if not final or size > MAX_CONTROL:
            raise BrokenFrame(PROTOCOL_ERROR, "a control frame in fragments, or too long")
        begin = self._at + 6
        if len(self._data) < begin + size:
            return None
        mask = self._data[begin - 4 : begin]
        self._at = begin + size
        return kind, unmasked(self._data[begin : begin + size], mask)

    def _payload(self) -> Frame | None:
        """Reads what has arrived of a frame's payload; text is judged as it comes (8.1)."""
        assert self._left is not None and self._kind is not None
        piece = unmasked(self._data[self._at : self._at + self._left], self._mask)
        self._at += len(piece)
        self._left -= len(piece)
        # Where the next piece begins.
        turn = len(piece) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        self._message += piece
        whole = self._final and not self._left
        if self._utf8 is not None:
            try:
                self._utf8.decode(piece, whole)
            except UnicodeDecodeError:
                raise BrokenFrame(INVALID_TEXT, "invalid UTF-8") from None
        if not self._left:
            self._left = None
        if not whole:
            return None
        kind, message = self._kind, self._message
        self._kind = self._utf8 = None
        self._message = bytearray()
        return kind, _text(message) if kind == TEXT else message


def _text(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise BrokenFrame(INVALID_TEXT, "invalid UTF-8") from None


def read_close(payload: bytes | bytearray) -> tuple[int, str]:
    """Returns the code and the reason that a close frame holds (5.5.1).

    Returns:
        1005 where it holds no code (7.1.5).

    Raises:
        BrokenFrame: it must not hold this.
    """
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2])
    if len(payload) == 1 or not (code in _CODES or 3000 <= code < 5000):
        raise BrokenFrame(PROTOCOL_ERROR, f"close code {code}")
    return code, _text(payload[2:])


def control_frame(kind: int, payload: bytes | bytearray) -> bytes:
    """Returns a control frame, as a server sends it (5.5).

    Args:
        kind: the opcode.
        payload: at most 125 bytes.
    """
    return bytes((0x80 | kind, len(payload))) + payload
