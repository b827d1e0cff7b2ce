"""The pool of daemon threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import subprocess
import sys
import threading

import pytest

from sockjs_bridge.server.threads import RESERVE, ThreadPool
from tests.server.support import PATIENCE, until


@pytest.fixture
def pool():
    pool = ThreadPool(2, "test")
    yield pool
    pool.close()


async def test_run_returns_the_result(pool):
    assert await pool.run(lambda a, b: a + b, 1, b=2) == 3


async def test_run_raises_what_the_function_raises(pool):
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)


@pytest.mark.parametrize(
    "error", [SystemExit, KeyboardInterrupt, StopIteration, concurrent.futures.CancelledError]
)
async def test_an_exception_that_a_loop_cannot_bear_is_the_cause_of_another(pool, error):
    def fail():
        raise error

    with pytest.raises(RuntimeError, match=error.__name__) as caught:
        await pool.run(fail)
    assert isinstance(caught.value.__cause__, error)


def test_threads_are_started_when_needed_and_used_again(pool):
    """One job after another needs one thread; two at once need two; a third one waits."""
    first = {pool.submit(threading.current_thread).result(PATIENCE) for _ in range(5)}
    names = {thread.name for thread in first}
    assert names <= {"test-1", "test-2"}
    assert all(thread.daemon for thread in first)

    release = threading.Event()
    jobs = [pool.submit(release.wait, PATIENCE) for _ in range(3)]
    assert (pool.busy, pool.waiting) == (2, 1)
    release.set()
    assert all(job.result(PATIENCE) for job in jobs)


def test_the_first_thread_may_be_there_before_the_first_job(pool):
    """One, however often it is asked for; and none in a pool that is closed."""
    pool.start()
    pool.start()
    own = [thread for thread in threading.enumerate() if thread.name.startswith("test-")]
    assert pool.submit(threading.current_thread).result(PATIENCE) in own
    assert (pool.busy, pool.waiting, pool._started) == (0, 0, 1)
    closed = ThreadPool(1, "closed")
    closed.close()
    closed.start()
    assert not closed._started


async def test_a_cancelled_job_that_waits_is_not_run(pool):
    release = threading.Event()
    ran = []
    blockers = [pool.submit(release.wait, PATIENCE) for _ in range(2)]
    task = asyncio.create_task(pool.run(ran.append, 1))
    await until(lambda: pool.waiting == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*map(asyncio.wrap_future, blockers))
    assert await pool.run(len, ran) == 0
    await until(lambda: pool.busy == 0)


def test_close_cancels_what_waits_and_lets_the_running_end():
    pool = ThreadPool(1, "test")
    entered, release = threading.Event(), threading.Event()

    def job():
        entered.set()
        release.wait(PATIENCE)
        return threading.current_thread()

    running = pool.submit(job)
    assert entered.wait(PATIENCE)
    waiting = pool.submit(job)
    pool.close()
    pool.close()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(job)
    release.set()
    thread = running.result(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_deep_queue_is_warned_of_once_a_minute(caplog, monkeypatch):
    pool = ThreadPool(1, "views")
    release = threading.Event()
    jobs = [pool.submit(release.wait, PATIENCE) for _ in range(4)]
    assert [record.getMessage() for record in caplog.records] == [
        "1 jobs wait for one of the 1 threads of the pool views"
    ]
    monkeypatch.setattr(pool, "WARNING_INTERVAL", 0.0)
    pool._next_warning = 0.0
    jobs += [pool.submit(release.wait, PATIENCE) for _ in range(2)]
    assert len(caplog.records) == 3
    release.set()
    concurrent.futures.wait(jobs, PATIENCE)
    pool.close()


EXHAUSTED = """
import resource, threading
from sockjs_bridge.server.threads import RESERVE, start_thread

resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
release = threading.Event()
started = 0
try:
    while started < 1000:
        start_thread(threading.Thread(target=release.wait, daemon=True))
        started += 1
except RuntimeError as error:
    print(started, error)
