"""A response that several sessions share, line by line, and when it ends."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.resume import frames
from sockjs_bridge.resume.mux import GRACE, Mux
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.transports import POLL, STREAM
from tests.resume.support import ALICE, KEY, Application, Server
from tests.support import Recorder

MUX_KEY = "m" * 22
WELCOME = 'r{"from":1,"received":0}'


class Response(Recorder):
    """One that tells the mux of its end, as the server's does."""

    def __init__(self, mux: Mux, transport: Transport) -> None:
        super().__init__(transport)
        self.mux = mux

    def end(self) -> None:
        super().end()
        self.mux.detach(self, lost=False)

    def lose(self) -> None:
        """The peer is gone."""
        self.open = False
        self.mux.detach(self, lost=True)

    def took(self) -> list[str]:
        """Return and forget the lines that came."""
        lines, self.written = self.frames, []
        return lines


class Client:
    """A client whose sessions share a response.

    Args:
        server: of the sessions.
        count: how many there are.
    """

    def __init__(self, server: Server, count: int = 2) -> None:
        self.server = server
        self.mux = server.manager.muxes.open(MUX_KEY)
        self.applications = [Application() for _ in range(count)]
        self.sessions = [self._start(n) for n in range(count)]
        self._requests = itertools.count(10)

    def _start(self, number: int) -> ResumableSession:
        place = ("/echo", str(number) * 22)
        application = self.server.application = self.applications[number]
        session = self.server.make(place)
        for fields in ({"request": 1, "new": True}, {"request": 2, "now": True}):
            session.attach(self._request(**fields), Recorder(POLL), None)
            session.accept(application) if session.new else None
            self.server.clock.settle()
        return session

    @staticmethod
    def _request(**fields: Any) -> frames.ReceiveRequest:
        body = json.dumps({"key": KEY, "received": 0, **fields}).encode()
        request = frames.parse_receive(body, stream=True)
        assert isinstance(request, frames.ReceiveRequest)
        return request

    def respond(self, transport: Transport = STREAM) -> Response:
        """Ask for the response that is shared."""
        response = Response(self.mux, transport)
        self.mux.attach(response)
        self.server.clock.settle()
        return response

    def go_on(self, number: int, transport: Transport = STREAM, **fields: Any) -> None:
        """Have a session go on over it; its number is its port."""
        session = self.sessions[number]
        request = self._request(request=next(self._requests), **fields)
        session.attach(request, self.mux.open(number, transport, session))
        self.server.clock.settle()

    def say(self, number: int, *texts: str) -> None:
        """Have the application of a session send something."""
        for text in texts:
            self.sessions[number].send(text)
        self.server.clock.settle()


def test_stream() -> None:
    client = Client(Server())
    response = client.respond()
    assert response.took() == ['r{"mux":true}']
    client.go_on(0)
    client.go_on(1)
    assert response.took() == [f"0 {WELCOME}", f"1 {WELCOME}"]
    client.say(1, "a", "b")
    client.say(0, "c")
    assert response.took() == ['1 a["a","b"]', '0 a["c"]']
    assert not response.ended
