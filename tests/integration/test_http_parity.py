"""Pages under our server and under waitress: the same bytes in, the same responses out.

The application is `tests/pkgs/plain_app`. What may differ stands in the tables of this module, each
with its reason; everything else is compared byte by byte.
"""

from __future__ import annotations

import gzip
import json
import os
import re

import pytest

from sockjs_bridge.testing import serve
from tests.integration.parity import PATIENCE, Heard, ask, serve_by_waitress, talk
from tests.integration.parity_cases import CASES, CHUNKED, E_ACUTE, MANY, chunked
from tests.pkgs import plain_app

pytestmark = pytest.mark.integration

MAY_DIFFER = {
    "date": "the clock's",
    "expires": "made by the application of the clock",
    "server": "each server names itself",
    "connection": "waitress ends the connection after a response without a Content-Length",
}
"""Headers that are not compared, and why."""

RFC_9112 = "RFC 9112 section "
PARSER = "aiohttp's parser refuses it: "
DEPARTURES = {
    "urls, absolute, other host": RFC_9112 + "3.2.2: the target's host counts, not the header's",
    "no path": RFC_9112 + "3.3: the path of * is empty",
    "continue, no body": "nothing is waited for; waitress says 100 and then never answers",
    "chunks, HTTP/1.0": RFC_9112 + "6.1: they are framing, and the connection ends afterwards",
    "headers, two hosts": RFC_9112 + "3.2: 400; waitress joins them",
    "headers, no host": RFC_9112 + "3.2: 400; waitress lets the application have it",
    "headers, more than 128": "RFC 6585 section 5: 431; waitress counts bytes only",
    "headers above 32 KB": "RFC 6585 section 5: 431; waitress takes 256 KB by default",
    "target of bytes": "both refuse it, each in its own words",
    "method of nobody": PARSER + "it knows the registered methods and some more",
    "method in lower case": "both refuse it, each in its own words",
    "hop-by-hop header": "PEP 3333 forbids it: ours drops it with a warning, waitress answers 500",
    "headers of the server": "waitress adds Via",
    "close, and more": PARSER + "waitress answers, and drops what is behind",
}
"""Cases of `parity_cases` in which the responses differ, and why."""


