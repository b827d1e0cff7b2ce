"""Where hooks and views run."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sockjs_bridge.server.workers import SessionWorkers


async def test_stop_waits_for_all_that_runs() -> None:
    """A hook in the pool, a view in a thread of its own and a task end before the server does."""
    workers = SessionWorkers(2)
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
    workers = SessionWorkers(1)
    gate = threading.Event()
    workers.start(gate.wait, "stuck")
    await asyncio.wait_for(workers.stop(0.05), 5)
    (stuck,) = [thread for thread in threading.enumerate() if thread.name == "stuck"]
    assert stuck.daemon
    gate.set()
    await asyncio.to_thread(stuck.join, 5)


async def test_nothing_starts_after_the_stop() -> None:
    workers = SessionWorkers(1)
    await workers.stop(1)
    called = threading.Event()
    workers.submit(called.set)
    assert not called.wait(0.05)


async def test_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a thread is told that there is none, and the stop waits for none."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = SessionWorkers(1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        workers.start(print, "a view")
    with pytest.raises(RuntimeError):
        workers.submit(print)
    await asyncio.wait_for(workers.stop(60), 5)
