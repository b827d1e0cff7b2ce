"""Which headers the handshake's request has, and which of its response the client sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPPreconditionFailed
from pyramid.response import Response
from webob.etag import AnyETag

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import TRANSPORTS
from sockjs_bridge.testing import serve
from tests.conformance.wire import Client, messages_of
from tests.integration.support import outcome

OWN = ("Access-Control-Allow-Origin", "X-Content-Type-Options", "Cache-Control", "Vary")


def decorating(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween that sets headers, as applications do for their pages."""

    def tween(request: Any) -> Any:
        response = handler(request)
        response.headers.update(
            {
                "Access-Control-Allow-Origin": "*",
                "Cache-Control": "public",
                "X-Content-Type-Options": "nosniff",
                "X-Request-Id": "42",
            }
        )
        response.set_cookie("seen", "1")
        return response

    return tween


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Configurator(settings={"sockjs.allowed_origins": "*"}) as config:
        config.include("sockjs_bridge")
        config.add_tween(f"{__name__}.decorating")
        config.add_sockjs_route("quiet", "/quiet", session=WebSocketSession)
        app = config.make_wsgi_app()
    with serve(app) as url:
        client = Client(url)
        yield client
        client.close()


@pytest.mark.parametrize("name", ["xhr", "xhr_streaming", "eventsource", "htmlfile", "jsonp"])
def test_http(client: Client, name: str) -> None:
    """Its own headers and cookies come along; what the endpoint says itself is said once."""
    session = client.session("/quiet", name)
    session.headers = [("Origin", "http://app.example")]
    answer = session.attach()
    assert answer["X-Request-Id"] == "42"
    assert answer.all("Set-Cookie") == ["seen=1; Path=/"]
    assert answer.all("Access-Control-Allow-Origin") == ["http://app.example"]
    assert "no-store" in (answer["Cache-Control"] or "")
    for header in OWN:
        assert len(answer.all(header)) <= 1, header


def test_websocket(client: Client) -> None:
    """The upgrade carries them too."""
    answer = client.websocket("/quiet/websocket").handshake
    assert answer.status == 101
    assert answer["X-Request-Id"] == "42"
    assert answer.all("Set-Cookie") == ["seen=1; Path=/"]
    assert answer["Access-Control-Allow-Origin"] is None


# Long ones


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("size", [7000, 9000, 25000])
async def test_long_cookies(sparing: str, transport: str, size: int) -> None:
    """Single sign-on has many: a handshake, a poll and a send with them are like any other."""
    cookies = "; ".join(f"sso{number}={'x' * 990}" for number in range(size // 1000))
    headers = {"Cookie": f"user=ann; {cookies}"}
    assert await outcome(f"{sparing}/echo", transport, headers=headers) == "hello"


# Conditional requests

CONDITIONS = {
    "If-None-Match": '"known"',
    "If-Match": '"other"',
    "If-Modified-Since": "Sun, 29 Nov 2026 20:00:00 GMT",
    "If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT",
    "If-Range": '"known"',
    "Range": "bytes=0-0",
}


class Showing(WebSocketSession):
    """Tells a header of its handshake."""

    def on_open(self) -> None:
        self.send(self.request.environ["HTTP_X_NAME"])


@pytest.mark.parametrize("transport", ["xhr", "websocket"])
@pytest.mark.parametrize("value", ["plain", "caf\xe9", "caf\xc3\xa9", "\xff"])
def test_the_bytes_of_a_header(sparing: str, transport: str, value: str) -> None:
    """PEP 3333, Unicode Issues: a value is its bytes as latin-1, of a page and of a handshake."""
    client = Client(sparing)
    headers = [("X-Name", value)]
    if transport == "websocket":
        websocket = client.websocket("/showing/0/named/websocket", headers)
        frames = [websocket.recv(), websocket.recv()]
    else:
        session = client.session("/showing")
        session.headers = headers
        frames = [session.receive(), session.receive()]
    assert messages_of(frames[1]) == [value]
    assert client.get("/shown", headers).text == value
    client.close()


class Echo(WebSocketSession):
    async def on_message(self, message: str) -> None:
        self.send(message)


class Policy:
    """Believes the first letter of the cookie: the rest may change."""

    def identity(self, request: Any) -> str | None:
        return request.cookies.get("user", "")[:1] or None

    authenticated_userid = identity


def conditional(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween that answers as one that spares unchanged pages: RFC 9110, 13.1."""

    def tween(request: Any) -> Any:
        if request.if_match != AnyETag:
            return HTTPPreconditionFailed()
        response = handler(request)
        response.etag = "known"
        response.last_modified = 0
        response.conditional_response = True
        return response

    return tween


@pytest.fixture(scope="module")
def sparing() -> Iterator[str]:
    with Configurator(settings={"sockjs.allowed_origins": "*"}) as config:
        config.include("sockjs_bridge")
        config.set_security_policy(Policy())
        config.add_tween(f"{__name__}.conditional")
        config.add_sockjs_route("echo", "/echo", session=Echo)
        config.add_sockjs_route("showing", "/showing", session=Showing)
        config.add_route("shown", "/shown")
        config.add_view(
            lambda request: Response(request.environ["HTTP_X_NAME"], charset="utf-8"),
            route_name="shown",
        )
        config.add_route("page", "/page")
        config.add_view(lambda request: Response("a page"), route_name="page")
        app = config.make_wsgi_app()
    with serve(app) as url:
        yield url


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("condition", CONDITIONS)
async def test_a_handshake_has_no_conditions(sparing: str, transport: str, condition: str) -> None:
    """What a browser knows of a poll's URL says nothing of the application's page."""
    headers = {condition: CONDITIONS[condition]}
    assert await outcome(f"{sparing}/echo", transport, headers=headers) == "hello"


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_renewal_has_none(sparing: str, condition: str) -> None:
    client = Client(sparing)
    session = client.session("/echo")
    session.headers = [("Cookie", "user=ann")]
    session.open()
    session.headers = [("Cookie", "user=anne"), (condition, CONDITIONS[condition])]
    session.send("hello")
    assert session.receive() == 'a["hello"]'
    client.close()


def test_a_page_has_them(sparing: str) -> None:
    client = Client(sparing)
    for condition, status in (("If-None-Match", 304), ("If-Match", 412), ("Range", 206)):
        assert client.get("/page", [(condition, CONDITIONS[condition])]).status == status
    client.close()
