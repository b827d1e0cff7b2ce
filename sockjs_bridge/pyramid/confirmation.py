"""What `SockJS.broadcast` returns where its caller wants to know that the message is published."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from typing import NoReturn

from sockjs_bridge.errors import NotConfirmed
from sockjs_bridge.later import PATIENCE, awaited, on_loop


class BroadcastCount(int):
    """To how many connections of this process a message goes; awaited it says that it is published.

    Args:
        count: how many there are.
        confirmed: is done when the message is published; None where that is known.
    """

    _confirmed: Future[None] | None

    def __new__(cls, count: int, confirmed: Future[None] | None = None) -> BroadcastCount:
        """Makes the number."""
        made = super().__new__(cls, count)
        made._confirmed = confirmed
        return made

    def wait(self) -> BroadcastCount:
        """Waits in a thread; in a coroutine nothing is waited for, see `__await__`.

        Raises:
            NotConfirmed: the message was not published, or that is not known in time.
        """
        if self._confirmed is not None and not on_loop():
            try:
                self._confirmed.result(PATIENCE)
            except Exception as error:
                _raise(error)
        return self

    def __await__(self) -> Generator[object, None, int]:
        if self._confirmed is not None:
            try:
                yield from awaited(self._confirmed)
            except Exception as error:
                _raise(error)
        return int(self)


def _raise(error: Exception) -> NoReturn:
    if isinstance(error, TimeoutError):
        raise NotConfirmed(f"no answer within {PATIENCE:g} s") from None
    raise NotConfirmed(str(error)) from error
