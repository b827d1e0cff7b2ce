"""Links between processes: who is let in, what is bounded, and how an end is seen."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from sockjs_bridge.cluster import link as link_module
from sockjs_bridge.cluster import links as links_module
from sockjs_bridge.cluster.link import DEAD, Link
from sockjs_bridge.cluster.linkframes import (
    MAX_FRAME,
    Frames,
    HungUp,
    Kind,
    LinkError,
    PeerGone,
    frame,
)
from sockjs_bridge.cluster.linkproof import CHALLENGE, INTRODUCTION, Introduction
from sockjs_bridge.cluster.links import MAX_PATH, MAX_STRANGERS, Links, private_directory
from sockjs_bridge.cluster.streams import WINDOW, Stream
from tests.server.support import PATIENCE, until

pytestmark = pytest.mark.server

SECRET = "a secret of the cluster"


class End:
    """What is at one end of a stream; takes what comes, unless it is told not to."""

    def __init__(self, stream: Stream, addresses: tuple[str, ...] = ()) -> None:
        self.stream = stream
        self.addresses = addresses
        self.takes = True
        self.heard = b""
        self.words: list[tuple[Kind, bytes]] = []
        self.ends: list[bool] = []

    def received(self, data: bytes) -> None:
        self.heard += data
        if self.takes:
            self.stream.took(len(data))

    def said(self, kind: Kind, payload: bytes) -> None:
        self.words.append((kind, payload))

    def closed(self, *, broken: bool) -> None:
        self.ends.append(broken)

    def writable(self) -> None:
        pass

    def ticked(self) -> None:
        pass


class Ends(list[End]):
    """The ends of streams that were accepted."""

    def accept(self, stream: Stream, addresses: tuple[str, ...]) -> End:
        self.append(End(stream, addresses))
        return self[-1]


@asynccontextmanager
async def pair(
    secrets: tuple[str, str] = (SECRET, SECRET), where: str = "127.0.0.1:0"
) -> AsyncIterator[tuple[Links, Callable[[], object], Ends, Links]]:
    """Start two processes' links; yields one that listens, how the other dials, and the streams."""
    one, other = Links("listens1", secrets[0], "test"), Links("dials1", secrets[1], "test")
    ends = Ends()
    address = await one.listen(where, ends.accept)
    try:
        yield one, lambda: other.link("listens1", address), ends, other
    finally:
        one.close()
        other.close()
        # What was aborted is told in the next tick.
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("where", ["127.0.0.1:0", ""], ids=["tcp", "unix"])
async def test_stream(where: str) -> None:
    async with pair(where=where) as (_, dial, ends, _):
        link = await dial()
        assert await dial() is link
        front = link.open(("192.0.2.1", "1", "192.0.2.2", "2"), End)
        front.stream.write(b"x" * (MAX_FRAME + 1))
        front.stream.say(Kind.EOF)
        await until(lambda: ends and ends[0].words)
        [home] = ends
        assert home.addresses == ("192.0.2.1", "1", "192.0.2.2", "2")
        assert (home.heard, home.words) == (b"x" * (MAX_FRAME + 1), [(Kind.EOF, b"")])
        home.stream.write(b"answer")
        home.stream.say(Kind.END, b"1")
        home.stream.close()
        await until(lambda: front.ends)
        assert (front.heard, front.words, front.ends) == (b"answer", [(Kind.END, b"1")], [False])
        assert front.stream.over and not home.ends
        # Nobody is there any more.
        front.stream.write(b"late")
        front.stream.say(Kind.EOF)
        front.stream.close()


async def test_who_does_not_take_costs_others_nothing() -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        slow, quick = (link.open((), End) for _ in range(2))
        await until(lambda: len(ends) == 2)
        slow.takes = False
        while not ends[0].stream.paused:
            ends[0].stream.write(b"x" * 10000)
        assert WINDOW < ends[0].stream.waiting < WINDOW + 20000
        ends[1].stream.write(b"quick")
        await until(lambda: quick.heard == b"quick")
        assert not ends[1].stream.paused
        await until(lambda: len(slow.heard) == ends[0].stream.waiting)
        slow.stream.took(len(slow.heard), soon=True)
        await until(lambda: not ends[0].stream.waiting)
        assert not ends[0].stream.paused


async def test_link_that_is_full_stops_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "LINK_BUFFER", 100_000)
    async with pair() as (_, dial, ends, _):
        link = await dial()
        streams = [link.open((), End).stream for _ in range(200)]
        await until(lambda: len(ends) == 200)
        # The other side reads nothing.
        listening = ends[0].stream._link
        assert isinstance(listening, Link) and listening._transport is not None
        listening._transport.pause_reading()
        while not link.paused:
            for stream in streams:
                stream.write(b"x" * 100_000)
            await asyncio.sleep(0)
        assert all(stream.paused for stream in streams)
        listening._transport.resume_reading()
        await until(lambda: not link.paused)


