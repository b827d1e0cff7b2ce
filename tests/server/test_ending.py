"""`sockjs_bridge.server.ending`: an end that no code of the application can hold."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import subprocess
import sys
import threading
import time

import pytest

from sockjs_bridge.server import ending
from sockjs_bridge.server.ending import DaemonExecutor, end_tasks
from sockjs_bridge.server.runner import new_event_loop


@pytest.fixture(autouse=True)
def soon(monkeypatch, caplog):
    monkeypatch.setattr(ending, "LAST_WORDS", 0.05)
    caplog.set_level(logging.DEBUG)


def run(main, loop_factory=new_event_loop):
    """Run something to its end, as a server is run."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


# Tasks


def test_no_tasks():
    run(end_tasks())


def test_tasks_are_cancelled():
    """They may clean up, and what they raise by it is theirs."""
    ended = []

    async def waits(name):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    async def main():
        tasks = [asyncio.create_task(waits(name)) for name in "ab"]
        await asyncio.sleep(0)
        await end_tasks()
        return [task.cancelled() for task in tasks]

    assert run(main()) == [True, True]
    assert sorted(ended) == ["a", "b"]


@pytest.mark.parametrize("loop_factory", [new_event_loop, asyncio.new_event_loop])
def test_task_that_does_not_end(caplog, loop_factory):
    """It is told of once, with its name, and nobody waits for it."""
    ended = []

    async def stubborn():
        try:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
        finally:
            ended.append(True)

    async def main():
        task = asyncio.create_task(stubborn(), name="the stubborn one")
        await asyncio.sleep(0)
        await end_tasks()
        assert not task.done()

    start = time.monotonic()
    run(main(), loop_factory)
    assert time.monotonic() - start < 60
    gc.collect()
    assert ended == [True]
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert "does not end" in record.getMessage()
    assert "the stubborn one" in record.getMessage()


# Threads


@pytest.mark.parametrize("loop_factory", [new_event_loop, asyncio.new_event_loop])
def test_thread_that_does_not_end(loop_factory):
    """Neither cancelling what waits for it nor the loop's end waits for a thread."""
    over = threading.Event()

    async def main():
        asyncio.get_running_loop().set_default_executor(DaemonExecutor())
        assert await asyncio.to_thread(int, "7", base=8) == 7
        with pytest.raises(ValueError, match="invalid literal"):
            await asyncio.to_thread(int, "x")
        task = asyncio.create_task(asyncio.to_thread(over.wait))
        await asyncio.sleep(0)
        await end_tasks()
        assert task.cancelled()

    start = time.monotonic()
    run(main(), loop_factory)
    assert time.monotonic() - start < 60
    over.set()


def test_after_the_end():
    executor = DaemonExecutor()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="closed"):
        executor.submit(int)


SCRIPT = """
import asyncio, time
from sockjs_bridge.server.ending import DaemonExecutor, end_tasks

async def main():
    asyncio.get_running_loop().set_default_executor(DaemonExecutor())
    asyncio.create_task(asyncio.to_thread(time.sleep, 3600))
    await asyncio.sleep(0)
    await end_tasks()

asyncio.run(main())
print("ended")
"""


def test_process_that_ends():
    """The interpreter waits at its exit for the threads of other executors."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout == "ended\n"
