"""What is escaped, and what survives (JSONEncoding)."""

from __future__ import annotations

import json
import re

import pytest

from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    Client,
    WebSocketSession,
    messages_of,
    open_session,
)

ALL = [*HTTP_TRANSPORTS, "websocket"]
RANGES = [(0x200C, 0x200F), (0x2028, 0x202F), (0x2060, 0x206F), (0xD800, 0xDFFF), (0xFFF0, 0xFFFF)]
KILLERS = "".join(chr(code) for first, last in RANGES for code in range(first, last + 1))
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KILLERS)
WITHOUT_SURROGATES = "".join(c for c in KILLERS if not "\ud800" <= c <= "\udfff")


@pytest.mark.parametrize("name", ["xhr", "websocket"])
def test_server_escapes(client: Client, name: str) -> None:
    """JSONEncoding: dangerous characters leave as lower-case ``\\uxxxx``, sent raw or escaped."""
    session = open_session(client, "/echo", name)
    raw = '["' + WITHOUT_SURROGATES + '"]'
    if isinstance(session, WebSocketSession):
        session.socket.send(raw)
    else:
        assert session.post(raw).status == 204
    expected = "".join(f"\\u{ord(character):04x}" for character in WITHOUT_SURROGATES)
    assert session.receive() == f'a["{expected}"]'


@pytest.mark.parametrize("name", ALL)
def test_lone_surrogates_survive(client: Client, name: str) -> None:
    """Surrogates that form no pair come back as the same escapes."""
    session = open_session(client, "/echo", name)
    # Falling order, so that no two of them make a pair.
    surrogates = "".join(f"\\u{code:04x}" for code in range(0xDFFF, 0xD7FF, -1))
    session_send_raw(session, f'["{surrogates}"]')
    assert session.receive() == f'a["{surrogates}"]'


@pytest.mark.parametrize("name", ALL)
def test_control_characters(client: Client, name: str) -> None:
    """00-1f leave escaped, in JSON's short forms or as ``\\u00xx``, and survive."""
    session = open_session(client, "/echo", name)
    controls = "".join(map(chr, range(0x20)))
    session.send(controls)
    frame = session.receive()
    assert messages_of(frame) == [controls]
    assert re.fullmatch(r'a\["(\\[bfnrt]|\\u00[01][0-9a-f]){32}"\]', frame)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "text",
    [
        "\u00e4\u00f6\u00fc \u0416 \u4f60\u597d \u0627",
        "\U0001f600\U0010ffff\U00010000",
        "quote \" backslash \\ slash / <>&'",
        "\x7f\x80\x9f\xad\u0600\u17b4\ufeff",
    ],
)
def test_round_trip(client: Client, name: str, text: str) -> None:
    """Any string survives, whether it was sent raw or escaped."""
    session = open_session(client, "/echo", name)
    session_send_raw(session, json.dumps([text], ensure_ascii=False))
    assert messages_of(session.receive()) == [text]
    session_send_raw(session, json.dumps([text], ensure_ascii=True))
    assert messages_of(session.receive()) == [text]


@pytest.mark.parametrize("name", ["xhr", "websocket"])
def test_server_decodes_all_escapes(client: Client, name: str) -> None:
    """JSONEncoding: every escape that the browser's client may send is decoded."""
    session = open_session(client, "/echo", name)
    for start in range(0, 0x10000, 0x1000):
        codes = [code for code in range(start, start + 0x1000) if not 0xD800 <= code <= 0xDFFF]
        if codes:
            session_send_raw(session, '["' + "".join(f"\\u{code:04x}" for code in codes) + '"]')
            assert messages_of(session.receive()) == ["".join(map(chr, codes))]


def session_send_raw(session: object, payload: str) -> None:
    """Send a payload that the test has encoded itself."""
    if isinstance(session, WebSocketSession):
        session.socket.send(payload)
    else:
        assert session.post(payload).status in (200, 204)  # type: ignore[attr-defined]
