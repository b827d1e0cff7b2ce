"""A response that several sessions share, line by line, and when it ends."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.hub import TooManySessions
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.resume import frames
from sockjs_bridge.resume.mux import GRACE, Mux
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.transports import POLL, STREAM
from tests.resume.support import KEY, Application, Server
from tests.support import Recorder

MUX_KEY = "m" * 22
WELCOME = 'r{"from":1,"received":0}'


class Slow(Peer):
    """One that has taken something."""

    def taken(self, now: float) -> float:
        return 7.0


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


def test_polls() -> None:
    """The first one is answered at once; what is said in a tick leaves together, or waits."""
    client = Client(Server())
    first = client.respond(POLL)
    assert first.ended
    assert first.took() == ['r{"mux":true}']
    client.go_on(0)
    client.go_on(1, POLL)
    second = client.respond(POLL)
    assert second.ended
    assert second.took() == [f"0 {WELCOME}"]
    client.sessions[0].send("a")
    client.sessions[1].send("b")
    client.server.clock.settle()
    third = client.respond(POLL)
    assert third.took() == ['0 a["a"]', f"1 {WELCOME}", '1 a["b"]', "1 "]
    assert third.ended


def test_response_is_held_until_there_is_something() -> None:
    client = Client(Server())
    client.respond(POLL)
    client.go_on(0, POLL)
    held = client.respond(POLL)
    assert not held.ended
    client.say(0, "a")
    assert held.ended
    assert held.took() == [f"0 {WELCOME}", '0 a["a"]', "0 "]


def test_newer_receive_request_takes_over() -> None:
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    response.took()
    request = client._request(request=99)
    own = Recorder(STREAM)
    client.sessions[0].attach(request, own)
    client.server.clock.settle()
    assert response.took() == ['0 r{"stale":99}', "0 "]
    client.say(0, "a")
    assert own.frames == [WELCOME, 'a["a"]']
    assert not response.ended


def test_session_that_ends_does_not_end_others() -> None:
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    client.go_on(1)
    response.took()
    client.sessions[0].close(4321, "Enough")
    client.server.clock.settle()
    assert response.took() == ['0 c[4321,"Enough"]', "0 "]
    client.say(1, "a")
    assert response.took() == ['1 a["a"]']


def test_session_that_is_forgotten_says_so() -> None:
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    response.took()
    client.sessions[0].fail()
    client.server.clock.settle()
    assert response.took()[-1] == "0 "


def test_port_that_is_taken_again() -> None:
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    former = client.sessions[0]
    client.sessions[0] = client.sessions[1]
    client.go_on(0)
    assert response.took()[1:] == [f"0 {WELCOME}", f"0 {WELCOME}"]
    former.send("to nobody")
    client.server.clock.settle()
    assert response.took() == []


def test_lost_response_suspends_all() -> None:
    client = Client(Server(disconnect_delay=1))
    response = client.respond()
    client.go_on(0)
    client.go_on(1)
    response.lose()
    client.server.clock.advance(1.5)
    assert [application.calls[-1] for application in client.applications] == ["suspended"] * 2
    assert len(client.server.manager.muxes) == 0
    late = client.respond()
    assert late.ended


def test_full_response_is_followed_by_another_one() -> None:
    client = Client(Server(response_limit=100))
    response = client.respond()
    client.go_on(0)
    client.say(0, "x" * 80)
    assert response.ended
    assert response.took() == ['r{"mux":true}', f"0 {WELCOME}", '0 a["%s"]' % ("x" * 80), "0 "]
    client.go_on(0, received=1)
    assert client.respond().took() == ['0 r{"from":2,"received":0}']


def test_old_response_is_followed_by_another_one() -> None:
    client = Client(Server(response_max_age=3))
    response = client.respond()
    client.go_on(0)
    client.server.clock.advance(3.1)
    assert response.ended
    client.say(0, "a")
    assert client.respond().took() == ['0 a["a"]']


def test_newer_response_ends_the_one_before() -> None:
    client = Client(Server(response_max_age=3))
    former = client.respond()
    client.server.clock.advance(1)
    response = client.respond()
    assert former.ended
    client.go_on(0)
    assert response.took() == [f"0 {WELCOME}"]
    client.server.clock.advance(2.5)
    assert not response.ended
    former.mux.detach(former, lost=True)
    client.say(0, "a")
    assert response.took() == ['0 a["a"]']


def test_end_is_told_later_where_nothing_can_be_written() -> None:
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    response.took()
    response.open = False
    client.sessions[0].fail()
    response.open = True
    client.mux.flush()
    assert response.took() == ["0 "]


def test_write_that_is_refused_is_repeated() -> None:
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    response.took()
    response.refuse = True
    client.say(0, "a")
    assert response.took() == []
    response.open = True
    client.mux.flush()
    assert response.took() == ['0 a["a"]']


@pytest.mark.parametrize("with_response", [True, False])
def test_ends_without_sessions(with_response: bool) -> None:
    """It holds a place as long as it lives, as a session does."""
    server = Server(places=1)
    mux = server.manager.muxes.open(MUX_KEY)
    assert server.manager.muxes.find(MUX_KEY) is mux
    assert server.manager.muxes.open(MUX_KEY) is mux
    with pytest.raises(TooManySessions):
        server.manager.muxes.open("n" * 22)
    response = Response(mux, STREAM)
    if with_response:
        mux.attach(response)
    server.clock.advance(GRACE - 0.1)
    assert len(server.manager.muxes) == 1
    server.clock.advance(0.2)
    assert len(server.manager.muxes) == 0
    assert response.ended == with_response
    server.manager.muxes.open("n" * 22)
    mux.finish()


def test_lives_as_long_as_it_is_used() -> None:
    client = Client(Server(response_max_age=1000))
    response = client.respond()
    client.go_on(0)
    client.server.clock.advance(5 * GRACE)
    assert not response.ended
    response.end()
    client.server.clock.advance(0.5 * GRACE)
    assert len(client.server.manager.muxes) == 1
    client.server.clock.advance(2 * GRACE)
    assert len(client.server.manager.muxes) == 0


def test_client_that_reads_nothing_is_dropped() -> None:
    client = Client(Server(response_max_age=1))
    response = client.respond()
    response.peer = Slow()
    response.heard = 3.0
    client.go_on(0)
    port = client.mux.open(1, STREAM, client.sessions[1])
    assert (client.mux.taken(0), port.heard) == (7.0, 3.0)
    port.ping()
    response.open = False
    client.mux.finish()
    assert response.aborted
    assert (client.mux.taken(0), port.heard) == (0.0, 0.0)
    assert not port.writable
    assert not port.write(b"h\n")
    port.abort()
    client.server.clock.advance(2 * GRACE)
    client.mux.finish()


def test_server_leaves() -> None:
    """It ends with the last session, which has heard so."""
    client = Client(Server())
    response = client.respond()
    client.go_on(0)
    response.took()
    for _ in client.server.manager.close(1001, "", 5):
        pass
    client.server.clock.settle()
    assert response.took() == ['0 r{"at":0,"received":0,"ack":true}', '0 r{"moved":5.0}', "0 "]
    assert response.ended
    with pytest.raises(TooManySessions):
        client.server.manager.muxes.open("n" * 22)


def test_server_has_stopped() -> None:
    client = Client(Server())
    response = client.respond()
    client.server.manager.finish()
    assert response.ended
    assert len(client.server.manager.muxes) == 0
