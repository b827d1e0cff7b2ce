"""`sockjs_bridge.endpoint.origins`: which pages may connect (api.md, section 8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockjs_bridge.endpoint.loglimit import LogLimit
from sockjs_bridge.endpoint.origins import OriginPolicy, RefusedOrigins

HOST = "app.example.com"


def allows(allowed: str, origin: str | None, host: str = HOST, own_scheme: str = "") -> bool:
    return OriginPolicy(allowed.split()).allows(origin, {}, host, own_scheme)


# The origin that a request claims


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({}, None),
        ({"Origin": "https://a.b"}, "https://a.b"),
        ({"Origin": "HTTPS://A.b"}, "HTTPS://A.b"),
        ({"Origin": "null"}, "null"),
        ({"Origin": ""}, ""),
        ({"Origin": "null", "Referer": "https://a.b/"}, "null"),
        ({"Referer": "https://a.b/chat?x=1#y"}, "https://a.b"),
        ({"Referer": "http://a.b:8080/"}, "http://a.b:8080"),
        ({"Referer": "https://user:pass@a.b/"}, "https://a.b"),
        ({"Referer": "https://user:p@ss@a.b"}, "https://a.b"),
        ({"Referer": "https://[::1]:8080/x"}, "https://[::1]:8080"),
        ({"Referer": ""}, None),
        ({"Referer": "/chat"}, None),
        ({"Referer": "about:blank"}, None),
        ({"Referer": "file:///etc/hosts"}, None),
        ({"Referer": "https:///x"}, None),
        ({"Referer": "https://[::1/x"}, None),
    ],
)
def test_origin_of(headers: dict[str, str], origin: str | None) -> None:
    """A missing Origin is taken from Referer; Origin itself is kept verbatim."""
    assert OriginPolicy.of(headers) == origin


@given(st.dictionaries(st.sampled_from(["Origin", "Referer", "Sec-Fetch-Site"]), st.text()))
def test_any_headers_are_judged(headers: dict[str, str]) -> None:
    """What can't be understood is refused, and raises nothing."""
    origin = OriginPolicy.of(headers)
    if OriginPolicy(()).allows(origin, headers, HOST) and origin is not None:
        assert origin.lower().partition("://")[2].startswith(HOST)


# The page's own origin


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://app.example.com", "app.example.com"),
        ("http://app.example.com", "app.example.com"),
        ("https://APP.example.com", "App.Example.com"),
        ("http://app.example.com", "app.example.com:80"),
        ("http://app.example.com:80", "app.example.com"),
        ("https://app.example.com", "app.example.com:443"),
        ("https://app.example.com:443", "app.example.com"),
        ("http://app.example.com:6543", "app.example.com:6543"),
        ("http://[::1]:6543", "[::1]:6543"),
        ("http://[::1]", "[::1]:80"),
    ],
)
@pytest.mark.parametrize("allowed", ["", "https://other.example"])
def test_own_origin(allowed: str, origin: str, host: str) -> None:
    assert allows(allowed, origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", HOST),
        ("https://evil.app.example.com", HOST),
        ("https://app.example.com.evil.net", HOST),
        ("https://evilapp.example.com", HOST),
        ("https://app.example.com:8443", HOST),
        ("http://app.example.com", "app.example.com:443"),
        ("https://app.example.com", "app.example.com:80"),
        ("https://app.example.com", ""),
        ("null", HOST),
        ("null", "null"),
        ("", HOST),
        ("", ""),
        ("https://", ""),
        ("app.example.com", HOST),
        ("//app.example.com", ""),
        ("https://app.example.com/", HOST),
    ],
)
def test_other_origin(origin: str, host: str) -> None:
    """By default only the page's own origin may connect; `null` is another one."""
    assert not allows("", origin, host)


@pytest.mark.parametrize(
    ("origin", "own_scheme", "may"),
    [
        ("http://app.example.com", "https", False),
        ("HTTP://app.example.com", "https", False),
        ("http://app.example.com:80", "https", False),
        ("https://app.example.com", "https", True),
        # A proxy in front of the server may have ended TLS, and say nothing of it.
        ("https://app.example.com", "http", True),
        ("http://app.example.com", "http", True),
    ],
)
def test_a_page_that_came_by_http(origin: str, own_scheme: str, may: bool) -> None:
    """RFC 6454, 4: its origin is another one than that of a site of https."""
    assert allows("", origin, own_scheme=own_scheme) is may
    assert allows("https://other.example", origin, own_scheme=own_scheme) is may
    # By its name it may be let in all the same.
    assert allows(f"http://app.example.com {origin.lower()}", origin, own_scheme=own_scheme)


@pytest.mark.parametrize("origin", ["http://app.example.com:8080", "http://[::1]:8080"])
def test_a_page_that_came_by_http_over_a_port(origin: str) -> None:
    host = origin.removeprefix("http://")
    assert allows("", origin, host, "http")
    assert not allows("", origin, host, "https")


