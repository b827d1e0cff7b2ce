"""Transactions of pyramid_tm for the messages of a session class."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyramid.request import Request

from sockjs_bridge.settings import count

#: How often a hook runs at the most where its errors are retryable; pyramid_retry's default.
ATTEMPTS = 3

#: Marks an exception whose transaction may succeed if it is tried again.
_RETRYABLE = "_sockjs_bridge_retryable"


@contextmanager
def transaction(request: Request) -> Iterator[Any]:
    """Begins a transaction of ``request.tm``, and commits or aborts it.

    Args:
        request: the handshake's.

    Yields:
        The transaction.

    Raises:
        RuntimeError: see `WebSocketSession.transaction`.
    """
    manager = getattr(request, "tm", None)
    if manager is None:
        raise RuntimeError('transaction() needs pyramid_tm: config.include("pyramid_tm")')
    _check_thread(manager)
    current = manager.begin()
    current.note(request.path)
    try:
        yield current
        if manager.isDoomed():
            manager.abort()
        else:
            manager.commit()
    except BaseException as error:
        try:
            # Its data managers are asked before they are let go.
            if isinstance(error, Exception) and current.isRetryableError(error):
                setattr(error, _RETRYABLE, True)
        finally:
            manager.abort()
        raise


def retryable(error: BaseException) -> bool:
    """Tells whether an exception left a `transaction` that may succeed if it is tried again."""
    return getattr(error, _RETRYABLE, False)


def attempts(settings: Mapping[str, Any]) -> int:
    """Returns how often a hook may run for one message.

    Args:
        settings: of the application; pyramid_retry's ``retry.attempts`` is among them.

    Raises:
        ValueError: it is no whole number from 1.
    """
    return count(1, "attempts")(settings.get("retry.attempts", ATTEMPTS))


def _check_thread(manager: Any) -> None:
    from transaction import ThreadTransactionManager

    if not isinstance(manager, ThreadTransactionManager):
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "an asynchronous hook would share its transaction with those of other sessions: set"
        " tm.manager_hook = pyramid_tm.explicit_manager, or make it a plain hook"
    )
