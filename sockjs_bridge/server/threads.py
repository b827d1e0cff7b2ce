"""A pool of daemon threads for blocking code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import mmap
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from sockjs_bridge.server.jobs import Awaiting, Job, Observer, outcome_of
from sockjs_bridge.server.loop import LoopClock

logger = logging.getLogger("sockjs_bridge.server")

P = ParamSpec("P")
T = TypeVar("T")


#: Bytes of memory that a new thread must leave to the others.
RESERVE = 33_554_432


def start_thread(thread: threading.Thread) -> None:
    """Starts a thread where the system has room for it.

    A thread's stack may be the last memory that there is: a server that cannot allocate anything
    any more is of no use to those that it has.

    Raises:
        RuntimeError: there is no thread to be had, or no memory beside it.
    """
    try:
        # Nothing is written to it: where memory is plenty this costs next to nothing.
        mmap.mmap(-1, RESERVE).close()
    except OSError as error:
        raise RuntimeError(f"no memory for a thread: {error.strerror}") from None
    thread.start()


class ThreadPool:
    """Runs functions in at most ``size`` threads, started as they are needed (`start`: the first).

    The threads are daemon threads: unlike those of ``concurrent.futures``, which are joined at
    exit, a stuck one cannot keep the process from ending.

    Args:
        size: most threads that run at once.
        name: prefix of the threads' names.
        max_size: how many threads `relieve` may bring it to; by default ``size``.
        max_lent: how many jobs may go on beside these after `lend`.

    Attributes:
        submitted: how many jobs there were so far.
        begun: how many of them are at work, or were; they begin in the order of their coming.

    Raises:
        ValueError: ``size`` is less than 1.
    """

    WARNING_INTERVAL = 60.0
    """Seconds between two warnings about a deep queue, or about threads that cannot be had."""
    IDLE = 10.0
    """Seconds without a job after which a thread beyond ``size`` ends."""

    def __init__(
        self, size: int, name: str, max_size: int | None = None, max_lent: int = 0
    ) -> None:
        if size < 1:
            raise ValueError(f"size of the thread pool {name} = {size}: must be 1 or more")
        self.size = size
        self.max_size = max(size, max_size or size)
        self.max_lent = max_lent
        self.name = name
        self._jobs: deque[Job] = deque()
        # What idle threads wait for: a call to look for jobs.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._idle = 0
        # A thread was called, and did not look yet.
        self._called = False
        # The loop is about to call one.
        self._looking = False
        self._clock: tuple[asyncio.AbstractEventLoop, LoopClock] | None = None
        self._lock = threading.Lock()
        self._threads = self._started = 0
        # The threads that count for nothing until their jobs are done.
        self._lent: set[int] = set()
        self.submitted = self.begun = 0
        self._unfinished = 0
        self._closed = False
        self._next_warning = self._next_failure = 0.0

    @property
    def closed(self) -> bool:
        """Whether it takes no more jobs."""
        return self._closed

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return min(self._unfinished, self._threads)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return max(0, self._unfinished - self._threads)

    def start(self) -> None:
        """Starts the first thread, before somebody needs it.

        Where the system has no more threads to give, a pool with one still does its jobs, if one
        after the other; a pool without any does none.

        Raises:
            RuntimeError: there is none now.
        """
        with self._lock:
            if not self._threads and not self._closed:
                self._start_thread()

    def relieve(self, jobs: int) -> None:
        """Starts further threads for jobs that wait too long; at most as many as there are.

        Args:
            jobs: how many such jobs there are.
        """
        with self._lock:
            for _ in range(min(jobs, self._threads, self.max_size - self._threads)):
                if not self._closed:
                    self._start_thread()

    def lend(self, *, beyond: bool = False) -> bool:
        """Leaves the calling thread to its job, one of this pool's, until that is done.

        Another thread takes its place, as soon as a job needs one.

        Args:
            beyond: even where ``max_lent`` jobs have their threads so.

        Returns:
            Whether the job has it so now.
        """
        own = threading.get_ident()
        with self._lock:
            if own not in self._lent and len(self._lent) >= self.max_lent and not beyond:
                return False
            self._lent.add(own)
            if self._unfinished > self._threads and self._may_grow:
                self._start_thread()
        return True

    @property
    def lent(self) -> int:
        """How many jobs have a thread of their own after `lend`."""
        return len(self._lent)

    @property
    def _may_grow(self) -> bool:
        return not self._closed and self._threads - len(self._lent) < self.size

    @property
    def _can_spare(self) -> bool:
        return self._threads - len(self._lent) > self.size

    def clock(self) -> LoopClock:
        """Returns the running loop's clock, by which threads of the pool call it."""
        loop = asyncio.get_running_loop()
        if self._clock is None or self._clock[0] is not loop:
            self._clock = loop, LoopClock(loop)
            # Another loop may have ended before it came to that.
            self._looking = False
        return self._clock[1]

    def submit(
        self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """Has ``fn(*args, **kwargs)`` run in a thread.

        An exception that would stop an event loop (``SystemExit`` and its like) or that a
        future cannot carry arrives as the cause of a ``RuntimeError``.

        Raises:
            RuntimeError: the pool is closed, or the system gives no thread at all.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._add(future, partial(fn, *args, **kwargs))
        self._look()
        return future

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs ``fn(*args, **kwargs)`` in a thread and waits for what it returns.

        Cancelled, it takes back a job that still waits; a running one goes on unobserved.

        Raises:
            RuntimeError: as `submit`.
        """
        loop = asyncio.get_running_loop()
        clock = self.clock()
        future: asyncio.Future[T] = loop.create_future()
        self._add(Awaiting(future, clock), partial(fn, *args, **kwargs))
        if not self._looking:
            # A thread that was called at once would take the interpreter's lock, for one short
            # job, between two events of the loop, and hand it back: jobs that come together, and
            # what becomes of them, cost no more than one.
            self._looking = True
            loop.call_soon(self._look)
        return await future

    def _add(self, observer: Observer, function: Callable[[], Any]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the thread pool {self.name} is closed")
            if self._unfinished >= self._threads and self._may_grow:
                self._start_thread()
            self._unfinished += 1
            self.submitted += 1
            self._jobs.append((observer, function))
        self._warn_if_deep()

    def _look(self) -> None:
        """Has a thread do what was added."""
        with self._lock:
            self._looking = False
            self._call_thread()

    def _call_thread(self) -> None:
        """Has an idle thread look for jobs, if there are any; the next one is called by that.

        One called for each of many short jobs at once would find nothing left to do, and until it
        has found out, all of them contend for the interpreter's lock. Where a job waits for
        something, the next thread is on its way.
        """
        if self._jobs and self._idle and not self._called:
            self._called = True
            self._calls.put(None)

    def close(self) -> None:
        """Takes no more jobs, cancels those that wait, and lets each thread end after its own.

        It does not wait for the threads.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in range(self._threads):
                self._calls.put(None)
            dropped = list(self._jobs)
            self._jobs.clear()
            self._unfinished -= len(dropped)
            self.begun += len(dropped)
        for observer, _ in dropped:
            observer.cancel()

    def _start_thread(self) -> None:
        thread = threading.Thread(
            target=self._work, name=f"{self.name}-{self._started + 1}", daemon=True
        )
        try:
            start_thread(thread)
        except RuntimeError as error:
            # The system has no thread left: those that run have to do.
            if not self._threads:
                raise
            now = time.monotonic()
            if now >= self._next_failure:
                # Whoever waits for a thread asks again and again.
                self._next_failure = now + self.WARNING_INTERVAL
                logger.error("the thread pool %s cannot grow: %s", self.name, error)
            return
        self._threads += 1
        self._started += 1

    def _next_job(self) -> Job | None:
        """Waits for a job; None when the thread is to end."""
        while True:
            with self._lock:
                if self._closed:
                    return None
                if self._jobs:
                    job = self._jobs.popleft()
                    self.begun += 1
                    self._call_thread()
                    return job
                self._idle += 1
            called = self._wait()
            with self._lock:
                self._idle -= 1
                if called:
                    self._called = False
                elif self._can_spare and not (self._jobs or self._closed):
                    self._threads -= 1
                    return None

    def _wait(self) -> bool:
        """Waits for a call; False when none came to a thread that can be spared."""
        try:
            self._calls.get(timeout=self.IDLE if self._can_spare else None)
        except queue.Empty:
            return False
        return True

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            observer, function = job
            wanted = observer.set_running_or_notify_cancel()
            result, error = outcome_of(function) if wanted else (None, None)
            # Before the result is told: who hears it may bring the next job at once.
            with self._lock:
                self._unfinished -= 1
                self._lent.discard(threading.get_ident())
            if error is not None:
                observer.set_exception(error)
            elif wanted:
                observer.set_result(result)
            # Nothing of a job may live on until the next one comes.
            del job, observer, function, result, error

    def _warn_if_deep(self) -> None:
        if self.waiting < self.max_size:
            return
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + self.WARNING_INTERVAL
            logger.warning(
                "%d jobs wait for one of the %d threads of the pool %s",
                self.waiting,
                self._threads,
                self.name,
            )
