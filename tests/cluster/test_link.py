"""One link: its introductions, its streams' numbers, and what comes too late; over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sockjs_bridge.cluster import link as link_module
from sockjs_bridge.cluster import links as links_module
from sockjs_bridge.cluster.link import Link
from sockjs_bridge.cluster.linkframes import Kind, LinkError, frame
from sockjs_bridge.cluster.linkproof import INTRODUCTION, Introduction
from sockjs_bridge.cluster.links import MAX_STRANGERS, Links
from tests.cluster.test_links import SECRET, End, Ends, pair
from tests.server.support import PATIENCE, until

pytestmark = pytest.mark.server

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class ByteByByte(asyncio.Transport):
    """Hands what is written to the other side, one byte in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.other: Link | None = None

    def write(self, data: Any) -> None:
        other = self.other
        assert other is not None
        for number in data:
            asyncio.get_running_loop().call_soon(other.data_received, bytes([number]))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def pause_reading(self) -> None:
        """The test hands it what it reads."""

    def is_closing(self) -> bool:
        return False


async def introduced(ends: Ends) -> tuple[Link, Link]:
    """Return who has dialled and who has accepted, without sockets."""
    dials = Link(b"secret", "dials1", lambda link: None, peer="accepts1")
    accepts = Link(b"secret", "accepts1", lambda link: None, accept=ends.accept)
    there, back = ByteByByte(), ByteByByte()
    there.other, back.other = accepts, dials
    dials.connection_made(there)
    accepts.connection_made(back)
    async with asyncio.timeout(PATIENCE):
        await dials.ready()
        # At once.
        await dials.ready()
    return dials, accepts


async def test_introductions_however_they_are_cut() -> None:
    ends = Ends()
    dials, accepts = await introduced(ends)
    assert accepts.peer == "dials1"
    front = dials.open((), End)
    front.stream.write(b"text")
    await until(lambda: ends and ends[0].heard == b"text")


@asynccontextmanager
async def dialled(peer: Peer) -> AsyncIterator[Callable[[], Any]]:
    """Yields how a process dials a server of ours that is no link."""
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    links = Links("dials1", SECRET, "test")
    try:
        yield lambda: links.link("listens1", f"tcp:127.0.0.1:{port}")
    finally:
        links.close()
        server.close()


async def test_who_is_dialled_and_does_not_know_the_secret() -> None:
    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(Introduction(b"another secret", "listens1").challenge)
        await reader.readexactly(INTRODUCTION)
        writer.write(b"\0" * 32)
        await reader.read()
        writer.close()

    async with dialled(lie) as dial:
        with pytest.raises(LinkError, match="does not know cluster_secret"):
            await dial()


async def test_who_is_dialled_and_is_something_else() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP, and many words of welcome behind that\r\n")
        await reader.read()
        writer.close()

    async with dialled(speak) as dial:
        with pytest.raises(LinkError, match="no link of this version"):
            await dial()


async def test_who_is_dialled_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "DIAL_TIMEOUT", 0.1)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with dialled(say_nothing) as dial:
        with pytest.raises(LinkError, match="does not answer"):
            await dial()


async def test_address_that_is_none() -> None:
    links = Links("dials1", SECRET, "test")
    with pytest.raises(LinkError, match="invalid literal"):
        await links.link("listens1", "tcp:127.0.0.1:port")


