"""Subprotocols of raw WebSockets: the response of the handshake, the setting, the view."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession, websocket_view
from sockjs_bridge.testing import serve
from tests.conformance.rawclient import WebSocket
from tests.conformance.wire import Client

OFFER = ("Sec-WebSocket-Protocol", "v10.stomp, v11.stomp, v12.stomp")


class Telling(WebSocketSession):
    """Says which subprotocol it speaks."""

    def on_open(self) -> None:
        self.send(str(self.subprotocol))


def naming(request: Any) -> object:
    """A root factory that has the response name what the query asks for."""
    for name in request.GET.getall("name"):
        request.response.headers.add("sec-websocket-protocol", name)
    return object()


@websocket_view(route_name="blocking")
def blocking(request: Any) -> None:
    request.websocket.send(str(request.websocket.subprotocol))


@websocket_view(route_name="asynchronous")
async def asynchronous(request: Any) -> None:
    request.websocket.send(str(request.websocket.subprotocol))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Configurator(root_factory=naming) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("none", "/none", session=Telling)
        stomp = ["v12.stomp", "v11.stomp"]
        config.add_sockjs_route("stomp", "/stomp", session=Telling, subprotocols=stomp)
        config.add_sockjs_route("blocking", "/blocking", subprotocols="v11.stomp")
        config.add_sockjs_route("asynchronous", "/asynchronous", subprotocols="v11.stomp")
        config.scan(__name__)
        app = config.make_wsgi_app()
    with serve(app) as url:
        client = Client(url)
        yield client
        client.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the server has logged."""
    records = caplog.records
    return [each.getMessage() for each in records if each.name == "sockjs_bridge.server"]


def agreed(websocket: WebSocket) -> str | None:
    """Return what the 101 names, which the application knows too."""
    assert websocket.handshake.status == 101
    named = websocket.handshake["Sec-WebSocket-Protocol"]
    assert websocket.recv() == str(named)
    return named


@pytest.mark.parametrize("path", ["/websocket", ""])
@pytest.mark.parametrize(
    ("target", "offers", "name"),
    [
        ("/none{}", [OFFER], None),
        ("/none{}?name=v12.stomp", [OFFER], "v12.stomp"),
        ("/none{}?name=v9.stomp&name=v11.stomp", [OFFER], "v11.stomp"),
        ("/none{}?name=v9.stomp", [OFFER], None),
        ("/none{}?name=V12.STOMP", [OFFER], None),
        ("/none{}?name=v12.stomp", [], None),
        ("/none{}?name=v11.stomp, v12.stomp", [OFFER], None),
        ("/stomp{}", [OFFER], "v12.stomp"),
        ("/stomp{}", [("Sec-WebSocket-Protocol", "v10.stomp,v11.stomp")], "v11.stomp"),
        ("/stomp{}", [(OFFER[0], "v10.stomp"), (OFFER[0], "v11.stomp")], "v11.stomp"),
        ("/stomp{}", [(OFFER[0], "v10.stomp")], None),
        ("/stomp{}", [], None),
        # Who answers the handshake has the last word.
        ("/stomp{}?name=v10.stomp", [OFFER], "v10.stomp"),
        ("/stomp{}?name=v9.stomp", [OFFER], "v12.stomp"),
        ("/blocking{}", [OFFER], "v11.stomp"),
        ("/asynchronous{}", [OFFER], "v11.stomp"),
    ],
)
def test_agreed(client: Client, path: str, target: str, offers: Any, name: str | None) -> None:
    """One that the client offered, or none: a browser fails the connection otherwise."""
    target = target.format(path).replace(" ", "%20")
    assert agreed(client.websocket(target, offers)) == name


def test_what_was_not_offered_is_told(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert agreed(client.websocket("/none/websocket?name=v9.stomp%c3%a9", [OFFER])) is None
    (line,) = said(caplog)
    assert "route 'none': dropped Sec-WebSocket-Protocol: 'v9.stomp\\xe9'" in line
    assert "v12.stomp" in line
    caplog.clear()
    assert agreed(client.websocket("/none/websocket?name=v10.stomp", [OFFER])) == "v10.stomp"
    assert said(caplog) == []


def test_frames_of_sockjs(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """What is framed is SockJS, whatever the client offers."""
    websocket = client.websocket("/stomp/0/framed/websocket?name=v12.stomp", [OFFER])
    assert websocket.handshake.status == 101
    assert websocket.handshake["Sec-WebSocket-Protocol"] is None
    assert [websocket.recv() for _ in "oa"] == ["o", 'a["None"]']
    assert [line for line in said(caplog) if "SockJS has none" in line]


def test_other_transports(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    session = client.session("/stomp", query="name=v12.stomp")
    session.headers = [OFFER]
    answer = session.attach()
    assert answer["Sec-WebSocket-Protocol"] is None
    assert said(caplog) == []
