"""xhr_streaming, and what all streaming transports share (XhrStreaming)."""

from __future__ import annotations

import time

import pytest

from tests.conformance.wire import (
    HTTP_TRANSPORTS,
    JAVASCRIPT,
    STREAMING,
    Client,
    assert_content_type,
    assert_cors,
    assert_not_cached,
    messages_of,
)


@pytest.mark.parametrize("endpoint", ["/echo", "/blocking_echo"])
def test_transport(client: Client, endpoint: str) -> None:
    """XhrStreaming: 2048 bytes of prelude, then each frame."""
    session = client.session(endpoint, "xhr_streaming")
    answer = session.attach()
    assert answer.status == 200
    assert_content_type(answer, JAVASCRIPT)
    assert_cors(answer)
    assert_not_cached(answer)
    assert answer.part(b"\n") == b"h" * 2048 + b"\n"
    assert answer.part(b"\n") == b"o\n"
    session.send("x")
    assert answer.part(b"\n") == b'a["x"]\n'
    session.send("y")
    assert answer.part(b"\n") == b'a["y"]\n'


@pytest.mark.ours
@pytest.mark.parametrize("name", STREAMING)
def test_messages_of_one_tick_leave_in_one_frame(client: Client, name: str) -> None:
    """What is queued at once leaves as one frame; the reference writes a frame per message."""
    session = client.session("/async_script", name)
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    session.run(["send", "y"], ["send", "z"])
    assert session.next_frame(answer) == 'a["y","z"]'


@pytest.mark.parametrize("name", STREAMING)
def test_no_frame_waits_for_the_next(client: Client, name: str) -> None:
    """A frame comes at once: what stands between may wait for more of a response, for 200 ms."""
    session = client.session("/script", name).open()
    waited = []
    for number in range(10):
        begun = time.monotonic()
        session.run(["send", str(number)])
        assert session.receive() == f'a["{number}"]'
        waited.append(time.monotonic() - begun)
    assert min(waited) < 0.2


def test_response_limit(client: Client) -> None:
    """XhrStreaming: with a limit of 4096 bytes, 31 frames of 134 bytes fill a response."""
    session = client.session("/echo", "xhr_streaming")
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    for _ in range(31):
        session.send("x" * 128)
        assert answer.part(b"\n") == b'a["' + b"x" * 128 + b'"]\n'
    assert session.next_frame(answer) == ""
    session.stream = None
    session.send("next")
    assert session.receive() == 'a["next"]'


@pytest.mark.parametrize("name", STREAMING)
def test_frames_are_never_split_by_the_limit(client: Client, name: str) -> None:
    """EventSource, HtmlFile: one frame beyond the limit is sent whole, then the response ends."""
    session = client.session("/echo", name)
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    session.send("x" * 4096)
    assert messages_of(session.next_frame(answer)) == ["x" * 4096]
    assert session.next_frame(answer) == ""


@pytest.mark.parametrize("name", STREAMING)
def test_prelude_counts_not_towards_the_limit(client: Client, name: str) -> None:
    """The limit is counted with framing and without the prelude."""
    session = client.session("/echo", name)
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    session.send("x" * 3900)
    assert messages_of(session.next_frame(answer)) == ["x" * 3900]
    session.send("more")
    assert messages_of(session.next_frame(answer)) == ["more"]


@pytest.mark.parametrize("name", HTTP_TRANSPORTS)
def test_messages_survive_the_change_of_responses(client: Client, name: str) -> None:
    """The client goes on with its next request: nothing is lost, doubled or reordered."""
    session = client.session("/echo", name).open()
    sent = [f"{number}:" + "x" * 700 for number in range(30)]
    received: list[str] = []
    for start in range(0, len(sent), 3):
        session.send(*sent[start : start + 3])
        while len(received) < start + 3:
            received += messages_of(session.receive())
    assert received == sent


@pytest.mark.ours
@pytest.mark.parametrize("name", STREAMING)
def test_response_max_age(client: Client, name: str) -> None:
    """A streaming response ends by age, at a frame boundary; the session goes on."""
    session = client.session("/short_responses", name)
    answer = session.attach()
    assert session.first_frame(answer) == "o"
    assert session.next_frame(answer) == ""
    session.run(["send", "between"])
    assert session.receive() == 'a["between"]'
    assert session.stream is not None
    assert session.next_frame(session.stream) == ""


@pytest.mark.ours
def test_max_age_ends_no_poll(client: Client) -> None:
    """Only streams end by age: an idle poll goes on waiting for its frame."""
    session = client.session("/short_responses").open()
    stream = client.session("/short_responses", "xhr_streaming")
    poll = session.start()
    answer = stream.attach()
    assert stream.first_frame(answer) == "o"
    assert stream.next_frame(answer) == ""
    session.run(["send", "late"])
    assert session.finish(poll) == 'a["late"]'
