"""Connections to PostgreSQL that do not wait for a server that stands.

A server that is frozen (a paused machine, a disk that hangs) keeps no time-out of its own, such as
``statement_timeout``, and its kernel acknowledges what TCP sends. So time is kept here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from pyramid_chat.breaker import CircuitBreaker

T = TypeVar("T")
Waiting = Generator[Any, Any, T]

MARGIN = 0.5
"""Seconds after the server's own time-out when it is clear that the server does not keep it."""
REFUSED = "the server did not answer others"

# The deadline of the connection that a thread is making: psycopg would count anew for each address
# of a host, and in whole seconds, two at the least.
_making = threading.local()


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time, or did not answer others a moment ago."""


class Connection(psycopg.Connection[Any]):
    """A connection that waits only so long for an answer.

    Attributes:
        breaker: asked before each transaction, and told what comes of each statement.
        patience: seconds for the answer to a statement; None for no bound.
    """

    breaker: CircuitBreaker | None = None
    patience: float | None = None

    @classmethod
    def _connect_gen(cls, *arguments: Any, **options: Any) -> Any:
        # Not documented. Should psycopg call it no more, its own time-out holds.
        return _until(_making.deadline, super()._connect_gen(*arguments, **options))

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """Returns a cursor; see psycopg.

        Raises:
            NoAnswer: outside of a transaction, where the breaker is open. The connection is closed.
        """
        idle = self.pgconn.transaction_status == TransactionStatus.IDLE
        if idle and self.breaker is not None and self.breaker.refuses():
            self.close()
            raise NoAnswer(REFUSED)
        return super().cursor(*arguments, **options)

    def wait(self, gen: Waiting[T], *arguments: Any, **options: Any) -> T:
        """Waits for what the server says to something; see psycopg.

        Raises:
            NoAnswer: it says nothing. The connection is closed.
        """
        if self.breaker is None or self.patience is None:
            return super().wait(gen, *arguments, **options)
        deadline = time.monotonic() + self.patience
        try:
            return super().wait(_until(deadline, gen, self.breaker), *arguments, **options)
        except NoAnswer:
            self.breaker.no_answer()
            self.close()
            raise
        except psycopg.Error:
            # Be it that there is no server any more.
            self.breaker.answered()
            raise


def connect(breaker: CircuitBreaker, timeout: float, *arguments: Any, **options: Any) -> Connection:
    """Makes a connection.

    Args:
        breaker: that all connections to a server share.
        timeout: seconds for the connection; with `MARGIN` on top, for the answer to a statement.
        *arguments: psycopg's.
        **options: psycopg's.

    Raises:
        NoAnswer: there is none in time, or the breaker is open.
        psycopg.OperationalError: it is refused.
    """
    if breaker.refuses():
        raise NoAnswer(REFUSED)
    _making.deadline = time.monotonic() + timeout
    try:
        connection = Connection.connect(*arguments, **options)
    except (NoAnswer, psycopg.errors.ConnectionTimeout):
        breaker.no_answer()
        raise
    except psycopg.Error:
        breaker.answered()
        raise
    connection.breaker = breaker
    connection.patience = timeout + MARGIN
    breaker.answered()
    return connection


def _until(deadline: float, gen: Waiting[T], breaker: CircuitBreaker | None = None) -> Waiting[T]:
    """Goes on with what psycopg waits by; each 0.1 s in which nothing comes, it looks at the clock.

    Args:
        deadline: by the monotonic clock.
        gen: what psycopg waits by.
        breaker: told of an answer; what psycopg does without asking the server is none.

    Raises:
        NoAnswer: the time is over.
    """
    send: Callable[[Any], Any] = gen.send
    ready = None
    try:
        while True:
            wanted = send(ready)
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise NoAnswer("the server does not answer")
    except StopIteration as done:
        if ready and breaker is not None:
            breaker.answered()
        result: T = done.value
        return result
