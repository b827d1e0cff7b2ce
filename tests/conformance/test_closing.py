"""The application closes a session (Protocol, HandlingClose)."""

from __future__ import annotations

import json

import pytest

from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    POLLING,
    STREAMING,
    Client,
    eventually,
    new_tag,
    open_session,
    quoted,
)

GO_AWAY = quoted(3000, "Go away!")
BYE = quoted(4321, "bye")
ALL = [*HTTP_TRANSPORTS, "websocket"]


@pytest.mark.parametrize("endpoint", ["/close", "/blocking_close"])
@pytest.mark.parametrize("name", POLLING)
def test_polls_get_the_close_frame_again_and_again(
    client: Client, name: str, endpoint: str
) -> None:
    """Protocol: until the session times out, every poll is answered with the close frame."""
    session = client.session(endpoint, name).open()
    for _ in range(4):
        assert session.receive() == GO_AWAY


@pytest.mark.parametrize("endpoint", ["/close", "/blocking_close"])
@pytest.mark.parametrize("name", STREAMING)
def test_streams_end_after_the_close_frame(client: Client, name: str, endpoint: str) -> None:
    """HandlingClose: ``o``, the close frame, the end; a second stream gets the close frame."""
    session = client.session(endpoint, name)
    first = session.attach()
    assert session.first_frame(first) == "o"
    assert session.next_frame(first) == GO_AWAY
    second = session.attach()
    assert session.first_frame(second) == GO_AWAY
    assert session.next_frame(first) == ""
    assert session.next_frame(second) == ""


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("endpoint", ["/script", "/async_script"])
def test_pending_messages_are_flushed_first(client: Client, endpoint: str, name: str) -> None:
    """What was sent before close() arrives, then code and reason as the application gave them."""
    session = open_session(client, endpoint, name)
    session.run(["send", "a"], ["send", "b"], ["close", 4321, "bye"])
    messages: list[str] = []
    while (frame := session.receive())[0] == "a":
        messages.append(frame)
    assert "".join(messages) in ('a["a","b"]', 'a["a"]a["b"]')
    assert frame == BYE


@pytest.mark.parametrize("name", POLLING)
def test_close_ends_a_waiting_poll(client: Client, name: str) -> None:
    """A poll that waits is answered with the close frame at once."""
    session = client.session("/script", name).open()
    poll = session.wait()
    session.run(["close", 4321, "bye"])
    assert session.finish(poll) == BYE
    assert session.receive() == BYE


def test_close_after_a_silence(client: Client) -> None:
    """A receiver that has waited longer than ``disconnect_delay`` gets the close frame whole."""
    polls, waiting = {}, {}
    for name in POLLING:
        polls[name] = client.session("/fast_disconnect", name).open()
        waiting[name] = polls[name].wait()
    others = [open_session(client, "/fast_disconnect", name) for name in [*STREAMING, "websocket"]]
    absent = client.session("/fast_disconnect").open()
    eventually(lambda: not absent.exists())
    for name, session in polls.items():
        session.run(["close", 4321, "bye"])
        assert session.finish(waiting[name]) == BYE
    for other in others:
        other.run(["close", 4321, "bye"])
        assert other.receive() == BYE


@pytest.mark.parametrize("name", ["xhr", "jsonp"])
def test_sends_to_a_closing_session_are_dropped(client: Client, name: str) -> None:
    """A closing session takes sends and drops them."""
    tag = new_tag()
    session = client.session("/script", name, f"tag={tag}").open()
    session.run(["close", 4321, "bye"])
    assert session.receive() == BYE
    session.send("dropped")
    assert session.receive() == BYE
    assert "dropped" not in str(client.events(tag, 9, timeout=0.1))


@pytest.mark.parametrize("name", POLLING)
def test_closing_session_times_out(client: Client, name: str) -> None:
    """A closed session is forgotten after ``disconnect_delay``; its id may be used again."""
    session = client.session("/fast_disconnect", name).open()
    session.run(["close", 4321, "bye"])
    assert session.receive() == BYE
    eventually(lambda: not session.exists())
    assert session.receive() == "o"


@pytest.mark.parametrize("code", [1000, 3000, 3999, 4000, 4999])
@pytest.mark.parametrize("name", ["xhr", "websocket"])
def test_allowed_codes(client: Client, name: str, code: int) -> None:
    """An application may close with 1000 and 3000-4999; code and reason arrive as given."""
    reason = 'why "not" \u2028 \xe4'
    session = open_session(client, "/script", name)
    session.run(["close", code, reason])
    frame = session.receive()
    assert frame[0] == "c"
    assert json.loads(frame[1:]) == [code, reason]


@pytest.mark.ours
@pytest.mark.parametrize("code", [0, 999, 1001, 1005, 1006, 2000, 2007, 2999, 5000])
def test_other_codes_are_refused(client: Client, code: int) -> None:
    """Other codes are an error in the application, and the session goes on."""
    tag = new_tag()
    session = client.session("/script", query=f"tag={tag}").open()
    session.run(["try_close", code, "no"], ["send", "still here"])
    assert session.receive() == 'a["still here"]'
    assert client.events(tag, 3)[2] == ["refused", code, "no"]


@pytest.mark.ours
@pytest.mark.parametrize("endpoint", ["/script", "/async_script"])
@pytest.mark.parametrize("name", ALL)
def test_application_hears_its_own_close_once(client: Client, name: str, endpoint: str) -> None:
    """on_close comes once, with the code and reason of the first close()."""
    tag = new_tag()
    session = open_session(client, endpoint, name, f"tag={tag}")
    session.run(["close", 4321, "bye"], ["close", 4322, "again"], ["send", "too late"])
    assert session.receive() == BYE
    client.events(tag, 3)
    events = client.events(tag, 5, timeout=0.1)
    assert [event for event in events if event[0] == "close"] == [["close", 4321, "bye"]]
