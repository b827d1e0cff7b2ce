"""`sockjs_bridge.core.protocol`: the wire format."""

from __future__ import annotations

import json
import struct
from urllib.parse import quote as percent
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockjs_bridge.core import protocol
from sockjs_bridge.core.protocol import PayloadError, Target
from tests.support import TEXT, texts, utf16

FORM = "application/x-www-form-urlencoded"
EXPECTED = "Payload expected."
BROKEN = "Broken JSON encoding."

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)

# JSON Unicode encoding: these must be escaped.
MUST_BE_ESCAPED = [
    *range(0x20),
    *range(0x200C, 0x2010),
    *range(0x2028, 0x2030),
    *range(0x2060, 0x2070),
    *range(0xD800, 0xE000),
    *range(0xFFF0, 0x10000),
]


# Frames


def test_must_be_escaped() -> None:
    """JSON Unicode encoding: lower-case `uxxxx`, or JSON's short forms below 20."""
    short = {8: rb'"\b"', 9: rb'"\t"', 10: rb'"\n"', 12: rb'"\f"', 13: rb'"\r"'}
    for code in MUST_BE_ESCAPED:
        assert protocol.quote(chr(code)) == short.get(code, b'"\\u%04x"' % code)


@given(TEXT)
def test_quote_is_printable_ascii_and_comes_back(text: str) -> None:
    quoted = protocol.quote(text)
    assert all(0x20 <= byte < 0x7F for byte in quoted)
    assert utf16(json.loads(quoted)) == utf16(text)


@given(TEXT)
def test_quote_is_one_string(text: str) -> None:
    """Nothing in a message ends its string: an array of them has as many members."""
    assert len(json.loads(b"[%b,%b]" % (protocol.quote(text), protocol.quote(text)))) == 2


def test_quote_takes_strings_only() -> None:
    with pytest.raises(TypeError):
        protocol.quote(b"bytes")  # type: ignore[arg-type]


@given(st.lists(TEXT))
def test_array_frame_comes_back(messages: list[str]) -> None:
    frame = protocol.array_frame(map(protocol.quote, messages))
    assert frame[:2] == b"a["
    assert [utf16(text) for text in protocol.decode_messages(frame[1:].decode())] == [
        utf16(text) for text in messages
    ]


def test_array_frame_on_the_wire() -> None:
    """Protocol: frames: `a["x","y"]` without blanks."""
    assert protocol.array_frame([b'"x"', b'"y"']) == b'a["x","y"]'


def test_close_frame_on_the_wire() -> None:
    assert protocol.close_frame(3000, "Go away!") == b'c[3000,"Go away!"]'


@given(st.integers(1000, 4999), TEXT)
def test_close_frame_comes_back(code: int, reason: str) -> None:
    frame = protocol.close_frame(code, reason)
    assert frame[:1] == b"c"
    code_back, reason_back = json.loads(frame[1:])
    assert (code_back, utf16(reason_back)) == (code, utf16(reason))


def test_control_frames() -> None:
    assert (protocol.OPEN, protocol.HEARTBEAT) == (b"o", b"h")


def test_named_closes() -> None:
    """The codes and reasons that clients know."""
    assert protocol.close_frame(*protocol.ALREADY_OPEN) == (
        b'c[2010,"Another connection still open"]'
    )
    assert protocol.close_frame(*protocol.INTERRUPTED) == b'c[1002,"Connection interrupted"]'
    assert protocol.close_frame(*protocol.GO_AWAY) == b'c[3000,"Go away!"]'
    assert protocol.close_frame(*protocol.NO_HEARTBEAT) == b'c[3000,"No response from heartbeat"]'
    assert protocol.close_frame(*protocol.BROKEN_FRAMING) == b'c[3000,"Broken framing."]'
    assert protocol.close_frame(*protocol.SLOW_CONSUMER) == b'c[4008,"Slow consumer"]'
    assert protocol.NORMAL[0] == 1000


# WebSocket


@given(TEXT)
@example("\ufeff\ud800")
@example("\ud83d\ude00")
def test_utf8_replaces_lone_surrogates_only(text: str) -> None:
    """RFC 6455, 5.6: text is UTF-8, where no surrogate can be."""
    expected = utf16(text).decode("utf-16-le", "replace")
    assert protocol.utf8(text).decode() == expected
    assert len(utf16(expected)) == len(utf16(text))


def test_utf8_keeps_the_last_code_point() -> None:
    """Raw WebSocket: U+FFFF round-trips."""
    assert protocol.utf8("\uffff") == b"\xef\xbf\xbf"


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f" + struct.pack(">Q", 65536)),
    ],
)
def test_websocket_text_lengths(size: int, head: bytes) -> None:
    """RFC 6455, 5.2: the shortest of the three lengths; final, unmasked."""
    assert protocol.websocket_text(b"x" * size) == head + b"x" * size


@given(st.lists(st.text()))
def test_websocket_texts_are_frames_of_their_own(payloads: list[str]) -> None:
    assert texts(protocol.websocket_texts(text.encode() for text in payloads)) == payloads


