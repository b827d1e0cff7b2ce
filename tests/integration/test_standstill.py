"""A loop that stood still, because a hook held it up, does not forget clients that were there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
import uvloop
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from sockjs_bridge.testing import serve
from tests.conformance.wire import Client
from tests.integration.support import PATIENCE

DELAY = 3.0
"""Seconds that a session lives without a receiver; in those a busy machine opens ten."""


class Blocker(WebSocketSession):
    """An asynchronous hook that waits as only a plain one may."""

    begun = threading.Event()

    async def on_message(self, message: str) -> None:
        self.begun.set()
        time.sleep(1.5 * DELAY)
        self.request.sockjs.broadcast("went on")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of a server on either loop: they differ in what comes first, timers or reads."""
    make_loop: Callable[[], asyncio.AbstractEventLoop] = request.param
    monkeypatch.setattr(import_module("sockjs_bridge.testing.serve"), "new_event_loop", make_loop)
    Blocker.begun.clear()
    with Configurator(settings={"sockjs.disconnect_delay": str(DELAY)}) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("block", "/block", session=Blocker)
        app = config.make_wsgi_app()
    with serve(app) as url:
        client = Client(url)
        yield client
        client.close()


@pytest.mark.parametrize("kept", [True, False])
def test_polls_that_came_meanwhile(client: Client, kept: bool) -> None:
    """They lay in their sockets, or their connections were not accepted yet."""
    connections = [client.connect() for _ in range(10)]
    sessions = [client.session("/block", "xhr") for _ in connections]
    blocking = client.session("/block", "xhr").open()
    for session, connection in zip(sessions, connections, strict=True):
        assert session.finish(session.start("", connection)) == "o"
    sending = threading.Thread(target=blocking.send, args=("block",))
    sending.start()
    assert Blocker.begun.wait(PATIENCE)
    polls = [
        session.start("", connection if kept else client.connect())
        for session, connection in zip(sessions, connections, strict=True)
    ]
    answers = [session.finish(poll) for session, poll in zip(sessions, polls, strict=True)]
    sending.join(PATIENCE)
    assert answers == ['a["went on"]'] * 10


def test_who_does_not_come_back(client: Client) -> None:
    """Nobody lives for ever because of it."""
    absent = client.session("/block", "xhr").open()
    client.session("/block", "xhr").open().send("block")
    assert Blocker.begun.wait(PATIENCE)
    blocked = time.monotonic()
    while absent.exists():
        assert time.monotonic() < blocked + PATIENCE
        time.sleep(0.1)