async def test_end_of_a_process_ends_its_streams() -> None:
    async with pair() as (one, dial, ends, _):
        link = await dial()
        front = link.open((), End)
        await until(lambda: ends)
        one.close()
        await until(lambda: front.ends)
        assert front.ends == ends[0].ends == [True]
        with pytest.raises(LinkError):
            link.open((), End)
        with pytest.raises(LinkError):
            await dial()


async def test_process_that_answers_nothing_is_cut_off() -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        front = link.open((), End)
        await until(lambda: ends)
        listening = ends[0].stream._link
        assert isinstance(listening, Link) and listening._transport is not None
        for _ in range(3 * DEAD):
            # It lives: it answers the pings.
            link.tick()
            await until(lambda: link._quiet == 0 or link._quiet < DEAD - 1)
            if link._quiet >= 3:
                await until(lambda: link._quiet == 0)
        listening._transport.pause_reading()
        for _ in range(DEAD):
            link.tick()
        await until(lambda: front.ends)
        assert front.ends == [True]


async def test_end_that_fails_breaks_its_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        broken, whole = (link.open((), End) for _ in range(2))
        await until(lambda: len(ends) == 2)

        def fail(data: bytes) -> None:
            raise ZeroDivisionError

        ends[0].received = fail  # type: ignore[method-assign]
        broken.stream.write(b"x")
        whole.stream.write(b"y")
        await until(lambda: broken.ends and ends[1].heard)
        assert ends[0].ends == [True] and not whole.ends
        assert "a relayed connection failed" in caplog.text