def test_websocket_ping() -> None:
    """RFC 6455, 5.5.2."""
    assert protocol.WEBSOCKET_PING == b"\x89\x00"


# Payloads


def decode_messages(body: bytes) -> list[str]:
    """Decode the body of an xhr_send."""
    return protocol.decode_messages(protocol.body_text(body))


def decode_form(body: bytes, content_type: str) -> list[str]:
    """Decode the body of a jsonp_send."""
    return protocol.decode_messages(protocol.form_text(body, content_type))


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b"[]", []),
        (b'["a"]', ["a"]),
        (b' [ "a" ,\n"b" ] ', ["a", "b"]),
        (b'["\\ud800"]', ["\ud800"]),
        ('["\N{SNOWMAN}\uffff"]'.encode(), ["\N{SNOWMAN}\uffff"]),
        (b'[""]', [""]),
    ],
)
def test_decode_messages(body: bytes, messages: list[str]) -> None:
    assert decode_messages(body) == messages


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", EXPECTED),
        (b'"abc"', EXPECTED),
        (b"{}", EXPECTED),
        (b'{"a": "b"}', EXPECTED),
        (b"1", EXPECTED),
        (b"null", EXPECTED),
        (b"[1]", EXPECTED),
        (b'["a", null]', EXPECTED),
        (b'[["a"]]', EXPECTED),
        (b'[{"a": "b"}]', EXPECTED),
        (b"[NaN]", EXPECTED),
        (b" ", BROKEN),
        (b'["a', BROKEN),
        (b'["a"]]', BROKEN),
        (b'["a\n"]', BROKEN),
        (b"\xff", BROKEN),
        (b'["\xc3"]', BROKEN),
        (b'["\xed\xa0\x80"]', BROKEN),
        (b"\xef\xbb\xbf[]", BROKEN),
        (b"[" * 100_000, BROKEN),
        (b"[" + b"9" * 10_000 + b"]", BROKEN),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_decode_messages_refuses(body: bytes, complaint: str) -> None:
    """Protocol: xhr_send; defect 11: strings, objects and non-strings are not messages."""
    with pytest.raises(PayloadError) as caught:
        decode_messages(body)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", []),
        ("[]", []),
        ('"abc"', ["abc"]),
        ('""', [""]),
        ('["a","b"]', ["a", "b"]),
    ],
)
def test_decode_websocket(text: str, messages: list[str]) -> None:
    """Protocol: websocket: an array or one bare string; the empty text is no message."""
    assert protocol.decode_websocket(text) == messages


@pytest.mark.parametrize("text", ["1", "{}", "[1]", '["a",["b"]]', '["a', " ", "a", "null", "true"])
def test_decode_websocket_refuses(text: str) -> None:
    with pytest.raises(PayloadError):
        protocol.decode_websocket(text)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_decode_messages_returns_strings_or_complains(body: bytes) -> None:
    try:
        messages = decode_messages(body)
    except PayloadError as error:
        assert str(error) in (EXPECTED, BROKEN)
    else:
        assert messages == json.loads(body)
        assert all(type(message) is str for message in messages)


@given(st.text() | JSON.map(json.dumps))
def test_decode_websocket_returns_strings_or_complains(text: str) -> None:
    try:
        messages = protocol.decode_websocket(text)
    except PayloadError as error:
        assert str(error) in (EXPECTED, BROKEN)
    else:
        assert messages == [] or json.loads(text) in (messages, messages[0])
        assert all(type(message) is str for message in messages)


@given(
    st.binary() | st.binary().map(lambda body: b"d=" + body),
    st.sampled_from([FORM, "text/plain", ""]) | st.text(),
)
def test_decode_form_returns_strings_or_complains(body: bytes, content_type: str) -> None:
    try:
        messages = decode_form(body, content_type)
    except PayloadError as error:
        assert str(error) in (EXPECTED, BROKEN)
    else:
        assert all(type(message) is str for message in messages)


@given(st.lists(TEXT))
def test_decode_form_reads_what_a_form_sends(messages: list[str]) -> None:
    """Protocol: jsonp_send: field `d` of a form."""
    body = urlencode({"d": json.dumps(messages)}).encode()
    assert [utf16(text) for text in decode_form(body, FORM)] == [utf16(text) for text in messages]


@pytest.mark.parametrize(
    "content_type", [FORM, FORM.upper(), f"{FORM}; charset=UTF-8", f" {FORM} ;charset=utf-8"]
)
def test_content_types_of_a_form(content_type: str) -> None:
    assert decode_form(b"d=%5B%22a+%2B%22%5D", content_type) == ["a +"]


