"""What `SockJS.broadcast` returns, and how its caller learns that the message is published."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from typing import NoReturn

from sockjs_bridge.errors import NotConfirmed
from sockjs_bridge.later import PATIENCE, awaited, on_loop


class BroadcastCount(int):
    """What ``broadcast`` returns: to how many connections of this process the message goes.

    It is a number as any other. Awaited after ``broadcast(..., confirm=True)`` it waits until the
    message is published.
    """

    _confirmed: Future[None] | None

    def __new__(cls, count: int, confirmed: Future[None] | None = None) -> BroadcastCount:
        """Makes the number.

        Args:
            count: of connections.
            confirmed: is done when the message is published; None where nobody asks for that.
        """
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
