"""What chooses the tests that run, and what guards those that need no server."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.isolation import GUARD, Forbidden
from tests.selection import FULL, beside_turns, cases, pairs


@pytest.mark.parametrize("sizes", [(7,), (3, 2), (8, 4, 2), (3, 3, 3, 3), (5, 1, 4)])
def test_pairs(sizes: tuple[int, ...]) -> None:
    """Each pair of values is chosen with some row; of many rows, few are."""
    rows = [
        dict(zip("abcd", values, strict=False)) for values in itertools.product(*map(range, sizes))
    ]
    chosen = [rows[index] for index in pairs(rows)]

    def pairs_in(rows: list[dict[str, int]]) -> set[object]:
        return {
            pair for row in rows for pair in [*itertools.combinations(row.items(), 2), *row.items()]
        }

    assert pairs_in(chosen) == pairs_in(rows)
    if len(sizes) < 3:
        assert chosen == rows
    elif sizes == (3, 3, 3, 3):
        assert len(chosen) < 20


def test_pairs_of_what_is_no_product() -> None:
    """Only what is there can be chosen."""
    rows = [{"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "c": 1}, {"a": 1, "b": 1, "c": 1}]
    assert pairs(rows) == {0, 1}


def test_turns() -> None:
    """Each group keeps one case."""
    assert [*beside_turns([["a1", "a2"], ["b1", "b2"], ["c1", "c2"], ["d1"]])] == ["a2", "b1", "c2"]
    assert [*beside_turns([])] == []


def test_cases() -> None:
    """What only the full run has is marked."""
    one, two = cases({"one": 1, "two": 2}, {"two"})
    assert (one.id, one.values, [*one.marks]) == ("one", (1,), [])
    assert (two.id, two.values, [mark.name for mark in two.marks]) == ("two", (2,), ["full"])


@pytest.mark.turns("number")
@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.full), 3])
@pytest.mark.parametrize("letter", ["a", "b"])
def test_what_runs(request: pytest.FixtureRequest, letter: str, number: int) -> None:
    """Each letter has a number, the second one has the next; none has one that is marked."""
    ran = {item.name for item in request.session.items if "test_what_runs[" in item.name}
    assert FULL or ran <= {"test_what_runs[a-1]", "test_what_runs[b-3]"}


def listen() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


class Listener:
    def start(self) -> None:
        listen()


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_what_needs_a_server(request: pytest.FixtureRequest, listener: Listener) -> None:
    """It is marked by what its fixtures use, however far behind."""
    assert request.node.get_closest_marker("server")


def test_what_needs_none(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert not request.node.get_closest_marker("server")


async def listen_by_libuv() -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)


def run_libuv() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(listen_by_libuv())


def start_a_process() -> None:
    subprocess.run(["true"], check=True)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (listen, "socket.bind"),
        (run_libuv, "uvloop's create_server"),
        (start_a_process, "subprocess.Popen"),
    ],
)
def test_guard(work: Callable[[], None], said: str) -> None:
    """What opens a socket or starts a process while it is closed is stopped, and noted."""
    with GUARD.closed() as broken, pytest.raises(Forbidden, match=said):
        work()
    assert broken == [said]


def test_guard_that_is_opened() -> None:
    """For a while, and whoever opens it closes it again."""
    with GUARD.closed() as broken:
        with GUARD.opened():
            listen()
        with pytest.raises(Forbidden):
            listen()
    assert broken == ["socket.bind"]


def test_guard_leaves_loops_alone() -> None:
    """This test is guarded: a pair of sockets, and what loops need, open nothing to others."""
    one, other = socket.socketpair()
    one.close()
    other.close()
    asyncio.run(asyncio.sleep(0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))