def test_form_may_hold_other_fields() -> None:
    assert decode_form(b"x=1&d=%5B%22a%22%5D&y", FORM) == ["a"]


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=UTF-8", "", "a/b"])
def test_raw_body_of_a_jsonp_send(content_type: str) -> None:
    assert decode_form(b'["d=%41"]', content_type) == ["d=%41"]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", EXPECTED),
        (b"d", EXPECTED),
        (b"d=", EXPECTED),
        (b"x=%5B%22a%22%5D", EXPECTED),
        (b"d=%22a%22", EXPECTED),
        (b"&".join([b"d=%5B%5D"] * 65), EXPECTED),
        (b"d=%5B%22a", BROKEN),
        (b"d=%ff", BROKEN),
        (b"d=%5B%22%ED%A0%80%22%5D", BROKEN),
        (b"d=\xff", BROKEN),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_decode_form_refuses(body: bytes, complaint: str) -> None:
    with pytest.raises(PayloadError) as caught:
        decode_form(body, FORM)
    assert str(caught.value) == complaint


# URLs

ACTIONS = [
    *("websocket", "xhr", "xhr_send", "xhr_streaming"),
    *("eventsource", "htmlfile", "jsonp", "jsonp_send"),
]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("action", ACTIONS)
def test_session_url(action: str, slash: str) -> None:
    """`/{server}/{session}/{transport}`; N: one trailing slash is allowed."""
    found = [*protocol.targets(f"/base/000/abc/{action}{slash}")]
    assert found[0] == Target("/base", action, "abc")


@pytest.mark.parametrize("session_id", ["a", "%20", "a%2Fb", "0-_~!$&'()*+,;=:@", "\n", "é"])
def test_session_id_is_any_value_without_a_dot(session_id: str) -> None:
    assert next(protocol.targets(f"/base/s/{session_id}/xhr")) == Target("/base", "xhr", session_id)


@pytest.mark.parametrize(
    "path",
    [
        "/base/a.b/c/xhr",
        "/base/a/b.c/xhr",
        "/base//c/xhr",
        "/base/a//xhr",
        "/base/a/b/xhr//",
        "/base/a/b/XHR",
        "/base/a/b/xhrx",
        "/base/a/b/xhr/c",
        "/base/a/b/",
        "/base/a",
    ],
)
def test_no_session_url(path: str) -> None:
    """URLs: dots, empty parts, `//`, extra segments are no session's."""
    assert not [target for target in protocol.targets(path) if target.session_id]
    assert not [target for target in protocol.targets(path) if target.base == "/base"]


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/base", "greeting"),
        ("/base/", "greeting"),
        ("/base/info", "info"),
        ("/base/info/", "info"),
        ("/base/websocket", "raw-websocket"),
        ("/base/websocket/", "raw-websocket"),
        ("/base/iframe.html", "iframe"),
        ("/base/iframe-1.2_a.html", "iframe"),
        ("/base/iframe0-9-.a-z_.html", "iframe"),
    ],
)
def test_other_urls(path: str, action: str) -> None:
    assert Target("/base", action) in protocol.targets(path)


@pytest.mark.parametrize(
    "name",
    [
        *("iframe.htm", "iframe", "IFRAME.HTML", "IFRAME", "iframe.HTML"),
        *("iframe.xml", "iframe-/.html", "iframeA.html", "iframe-Ä.html", "xiframe.html"),
    ],
)
def test_no_iframe(name: str) -> None:
    """`/iframe[0-9-.a-z_]*.html`, case-sensitive."""
    assert "iframe" not in [target.action for target in protocol.targets(f"/base/{name}")]


def test_longest_suffix_first() -> None:
    """Which one is meant is told by the endpoints that exist."""
    assert [*protocol.targets("/a/b/c/websocket/")] == [
        Target("/a", "websocket", "c"),
        Target("/a/b/c", "raw-websocket"),
        Target("/a/b/c/websocket/", "greeting"),
        Target("/a/b/c/websocket", "greeting"),
    ]


def test_root_may_be_an_endpoint() -> None:
    assert next(protocol.targets("/0/s/xhr")) == Target("", "xhr", "s")
    assert Target("", "info") in protocol.targets("/info")
    assert Target("", "greeting") in protocol.targets("/")


@given(st.text(alphabet="/.%aeifhmnorst_x \n") | st.text())
def test_any_path_has_targets_above_it(path: str) -> None:
    found = [*protocol.targets(path)]
    assert Target(path, "greeting") in found
    assert all(path.startswith(target.base) for target in found)
    assert len({target.action for target in found}) >= len(found) - 1


@given(st.lists(st.text(min_size=1).map(lambda text: percent(text, safe="").replace(".", "%2E"))))
def test_base_is_the_rest(parts: list[str]) -> None:
    """The base may hold anything, slashes too."""
    base = "".join(f"/{part}" for part in parts)
    assert next(protocol.targets(f"{base}/0/s/jsonp_send")) == Target(base, "jsonp_send", "s")


# Callbacks


@pytest.mark.parametrize("name", ["c", "_jp.a1b2", "a-b_c.D9", "x" * 32])
def test_valid_callback(name: str) -> None:
    assert protocol.valid_callback(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 33, "a b", "a(b", "a\n", "é", "٣", "a;b", "<", "%63", "a/*", "$"]
)
def test_invalid_callback(name: str) -> None:
    """`[a-zA-Z0-9-_.]`, at most 32 characters; script injection otherwise."""
    assert not protocol.valid_callback(name)
