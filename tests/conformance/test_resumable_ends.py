"""``~r1``, "The life of a session": links that time ends, and the server that leaves; ours only."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conformance.conftest import STOPS, Launch
from tests.conformance.rawclient import PING, PONG, WebSocket
from tests.conformance.resumable import Resumable, lines_of, texts, told
from tests.conformance.wire import Client

pytestmark = pytest.mark.ours


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


# Links


def test_links_that_time_ends(client: Client) -> None:
    """No hello for 10 s; a probe for 5 s. All at once, since these waits are the protocol's."""
    one = Resumable(client).open()
    probe = one.stream(probe=1)
    assert probe.line() == 'r{"pong":1}'
    silent = one.link()
    replaced = one.link()
    one.hello(replaced)
    stream = one.attach("xhr_streaming")
    silent.say({"ping": 1})
    assert silent.line() == 'r{"pong":1}'
    assert probe.line() == ""
    assert silent.closed()
    assert replaced.closed()
    one.send(1, "a")
    assert stream.until('"a"')[-1] == 'a["a"]'


def test_rfc_pings_are_sent_and_answered(client: Client) -> None:
    one = Resumable(client, "/beating")
    link = one.websocket()
    link.websocket.send_frame(PING, b"mine")
    opcodes = {}
    while len(opcodes) < 2:
        frame = link.websocket.frame()
        if frame.opcode in (PING, PONG):
            opcodes[frame.opcode] = frame.payload
    assert opcodes[PONG] == b"mine"


# The server leaves


@contextmanager
def leaving(launch: Launch, seconds: float) -> Iterator[tuple[Client, threading.Event]]:
    """Serves in a thread, until the event is set; then the server has so many seconds to stop."""
    urls: queue.Queue[str] = queue.Queue()
    leave = threading.Event()

    def serve() -> None:
        with launch(shutdown_timeout=seconds) as client:
            urls.put(client.url)
            leave.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client(urls.get())
    try:
        yield client, leave
    finally:
        client.close()
        leave.set()
        thread.join()


@pytest.mark.direct(STOPS)
def test_server_that_leaves(launch_resumable: Launch) -> None:
    """It asks for what is missing, and goes as soon as both have everything."""
    with leaving(launch_resumable, 20) as (client, leave):
        leaves_in_good_order(client, leave)


@pytest.mark.direct(STOPS)
def test_server_that_leaves_before_all_is_acknowledged(launch_resumable: Launch) -> None:
    """The time is over, and ``moved`` is told all the same."""
    with leaving(launch_resumable, 1) as (client, leave):
        one = Resumable(client).open()
        stream = one.attach("xhr_streaming")
        one.send(1, "a")
        stream.until('"a"')
        # One that is there already: nobody says hello to a server that leaves.
        spare = client.connect()
        assert spare.request("GET", "/page").text == "page"
        link = one.link()
        leave.set()
        stream.until('"ack":true')
        assert link.closed()
        late = WebSocket(spare, one.url("websocket"))
        assert late.handshake.status == 503
        assert "moved" in stream.until("moved")[-1]
        assert stream.line() == ""


def leaves_in_good_order(client: Client, leave: threading.Event) -> None:
    by_stream = Resumable(client).open()
    by_stream.send(1, "a")
    stream = by_stream.stream()
    assert texts(stream.until('"a"')) == ["a"]
    by_link = Resumable(client)
    link = by_link.websocket()
    link.say(["a"])
    link.until('"received":1')
    by_poll = Resumable(client).open()
    poll = by_poll.held()
    # A connection that is there before the server accepts no more.
    spare = client.connect()
    by_stream.start("xhr_send", {"key": by_stream.key}, spare)
    assert spare.response("POST").status == 200
    leave.set()
    assert json.loads(stream.until('"ack":true')[-1][1:])["received"] == 1
    asked = told(link.until('"ack":true')[-1])
    assert (asked["received"], asked["ack"]) == (1, True)
    link.say({"received": 1})
    moved = told(link.until("moved")[-1])
    assert isinstance(moved["moved"], int | float)
    assert link.closed()
    acknowledge = {"key": by_stream.key, "received": 1, "first": 2, "messages": ["late"]}
    by_stream.start("xhr_send", acknowledge, spare)
    answer = json.loads(spare.response("POST").body)
    # No more input is taken.
    assert (answer["arrived"], answer["received"]) == (1, 1)
    assert "moved" in stream.until("moved")[-1]
    assert stream.line() == ""
    assert "moved" in lines_of(poll.response("POST"))[-1]
