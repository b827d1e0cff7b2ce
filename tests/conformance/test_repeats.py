"""The browser's silent repeat of a request carries the same ``t`` (fallback.md); ours only."""

from __future__ import annotations

import pytest

from tests.conformance.wire import (
    POLLING,
    STREAMING,
    Client,
    Session,
    new_tag,
    quoted,
    receive_messages,
)

pytestmark = pytest.mark.ours
connection_seen = pytest.mark.direct("a balancer hides the client's connection, and how it ends")
#: As a network that fails does.
closed_connections = pytest.mark.direct("HAProxy resets connections that it has used", "haproxy")
INTERRUPTED = quoted(1002, "Connection interrupted")


def poll(session: Session, t: str) -> str:
    """Poll over a connection of its own."""
    return session.first_frame(session.attach(t))


@pytest.mark.parametrize("name", POLLING)
def test_repeated_poll(client: Client, name: str) -> None:
    """A repeated poll gets the same response again, the open frame and messages alike."""
    session = client.session("/script", name)
    assert poll(session, "1") == "o"
    assert poll(session, "1") == "o"
    session.run(["send", "a"], ["send", "b"])
    assert poll(session, "2") == 'a["a","b"]'
    assert poll(session, "2") == 'a["a","b"]'
    session.run(["send", "c"])
    assert poll(session, "3") == 'a["c"]'


@pytest.mark.parametrize("name", POLLING)
def test_only_the_last_response_is_repeated(client: Client, name: str) -> None:
    """An older ``t`` is no repeat: clocks are coarse, and the client has that response already."""
    session = client.session("/script", name)
    assert poll(session, "1") == "o"
    session.run(["send", "a"])
    assert poll(session, "2") == 'a["a"]'
    session.run(["send", "b"])
    assert poll(session, "1") == 'a["b"]'


@pytest.mark.parametrize("name", POLLING)
@connection_seen
def test_same_connection_is_no_repeat(client: Client, name: str) -> None:
    """A repeat comes over a new connection, so the same ``t`` over the same one is a new poll."""
    session = client.session("/script", name)
    connection = client.connect()
    assert session.finish(session.start("1", connection)) == "o"
    session.run(["send", "a"])
    assert session.finish(session.start("1", connection)) == 'a["a"]'


@pytest.mark.parametrize("name", POLLING)
def test_polls_without_t_are_never_repeats(client: Client, name: str) -> None:
    """Without ``t`` there is nothing to compare."""
    session = client.session("/script", name)
    assert poll(session, "") == "o"
    session.run(["send", "a"])
    assert poll(session, "") == 'a["a"]'
    session.run(["send", "b"])
    assert poll(session, "") == 'a["b"]'


@pytest.mark.parametrize("name", POLLING)
def test_repeat_of_a_lost_poll(client: Client, name: str) -> None:
    """The repeat of a poll whose connection was reset attaches again as if nothing had happened."""
    tag = new_tag()
    session = client.session("/script", name, f"tag={tag}")
    assert poll(session, "1") == "o"
    lost = session.wait("2")
    lost.reset()
    repeat = session.wait("2")
    session.run(["send", "kept"])
    assert session.finish(repeat) == 'a["kept"]'
    assert [event for event, *_ in client.events(tag, 2)] == ["open", "message"]


def test_repeat_half_a_second_later(client: Client) -> None:
    """The repeat has a second: a browser first has to make its new connection."""
    session = client.session("/script")
    assert poll(session, "1") == "o"
    lost = session.wait("2")
    lost.reset()
    session.run(["send", "kept"])
    assert client.connect().is_quiet(0.5)
    assert poll(session, "2") == 'a["kept"]'


