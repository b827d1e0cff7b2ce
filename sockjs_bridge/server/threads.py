"""A pool of daemon threads for blocking code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger("sockjs_bridge.server")

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple["concurrent.futures.Future[Any]", Callable[[], Any]]


class ThreadPool:
    """Run functions in at most ``size`` threads, started when they are first needed.

    The threads are daemon threads: unlike those of ``concurrent.futures``, which are joined at
    exit, a stuck one cannot keep the process from ending.

    Args:
        size: Most threads that run at once.
        name: Prefix of the threads' names.
        max_size: How many threads `relieve` may bring it to; by default ``size``.

    Raises:
        ValueError: ``size`` is less than 1.
    """

    WARNING_INTERVAL = 60.0
    """Seconds between two warnings about a deep queue, or about threads that cannot be had."""
    IDLE = 10.0
    """Seconds without a job after which a thread beyond ``size`` ends."""

    def __init__(self, size: int, name: str, max_size: int | None = None) -> None:
        if size < 1:
            raise ValueError(f"size of the thread pool {name} = {size}: must be 1 or more")
        self.size = size
        self.max_size = max(size, max_size or size)
        self.name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._started = 0
        self._submitted = self._begun = 0
        self._unfinished = 0
        self._closed = False
        self._next_warning = self._next_failure = 0.0

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return min(self._unfinished, self._threads)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return max(0, self._unfinished - self._threads)

    @property
    def submitted(self) -> int:
        """How many jobs there were so far."""
        return self._submitted

    @property
    def begun(self) -> int:
        """How many of them are at work, or were; they begin in the order of their coming."""
        return self._begun

    def relieve(self, jobs: int) -> None:
        """Start further threads for jobs that wait too long; at most as many as there are.

        Args:
            jobs: How many such jobs there are.
        """
        with self._lock:
            for _ in range(min(jobs, self._threads, self.max_size - self._threads)):
                if not self._closed:
                    self._start_thread()

    def submit(
        self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """Have ``fn(*args, **kwargs)`` run in a thread.

        An exception that would stop an event loop (``SystemExit`` and its like) or that a
        future cannot carry arrives as the cause of a ``RuntimeError``.

        Raises:
            RuntimeError: The pool is closed, or the system gives no thread at all.
        """
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the thread pool {self.name} is closed")
            if self._unfinished >= self._threads < self.size:
                self._start_thread()
            self._unfinished += 1
            self._submitted += 1
            self._jobs.put((future, lambda: fn(*args, **kwargs)))
        self._warn_if_deep()
        return future

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(*args, **kwargs)`` in a thread and wait for what it returns.

        Cancelled, it takes back a job that still waits; a running one goes on unobserved.

        Raises:
            RuntimeError: As `submit`.
        """
        return await asyncio.wrap_future(self.submit(fn, *args, **kwargs))

    def close(self) -> None:
        """Take no more jobs, cancel those that wait, and let each thread end after its own.

        It does not wait for the threads.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # One for each thread, and one that marks the end of what waits.
            for _ in range(self._threads + 1):
                self._jobs.put(None)
            while (job := self._jobs.get()) is not None:
                job[0].cancel()
                self._unfinished -= 1
                self._begun += 1

    def _start_thread(self) -> None:
        thread = threading.Thread(
            target=self._work, name=f"{self.name}-{self._started + 1}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The system has no thread left: those that run have to do.
            if not self._threads:
                raise
            now = time.monotonic()
            if now >= self._next_failure:
                # Whoever waits for a thread asks again and again.
                self._next_failure = now + self.WARNING_INTERVAL
                logger.exception("the thread pool %s cannot grow", self.name)
            return
        self._threads += 1
        self._started += 1

    def _next_job(self) -> _Job | None:
        """Wait for a job; None when the thread is to end."""
        while True:
            try:
                return self._jobs.get(timeout=self.IDLE if self._threads > self.size else None)
            except queue.Empty:
                with self._lock:
                    # Once the pool is closed, a None waits for each thread. And who brought a
                    # job meanwhile counts on this one, where all others are at work.
                    spare = self._unfinished < self._threads
                    if spare and self._threads > self.size and not self._closed:
                        self._threads -= 1
                        return None

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            with self._lock:
                self._begun += 1
            future, function = job
            wanted = future.set_running_or_notify_cancel()
            result, error = _outcome(function) if wanted else (None, None)
            # Before the result is told: who hears it may bring the next job at once.
            with self._lock:
                self._unfinished -= 1
            if error is not None:
                future.set_exception(error)
            elif wanted:
                future.set_result(result)
            # Nothing of a job may live on until the next one comes.
            del job, future, function, result, error

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


def _outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except BaseException as error:
        # An event loop ends at SystemExit and KeyboardInterrupt, takes CancelledError for a
        # cancellation, and its futures refuse StopIteration.
        if isinstance(error, Exception) and not isinstance(
            error, (StopIteration, concurrent.futures.CancelledError)
        ):
            return None, error
        wrapped = RuntimeError(f"{type(error).__name__} was raised in a thread")
        wrapped.__cause__ = error
        return None, wrapped
