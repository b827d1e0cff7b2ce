"""What the application's code did so far that must not be done twice.

A hook whose transaction lost against another one is run again, unless somebody knows of the first
time already. Each run notes here what others can know of.
"""

from __future__ import annotations

from contextvars import ContextVar, Token


class Attempt:
    """One run of the application's code: of a hook, or of a view between two messages.

    Attributes:
        acted: something was sent, broadcast, joined, left or committed.
        transient: the exception that ended its last transaction, which may succeed another time.
    """

    __slots__ = ("acted", "transient")

    def __init__(self) -> None:
        self.acted = False
        self.transient: BaseException | None = None


# Not of the thread: asynchronous hooks share one, and what a hook hands to `asyncio.to_thread` is
# its own doing.
_present: ContextVar[Attempt | None] = ContextVar("sockjs_bridge_attempt", default=None)


def enter(attempt: Attempt) -> Token[Attempt | None]:
    """Has everything that the present thread or task does noted as done by an attempt.

    Args:
        attempt: of the code that is about to run.

    Returns:
        What `leave` takes.
    """
    return _present.set(attempt)


def leave(token: Token[Attempt | None]) -> None:
    """Ends what `enter` began; a task that ends may do without."""
    _present.reset(token)


def note_act() -> None:
    """Notes that others can know of the present attempt; does nothing in code that is none."""
    attempt = _present.get()
    if attempt is not None:
        attempt.acted = True


def note_transient(error: BaseException) -> None:
    """Notes that another attempt may succeed where an exception ended the present one."""
    attempt = _present.get()
    if attempt is not None:
        attempt.transient = error
