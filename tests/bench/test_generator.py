"""The load generator: it finds nothing wrong with our server, and what is wrong with a bad one."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bench import run
from bench.loads import Load, Measurement, run_generator
from bench.servers import (
    BENCH,
    PEERS,
    SERVERS,
    Installed,
    Lacking,
    compile_c,
    free_port,
    running,
)

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

SOUND = ("errors", "lost", "duplicates", "reordered", "bad_payload", "foreign")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generator and the minimal server."""
    folder = tmp_path_factory.mktemp("programs")
    compile_c(BENCH / "sockjs_load.c", folder)
    compile_c(PEERS / "limit.c", folder)
    return folder


@pytest.fixture(scope="module")
def ours(programs: Path) -> Iterator[int]:
    """The port of our server, for loads of which nobody else hears."""
    port = free_port()
    with running(SERVERS["ours"].install(), port, programs / f"{port}.log"):
        yield port


def measure(programs: Path, port: int, load: str, prefix: str, *arguments: object) -> Measurement:
    """Run the generator for half a second."""
    return run_generator(
        programs / "sockjs_load",
        Load.parse(load),
        port,
        0.5,
        *("--prefix", prefix, "--warmup", 0.1, *arguments, "--check"),
    )


def found(
    programs: Path, server: Installed, load: str, prefix: str, *arguments: object
) -> Measurement:
    """Start a server, and measure it."""
    port = free_port()
    with running(server, port, programs / f"{port}.log"):
        return measure(programs, port, load, prefix, *arguments)


@pytest.mark.parametrize(
    ("load", "prefix"),
    [
        ("ws-echo c10 k4", "/echo"),
        ("xhr-echo c10", "/echo"),
        ("xhr-echo c2", "/view"),
        ("xhr-echo c10 r200", "/echo"),
        ("ws-echo c2", "/coroutine"),
        ("ws-echo c2", "/plain"),
        ("r1-echo c10 k4", "/echo"),
        ("r1-poll c10", "/echo"),
        ("r1-echo c2", "/view"),
    ],
)
def test_our_server_loses_nothing(programs: Path, ours: int, load: str, prefix: str) -> None:
    """Nor doubles, mixes up or changes anything, over WebSocket and by polling."""
    is_sound(measure(programs, ours, load, prefix))


@pytest.mark.parametrize(
    ("server", "load"),
    [
        ("ours", "ws-fanout n10"),
        ("ours", "r1-fanout n10 k4"),
    ],
)
def test_our_server_loses_no_broadcast(programs: Path, server: str, load: str) -> None:
    is_sound(found(programs, SERVERS[server].install(), load, "/broadcast"))


@pytest.mark.parametrize(
    ("server", "load", "front"),
    [
        pytest.param("ours-cluster", "ws-fanout n10", False, marks=pytest.mark.full),
        ("ours-cluster", "cluster-fanout n10", True),
        ("ours-cluster", "cluster-poll c10", True),
        ("ours-cluster", "cluster-open c3", False),
        pytest.param("ours", "cluster-poll c10", False, marks=pytest.mark.full),
        ("ours", "cluster-fanout n10", False),
    ],
)
def test_a_cluster_loses_nothing(programs: Path, server: str, load: str, front: bool) -> None:
    """Its processes are told apart; in one process the clients do the same."""
    installed, (cpu, *_) = SERVERS[server].install(), os.sched_getaffinity(0)
    measured = run.measure(
        SERVERS[server], installed, Load.parse(load), 0.5, programs / "sockjs_load", (cpu, cpu)
    )
    is_sound(measured)
    assert ("front_us_per_msg" in measured, "redis_us_per_msg" in measured) == (
        front,
        server == "ours-cluster",
    )


def test_requests_go_elsewhere_by_turns(programs: Path) -> None:
    """A poll to another process than the one before, a send to another one than the poll."""
    counts: list[Counter[str]] = [Counter(), Counter()]
    port = free_port()
    with (
        running(SERVERS["ours"].install(), port, programs / f"{port}.log"),
        counting(port, counts[0]) as home,
        counting(port, counts[1]) as front,
    ):
        is_sound(measure(programs, home, "xhr-echo c3", "/echo", "--front-port", front))
    polls, sends = ([count[kind] for count in counts] for kind in ("xhr", "xhr_send"))
    # Nearly as many here as there: each of the three sessions may have one more.
    assert abs(polls[0] - polls[1]) <= 3
    assert abs(sends[0] - sends[1]) <= 3
    assert min(polls) > 3


@contextmanager
def counting(port: int, counts: Counter[str]) -> Iterator[int]:
    """Pass connections on to a server, and count what is asked over them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def answers() -> None:
            while data := await there.read(65536):
                writer.write(data)

        answering = asyncio.ensure_future(answers())
        try:
            while data := await reader.read(65536):
                # One request at a time, in one piece.
                counts[data.split(b" ")[1].rpartition(b"/")[2].decode()] += 1
                back.write(data)
        finally:
            answering.cancel()
            back.close()
            writer.close()

    started: Future[tuple[int, asyncio.AbstractEventLoop]] = Future()

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            started.set_result((server.sockets[0].getsockname()[1], asyncio.get_running_loop()))
            with suppress(asyncio.CancelledError):
                await server.serve_forever()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    own, loop = started.result()
    try:
        yield own
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()


def is_sound(measured: Measurement) -> None:
    assert {what: measured[what] for what in SOUND} == dict.fromkeys(SOUND, 0)
    assert measured["rate"] > 0


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [("drop", "lost"), ("dup", "duplicates"), ("swap", "reordered"), ("corrupt", "bad_payload")],
)
def test_a_fault_is_noticed(programs: Path, fault: str, noticed: str) -> None:
    """A message of fifty goes wrong."""
    server = Installed([programs / "limit", "{port}", "--fault", fault], {})
    measured = found(programs, server, "ws-fanout n5", "/broadcast", "--pace", 1000)
    # What is swapped with the next one is lost where the measurement ends before that.
    possible = {noticed, "lost"} if fault == "swap" else {noticed}
    assert noticed in {what for what in SOUND if measured[what]} <= possible


def test_stock_sessions_are_not_taken_for_resumable_ones(programs: Path) -> None:
    server = Installed([programs / "limit", "{port}"], {})
    with pytest.raises(Lacking, match="upgrade refused"):
        found(programs, server, "r1-echo c1", "/echo", "--open-timeout", 0.5)


def test_a_program_is_compiled_when_its_source_is_newer(tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text("int main(void) { return 0; }")
    program = compile_c(source, tmp_path)
    compiled = program.stat().st_mtime
    source.write_text("int main(void) { return nothing; }")
    os.utime(source, (compiled - 1, compiled - 1))
    assert compile_c(source, tmp_path) == program
    os.utime(source, (compiled + 1, compiled + 1))
    with pytest.raises(Lacking, match=r"program\.c.* failed:"):
        compile_c(source, tmp_path)


def test_a_generator_that_fails_says_why(programs: Path) -> None:
    with pytest.raises(Lacking, match="the generator failed: option out of range"):
        run_generator(programs / "sockjs_load", Load.parse("open c1"), 1, 1, "--payload", 1)