print(len(bytearray(RESERVE // 2)))
release.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where RLIMIT_AS counts stacks")
def test_the_last_memory_is_no_threads():
    """Where address space is short, what is left of it is for the connections there are."""
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED], capture_output=True, text=True, check=True
    )
    refused, left = done.stdout.splitlines()
    assert 0 < int(refused.split()[0]) < 1000
    assert "no memory for a thread: Cannot allocate memory" in refused
    assert int(left) == RESERVE // 2


def test_a_system_without_threads(monkeypatch, caplog):
    """No thread at all is an error of the caller; no further thread is only logged."""
    real = threading.Thread.start

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    pool = ThreadPool(2, "test")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        pool.submit(int)
    assert (pool.busy, pool.waiting) == (0, 0)
    monkeypatch.setattr(threading.Thread, "start", real)
    release = threading.Event()
    first = pool.submit(release.wait, PATIENCE)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second = pool.submit(int)
    assert (pool.busy, pool.waiting) == (1, 1)
    pool.relieve(1)
    # Why is all there is to say: where in the server it happened helps nobody.
    (line,) = caplog.records
    assert line.getMessage() == "the thread pool test cannot grow: can't start new thread"
    assert line.exc_info is None
    release.set()
    assert first.result(PATIENCE)
    assert second.result(PATIENCE) == 0
    pool.close()


@pytest.mark.parametrize(("jobs", "threads"), [(-3, 2), (0, 2), (1, 3), (2, 4), (3, 4), (1000, 4)])
def test_relief(jobs, threads):
    """A pool grows by what waits too long, twofold at the most; quick jobs are no reason."""
    pool = ThreadPool(2, "test", 100)
    release = threading.Event()
    running = [pool.submit(release.wait, PATIENCE) for _ in range(20)]
    assert (pool.submitted, pool.busy) == (20, 2)
    pool.relieve(jobs)
    assert pool.busy == threads
    release.set()
    concurrent.futures.wait(running, PATIENCE)
    assert pool.begun == 20
    pool.close()
    pool.relieve(1)
    assert pool._started == threads


def test_a_job_that_comes_when_a_thread_would_end():
    """It is not left to threads that are at work for long."""
    pool = ThreadPool(1, "test", 2)
    begun, release, came = threading.Event(), threading.Event(), threading.Event()
    late = []

    class Calls(queue.SimpleQueue):
        """One on which the second thread waits in vain, and a job comes in that moment."""

        def get(self, block=True, timeout=None):
            if timeout is not None and not late:
                late.append(pool.submit(int))
                came.set()
                raise queue.Empty
            return super().get(block, timeout)

    def work():
        begun.set()
        return release.wait(PATIENCE)

    pool._calls = Calls()
    first = pool.submit(work)
    assert begun.wait(PATIENCE)
    pool.relieve(1)
    assert pool.submit(int).result(PATIENCE) == 0
    assert came.wait(PATIENCE)
    assert late[0].result(PATIENCE / 2) == 0
    release.set()
    assert first.result(PATIENCE)
    pool.close()


async def test_jobs_that_come_together_call_one_thread(pool):
    """Each thread that is called to a short job contends for the interpreter's lock."""
    callers = []

    class Calls(queue.SimpleQueue):
        def put(self, item, block=True, timeout=None):
            callers.append(threading.current_thread())
            super().put(item)

    pool._calls = Calls()
    await asyncio.gather(*(pool.run(threading.Event().wait, 0.05) for _ in range(2)))
    await until(lambda: pool._idle == 2)
    callers.clear()
    await asyncio.gather(*(pool.run(int) for _ in range(20)))
    assert callers.count(threading.current_thread()) == 1


async def test_a_job_that_waits_does_not_delay_those_behind_it(pool):
    """The thread that took it has called the next one."""
    release = threading.Event()
    blocked = asyncio.create_task(pool.run(release.wait, PATIENCE))
    quick = [asyncio.create_task(pool.run(int)) for _ in range(10)]
    assert await asyncio.wait_for(asyncio.gather(*quick), PATIENCE / 2) == [0] * 10
    assert not blocked.done()
    release.set()
    assert await blocked


async def test_closing_cancels_who_awaits(pool):
    release = threading.Event()
    blockers = [asyncio.create_task(pool.run(release.wait, PATIENCE)) for _ in range(2)]
    waiting = asyncio.create_task(pool.run(int))
    await until(lambda: (pool.begun, pool.waiting) == (2, 1))
    pool.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await asyncio.gather(*blockers) == [True, True]


async def test_a_running_job_whose_task_was_cancelled_is_not_told(pool, caplog):
    entered, release = threading.Event(), threading.Event()

    def job():
        entered.set()
        release.wait(PATIENCE)

    task = asyncio.create_task(pool.run(job))
    await until(entered.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await pool.run(int) == 0
    assert not caplog.records


def test_a_pool_serves_one_loop_after_another(pool):
    assert [asyncio.run(pool.run(int)) for _ in range(2)] == [0, 0]

    async def leave():
        asyncio.get_running_loop().create_task(pool.run(int))
        asyncio.get_running_loop().stop()
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="stopped before"):
        asyncio.run(leave())
    assert asyncio.run(pool.run(int)) == 0


def test_a_pool_needs_a_thread():
    with pytest.raises(ValueError, match="1 or more"):
        ThreadPool(0, "test")


STUCK = """
import threading
from sockjs_bridge.server.threads import RESERVE, ThreadPool

entered = threading.Event()

def stuck():
    entered.set()
    threading.Event().wait()

ThreadPool(1, "stuck").submit(stuck)
entered.wait()
print("leaving", flush=True)
"""


def test_a_stuck_job_does_not_hold_the_exit():
    """The interpreter joins the threads of concurrent.futures at exit; it must not join ours."""
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "leaving\n"


# Threads that are lent


def blocked(pool, release, *, beyond=False):
    """Submit a job that is lent its thread, and waits; returns whether it was lent it."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def job():
        answers.put(pool.lend(beyond=beyond))
        return release.wait(PATIENCE)

    pool.submit(job)
    return answers.get(timeout=PATIENCE)


def test_another_thread_takes_the_place_of_one_that_is_lent():
    """As often as there are such jobs, up to a bound; those beyond keep a thread of the pool."""
    pool = ThreadPool(1, "test", max_lent=3)
    release = threading.Event()
    assert [blocked(pool, release) for _ in range(3)] == [True] * 3
    assert pool.submit(int).result(PATIENCE) == 0
    assert (pool.lent, pool.busy) == (3, 3)
    assert not blocked(pool, release)
    waiting = pool.submit(int)
    assert pool.waiting == 1
    release.set()
    assert waiting.result(PATIENCE) == 0
    pool.close()


def test_a_job_is_lent_its_thread_once():
    pool = ThreadPool(1, "test", max_lent=1)
    assert pool.submit(lambda: (pool.lend(), pool.lend(), pool.lent)).result(PATIENCE)[2] == 1
    assert pool.submit(lambda: pool.lent).result(PATIENCE) == 0
    pool.close()


def test_a_thread_may_be_lent_beyond_the_bound():
    pool = ThreadPool(1, "test", max_lent=0)
    release = threading.Event()
    assert blocked(pool, release, beyond=True)
    assert pool.submit(int).result(PATIENCE) == 0
    release.set()
    pool.close()


def test_what_waits_goes_on_when_a_thread_is_lent():
    """Not only what comes later."""
    pool = ThreadPool(1, "test", max_lent=1)
    begun, lend, release = threading.Event(), threading.Event(), threading.Event()

    def job():
        begun.set()
        lend.wait(PATIENCE)
        pool.lend()
        release.wait(PATIENCE)

    first = pool.submit(job)
    assert begun.wait(PATIENCE)
    second = pool.submit(int)
    assert pool.waiting == 1
    lend.set()
    assert second.result(PATIENCE) == 0
    assert not first.done()
    release.set()
    first.result(PATIENCE)
    pool.close()


def test_threads_that_came_back_end_when_they_are_not_needed(monkeypatch):
    pool = ThreadPool(1, "test", max_lent=5)
    monkeypatch.setattr(pool, "IDLE", 0.01)
    release = threading.Event()
    assert all(blocked(pool, release) for _ in range(5))
    assert pool.submit(int).result(PATIENCE) == 0
    assert pool._threads == 6
    release.set()
    deadline = threading.Event()
    for _ in range(1000):
        if pool._threads == 1:
            break
        deadline.wait(0.01)
    assert pool._threads == 1
    assert pool.submit(int).result(PATIENCE) == 0
    pool.close()
