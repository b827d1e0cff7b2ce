"""`sockjs_bridge.core.frames`: encoded once, framed once, for all who get the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sockjs_bridge.core.frames import Batch, Frames, make_frame
from tests.support import BY_NAME, STREAM, XHR, Recorder

every_transport = pytest.mark.parametrize("name", sorted(BY_NAME))


class Counting:
    """A transport that counts how often it encodes and frames."""

    def __init__(self, name: str) -> None:
        self.encoded = self.made = 0
        original = BY_NAME[name]
        self.transport = replace(
            original,
            frame=self.counted("made", original.frame),
            encode=self.counted("encoded", original.encode),
        )

    def counted(self, what: str, function: Callable[..., bytes]) -> Callable[..., bytes]:
        def count(*arguments: Any) -> bytes:
            setattr(self, what, getattr(self, what) + 1)
            return function(*arguments)

        return count


def batch_of(*texts: str) -> Batch:
    batch = Batch()
    for text in texts:
        batch.add(text)
    return batch


@every_transport
def test_frame(name: str) -> None:
    """Without and with the transport's wrapping."""
    transport = BY_NAME[name]
    messages = tuple(map(transport.encode, ("a", "“b”")))
    receiver = Recorder(transport)
    text, data = make_frame(messages, transport, receiver.callback)
    assert text == transport.pack(messages)
    receiver.write(data)
    assert receiver.messages == ["a", "“b”"]


# Frames that sessions share


@every_transport
def test_shared_frame(name: str) -> None:
    """It is made once for those who queued the same, and only for them."""
    counting = Counting(name)
    messages = tuple(map(counting.transport.encode, "ab"))
    shared = Frames()
    made = shared.get((name, messages), messages, counting.transport, "cb")
    again = shared.get((name, messages), messages, counting.transport, "cb")
    assert again == made == make_frame(messages, BY_NAME[name], "cb")
    assert counting.made == (2 if counting.transport.takes_callback else 1)
    assert shared.get((name, messages[:1]), messages[:1], counting.transport, "cb") != made
    assert len(shared) == 2
    shared.clear()
    assert len(shared) == 0
    assert shared.get((name, messages), messages, counting.transport, "cb") == made


def test_frames_that_are_not_shared() -> None:
    """Another transport or another callback wraps otherwise."""
    shared = Frames()
    messages = (b'"a"',)
    for name, callback in (
        ("jsonp-polling", "one"),
        ("jsonp-polling", "other"),
        ("eventsource", ""),
        ("xhr-polling", ""),
        ("xhr-streaming", ""),
    ):
        transport = BY_NAME[name]
        frame = shared.get((name, messages), messages, transport, callback)
        assert frame == make_frame(messages, transport, callback)
    # One for each transport: callbacks are the clients' own.
    assert len(shared) == 4


# Messages for many


@every_transport
def test_a_batch_is_encoded_and_framed_once(name: str) -> None:
    counting = Counting(name)
    transport = counting.transport
    batch = batch_of("a", "“b”")
    frames = [batch.frame(transport, "cb", 1000) for _ in range(3)]
    messages = [BY_NAME[name].encode(text) for text in ("a", "“b”")]
    assert frames == [make_frame(messages, BY_NAME[name], "cb")] * 3
    assert batch.messages(transport.encode) == messages
    assert counting.encoded == 2
    assert counting.made == (3 if transport.takes_callback else 1)


@every_transport
def test_what_is_added_is_framed_anew_and_alone_encoded(name: str) -> None:
    counting = Counting(name)
    transport = counting.transport
    batch = batch_of("a")
    assert batch.frame(transport, "cb", 1000) is not None
    batch.add("b")
    messages = [BY_NAME[name].encode(text) for text in "ab"]
    assert batch.frame(transport, "cb", 1000) == make_frame(messages, BY_NAME[name], "cb")
    assert counting.encoded == 2


@pytest.mark.parametrize(
    ("texts", "limit", "fits"),
    [
        # A message counts with its quotes, and the comma that follows it.
        (["aaaa", "bbbb"], 14, True),
        (["aaaa", "bbbb"], 13, False),
        (["a" * 100], 1, True),
        (["a" * 100, "b"], 50, False),
    ],
)
@pytest.mark.parametrize("grown", [False, True])
def test_a_frame_has_a_limit(texts: list[str], limit: int, fits: bool, grown: bool) -> None:
    """``response_limit`` holds for what leaves in one frame, unless it is one message."""
    batch = batch_of(*texts[:1])
    if grown:
        assert batch.messages(XHR.encode)
    for text in texts[1:]:
        batch.add(text)
    assert (batch.frame(XHR, "", limit) is not None) is fits


def test_transports_that_encode_alike_share_messages() -> None:
    batch = batch_of("a")
    assert batch.messages(XHR.encode) is batch.messages(STREAM.encode)
    assert batch.frame(BY_NAME["eventsource"], "", 100) != batch.frame(XHR, "", 100)


def test_much_does_not_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is one message."""
    monkeypatch.setattr(Batch, "MAX_SIZE", 10)
    batch = Batch()
    assert batch.has_room("x" * 100)
    batch.add("four")
    assert batch.has_room("four")
    assert not batch.has_room("and 1")
