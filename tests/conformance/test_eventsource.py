"""eventsource (EventSource)."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from tests.conformance.wire import Client, assert_cors, assert_not_cached, messages_of

END = b"\r\n\r\n"


@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_transport(client: Client, endpoint: str) -> None:
    """EventSource: an empty line as prelude, then an event per frame.

    sockjs-wire.md asks for the content type without a charset; the published text has one.
    """
    session = client.session(endpoint, "eventsource")
    answer = session.attach()
    assert answer.status == 200
    assert answer["Content-Type"] == "text/event-stream"
    assert_cors(answer)
    assert_not_cached(answer)
    assert answer.part(b"\r\n") == b"\r\n"
    assert answer.part(END) == b"data: o\r\n\r\n"
    session.send("x")
    assert answer.part(END) == b'data: a["x"]\r\n\r\n'


def test_control_characters(client: Client) -> None:
    """EventSource: leading spaces, NUL and line ends stay within the one data line."""
    session = client.session("/echo", "eventsource")
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    session.send("  \0\n\r ")
    assert answer.part(END) == b'data: a["  \\u0000\\n\\r "]\r\n\r\n'


@pytest.mark.parametrize("text", ["100%", "%41", "%80", "%", "%25", "%%", "%E4%F6", "50%\r\n%0"])
def test_percent_signs(client: Client, text: str) -> None:
    """The client URI-decodes the data, so ``%`` is sent as ``%25``."""
    session = client.session("/echo", "eventsource")
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    session.send(text)
    data = answer.part(END).decode().removeprefix("data: ").removesuffix(END.decode())
    assert messages_of(unquote(data, errors="strict")) == [text]
    assert data.count("%") == data.count("%25")
