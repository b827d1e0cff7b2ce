"""`sockjs_bridge.core.transports`: each transport's framing, decoded as its client does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.core import protocol
from sockjs_bridge.core.transports import NAMES, RAW_WEBSOCKET, RECEIVING, SENDING, WEBSOCKET
from tests.support import BY_NAME, FRAMED, HTTP, TEXT, decode_uri, texts, unwrap, utf16

JAVASCRIPT = "application/javascript; charset=UTF-8"
INJECTION = "</script><script>alert(1)</script>"


@pytest.mark.parametrize(
    ("action", "name", "method", "content_type", "streaming", "callback"),
    [
        ("xhr", "xhr-polling", "POST", JAVASCRIPT, False, False),
        ("xhr_streaming", "xhr-streaming", "POST", JAVASCRIPT, True, False),
        ("eventsource", "eventsource", "GET", "text/event-stream", True, False),
        ("htmlfile", "htmlfile", "GET", "text/html; charset=UTF-8", True, True),
        ("jsonp", "jsonp-polling", "GET", JAVASCRIPT, False, True),
    ],
)
def test_receiving_transports(
    action: str, name: str, method: str, content_type: str, streaming: bool, callback: bool
) -> None:
    """The table of the receiving transports."""
    transport = RECEIVING[action]
    assert (transport.name, transport.method, transport.content_type) == (
        name,
        method,
        content_type,
    )
    assert (transport.streaming, transport.takes_callback) == (streaming, callback)
    assert not transport.websocket
    assert transport.control_frames


def test_websockets() -> None:
    assert WEBSOCKET.websocket
    assert WEBSOCKET.control_frames
    assert RAW_WEBSOCKET.websocket
    assert not RAW_WEBSOCKET.control_frames


def test_names() -> None:
    """The setting's names are the transports' names, each once."""
    assert sorted(NAMES) == sorted(BY_NAME)


def test_every_http_transport_has_its_sender() -> None:
    served = [name for sending in SENDING.values() for name in sending.serves]
    assert sorted(served) == HTTP


def test_sending_transports() -> None:
    """xhr_send: 204 and empty; jsonp_send: 200 `ok`."""
    xhr, jsonp = SENDING["xhr_send"], SENDING["jsonp_send"]
    assert (xhr.status, xhr.body, xhr.text(b'["a"]', "any/thing")) == (204, b"", '["a"]')
    assert (jsonp.status, jsonp.body) == (200, b"ok")
    assert jsonp.text(b'd=["a"]', "application/x-www-form-urlencoded") == '["a"]'


# Preludes


@pytest.mark.parametrize(
    ("name", "prelude"),
    [
        ("xhr-polling", b""),
        ("xhr-streaming", b"h" * 2048 + b"\n"),
        ("eventsource", b"\r\n"),
        ("jsonp-polling", b""),
        ("websocket", b""),
        ("raw-websocket", b""),
    ],
)
def test_prelude(name: str, prelude: bytes) -> None:
    assert BY_NAME[name].prelude("cb") == prelude


@pytest.mark.parametrize("callback", ["c", "x" * 32])
def test_prelude_of_htmlfile(callback: str) -> None:
    """htmlfile: a page head padded to more than 1024 bytes, that calls the parent's callback."""
    prelude = BY_NAME["htmlfile"].prelude(callback)
    assert len(prelude) > 1024
    assert prelude.lower().startswith(b"<!doctype html>")
    assert b"var c = parent.%b;" % callback.encode() in prelude
    assert prelude.count(b"<script>") == prelude.count(b"</script>") == 1


# Frames


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("xhr-polling", b'a["x"]\n'),
        ("xhr-streaming", b'a["x"]\n'),
        ("eventsource", b'data: a["x"]\r\n\r\n'),
        ("htmlfile", b'<script>\np("a[\\"x\\"]");\n</script>\r\n'),
        ("jsonp-polling", b'/**/cb("a[\\"x\\"]");\r\n'),
        ("websocket", b'\x81\x06a["x"]'),
    ],
)
def test_frame_on_the_wire(name: str, data: bytes) -> None:
    assert BY_NAME[name].frame(b'a["x"]', "cb") == data