@pytest.mark.parametrize("name", POLLING)
def test_message_for_a_lost_poll_is_kept(client: Client, name: str) -> None:
    """Defect 5: what was sent while the connection was lost waits for the repeat."""
    session = client.session("/script", name)
    assert poll(session, "1") == "o"
    lost = session.wait("2")
    lost.reset()
    session.run(["send", "a"])
    session.run(["send", "b"])
    frame = poll(session, "2")
    if frame == 'a["a"]':
        frame += poll(session, "3")
    assert frame in ('a["a","b"]', 'a["a"]a["b"]')


@pytest.mark.parametrize("name", POLLING)
def test_other_t_after_a_loss(client: Client, name: str) -> None:
    """Any other receiver after a loss gets 1002, within the second as well."""
    session = client.session("/script", name)
    assert poll(session, "1") == "o"
    lost = session.wait("2")
    lost.reset()
    answer = poll(session, "3")
    # The server may read the newcomer before it reads the end of the lost one.
    if answer == quoted(2010, "Another connection still open"):
        answer = poll(session, "4")
    assert answer == INTERRUPTED
    assert poll(session, "5") == INTERRUPTED


@pytest.mark.parametrize("name", POLLING)
def test_loss_without_a_repeat(client: Client, name: str) -> None:
    """Without a repeat within a second the session ends, and the application is told."""
    tag = new_tag()
    session = client.session("/script", name, f"tag={tag}")
    assert poll(session, "1") == "o"
    lost = session.wait("2")
    lost.reset()
    assert client.events(tag, 2)[1:] == [["close", 1002, "Connection interrupted"]]
    assert poll(session, "2") == INTERRUPTED


@pytest.mark.parametrize("name", STREAMING)
def test_repeat_of_a_lost_stream(client: Client, name: str) -> None:
    """The repeat of a stream that broke at its start gets what it should have got, ``o`` too."""
    session = client.session("/script", name)
    first = session.attach("1")
    assert session.first_frame(first) == "o"
    first.connection.reset()
    repeat = session.attach("1")
    assert session.first_frame(repeat) == "o"
    session.run(["send", "a"])
    assert session.next_frame(repeat) == 'a["a"]'


def test_repeated_send(client: Client) -> None:
    """A repeated send, same ``t`` and same body, is answered 204 and not delivered twice."""
    tag = new_tag()
    session = client.session("/echo", query=f"tag={tag}").open()
    for _ in range(3):
        answer = session.post('["a"]', "t=7")
        assert (answer.status, answer.body) == (204, b"")
    session.send("end")
    expected = [["open"], ["message", "a"], ["message", "end"]]
    assert client.events(tag, 3) == expected
    assert receive_messages(session, 2) == ["a", "end"]


def test_repeated_jsonp_send(client: Client) -> None:
    """A repeated jsonp_send is answered ``ok`` and not delivered twice."""
    session = client.session("/echo", "jsonp").open()
    for _ in range(2):
        assert session.post('["a"]', "t=7").body == b"ok"
    session.send("end")
    assert receive_messages(session, 2) == ["a", "end"]


def test_repeat_of_an_older_send(client: Client) -> None:
    """The memory reaches back some sends, as sends over several connections may overtake."""
    session = client.session("/echo").open()
    for t in ("1", "2", "1"):
        assert session.post(f'["{t}"]', f"t={t}").status == 204
    session.send("end")
    assert receive_messages(session, 3) == ["1", "2", "end"]


def test_same_t_with_another_body(client: Client) -> None:
    """Clocks are coarse: another body with the same ``t`` is another message."""
    session = client.session("/echo").open()
    assert session.post('["a"]', "t=7").status == 204
    assert session.post('["b"]', "t=7").status == 204
    assert receive_messages(session, 2) == ["a", "b"]


@connection_seen
def test_same_connection_is_a_new_message(client: Client) -> None:
    """The same ``t`` and body over the same connection were said twice."""
    session = client.session("/echo").open()
    connection = client.connect()
    for _ in range(2):
        assert session.post('["a"]', "t=7", connection=connection).status == 204
    assert receive_messages(session, 2) == ["a", "a"]


