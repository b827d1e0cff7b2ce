"""Where hooks and views run."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from sockjs_bridge.server.relief import Relief
from sockjs_bridge.server.threads import ThreadPool
from sockjs_bridge.server.workers import SessionWorkers


async def test_stop_waits_for_all_that_runs() -> None:
    """A hook in the pool, a view in a thread of its own and a task end before the server does."""
    workers = SessionWorkers(2, 2)
    gate, ended = threading.Event(), []

    def plain() -> None:
        gate.wait(5)
        ended.append("plain")

    async def task() -> None:
        await asyncio.to_thread(gate.wait, 5)
        ended.append("task")

    workers.submit(plain)
    workers.start(plain, "a view")
    workers.spawn(task())
    stopping = asyncio.create_task(workers.stop(5))
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.set()
    await stopping
    assert sorted(ended) == ["plain", "plain", "task"]


async def test_stop_does_not_wait_for_ever() -> None:
    """What is stuck is left behind: its thread is a daemon."""
    workers = SessionWorkers(1, 1)
    gate = threading.Event()
    workers.start(gate.wait, "stuck")
    await asyncio.wait_for(workers.stop(0.05), 5)
    (stuck,) = [thread for thread in threading.enumerate() if thread.name == "stuck"]
    assert stuck.daemon
    gate.set()
    await asyncio.to_thread(stuck.join, 40)


async def test_nothing_starts_after_the_stop() -> None:
    workers = SessionWorkers(1, 1)
    await workers.stop(1)
    called = threading.Event()
    workers.submit(called.set)
    assert not called.wait(0.05)


async def test_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a thread is told that there is none, and the stop waits for none."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = SessionWorkers(1, 1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        workers.start(print, "a view")
    with pytest.raises(RuntimeError):
        workers.submit(print)
    await asyncio.wait_for(workers.stop(60), 5)


def threads(workers: SessionWorkers) -> int:
    # Not by their names: those of other tests may not have ended yet.
    return workers._pool._threads


async def test_hooks_that_wait_keep_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hooks wait, the pool grows; what it has too many of ends when it is idle."""
    monkeypatch.setattr(ThreadPool, "IDLE", 0.05)
    workers = SessionWorkers(2, 1000)
    gate = threading.Event()
    for _ in range(100):
        workers.submit(partial(gate.wait, 20))
    called = asyncio.Event()
    loop = asyncio.get_running_loop()
    workers.submit(lambda: loop.call_soon_threadsafe(called.set))
    assert threads(workers) == 2
    await asyncio.wait_for(called.wait(), 20)
    assert threads(workers) >= 101
    gate.set()
    async with asyncio.timeout(20):
        while threads(workers) > 2:
            await asyncio.sleep(0.01)
    again = asyncio.Event()
    workers.submit(lambda: loop.call_soon_threadsafe(again.set))
    await asyncio.wait_for(again.wait(), 20)
    await workers.stop(5)


async def test_limit_of_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it hooks wait for each other, and none is lost."""
    workers = SessionWorkers(1, 3)
    gate = threading.Event()
    ran: list[int] = []
    running = threading.Semaphore(0)

    def hook(number: int) -> None:
        running.release()
        gate.wait(20)
        ran.append(number)

    for number in range(10):
        workers.submit(partial(hook, number))
    for _ in range(3):
        assert await asyncio.to_thread(running.acquire, True, 20)
    looked = asyncio.Semaphore(0)
    look = Relief._look_again
    monkeypatch.setattr(Relief, "_look_again", lambda self: (looked.release(), look(self)))
    for _ in range(2):
        await asyncio.wait_for(looked.acquire(), 20)
    assert threads(workers) == 3
    gate.set()
    await workers.stop(20)
    assert sorted(ran) == list(range(10))


async def test_many_repeated_calls_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop has its turn after each hundred; who is done is called no more, the others are."""
    monkeypatch.setattr(SessionWorkers, "TICK", 0.01)
    workers = SessionWorkers(1, 1)
    calls: list[int] = []
    at_turns: set[int] = set()

    def function(number: int) -> bool:
        calls.append(number)
        return number < 3

    def turn() -> None:
        at_turns.add(len(calls))
        if len(calls) < 253:
            asyncio.get_running_loop().call_soon(turn)

    turn()
    for number in range(250):
        workers.repeat(partial(function, number))
    async with asyncio.timeout(40):
        while len(calls) < 253:
            await asyncio.sleep(0.001)
    assert sorted(calls[:250]) == list(range(250))
    assert sorted(calls[250:253]) == [0, 1, 2]
    assert at_turns == {0, 100, 200, 250, 253}
