"""``~r1``, "Several sessions over one way"; ours only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.conftest import PLACES, Launch
from tests.conformance.rawclient import Response
from tests.conformance.resumable import Resumable, Stream, assert_common, lines_of, token, told
from tests.conformance.wire import Client

pytestmark = pytest.mark.ours

#: A session that is there is asked for as where no mux is known; `test_unknown_one` has that.
one_process = pytest.mark.direct("mux and session may be in two processes")
SHARED = 'r{"mux":true}'


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


class Mux(Resumable):
    """A response that several sessions share; its id in the URL is no session's."""

    def ask(self, transport: str = "xhr_streaming") -> Response:
        """Asks for it, or for the next one."""
        response = self.post(transport, {"mux": self.key})
        assert response.status == 200
        return response

    def port(self, number: int) -> dict[str, Any]:
        """Makes what a receive request names it by."""
        return {"key": self.key, "port": number}


@pytest.fixture
def mux(client: Client) -> Mux:
    return Mux(client)


def go_on(session: Resumable, mux: Mux, port: int, transport: str = "xhr_streaming") -> list[str]:
    """Has a session go on over it; returns the lines of the request's own response."""
    return lines_of(session.post(transport, session.fields(mux=mux.port(port))))


@one_process
@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
def test_several_sessions_over_one_stream(client: Client, mux: Mux, transport: str) -> None:
    """Each asks by a request of its own, which is answered at once."""
    shared = Stream(mux.ask())
    assert shared.line() == SHARED
    for port in range(2):
        session = Resumable(client).open()
        assert go_on(session, mux, port, transport) == [SHARED]
        if transport == "xhr_streaming":
            assert told(shared.line().removeprefix(f"{port} ")) == {"from": 1, "received": 0}
        session.send(1, f"of {port}")
        lines = shared.until("a[")
        assert lines[-1] == f'{port} a["of {port}"]'
        # A poll is over with that.
        following = shared.line()
        assert following in (f"{port} ", f'{port} r{{"at":1,"received":1}}')
        assert (following == f"{port} ") == (transport == "xhr")


@one_process
def test_over_polls(client: Client, mux: Mux) -> None:
    assert lines_of(mux.ask("xhr")) == [SHARED]
    session = Resumable(client).open()
    held = mux.start("xhr", {"mux": mux.key})
    assert go_on(session, mux, 7) == [SHARED]
    assert lines_of(held.response("POST")) == ['7 r{"from":1,"received":0}']
    session.send(1, "a")
    assert lines_of(mux.ask("xhr"))[0] == '7 a["a"]'


def test_unknown_one(client: Client, mux: Mux) -> None:
    """As where the session is in another process: it is answered as any other request."""
    session = Resumable(client).open()
    stream = session.stream(mux=mux.port(1))
    assert told(stream.line()) == {"from": 1, "received": 0}


def test_first_request_has_a_response_of_its_own(client: Client, mux: Mux) -> None:
    shared = Stream(mux.ask())
    assert shared.line() == SHARED
    session = Resumable(client)
    assert "window" in told(session.poll(new=True, mux=mux.port(1))[0])
    assert session.stream(probe=3, mux=mux.port(1)).line() == 'r{"pong":3}'
    assert shared.response.connection.is_quiet(0.05)


def test_wrong_key(client: Client, mux: Mux) -> None:
    """Who knows what carries sessions has none of them by that."""
    mux.ask()
    thief = Resumable(client).open().thief()
    assert thief.post("xhr_streaming", thief.fields(mux=mux.port(1))).status == 403


@one_process
def test_repeated_poll_takes_over(client: Client, mux: Mux) -> None:
    """So a client says that it receives no more over what it shares."""
    shared = Stream(mux.ask())
    session = Resumable(client).open()
    go_on(session, mux, 3)
    assert shared.until("from")[-1] == '3 r{"from":1,"received":0}'
    assert told(session.poll(request=session.number, now=True)[0]) == {"from": 1, "received": 0}
    assert shared.line() == f'3 r{{"stale":{session.number}}}'
    assert shared.line() == "3 "


@one_process
def test_response_that_is_lost(client: Client, mux: Mux) -> None:
    """Its sessions go on elsewhere, and have what was written to it."""
    shared = Stream(mux.ask())
    session = Resumable(client).open()
    go_on(session, mux, 3)
    shared.until("from")
    shared.response.connection.close()
    session.send(1, "a")
    session.until_handled(1)
    assert session.poll(now=True)[1] == 'a["a"]'
    again = Stream(mux.ask())
    assert again.line() == SHARED


@pytest.mark.parametrize(
    "body",
    [
        {"mux": 1},
        {"mux": "short"},
        {"mux": {"key": "m" * 22, "port": 1}},
    ],
)
def test_bad_key(mux: Mux, body: object) -> None:
    response = mux.post("xhr_streaming", body)
    assert response.status == 400
    assert_common(response)


@pytest.mark.parametrize(
    "value",
    [None, "m" * 22, {"key": "m" * 22}, {"key": "short", "port": 1}, {"key": "m" * 22, "port": -1}],
)
def test_bad_port(client: Client, value: object) -> None:
    session = Resumable(client).open()
    body = {**session.fields(), "mux": value}
    assert session.post("xhr_streaming", json.dumps(body)).status == 400


def test_passed_over_by_websockets(client: Client, mux: Mux) -> None:
    session = Resumable(client).open()
    assert "from" in session.hello(session.link(), mux=mux.port(1))
    assert session.hello(session.link(), mux={"key": token(), "port": 2})["from"] == 1


@pytest.mark.direct(PLACES)
def test_as_many_as_there_are_places(launch_resumable: Launch) -> None:
    with launch_resumable(max_sessions="2") as client:
        Resumable(client).open()
        shared = Stream(Mux(client).ask())
        assert shared.line() == SHARED
        response = Mux(client).post("xhr_streaming", {"mux": token()})
        assert (response.status, response["Retry-After"]) == (503, "5")
