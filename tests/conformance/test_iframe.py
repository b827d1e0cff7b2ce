"""The iframe page (IframePage)."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest

from tests.conformance.wire import Client, assert_content_type

SCRIPT = r'<script src="([^"]*)">'
VALID = [
    "/iframe.html",
    "/iframe-a.html",
    "/iframe-.html",
    "/iframe-0.1.2.html",
    "/iframe-0.1.2abc-dirty.2144.html",
    "/iframe-a.html?t=1234",
    "/iframe-0.1.2.html?t=123414",
    "/iframe-0.1.2abc-dirty.2144.html?t=qweqweq123",
]
INVALID = [
    "/iframe.htm",
    "/iframe",
    "/IFRAME.HTML",
    "/IFRAME",
    "/iframe.HTML",
    "/iframe.xml",
    "/iframe-/.html",
    "/iframe-A.html",
]


@pytest.mark.parametrize("suffix", VALID)
@pytest.mark.parametrize("endpoint", ["/echo", "/cookie_needed_echo"])
def test_page(client: Client, endpoint: str, suffix: str) -> None:
    """IframePage: 200, strongly cacheable, a quoted ETag, no Last-Modified, no cookie."""
    answer = client.get(endpoint + suffix)
    assert answer.status == 200
    assert_content_type(answer, "text/html;charset=UTF-8")
    cache_control = answer["Cache-Control"] or ""
    assert "public" in cache_control
    assert re.search("max-age=[1-9][0-9]{6}", cache_control)
    assert (answer["Expires"] or "").endswith("GMT")
    assert re.fullmatch('"[^"]+"', answer["ETag"] or "")
    assert answer["Last-Modified"] is None
    assert answer.all("Set-Cookie") == []


def test_body_is_fixed(client: Client) -> None:
    """IframePage: the body is the same under each name, and starts the client that it loads."""
    body = client.get("/echo/iframe.html").text
    assert body == client.get("/echo/iframe-1.6.1.html?t=1").text
    assert body.strip().lower().startswith("<!doctype html>")
    assert "document.domain = document.domain;" in body
    assert "SockJS.bootstrap_iframe();" in body
    assert len(re.findall(SCRIPT, body)) == 1


def test_client_url(client: Client) -> None:
    """IframePage: the published text wants the client's URL absolute, or a path from the root."""
    (source,) = re.findall(SCRIPT, client.get("/echo/iframe.html").text)
    assert source.startswith(("/", "http://", "https://"))


@pytest.mark.ours
@pytest.mark.parametrize("base", ["/echo", "/rooms/lobby"])
def test_client_is_served(client: Client, base: str) -> None:
    """api.md 9: the page loads the client from the application itself."""
    page = f"{base}/iframe-1.6.1.html"
    (source,) = re.findall(SCRIPT, client.get(page).text)
    answer = client.get(urljoin(page, source))
    assert answer.status == 200
    assert b"bootstrap_iframe" in answer.body


@pytest.mark.parametrize("suffix", INVALID)
def test_invalid_names(client: Client, suffix: str) -> None:
    """IframePage: the name is case-sensitive and strict; anything else is 404."""
    assert client.get("/echo" + suffix).status == 404


def test_conditional_request(client: Client) -> None:
    """IframePage: a matching If-None-Match gives 304 with no Content-Type and no body."""
    etag = client.get("/echo/iframe.html")["ETag"]
    assert etag is not None
    assert client.get("/echo/iframe.html")["ETag"] == etag
    connection = client.connect()
    answer = connection.request("GET", "/echo/iframe.html", [("If-None-Match", etag)])
    assert answer.status == 304
    assert answer["Content-Type"] is None
    assert answer.body == b""
    assert connection.is_quiet(0.1) or connection.ended()


def test_other_etag_gets_the_page(client: Client) -> None:
    """A stale ETag is answered with the page itself."""
    answer = client.get("/echo/iframe.html", [("If-None-Match", '"stale"')])
    assert answer.status == 200
    assert answer.body
