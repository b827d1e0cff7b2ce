"""The load generator: it finds nothing wrong with our server, and what is wrong with a bad one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

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
        ("ours-cluster", "ws-fanout n10"),
    ],
)
def test_our_server_loses_no_broadcast(programs: Path, server: str, load: str) -> None:
    is_sound(found(programs, SERVERS[server].install(), load, "/broadcast"))


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
    assert [what for what in SOUND if measured[what]] == [noticed]


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