def comparable(heard: Heard):
    """Return what of a response must be the same whoever served it.

    - Names of headers are without regard to case (RFC 9110 section 5.1), and their order matters
      among those of one name only (section 5.3): waitress sorts them and spells them anew.
    - A body's framing comes to its length, told or not: waitress tells that of a single block
      only.
    - The page of an exception that nobody caught is the server's own.
    """
    if heard.body.startswith(b"Internal Server Error"):
        return heard.start, "the server's own page"
    headers = sorted(
        (
            (name.lower(), value)
            for name, value in heard.headers
            if name.lower() not in ("transfer-encoding", "content-length", *MAY_DIFFER)
        ),
        key=lambda header: header[0],
    )
    lengths = heard.all("Content-Length")
    if heard.complete and not heard.bodiless and not lengths:
        lengths = [str(len(heard.body))]
    return heard.start, headers, lengths, heard.body, heard.complete


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The URLs of waitress and of our server, with an application of their own."""
    folder = tmp_path_factory.mktemp("made")
    page = folder / "héhé" / "café.html"
    page.parent.mkdir()
    page.write_text("<p>café</p>", encoding="utf-8")
    (folder / "héhé" / "index.html").write_text("héhé", encoding="utf-8")
    (folder / "large.bin").write_bytes(bytes(range(256)) * 3000)
    (folder / "notes.txt").write_text("notes " * 100)
    (folder / "notes.txt.gz").write_bytes(gzip.compress(b"notes " * 100, mtime=0))
    for path in folder.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    waitress = serve_by_waitress(plain_app.main(static=folder))
    with waitress as theirs, serve(plain_app.main(static=folder)) as ours:
        yield theirs, ours


@pytest.mark.parametrize("name", CASES)
def test_response(servers, name):
    case = CASES[name]
    methods = case.methods or ("GET",) * len(case.statuses)
    (theirs, their_rest), (ours, our_rest) = (talk(url, case.data, methods) for url in servers)
    assert [heard.status for heard in ours] == list(case.statuses)
    if case.shows is not None:
        assert case.shows in ours[-1].body.decode()
    if case.tells is not None:
        assert ours[-1].all(case.tells[0]) == [case.tells[1]]
    assert our_rest == b""
    mine, expected = ([comparable(heard) for heard in side] for side in (ours, theirs))
    if name in DEPARTURES:
        assert mine != expected or their_rest, "it departs no more"
    else:
        assert mine == expected
        assert their_rest == b""


PAGES = [
    name
    for name, case in CASES.items()
    if case.methods == ("GET",) and case.data.startswith(b"GET ") and name not in DEPARTURES
]
"""The cases that are one GET request."""

CHANGED_BY_HEAD = {
    "stream that fails at once": "no block is asked for",
}
"""Cases in which HEAD has another status than GET, and why."""


@pytest.mark.parametrize("name", PAGES)
def test_head(servers, name):
    """The same head, and nothing behind it; waitress ends a body there that it did not send."""
    case = CASES[name]
    data = case.data.replace(b"GET", b"HEAD", 1)
    (theirs, their_rest), (ours, our_rest) = (talk(url, data, ["HEAD"]) for url in servers)
    assert ours[0].status == (200 if name in CHANGED_BY_HEAD else case.statuses[0])
    assert our_rest == b""
    if their_rest.startswith(b"Internal Server Error"):
        assert ours[0].start == theirs[0].start
        return
    assert their_rest == (b"0\r\n\r\n" if theirs[0].all("Transfer-Encoding") else b"")
    assert comparable(ours[0]) == comparable(theirs[0])


@pytest.mark.parametrize("headers", [b"", b"\r\nConnection: keep-alive"], ids=["", "keep-alive"])
@pytest.mark.parametrize("name", [name for name in PAGES if "fails" not in name])
def test_http_1_0(servers, name, headers):
    """The same response without chunks; where its length is not told, its end is the connection's.

    That end is a reset where the body is not whole (`tests/server/wsgi/test_response.py`).
    """
    case = CASES[name]
    data = re.sub(rb" HTTP/1\.[01]", b" HTTP/1.0" + headers, case.data, count=1)
    (theirs, _), (ours, our_rest) = (talk(url, data, ["GET"]) for url in servers)
    assert our_rest == b""
    assert ours[0].start.startswith(f"HTTP/1.0 {case.statuses[0]} ")
    assert not ours[0].all("Transfer-Encoding")
    assert comparable(ours[0]) == comparable(theirs[0])


def test_tables():
    """A case that departs is a case."""
    assert DEPARTURES.keys() <= CASES.keys()


@pytest.mark.parametrize(
    ("target", "keywords"),
    [
        ("/stream", {}),
        ("/stream", {"method": "HEAD"}),
        ("/stream/counted", {}),
        ("/stream/too-long", {}),
        ("/stream/fails", {}),
        ("/stream/fails-first", {}),
        ("/stream/too-short", {}),
        ("/cached", {"headers": ['If-None-Match: "e"']}),
        ("/generator", {}),
    ],
)
def test_close(servers, target, keywords):
    """PEP 3333: close() is called once, whatever became of the response."""
    headers = keywords.pop("headers", [])
    method = keywords.get("method", "GET")
    for url in servers:
        talk(url, ask(f"{target}?name=asked", *headers, **keywords), [method])
        talk(url, ask("/generator?name=next"), ["GET"])
        closed = sorted(plain_app.closed.get(timeout=PATIENCE) for _ in range(2))
        assert closed == ["asked", "next"]
    assert plain_app.closed.empty()


def test_session_goes_from_server_to_server(servers):
    """A signed cookie that was set through the one is read through the other."""
    cookie = ""
    for number, url in enumerate([*servers, *reversed(servers)], 1):
        (heard,), _ = talk(url, ask("/count", f"Cookie: {cookie}"), ["GET"])
        assert heard.body == str(number).encode()
        (line,) = heard.all("Set-Cookie")
        cookie, _, attributes = line.partition("; ")
        assert attributes == "Path=/; SameSite=Lax"


ALWAYS = {
    "REMOTE_PORT": "the client's, another for each connection",
    "SERVER_NAME": "ours tells its address, waitress makes one up",
    "SERVER_PORT": "the server's",
    "SERVER_SOFTWARE": "each server names itself",
    "sockjs_bridge.inquiry": "ours: by it an application knows that endpoints are served",
    "waitress.client_disconnected": "waitress's own, and does nothing by default",
}
"""Keys of the environ that always differ, and why."""

ENVIRONS = {
    "plain": (ask("/a/b?c=d"), {}),
    "quoted": (ask(f"/%2F{E_ACUTE}%FF%00/a%20b//c/../d;e?%C3%A9&a+b=%&?"), {}),
    "slashes": (ask("//a//b"), {}),
    "fragment": (ask("/a?b#c"), {}),
    "absolute": (ask("http://example.org:8080//a?b"), {}),
    "absolute, other host": (
        ask("http://other.example/a"),
        {"HTTP_HOST": RFC_9112 + "3.2.2"},
    ),
    "absolute, no path": (
        ask("http://example.org:8080"),
        {"PATH_INFO": RFC_9112 + "3.2.1: an empty path is /"},
    ),
    "no path": (ask("*", method="OPTIONS"), {"PATH_INFO": RFC_9112 + "3.3"}),
    "HTTP/1.0": (ask("/", version="HTTP/1.0", host=None), {}),
    "keep-alive": (ask("/", "Connection: keep-alive", version="HTTP/1.0"), {}),
    "headers": (ask("/", *MANY, "X-A:", "X-B: \xff \xc3\xa9", "x-c: 1", "X-C:\t 2 "), {}),
    "underscore": (ask("/", "X_A: 1", "Content_Length: 5"), {}),
    "forwarded": (ask("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: a", "Forwarded: b"), {}),
    "cookies": (ask("/", "Cookie: a=1; b=2"), {}),
    "cookies, twice": (
        ask("/", "Cookie: a=1", "Cookie: b=2"),
        {"HTTP_COOKIE": "RFC 6265 section 5.4"},
    ),
    "authorization": (ask("/", "Authorization: Basic YTpi", "Proxy-Authorization: x"), {}),
    "hop by hop": (ask("/", "TE: trailers", "Trailer: X", "Keep-Alive: 5", "Via: 1.1 a"), {}),
    "upgrade": (ask("/", "Connection: Upgrade", "Upgrade: h2c"), {}),
    "post": (ask("/", "Content-Type: a/b; c=d", method="POST", body=b"abc"), {}),
    "post, empty": (ask("/", method="POST", body=b""), {}),
    "post, no length": (ask("/", "Content-Type: a/b", method="POST"), {}),
    "post, large": (ask("/", method="POST", body=b"a\n" * 300_000), {}),
    "encoded": (ask("/", "Content-Encoding: gzip", method="PUT", body=b"no gzip"), {}),
    "chunks": (
        ask("/", CHUNKED, method="POST") + chunked(b"abc", end=b"0\r\nX-Trailer: t\r\n\r\n"),
        {},
    ),
    "propfind": (ask("/", "Depth: 1", method="PROPFIND"), {}),
    "range": (ask("/", "Range: bytes=0-", 'If-Range: "a"', "If-None-Match: *"), {}),
}
"""Requests, and the keys in which they differ too, and why."""


@pytest.fixture(scope="module")
def mirrors():
    """The URLs of waitress and of our server, each showing its environ."""
    with serve_by_waitress(plain_app.mirror) as theirs, serve(plain_app.mirror) as ours:
        yield theirs, ours


@pytest.mark.parametrize("name", ENVIRONS)
def test_environ(mirrors, name):
    """What the application sees, key by key, with the body that it reads."""
    data, differing = ENVIRONS[name]
    seen = [talk(url, data, ["GET"])[0][0] for url in mirrors]
    theirs, ours = (json.loads(heard.body) for heard in seen)
    found = {key for key in theirs | ours if theirs.get(key) != ours.get(key)}
    assert found == ALWAYS.keys() | differing.keys(), (theirs, ours)
