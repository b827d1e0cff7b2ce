"""xhr and xhr_send (XhrPolling, Protocol)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import (
    FORM,
    JAVASCRIPT,
    Client,
    Session,
    assert_content_type,
    assert_cors,
    assert_not_cached,
    receive_messages,
)

ECHOES = pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])


@ECHOES
def test_transport(client: Client, endpoint: str) -> None:
    """XhrPolling: open, send, receive, with the headers of each answer."""
    session = client.session(endpoint)
    answer = session.attach()
    assert (answer.status, answer.body) == (200, b"o\n")
    assert_content_type(answer, JAVASCRIPT)
    assert_cors(answer)
    assert_not_cached(answer)

    answer = session.post('["x"]')
    assert (answer.status, answer.body) == (204, b"")
    assert_content_type(answer, "text/plain;charset=UTF-8")
    assert_cors(answer)
    assert_not_cached(answer)

    answer = session.attach()
    assert (answer.status, answer.body) == (200, b'a["x"]\n')


@pytest.mark.ours
def test_poll_has_a_content_length(client: Client) -> None:
    """A poll's response is one write with Content-Length (the reference sends it chunked)."""
    session = client.session("/echo")
    answer = session.attach()
    assert answer["Content-Length"] == "2"
    assert answer["Transfer-Encoding"] is None
    session.send("x")
    assert session.attach()["Content-Length"] == "7"


def test_messages_between_polls_leave_in_one_frame(client: Client) -> None:
    """A poll ends after one frame, which holds all that waited."""
    session = client.session("/script").open()
    session.run(["send", "a"], ["send", "b"])
    session.run(["send", "c"])
    assert receive_messages(session, 3) == ["a", "b", "c"]


def test_waiting_poll_gets_the_message(client: Client) -> None:
    """A poll that waits is answered as soon as there is something."""
    session = client.session("/echo").open()
    poll = session.wait()
    session.send("late")
    assert session.finish(poll) == 'a["late"]'


def test_several_messages_in_one_send(client: Client) -> None:
    """A send holds an array of messages; each is delivered, in order."""
    session = client.session("/echo").open()
    session.send("a", "b", "", "c")
    assert receive_messages(session, 4) == ["a", "b", "", "c"]


def test_unknown_session(client: Client) -> None:
    """XhrPolling: sending to a session that does not exist is 404, and does not create it."""
    session = client.session("/echo")
    assert session.post('["x"]').status == 404
    assert session.post('["x"]').status == 404
    assert session.receive() == "o"


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "Payload expected."),
        (b'["x', "Broken JSON encoding."),
        (b"[", "Broken JSON encoding."),
        (b"{]", "Broken JSON encoding."),
        pytest.param(b'["\xff"]', "Broken JSON encoding.", marks=pytest.mark.ours),
        pytest.param(b'["\xed\xa0\x80"]', "Broken JSON encoding.", marks=pytest.mark.ours),
        (b"[" * 20000, "Broken JSON encoding."),
    ],
)
def test_broken_payload(client: Client, payload: bytes, complaint: str) -> None:
    """XhrPolling: nothing, broken JSON and bad UTF-8 are 500, and the session lives on.

    The reference takes bad UTF-8 for U+FFFD; sockjs-wire.md asks for 500.
    """
    session = client.session("/echo").open()
    answer = session.post(payload)
    assert answer.status == 500
    assert complaint in answer.text
    assert_still_works(session)


@pytest.mark.parametrize(
    "payload", ['"abc"', '{"a":"b"}', "1", "null", "true", "[1]", '["a",1]', '[["a"]]', "[null]"]
)
@pytest.mark.ours
def test_anything_but_an_array_of_strings(client: Client, payload: str) -> None:
    """What is no array of strings is 500 ``Payload expected.``; nothing of it is delivered."""
    session = client.session("/echo").open()
    answer = session.post(payload)
    assert answer.status == 500
    assert "Payload expected." in answer.text
    assert_still_works(session)


def test_empty_array(client: Client) -> None:
    """``[]`` is valid and delivers nothing."""
    session = client.session("/echo").open()
    answer = session.post("[]")
    assert (answer.status, answer.body) == (204, b"")
    assert_still_works(session)


def test_content_types(client: Client) -> None:
    """XhrPolling: any request content type is accepted, and none at all."""
    types = [
        "text/plain",
        "T",
        "application/json",
        "application/xml",
        "",
        "application/json; charset=utf-8",
        "text/xml; charset=utf-8",
        "text/xml",
    ]
    session = client.session("/echo").open()
    for content_type in types:
        answer = client.post(session.url("xhr_send"), '["a"]', [("Content-Type", content_type)])
        assert (answer.status, answer.body) == (204, b""), content_type
        # A poll for each: the echo may come after the 204.
        assert receive_messages(session, 1) == ["a"], content_type


@pytest.mark.ours
def test_form_content_type(client: Client) -> None:
    """A body that calls itself a form is the messages all the same; the reference answers 500."""
    session = client.session("/echo").open()
    assert client.post(session.url("xhr_send"), '["a"]', [FORM]).status == 204
    assert client.post(session.url("xhr_send"), '["b"]').status == 204
    assert receive_messages(session, 2) == ["a", "b"]


def assert_still_works(session: Session) -> None:
    """The session echoes, and nothing else was delivered before."""
    session.send("still here")
    assert session.receive() == 'a["still here"]'