@pytest.mark.parametrize("name", FRAMED)
@given(messages=st.lists(TEXT, min_size=1, max_size=4))
def test_messages_come_back(name: str, messages: list[str]) -> None:
    """Every message arrives as it was, whatever the framing is sensitive to."""
    transport = BY_NAME[name]
    text = transport.pack([transport.encode(message) for message in messages])
    (frame,) = unwrap(transport, transport.frame(text, "cb"))
    assert frame[0] == "a"
    assert [utf16(message) for message in protocol.decode_messages(frame[1:])] == [
        utf16(message) for message in messages
    ]


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_messages_of_a_raw_websocket_come_back(messages: list[str]) -> None:
    """Raw WebSocket: a frame for each message, no framing of ours; lone surrogates are replaced."""
    data = RAW_WEBSOCKET.frame(RAW_WEBSOCKET.pack([*map(RAW_WEBSOCKET.encode, messages)]), "")
    assert texts(data) == [utf16(text).decode("utf-16-le", "replace") for text in messages]


@pytest.mark.parametrize("name", FRAMED)
@given(code=st.integers(1000, 4999), reason=TEXT)
def test_close_frames_come_back(name: str, code: int, reason: str) -> None:
    transport = BY_NAME[name]
    text = protocol.close_frame(code, reason)
    assert unwrap(transport, transport.frame(text, "cb")) == [text.decode()]


@pytest.mark.parametrize("name", FRAMED)
@pytest.mark.parametrize("frame", [protocol.OPEN, protocol.HEARTBEAT])
def test_control_frames_come_back(name: str, frame: bytes) -> None:
    transport = BY_NAME[name]
    assert unwrap(transport, transport.frame(frame, "cb")) == [frame.decode()]


@pytest.mark.parametrize("name", ["eventsource"])
@pytest.mark.parametrize(
    ("raw", "escaped"),
    [(b"%41", b"%2541"), (b"%80", b"%2580"), (b"\r\n\0", b"%0D%0A%00"), (b"#?/", b"#?/")],
)
def test_escapes_of_eventsource(name: str, raw: bytes, escaped: bytes) -> None:
    """C URI-decodes the data: `%` is sent as `%25`; CR, LF and NUL are encoded too."""
    assert BY_NAME[name].frame(raw, "") == b"data: " + escaped + b"\r\n\r\n"
    assert decode_uri(escaped.decode()) == raw.decode()


@pytest.mark.parametrize("message", [INJECTION, "</SCRIPT\t>", "<!--<script>", "<!-- <ScRiPt "])
def test_script_injection_by_htmlfile(message: str) -> None:
    """No message ends its script element, nor keeps the element from ending.

    `<!--` with `<script` makes a browser pass over the next `</script>` (HTML, 13.2.5.17).
    """
    transport = BY_NAME["htmlfile"]
    data = transport.frame(protocol.array_frame([protocol.quote(message)]), "cb")
    assert data.startswith(b"<script>")
    assert data.endswith(b"</script>\r\n")
    assert data.count(b"<") == 2
    assert unwrap(transport, data) == [protocol.array_frame([protocol.quote(message)]).decode()]


def test_callback_is_called() -> None:
    assert BY_NAME["jsonp-polling"].frame(b"o", "a.b-c_9") == b'/**/a.b-c_9("o");\r\n'


@pytest.mark.parametrize(
    ("name", "text", "messages"),
    [
        ("websocket", '["a","b"]', ["a", "b"]),
        ("websocket", '"a"', ["a"]),
        ("websocket", "", []),
        ("raw-websocket", '["a"]', ['["a"]']),
        ("raw-websocket", "", [""]),
        *((name, '["a","b"]', ["a", "b"]) for name in HTTP),
    ],
)
def test_the_way_in(name: str, text: str, messages: list[str]) -> None:
    assert BY_NAME[name].decode(text) == messages


@pytest.mark.parametrize("name", ["websocket", *HTTP])
@pytest.mark.parametrize("text", ["{", "1", '["a",1]'])
def test_what_is_no_message(name: str, text: str) -> None:
    with pytest.raises(protocol.PayloadError):
        BY_NAME[name].decode(text)


@pytest.mark.parametrize("name", HTTP)
def test_over_http_a_bare_string_is_no_message(name: str) -> None:
    with pytest.raises(protocol.PayloadError, match="Payload expected"):
        BY_NAME[name].decode('"a"')
