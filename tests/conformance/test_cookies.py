"""The cookie for sticky balancers (JsessionidCookie)."""

from __future__ import annotations

import pytest

from tests.conformance.rawclient import Response
from tests.conformance.wire import FORM, HTTP_TRANSPORTS, Client


def assert_cookie(answer: Response, value: str) -> None:
    """The cookie with `value`, its path as the second attribute."""
    cookies = answer.all("Set-Cookie")
    assert len(cookies) == 1, cookies
    name_and_value, path = cookies[0].split(";")[:2]
    assert name_and_value.strip() == f"JSESSIONID={value}"
    assert path.strip().lower() == "path=/"


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_dummy_cookie(client: Client, name: str) -> None:
    """JsessionidCookie: every receiving transport sets ``JSESSIONID=dummy``."""
    assert_cookie(client.session("/cookie_needed_echo", name).attach(), "dummy")


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_incoming_cookie_is_echoed(client: Client, name: str) -> None:
    """JsessionidCookie: an incoming value is kept."""
    session = client.session("/cookie_needed_echo", name)
    session.headers = [("Cookie", "other=1; JSESSIONID=abcdef; last=2")]
    assert_cookie(session.attach(), "abcdef")


@pytest.mark.parametrize("name", ["xhr", "jsonp"])
def test_sends_set_the_cookie(client: Client, name: str) -> None:
    """JsessionidCookie: xhr_send and jsonp_send are session URLs as well."""
    session = client.session("/cookie_needed_echo", name).open()
    assert_cookie(session.post('["x"]'), "dummy")


@pytest.mark.ours
@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_cookies_of_the_handshake(client: Client, name: str) -> None:
    """api.md 7: cookies that the application sets in the handshake come with the open frame."""
    session = client.session("/with_cookie", name)
    opening = session.attach()
    assert [cookie.split(";")[0] for cookie in opening.all("Set-Cookie")] == ["seen=1"]
    assert session.first_frame(opening) == "o"


@pytest.mark.ours
@pytest.mark.parametrize("path", ["/000/0/websocket", "/websocket"])
def test_cookies_of_a_websocket_handshake(client: Client, path: str) -> None:
    """api.md 7: they come with the 101 of a WebSocket too."""
    handshake = client.websocket("/with_cookie" + path).handshake
    assert handshake.status == 101
    assert [cookie.split(";")[0] for cookie in handshake.all("Set-Cookie")] == ["seen=1"]


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_no_cookie_where_it_is_off(client: Client, name: str) -> None:
    """Without ``jsessionid`` no session URL sets a cookie, not even when one comes in."""
    session = client.session("/echo", name)
    session.headers = [("Cookie", "JSESSIONID=abcdef")]
    assert session.attach().all("Set-Cookie") == []
    answer = client.post(session.url("jsonp_send"), "d=[]", [FORM, *session.headers])
    assert answer.all("Set-Cookie") == []
