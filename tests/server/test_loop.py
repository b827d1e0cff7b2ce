"""The core's clock on an event loop (architecture.md, "A message's way in", "Time")."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

from sockjs_bridge.server.loop import LoopClock
from tests.server.support import PATIENCE, until


async def test_time_is_the_loops():
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop)
    before = loop.time()
    assert before <= clock.time() <= loop.time()


async def test_call_soon_comes_after_this_tick():
    clock = LoopClock(asyncio.get_running_loop())
    calls = []
    clock.call_soon(partial(calls.append, 1))
    assert calls == []
    await asyncio.sleep(0)
    assert calls == [1]


async def test_call_at():
    clock = LoopClock(asyncio.get_running_loop())
    called = asyncio.Event()
    when = clock.time() + 0.02
    clock.call_at(when, called.set)
    await asyncio.wait_for(called.wait(), PATIENCE)
    assert clock.time() >= when - 0.002


async def test_call_from_the_loops_thread():
    """On the loop's own thread a call is made at once."""
    clock = LoopClock(asyncio.get_running_loop())
    calls = []
    clock.call_from_thread(partial(calls.append, threading.get_ident()))
    assert calls == [threading.get_ident()]


async def test_calls_from_threads():
    """Every call is made, on the loop, in the order of its thread."""
    clock = LoopClock(asyncio.get_running_loop())
    calls = []
    own = threading.get_ident()

    def note(thread, number):
        assert threading.get_ident() == own
        calls.append((thread, number))

    def work(thread):
        for number in range(1000):
            clock.call_from_thread(partial(note, thread, number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    await until(lambda: len(calls) == 4000)
    for thread in threads:
        thread.join()
    for thread in range(4):
        assert [number for name, number in calls if name == thread] == list(range(1000))


async def test_one_wake_up_for_many_calls():
    """Calls that come while the loop is busy share one wake-up."""
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop)
    wakes = []

    class Counting:
        """The loop, with its wake-ups counted."""

        def call_soon_threadsafe(self, callback):
            wakes.append(callback)
            loop.call_soon_threadsafe(callback)

    clock._loop = Counting()
    calls = []

    def work():
        for number in range(100):
            clock.call_from_thread(partial(calls.append, number))

    thread = threading.Thread(target=work)
    thread.start()
    # The loop stands still here, so none of them is made meanwhile.
    thread.join()
    assert (calls, len(wakes)) == ([], 1)
    await until(lambda: len(calls) == 100)
    assert calls == list(range(100))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(wakes) == 2
    await until(lambda: len(calls) == 200)


async def test_a_call_that_fails(caplog):
    """One that fails is logged, and the others are made."""
    clock = LoopClock(asyncio.get_running_loop())
    calls = []

    def fails():
        raise RuntimeError("oops")

    def work():
        clock.call_from_thread(fails)
        clock.call_from_thread(partial(calls.append, 1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    await until(lambda: calls)
    clock.call_from_thread(fails)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [str(record.exc_info[1]) for record in errors] == ["oops", "oops"]
    assert {record.name for record in errors} == {"sockjs_bridge.server"}


def test_after_the_loops_end():
    """A thread that calls after the end of the loop is not disturbed, and nothing is kept."""
    made = []

    async def make():
        made.append(LoopClock(asyncio.get_running_loop()))

    asyncio.run(make())
    (clock,) = made
    calls = []
    thread = threading.Thread(
        target=lambda: [clock.call_from_thread(partial(calls.append, 1)) for _ in range(3)]
    )
    thread.start()
    thread.join()
    assert calls == []
    assert not clock._calls
