"""jsonp and jsonp_send, and the callback parameter (JsonPolling, HtmlFile)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import (
    FORM,
    JAVASCRIPT,
    Client,
    assert_content_type,
    assert_not_cached,
    receive_messages,
)

CALLBACK_USERS = pytest.mark.parametrize("name", ["jsonp", "htmlfile"])


@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_transport(client: Client, endpoint: str) -> None:
    """JsonPolling: a call of the decoded callback per frame; ``ok`` to a send."""
    session = client.session(endpoint, "jsonp")
    answer = client.get(session.url("jsonp", "c=%63allback"))
    assert answer.status == 200
    assert answer.body == b'/**/callback("o");\r\n'
    assert_content_type(answer, JAVASCRIPT)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert_not_cached(answer)

    answer = client.post(session.url("jsonp_send"), "d=%5B%22x%22%5D", [FORM])
    assert (answer.status, answer.body) == (200, b"ok")
    assert_content_type(answer, "text/plain;charset=UTF-8")
    assert_not_cached(answer)

    answer = client.get(session.url("jsonp", "c=%63allback"))
    assert answer.body == b'/**/callback("a[\\"x\\"]");\r\n'


@CALLBACK_USERS
@pytest.mark.parametrize("query", ["", pytest.param("?c=", marks=pytest.mark.ours), "?a=b"])
def test_missing_callback(client: Client, name: str, query: str) -> None:
    """JsonPolling, HtmlFile: 500 without a callback, and no session is made.

    The reference takes an empty name for a valid one.
    """
    session = client.session("/echo", "jsonp")
    answer = client.get(session.url(name) + query)
    assert answer.status == 500
    assert '"callback" parameter required' in answer.text
    assert not session.exists()


@CALLBACK_USERS
@pytest.mark.parametrize(
    "callback", ["%20", "*", "abc(", "abc%28", "a%0Ab", "%C3%A4", "a;b", "a%0A"]
)
def test_bad_callback(client: Client, name: str, callback: str) -> None:
    """JsonPolling, HtmlFile: 500 with a callback that is no plain name, and no session is made."""
    session = client.session("/echo", "jsonp")
    answer = client.get(session.url(name, f"c={callback}"))
    assert answer.status == 500
    assert 'invalid "callback" parameter' in answer.text
    assert not session.exists()


def test_callback_length(client: Client) -> None:
    """A jsonp callback has at most 32 characters."""
    session = client.session("/echo", "jsonp")
    assert client.get(session.url("jsonp", "c=" + "a" * 33)).status == 500
    answer = client.get(session.url("jsonp", "c=" + "a" * 32))
    assert answer.body == b"/**/" + b"a" * 32 + b'("o");\r\n'


def test_bad_callback_leaves_the_session_alone(client: Client) -> None:
    """The callback is checked before the session is touched."""
    session = client.session("/echo", "jsonp").open()
    session.send("kept")
    assert client.get(session.url("jsonp", "c=*")).status == 500
    assert client.get(session.url("jsonp")).status == 500
    assert session.receive() == 'a["kept"]'


@CALLBACK_USERS
def test_callback_by_its_long_name(client: Client, name: str) -> None:
    """N: the parameter may be called ``callback``."""
    session = client.session("/echo", name)
    assert client.get(session.url(name, "callback=a-Z_0.9")).status == 200


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"d=%5B%22x", "Broken JSON encoding."),
        (b"", "Payload expected."),
        (b"d=", "Payload expected."),
        (b"p=p", "Payload expected."),
        pytest.param(b"d=%5B%22%FF%22%5D", "Broken JSON encoding.", marks=pytest.mark.ours),
    ],
)
def test_broken_payload(client: Client, body: bytes, complaint: str) -> None:
    """JsonPolling: no ``d``, broken JSON and bad UTF-8 are 500, and the session lives on.

    The reference takes bad UTF-8 in a form for U+FFFD; sockjs-wire.md asks for 500.
    """
    session = client.session("/echo", "jsonp").open()
    answer = client.post(session.url("jsonp_send"), body, [FORM])
    assert answer.status == 500
    assert complaint in answer.text
    session.send("b")
    assert session.receive() == 'a["b"]'


@pytest.mark.ours
@pytest.mark.parametrize("body", ["d=%22abc%22", "d=%7B%22a%22%3A1%7D", "d=%5B1%5D", "d=1"])
def test_anything_but_an_array_of_strings(client: Client, body: str) -> None:
    """The field holds an array of strings, or the send is 500 ``Payload expected.``."""
    session = client.session("/echo", "jsonp").open()
    answer = client.post(session.url("jsonp_send"), body, [FORM])
    assert answer.status == 500
    assert "Payload expected." in answer.text
    session.send("b")
    assert session.receive() == 'a["b"]'


def test_content_types(client: Client) -> None:
    """JsonPolling: a form's field is URL-decoded, the raw body of text/plain is not."""
    session = client.session("/echo", "jsonp").open()
    target = session.url("jsonp_send")
    assert client.post(target, "d=%5B%22abc%22%5D", [FORM]).body == b"ok"
    assert client.post(target, '["%61bc"]', [("Content-Type", "text/plain")]).body == b"ok"
    charset = [("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")]
    assert client.post(target, "d=%5B%22a+%2B%22%5D", charset).body == b"ok"
    assert receive_messages(session, 3) == ["abc", "%61bc", "a +"]


def test_unknown_session(client: Client) -> None:
    """Sending to a session that does not exist is 404."""
    assert client.session("/echo", "jsonp").post('["x"]').status == 404


@pytest.mark.parametrize("endpoint", ["/close", "/blocking_close"])
def test_close(client: Client, endpoint: str) -> None:
    """JsonPolling: the close frame is repeated to every poll."""
    session = client.session(endpoint, "jsonp").open()
    for _ in range(2):
        answer = session.attach()
        assert answer.body == b'/**/callback("c[3000,\\"Go away!\\"]");\r\n'