def test_no_origin_at_all() -> None:
    """HTTP clients that are no browsers send none."""
    assert allows("", None)


@pytest.mark.parametrize(
    ("site", "may"),
    [("none", True), ("same-origin", True), ("same-site", False), ("cross-site", False)],
)
def test_no_origin_but_a_browser(site: str, may: bool) -> None:
    """A page can suppress Origin and Referer, but not what the browser says by itself."""
    headers = {"Sec-Fetch-Site": site}
    assert OriginPolicy(()).allows(None, headers, HOST) is may


# What is allowed beside it


@pytest.mark.parametrize(
    ("allowed", "origin", "may"),
    [
        ("https://a.b", "https://a.b", True),
        ("https://a.b", "https://A.B", True),
        ("https://a.b", "https://a.b:443", True),
        ("https://a.b:443", "https://a.b", True),
        ("http://a.b:80", "http://a.b", True),
        ("https://a.b", "http://a.b", False),
        ("https://a.b", "https://a.b:8443", False),
        ("https://a.b", "https://x.a.b", False),
        ("https://a.b https://c.d", "https://c.d", True),
        ("https://*.a.b", "https://x.a.b", True),
        ("https://*.a.b", "https://x.y.a.b", True),
        ("https://*.a.b", "https://x.a.b:443", True),
        ("https://*.a.b", "https://a.b", False),
        ("https://*.a.b", "http://x.a.b", False),
        ("https://*.a.b", "https://xa.b", False),
        ("https://*.a.b", "https://x.a.b:8443", False),
        ("https://*.a.b", "https://x.a.b.evil.net", False),
        ("https://*.a.b:8443", "https://x.a.b:8443", True),
        ("https://*.a.b:443", "https://x.a.b", True),
        ("https://*.a.b", "null", False),
        ("https://*.a.b", "https://evil.net/.a.b", False),
        ("https://*.a.b", "https://evil.net/x.a.b", False),
        ("https://a.b https://*.a.b", "https://a.b", True),
        ("*", "https://anything.example", True),
        ("*", "null", True),
        ("https://a.b *", "http://x.y", True),
    ],
)
def test_allowed_origins(allowed: str, origin: str, may: bool) -> None:
    assert allows(allowed, origin) is may


def test_everybody_may_without_an_origin_too() -> None:
    assert OriginPolicy(["*"]).allows(None, {"Sec-Fetch-Site": "cross-site"}, HOST)


@pytest.mark.parametrize(
    ("allowed", "same_only"), [("", True), ("https://a.b", False), ("*", False)]
)
def test_same_only(allowed: str, same_only: bool) -> None:
    """While only the same origin is allowed, what serves other origins is off."""
    assert OriginPolicy(allowed.split()).same_only is same_only


# What is said of those that are refused


def test_a_refusal_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    RefusedOrigins("chat", ["https://a.b", "https://c.d"]).note("http://x.y", "app:81", "http", 0)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("sockjs_bridge.server", "WARNING")
    line = record.getMessage()
    for part in (
        "'chat'",
        "'http://x.y'",
        "'http://app:81'",
        "sockjs.allowed_origins (https://a.b https:",
        "let the proxy pass Host on",
    ):
        assert part in line


def test_once_a_minute_for_each_origin_and_endpoint(caplog: pytest.LogCaptureFixture) -> None:
    chat, feed = RefusedOrigins("chat", []), RefusedOrigins("feed", [])
    for now in (0.0, 59.0, 60.0, 119.0, 121.0):
        chat.note("http://x.y", HOST, "http", now)
    assert len(caplog.messages) == 3
    chat.note("http://z.y", HOST, "http", 121.0)
    feed.note("http://z.y", HOST, "http", 121.0)
    assert len(caplog.messages) == 5


def test_a_flood_of_origins(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor the memory is filled by who makes them up."""
    refused = RefusedOrigins("chat", [])
    for number in range(LogLimit.REMEMBERED * 3):
        refused.note(f"http://{number}.y{'x' * 10000}", "h" * 10000, "http", number / 1000)
    assert len(caplog.messages) == len(refused._limit) == LogLimit.REMEMBERED
    assert max(map(len, caplog.messages)) < 1000
    refused.note("http://later", HOST, "http", 61.0)
    assert "later" in caplog.messages[-1]
    assert len(refused._limit) < LogLimit.REMEMBERED


@pytest.mark.parametrize("text", ["a\nWARNING b", "\x1b[31mred", "\u202egnat", "\udcff", "'"])
def test_what_a_client_wrote_is_escaped(text: str, caplog: pytest.LogCaptureFixture) -> None:
    RefusedOrigins("chat", []).note(text, text, "https", 0)
    (line,) = caplog.messages
    assert line.isascii()
    assert line.isprintable()


def test_an_origin_that_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    RefusedOrigins("chat", []).note(None, HOST, "", 0)
    assert "(not told)" in caplog.messages[0]
    assert f"'{HOST}'" in caplog.messages[0]