@pytest.mark.parametrize("word", ["writable", "ticked", "closed"])
async def test_end_that_fails_keeps_nothing_from_the_others(
    word: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair() as (one, dial, ends, _):
        link = await dial()
        fronts = [link.open((), End) for _ in range(3)]
        await until(lambda: len(ends) == 3)
        heard: list[int] = []

        def fail(number: int, **keywords: bool) -> None:
            heard.append(number)
            raise ZeroDivisionError

        for number, front in enumerate(fronts):
            setattr(front, word, partial(fail, number))
        if word == "writable":
            link.resume_writing()
        elif word == "ticked":
            link.tick()
        else:
            one.close()
        await until(lambda: heard == [0, 1, 2])
        assert caplog.text.count("a relayed connection failed") == 3
        assert all(front.stream.over for front in fronts)


# Strangers


@pytest.mark.parametrize("secrets", [(SECRET, "another secret, as long"), ("x" * 16, SECRET)])
async def test_other_secret(secrets: tuple[str, str]) -> None:
    async with pair(secrets) as (_, dial, ends, _):
        with pytest.raises(LinkError, match="hung up"):
            await dial()
        assert not ends


async def test_process_without_a_secret_dials_no_other_host() -> None:
    async with pair((SECRET, "")) as (_, dial, _, _):
        with pytest.raises(LinkError, match="cluster_secret is not set"):
            await dial()


async def test_the_process_of_another_name() -> None:
    """A port may be another process's by now."""
    async with pair() as (one, _, _, other):
        assert one._server is not None
        port = one._server.sockets[0].getsockname()[1]
        with pytest.raises(LinkError):
            await other.link("gone1", f"tcp:127.0.0.1:{port}")


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * INTRODUCTION, b"\0" * 10_000],
    ids=["nothing", "HTTP", "no proof", "too much"],
)
async def test_a_hostile_peer_gets_nothing(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but random bytes, and that not for long."""
    monkeypatch.setattr(links_module, "DIAL_TIMEOUT", 0.2)
    async with pair() as (one, _, ends, _):
        assert one._server is not None
        reader, writer = await asyncio.open_connection(*one._server.sockets[0].getsockname())
        try:
            writer.write(said)
            try:
                heard = await asyncio.wait_for(reader.read(), PATIENCE)
            except ConnectionError:
                heard = b""
            assert len(heard) in (0, CHALLENGE)
            assert not ends
        finally:
            writer.close()


async def test_what_was_said_once_is_not_believed_again() -> None:
    async with pair() as (one, _, ends, _):
        assert one._server is not None
        address = one._server.sockets[0].getsockname()
        said = b""
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*address)
            challenge = await asyncio.wait_for(reader.readexactly(CHALLENGE), PATIENCE)
            if not said:
                introduction = Introduction.answering(one._secret, "listens1", challenge)
                said, _ = introduction.introduce("dials1")
                writer.write(said)
                assert await asyncio.wait_for(reader.readexactly(32), PATIENCE)
            else:
                writer.write(said)
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await asyncio.wait_for(reader.readexactly(1), PATIENCE)
            writer.close()
        assert not ends


async def test_many_strangers_keep_nobody_out() -> None:
    async with pair() as (one, dial, _, _):
        assert one._server is not None
        address = one._server.sockets[0].getsockname()
        strangers = [socket.create_connection(address) for _ in range(3 * MAX_STRANGERS)]
        try:
            await until(lambda: len(one._strangers) == MAX_STRANGERS)
            assert (await dial()).proved
        finally:
            for stranger in strangers:
                stranger.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff" * 9,
        frame(Kind.DATA, 1)[:5] + b"\xff\xff\xff\xff",
        frame(Kind.OPEN, 1, b"{"),
        frame(Kind.OPEN, 1, b"[" * 100_000),
        frame(Kind.OPEN, 1, b'{"a": 1}'),
        frame(Kind.OPEN, 1, b"[]") * 2,
    ],
    ids=["kind", "size", "addresses", "depth", "no list", "twice"],
)
async def test_nonsense_cuts_the_link(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with pair() as (_, dial, _, _):
        link = await dial()
        assert link._transport is not None
        link._transport.write(nonsense)
        await until(lambda: link._transport is None)
        [record] = caplog.records
        assert record.getMessage().startswith("the link with process dials1 is cut: ")


async def test_who_was_dialled_opens_nothing() -> None:
    async with pair() as (_, dial, ends, _):
        link = await dial()
        link.open((), End)
        await until(lambda: ends)
        listening = ends[0].stream._link
        assert isinstance(listening, Link)
        with pytest.raises(LinkError):
            link._begin(7, b"[]")


async def test_dialling_again_waits_a_while() -> None:
    links = Links("dials1", SECRET, "test")
    for _ in range(2):
        with pytest.raises(PeerGone):
            await links.link("gone1", "unix:/nowhere/at/all.sock")
    assert len(links._failed) == 1
    with pytest.raises(LinkError):
        await links.link("gone2", "carrier pigeon")
    links.close()


@pytest.mark.parametrize("dies", [True, False], ids=["dies", "lives"])
async def test_process_on_this_host_that_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    """It may be about to die: that is seen when it is dialled again."""
    monkeypatch.setattr(links_module, "DYING", (0.0, 0.0))
    path, dialled = tmp_path / "dies.sock", list[asyncio.StreamWriter]()

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.append(writer)
        if dies:
            server.close()
        writer.close()

    server = await asyncio.start_unix_server(hang_up, path)
    links = Links("dials1", SECRET, "test")
    try:
        with pytest.raises(PeerGone if dies else HungUp):
            await links.link("dies1", f"unix:{path}")
        assert len(dialled) == (1 if dies else 3)
    finally:
        server.close()
        links.close()


@pytest.mark.parametrize("hangs_up", [True, False], ids=["hung up", "silent"])
async def test_nothing_is_dialled_by_a_process_that_ends(tmp_path: Path, hangs_up: bool) -> None:
    path = tmp_path / "other.sock"
    dialled = asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.put_nowait((reader, writer))
        if hangs_up:
            writer.close()

    server = await asyncio.start_unix_server(come, path)
    links = Links("dials1", SECRET, "test")
    waits = asyncio.create_task(links.link("other1", f"unix:{path}"))
    try:
        reader, writer = await dialled.get()
        links.close()
        with pytest.raises(LinkError, match="ends"):
            await waits
        await until(lambda: not links._dialling)
        with pytest.raises(LinkError, match="ends"):
            await links.link("other1", f"unix:{path}")
        # The one that had begun is cut.
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert dialled.empty()
        writer.close()
    finally:
        server.close()


def test_frames_however_they_are_cut() -> None:
    whole = frame(Kind.OPEN, 1, b"[]") + frame(Kind.DATA, 1, b"abc") + frame(Kind.PING, 0)
    expected = [(Kind.OPEN, 1, b"[]"), (Kind.DATA, 1, b"abc"), (Kind.PING, 0, b"")]
    for size in range(1, len(whole) + 1):
        frames = Frames()
        found = []
        for begin in range(0, len(whole), size):
            found += frames.feed(whole[begin : begin + size])
        assert found == expected


# The directory of unix sockets


def test_directory_is_this_user_s_alone(tmp_path: Path) -> None:
    found = private_directory({"XDG_RUNTIME_DIR": str(tmp_path)}.get)
    assert found.parent == tmp_path
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert private_directory({"RUNTIME_DIRECTORY": f"{tmp_path}:/elsewhere"}.get) == found
    found.chmod(0o750)
    with pytest.raises(LinkError, match="mode 0700"):
        private_directory({"XDG_RUNTIME_DIR": str(tmp_path)}.get)


def test_directory_that_is_a_link_of_somebody(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / f"sockjs-bridge-{os.geteuid()}").symlink_to(tmp_path / "target")
    with pytest.raises(LinkError, match="not a directory of this user"):
        private_directory({"XDG_RUNTIME_DIR": str(tmp_path)}.get)


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot be made"):
        private_directory({"XDG_RUNTIME_DIR": str(tmp_path / "missing")}.get)


async def test_path_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / ("x" * MAX_PATH)
    base.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    with pytest.raises(LinkError, match="longer than"):
        await Links("listens1", "", "test").listen("", Ends().accept)


async def test_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LinkError, match="cannot be let in"):
            await Links("listens1", SECRET, "test").listen(where, Ends().accept)
