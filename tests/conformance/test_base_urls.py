"""Greeting, session URL grammar and methods (BaseUrlGreeting, SessionURLs)."""

from __future__ import annotations

import pytest

from tests.conformance.wire import Client, assert_content_type, new_tag

METHODS = [
    ("POST", "/info", "GET"),
    ("POST", "/iframe.html", "GET"),
    ("POST", "/000/SESSION/websocket", "GET"),
    ("GET", "/000/SESSION/xhr", "POST"),
    ("GET", "/000/SESSION/xhr_streaming", "POST"),
    ("GET", "/000/SESSION/xhr_send", "POST"),
    ("GET", "/000/SESSION/jsonp_send", "POST"),
    ("POST", "/000/SESSION/jsonp", "GET"),
    ("POST", "/000/SESSION/eventsource", "GET"),
    ("POST", "/000/SESSION/htmlfile", "GET"),
    ("PUT", "/000/SESSION/xhr", "POST"),
    ("DELETE", "/000/SESSION/xhr_send", "POST"),
]


OURS = pytest.mark.ours


@pytest.mark.parametrize("suffix", ["", "/", pytest.param("?t=1", marks=OURS), "/?t=1"])
@pytest.mark.parametrize("endpoint", ["/echo", "/cookie_needed_echo"])
def test_greeting(client: Client, endpoint: str, suffix: str) -> None:
    """BaseUrlGreeting: the exact text on the base URL, with or without a slash, and no cookie.

    The reference does not know the base URL with a query.
    """
    answer = client.get(endpoint + suffix)
    assert answer.status == 200
    assert answer.body == b"Welcome to SockJS!\n"
    assert_content_type(answer, "text/plain;charset=UTF-8")
    assert answer.all("Set-Cookie") == []


@pytest.mark.parametrize("suffix", ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/a/b/c"])
def test_other_paths_are_not_found(client: Client, suffix: str) -> None:
    """BaseUrlGreeting: what is no SockJS URL is 404."""
    assert client.get("/echo" + suffix).status == 404


@pytest.mark.ours
def test_base_url_with_a_pattern(client: Client) -> None:
    """api.md 7: the base URL is a Pyramid route, so its last segment may be a placeholder."""
    assert client.get("/rooms/lobby/info").status == 200
    session = client.session("/rooms/lobby").open()
    session.send("hello")
    assert session.receive() == 'a["hello"]'
    assert client.get("/rooms/a/b/info").status == 404


@pytest.mark.parametrize("parts", ["/a/{id}", "/_/_{id}", "/1/1{id}", "/abc_i-j%20/abc_i-j%20{id}"])
def test_any_server_and_session_without_a_dot(client: Client, parts: str) -> None:
    """SessionURLs: server and session are any non-empty values without a dot."""
    answer = client.post("/echo" + parts.format(id=new_tag()) + "/xhr")
    assert (answer.status, answer.body) == (200, b"o\n")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "parts", ["//", "/a./a", "/a/a.", "/./.", "/", "///", "//a", "/a/", "/a/b/c", "/a"]
)
def test_invalid_session_urls(client: Client, method: str, parts: str) -> None:
    """SessionURLs: dots, empty parts, too few and too many segments are 404."""
    assert client.request(method, f"/echo{parts}/xhr", body="").status == 404


def test_server_id_is_ignored(client: Client) -> None:
    """SessionURLs: a session is found by its session id alone."""
    session = client.session("/echo").open()
    session.send("a")
    answer = client.post(f"/echo/999/{session.id}/xhr")
    assert answer.body == b'a["a"]\n'


@pytest.mark.parametrize("suffix", ["/", "?t=123", "/?a=b&t=123", "?"])
def test_slash_and_query_are_tolerated(client: Client, suffix: str) -> None:
    """One trailing slash (N) and any query string (C) are allowed on session URLs."""
    url = f"/echo/000/{new_tag()}"
    assert client.post(f"{url}/xhr{suffix}").body == b"o\n"
    assert client.post(f"{url}/xhr_send{suffix}", '["a"]').status == 204
    assert client.post(f"{url}/xhr{suffix.replace('123', '124')}").body == b'a["a"]\n'


@pytest.mark.parametrize("path", ["/info", "/info?t=1", "/iframe.html?t=1"])
def test_query_is_tolerated_on_static_urls(client: Client, path: str) -> None:
    """A query string must be tolerated everywhere."""
    assert client.get("/echo" + path).status == 200


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS)
def test_wrong_method(client: Client, method: str, path: str, allowed: str) -> None:
    """A wrong method on a known URL: 405 with Allow, no Content-Type, an empty body."""
    answer = client.request(method, "/echo" + path.replace("SESSION", new_tag()), body="")
    assert answer.status == 405
    assert allowed in (answer["Allow"] or "")
    assert answer["Content-Type"] is None
    assert answer.body == b""


@pytest.mark.parametrize("method", ["BREW", "PROPFIND", "TRACE"])
def test_unknown_methods(client: Client, method: str) -> None:
    """An unknown method is refused: 405, or 400 where the HTTP parser already stops it."""
    assert client.request(method, f"/echo/000/{new_tag()}/xhr", body="").status in (400, 405)
