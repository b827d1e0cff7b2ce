"""What `SockJS.presence` returns: who is in a room, on all processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any, NoReturn, overload

from sockjs_bridge.core.presence import Presence
from sockjs_bridge.errors import PresenceUnknown
from sockjs_bridge.later import PATIENCE, awaited, on_loop


class PresenceList(Sequence[Presence]):
    """Who is in a room, in the order in which they joined.

    Asynchronous code has to await it, which gives a list. Other code uses it as a list.

    Args:
        ask: asks for it, and is given what is to be called with the answer.
    """

    def __init__(self, ask: Callable[[Callable[[list[Presence] | Exception], object]], object]):
        self._found: Future[list[Presence]] = Future()
        ask(self._answer)
        if not on_loop():
            try:
                self._found.result(PATIENCE)
            except Exception as error:
                _raise(error)

    def _answer(self, found: list[Presence] | Exception) -> None:
        if isinstance(found, Exception):
            self._found.set_exception(found)
        else:
            self._found.set_result(found)

    @property
    def _list(self) -> list[Presence]:
        if on_loop():
            # In one process it is there; the same code would fail in a cluster.
            raise RuntimeError("on the event loop await it: await request.sockjs.presence(...)")
        return self._found.result(timeout=0)

    @overload
    def __getitem__(self, index: int) -> Presence: ...

    @overload
    def __getitem__(self, index: slice) -> list[Presence]: ...

    def __getitem__(self, index: Any) -> Any:
        return self._list[index]

    def __len__(self) -> int:
        return len(self._list)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._found}>"

    def __await__(self) -> Generator[object, None, list[Presence]]:
        try:
            return (yield from awaited(self._found))
        except Exception as error:
            _raise(error)


def _raise(error: Exception) -> NoReturn:
    if isinstance(error, TimeoutError):
        raise PresenceUnknown(f"no answer within {PATIENCE:g} s") from None
    raise PresenceUnknown(str(error)) from error