async def test_who_stops_waiting_for_a_link_takes_it_from_nobody() -> None:
    async with pair() as (_, dial, _, _):
        waiting = [asyncio.ensure_future(dial()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        first, second = await asyncio.gather(*waiting[1:])
        assert first is second
        assert waiting[0].cancelled()


async def test_process_that_cannot_be_reached_again_and_again_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(links_module, "RETRY_AFTER", 0)
    links = Links("dials1", SECRET, "test")
    for node in ("listens1", "listens1", "listens2"):
        with pytest.raises(LinkError, match="invalid literal"):
            await links.link(node, "tcp:127.0.0.1:port")
    assert [record.args[0] for record in caplog.records] == ["listens1", "listens2"]


async def test_process_that_ends_while_it_dials() -> None:
    async with pair() as (_, dial, _, other):
        dialling = asyncio.ensure_future(dial())
        await asyncio.sleep(0)
        other.close()
        with pytest.raises(LinkError, match="this process ends"):
            await dialling
        assert other.get("listens1") is None


async def test_many_strangers_do_not_cut_who_has_just_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing else looks at links meanwhile.
    monkeypatch.setattr(links_module, "TICK", 1000)
    async with pair() as (one, dial, ends, _):
        front = (await dial()).open((), End)
        await until(lambda: ends)
        assert one._server is not None
        address = one._server.sockets[0].getsockname()
        strangers = [await asyncio.open_connection(*address) for _ in range(MAX_STRANGERS)]
        try:
            await until(lambda: one._accepted)
            front.stream.write(b"text")
            await until(lambda: ends[0].heard == b"text")
        finally:
            for _, writer in strangers:
                writer.close()


async def test_who_has_proved_itself_stays_when_the_time_for_that_is_over() -> None:
    async with pair() as (one, dial, ends, _):
        front = (await dial()).open((), End)
        await until(lambda: ends)
        accepted: Any = ends[0].stream._link
        one._judge(accepted)
        assert not accepted._dropped
        front.stream.write(b"text")
        await until(lambda: ends[0].heard == b"text")


async def test_stream_takes_no_number_that_is_another_s() -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        first = link.open((), End)
        # As after so many others.
        link._last = 2**32 - 1
        second = link.open((), End)
        await until(lambda: len(ends) == 2)
        second.stream.write(b"second")
        first.stream.write(b"first")
        await until(lambda: [end.heard for end in ends] == [b"first", b"second"])


async def test_what_waits_when_the_link_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Who has asked is told; what is written in the same tick is nobody's."""
    async with pair() as (_, dial, ends, _):
        link = await dial()
        front = link.open((), End)
        await until(lambda: ends)
        answers: list[bool | None] = []
        link.abort()
        front.stream.write(b"late")
        link.ask(answers.append)
        await until(lambda: answers)
        assert (answers, front.ends) == ([None], [True])
        await until(lambda: not link._out)
    assert not caplog.records


@pytest.fixture
def goes_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "BATCH", 3)


@pytest.mark.usefixtures("goes_of_three")
async def test_a_crowd_is_told_in_goes_that_the_link_is_over() -> None:
    """What the loop has to do meanwhile is done; who has ended by itself hears nothing."""
    async with pair() as (_, dial, ends, _):
        link = await dial()
        fronts = [link.open((), End) for _ in range(8)]
        await until(lambda: len(ends) == 8)
        goes: list[int] = []

        def count() -> None:
            goes.append(sum(map(len, (front.ends for front in fronts))))
            if goes[-1] and not fronts[7].stream.over:
                fronts[7].stream.close()
            if goes[-1] < 7:
                asyncio.get_running_loop().call_soon(count)

        link.abort()
        count()
        await until(lambda: goes[-1] == 7)
        assert list(dict.fromkeys(goes)) == [0, 3, 6, 7]
        assert [front.ends for front in fronts] == [[True]] * 7 + [[]]


@pytest.mark.usefixtures("goes_of_three")
async def test_what_comes_at_once_is_heard_in_goes() -> None:
    """In order, with other work of the loop in between, and all of it before the end."""
    async with pair() as (_, dial, ends, _):
        link = await dial()
        front = link.open((), End)
        await until(lambda: ends)
        accepted: Any = ends[0].stream._link
        heard: list[bytes] = []

        def look() -> None:
            heard.append(ends[0].heard)
            if not ends[0].ends:
                asyncio.get_running_loop().call_soon(look)

        for number in range(8):
            front.stream.write(b"%d" % number)
        link._flush()
        link._transport.close()
        look()
        await until(lambda: ends[0].ends)
        assert list(dict.fromkeys(heard)) == [b"", b"012", b"012345", b"01234567"]
        assert (ends[0].ends, accepted._holds) == ([True], False)


@pytest.mark.usefixtures("goes_of_three")
async def test_what_comes_between_two_goes_waits_for_its_turn() -> None:
    """More frames, and the end."""
    ends = Ends()
    _, accepts = await introduced(ends)
    frames = [frame(Kind.OPEN, 1, b"[]"), *(frame(Kind.DATA, 1, b"%d" % n) for n in range(4))]
    accepts.data_received(b"".join(frames[:4]))
    accepts.data_received(frames[4])
    accepts.connection_lost(None)
    assert (ends[0].heard, ends[0].ends) == (b"01", [])
    await until(lambda: ends[0].ends)
    assert (ends[0].heard, ends[0].ends) == (b"0123", [True])


@pytest.mark.usefixtures("goes_of_three")
async def test_link_that_breaks_its_rules_late_in_a_crowd() -> None:
    """It is cut in a later go; what came behind is not heard."""
    async with pair() as (_, dial, ends, _):
        link = await dial()
        front = link.open((), End)
        await until(lambda: ends)
        for number in range(4):
            front.stream.write(b"%d" % number)
        # A number that is taken.
        link.send(Kind.OPEN, 1, b"[]")
        front.stream.write(b"late")
        await until(lambda: ends[0].ends and front.ends)
        assert ends[0].heard == b"0123"


async def test_answer_to_what_nobody_has_asked() -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        link.open((), End)
        await until(lambda: ends)
        listening: Any = ends[0].stream._link
        listening.send(Kind.ANSWER, 7, b"1")
        answers: list[bool | None] = []
        link.ask(answers.append)
        await until(lambda: answers)
        assert answers == [False]


async def test_end_that_fails_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        broken, whole = (link.open((), End) for _ in range(2))
        await until(lambda: len(ends) == 2)

        def fail(*, broken: bool) -> None:
            raise ZeroDivisionError

        ends[0].closed = fail  # type: ignore[method-assign]
        broken.stream.close()
        whole.stream.write(b"text")
        await until(lambda: ends[1].heard == b"text")
    assert [record.message for record in caplog.records] == ["a relayed connection failed"]
