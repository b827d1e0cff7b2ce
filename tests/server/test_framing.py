"""The reader of a WebSocket client's frames: what RFC 6455 allows, and what it does not."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.server import aiohttp_parts, framing
from sockjs_bridge.server.framing import BrokenFrame, FrameReader, control_frame, read_close

MASK = b"\x11\x92\xa3\x04"
LIMIT = 70_000


def frame(
    payload: bytes = b"",
    kind: int = framing.TEXT,
    *,
    final: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: bytes | None = None,
    mask: bytes = MASK,
) -> bytes:
    """Make a frame, whatever it is."""
    size = len(payload)
    if length is None:
        short = size if size < 126 else 126 if size < 65536 else 127
        length = bytes((short,)) + {126: struct.pack(">H", size % 65536)}.get(short, b"")
        length += struct.pack(">Q", size) if short == 127 else b""
    head = bytes((final << 7 | reserved << 4 | kind, length[0] | masked << 7)) + length[1:]
    if not masked:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def drain(reader: FrameReader) -> list[tuple[int, object]]:
    """Read all that has arrived, as a connection does."""
    found: list[tuple[int, object]] = []
    while not reader.empty:
        texts = reader.texts(3)
        found += [(framing.TEXT, text) for text in texts]
        if texts:
            continue
        one = reader.next()
        if one is None:
            break
        found.append(one if isinstance(one[1], str) else (one[0], bytes(one[1])))
    return found


def read(data: bytes, size: int = 2**20, limit: int = LIMIT) -> list[tuple[int, object]]:
    """Read what arrives in pieces."""
    reader = FrameReader(limit)
    found: list[tuple[int, object]] = []
    for begin in range(0, len(data), size):
        piece = data[begin : begin + size]
        text = reader.alone(piece)
        if text is None:
            reader.feed(piece)
            found += drain(reader)
        else:
            found.append((framing.TEXT, text))
    return found


in_pieces = pytest.mark.parametrize("size", [1, 2, 5, 7, 2**20])
T, C, B, PING, PONG, CLOSE = (
    *(framing.TEXT, framing.CONTINUATION, framing.BINARY),
    *(framing.PING, framing.PONG, framing.CLOSE),
)


@in_pieces
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (frame(b"a"), [(T, "a")]),
        (frame(), [(T, "")]),
        (frame(b"x" * 125) + frame(b"y" * 126), [(T, "x" * 125), (T, "y" * 126)]),
        (frame("\u20ac\U0001f600".encode()), [(T, "\u20ac\U0001f600")]),
        (frame(b"\0\xff", B), [(B, b"\0\xff")]),
        (frame(b"a", final=False) + frame(b"b", C), [(T, "ab")]),
        (frame(b"\xe2", final=False) + frame(b"\x82\xac", C), [(T, "\u20ac")]),
        (frame(final=False) + frame(b"", C, final=False) + frame(b"a", C), [(T, "a")]),
        (frame(b"\xff", B, final=False) + frame(b"\xfe", C), [(B, b"\xff\xfe")]),
        (
            frame(b"a", final=False) + frame(b"!", PING) + frame(b"b", C) + frame(b"c"),
            [(PING, b"!"), (T, "ab"), (T, "c")],
        ),
        (frame(b"z" * 125, PONG) + frame(b"", PING), [(PONG, b"z" * 125), (PING, b"")]),
        (frame(b"\x03\xe8bye", CLOSE), [(CLOSE, b"\x03\xe8bye")]),
    ],
)
def test_allowed(data: bytes, found: list[tuple[int, object]], size: int) -> None:
    assert read(data, size) == found


@pytest.mark.parametrize("size", [1460, 4096, 2**20])
@pytest.mark.parametrize("length", [65_535, 65_536, LIMIT])
@pytest.mark.parametrize("mask", [MASK, bytes(4), b"mask"])
def test_long(length: int, size: int, mask: bytes) -> None:
    """Behind some masks a length of eight bytes and what follows it could be read as a text."""
    text = "x" * length
    assert read(frame(text.encode(), mask=mask) + frame(b"a"), size) == [(T, text), (T, "a")]


@in_pieces
@pytest.mark.parametrize("before", [b"", frame(b"first"), frame(b"part", final=False)])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        *((frame(b"a", reserved=bit), 1002) for bit in (1, 2, 4)),
        *((frame(b"a", kind), 1002) for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        (frame(b"a", masked=False), 1002),
        (frame(b"a", PING, masked=False), 1002),
        (frame(b"a", PING, final=False), 1002),
        (frame(b"", CLOSE, final=False), 1002),
        (frame(b"a" * 126, PING), 1002),
        (frame(b"a" * 126, CLOSE), 1002),
        # A length that could be written in fewer bytes, and one with its highest bit set (5.2).
        (frame(b"a" * 125, length=b"\x7e\x00\x7d"), 1002),
        (frame(b"a", length=b"\x7f" + struct.pack(">Q", 1)), 1002),
        (frame(b"a", length=b"\x7f" + struct.pack(">Q", 65_535)), 1002),
        (frame(b"a", length=b"\x7f" + struct.pack(">Q", 1 << 63)), 1002),
    ],
)
def test_not_allowed(data: bytes, code: int, before: bytes, size: int) -> None:
    with pytest.raises(BrokenFrame) as broken:
        read(before + data + frame(b"late"), size)
    assert broken.value.code == code


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        ([frame(b"a"), frame(b"b")], ["a", "b"]),
        ([frame(b"a" * 125), frame(b"b" * 126)], ["a" * 125, None]),
        ([frame(b"a", final=False), frame(b"b")], [None, None]),
        ([frame(b"abc")[:7], frame(b"b")], [None, None]),
        ([frame(b"a") + frame(b"b"), frame(b"a")[:-1], b""], [None, None, None]),
        ([frame(b"a", masked=False), frame(b"abcd", masked=False)], [None, None]),
        ([frame(b"a", B), frame(b"\xff")], [None, None]),
        ([frame(b"a", reserved=4)], [None]),
    ],
)
def test_one_text_alone(pieces: list[bytes], found: list[str | None]) -> None:
    """Only what is whole, and neither within a message nor behind the half of a frame."""
    reader = FrameReader(LIMIT)
    for piece, text in zip(pieces, found, strict=True):
        assert reader.alone(piece) == text
        if text is None:
            reader.feed(piece)
            reader.texts(3)
            with contextlib.suppress(BrokenFrame):
                reader.next()


@pytest.mark.parametrize("length", [0, 5, 125, 126, 65_535, 65_536])
def test_unmasked_that_could_be_masked(length: int) -> None:
    """What its bytes say is no matter: a frame without a mask fails as it comes."""
    reader = FrameReader(LIMIT)
    reader.feed(frame(bytes(length), masked=False) + bytes(400))
    assert reader.texts(3) == []
    with pytest.raises(BrokenFrame) as broken:
        reader.next()
    assert broken.value.code == 1002


@in_pieces
@pytest.mark.parametrize(
    "data",
    [
        frame(b"a", C),
        frame(b"a") + frame(b"b", C),
        frame(b"a", final=False) + frame(b"b"),
        frame(b"", final=False) + frame(b"b"),
        frame(b"", final=False) + frame(b"b", B),
        frame(b"a", B, final=False) + frame(b"b", final=False),
        frame(b"a", final=False) + frame(b"b", C) + frame(b"c", C),
    ],
)
def test_fragments_out_of_order(data: bytes, size: int) -> None:
    """RFC 6455, 5.4."""
    with pytest.raises(BrokenFrame) as broken:
        read(data, size)
    assert broken.value.code == 1002


BAD = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88", b"a\x80", b"\xe2a"]


@pytest.mark.parametrize("bad", BAD)
def test_bad_utf8_is_judged_as_it_comes(bad: bytes) -> None:
    """RFC 6455, 8.1: at once, whether its frame or its message is complete or not."""
    for data in (
        frame(b"so far" + bad),
        frame(bad + b"more", final=False),
        frame(b"good", final=False) + frame(bad, C, final=False),
        frame(bad + b"x" * 1000)[: 6 + 2 + len(bad)],
    ):
        for size in (1, 2**20):
            with pytest.raises(BrokenFrame) as broken:
                read(data, size)
            assert broken.value.code == 1007


@pytest.mark.parametrize("cut", [b"\xe2\x82", b"\xf0\x9f\x98"])
def test_text_that_ends_within_a_character(cut: bytes) -> None:
    for data in (frame(cut), frame(cut, final=False) + frame(b"", C)):
        for size in (1, 2**20):
            with pytest.raises(BrokenFrame) as broken:
                read(data, size)
            assert broken.value.code == 1007


@pytest.mark.parametrize("limit", [0, 5, 125, 126, 65_535, 65_536])
def test_limit(limit: int) -> None:
    """The head tells: nothing of what is too long has to arrive."""
    text = "x" * limit
    assert read(frame(text.encode()), limit=limit) == [(T, text)]
    half = text.encode()[limit // 2 :]
    fragments = frame(text.encode()[: limit // 2], final=False) + frame(half, C)
    assert read(fragments, limit=limit) == [(T, text)]
    for data in (
        frame(text.encode() + b"x")[:14],
        frame(text.encode(), final=False) + frame(b"x", C)[:6],
    ):
        with pytest.raises(BrokenFrame) as broken:
            read(data, limit=limit)
        assert broken.value.code == 1009


def test_a_silent_connection_keeps_nothing() -> None:
    reader = FrameReader(LIMIT)
    for data in (frame(b"a" * 1000), frame(b"", PING), frame(b"b" * 1000)[:700]):
        reader.feed(data)
        drain(reader)
        assert reader.unread == 0
        assert reader._data == b""


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, ""),
        *((struct.pack(">H", code), code, "") for code in (1000, 1001, 1003, 1007, 1011, 1014)),
        *((struct.pack(">H", code) + b"bye", code, "bye") for code in (3000, 3999, 4000, 4999)),
        (b"\x03\xe8" + "\u20ac".encode(), 1000, "\u20ac"),
    ],
)
def test_close(payload: bytes, code: int, reason: str) -> None:
    assert read_close(payload) == (code, reason)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        *(
            (struct.pack(">H", code), 1002)
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
        ),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_close_that_must_not_be(payload: bytes, code: int) -> None:
    """RFC 6455, 7.4: codes that are reserved, or that nobody has given a meaning."""
    with pytest.raises(BrokenFrame) as broken:
        read_close(payload)
    assert broken.value.code == code


def test_control_frame() -> None:
    assert control_frame(PONG, b"now") == b"\x8a\x03now"


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_unmasking(payload: bytes, mask: bytes) -> None:
    """RFC 6455, 5.3; with and without aiohttp's help."""
    expected = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    assert aiohttp_parts.unmasked(payload, mask) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp_parts, "websocket_mask", None)
        assert aiohttp_parts.unmasked(payload, mask) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["\u00fc", "", "abc", "\U0001f600x", "y" * 200]), st.integers(0, 3)
        ),
        max_size=5,
    ),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_any_cut_of_any_fragments(texts: list[tuple[str, int]], cuts: list[int]) -> None:
    data = b""
    for text, fragments in texts:
        raw = text.encode()
        step = len(raw) // (fragments + 1) + 1
        parts = [raw[i : i + step] for i in range(0, max(1, len(raw)), step)]
        for number, part in enumerate(parts):
            kind = C if number else T
            data += frame(part, kind, final=number == len(parts) - 1) + frame(b"", PING)
    reader, found, place = FrameReader(LIMIT), [], 0
    for step in cuts * (len(data) // sum(cuts) + 1):
        reader.feed(data[place : place + step])
        place += step
        found += drain(reader)
    assert [text for kind, text in found if kind == T] == [text for text, _ in texts]
