"""Which headers of the handshake's response the client sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from sockjs_bridge.testing import serve
from tests.conformance.wire import Client

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