def test_same_body_with_another_t(client: Client) -> None:
    """The same body with another ``t``, or with none, is a new message."""
    session = client.session("/echo").open()
    for query in ("t=7", "t=8", "", ""):
        assert session.post('["a"]', query).status == 204
    assert receive_messages(session, 4) == ["a", "a", "a", "a"]


def test_repeat_in_another_session(client: Client) -> None:
    """The memory belongs to one session."""
    for _ in range(2):
        session = client.session("/echo").open()
        assert session.post('["a"]', "t=7").status == 204
        assert session.receive() == 'a["a"]'


def test_refused_send_may_be_repeated(client: Client) -> None:
    """A send that was refused was not delivered, and its repeat is judged anew."""
    session = client.session("/echo").open()
    for _ in range(2):
        assert session.post('["a', "t=7").status == 500
    session.send("end")
    assert session.receive() == 'a["end"]'


#: Times of clocks with steps of 100 ms and of a 60th of a second.
BLURRED = ["1700000000100", "1700000000166", "1700000000133"]


@pytest.mark.parametrize("t", BLURRED)
@closed_connections
def test_blurred_clock_is_no_repeat(client: Client, t: str) -> None:
    """With a blurred clock, and a connection each behind a proxy, other requests share a ``t``."""
    session = client.session("/script")
    for expected in ("o", 'a["1"]', 'a["2"]'):
        connection = client.connect()
        assert session.finish(session.start(t, connection)) == expected
        connection.close()
        session.run(["send", "2" if expected == 'a["1"]' else "1"])
    echo = client.session("/echo").open()
    for _ in range(2):
        connection = client.connect()
        assert echo.post('["a"]', f"t={t}", connection=connection).status == 204
        connection.close()
    assert receive_messages(echo, 2) == ["a", "a"]


@pytest.mark.parametrize("t", BLURRED)
@connection_seen
def test_blurred_clock_and_a_reset(client: Client, t: str) -> None:
    """Where the connection was reset, the same ``t`` is a repeat with any clock."""
    session = client.session("/script")
    first = client.connect()
    assert session.finish(session.start(t, first)) == "o"
    first.reset()
    assert poll(session, t) == "o"
    echo = client.session("/echo").open()
    connection = client.connect()
    assert echo.post('["a"]', f"t={t}", connection=connection).status == 204
    connection.reset()
    assert echo.post('["a"]', f"t={t}").status == 204
    echo.send("end")
    assert receive_messages(echo, 2) == ["a", "end"]


@pytest.mark.parametrize("t", ["1700000000101", *BLURRED])
def test_repeat_after_a_loss_that_nobody_saw(client: Client, t: str) -> None:
    """Where the clock is exact, and would have moved on, the same ``t`` is a repeat, whatever was
    seen of the first: behind a proxy its connection ends in good order. One time that no blurred
    clock shows proves an exact one."""
    session = client.session("/script")
    assert poll(session, "1700000000001") == "o"
    first = session.start(t)
    assert first.is_quiet(0.1)
    session.run(["send", "a"])
    assert session.finish(first) == 'a["a"]'
    first.close()
    assert poll(session, t) == 'a["a"]'
    echo = client.session("/echo").open()
    assert echo.post('["first"]', "t=1700000000001").status == 204
    for _ in range(2):
        connection = client.connect()
        assert echo.post(f'["{t}"]', f"t={t}", connection=connection).status == 204
        assert connection.is_quiet(0.1)
        connection.close()
    echo.send("end")
    assert receive_messages(echo, 3) == ["first", t, "end"]


@closed_connections
def test_number_of_the_application(client: Client) -> None:
    """A ``t`` in the application's own query, which each request has, makes none a repeat."""
    session = client.session("/script", query="t=token")
    for number, expected in enumerate(("o", 'a["a"]', 'a["a"]'), 1700000000001):
        connection = client.connect()
        assert session.finish(session.start(str(number), connection)) == expected
        connection.close()
        session.run(["send", "a"])
