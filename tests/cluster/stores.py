"""What the tests of stores hold: a listener that remembers, and answers that can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.store import Entry, Position, Store, StoreError

BOUNDS = Bounds(5, 60)
#: A bound for what must come; what comes sooner is not waited for.
SOON = 20.0


class Ear:
    """Fulfils `Listener`: keeps what it hears, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._news = asyncio.Event()

    def _note(self, *event: Any) -> None:
        self.events.append(event)
        self._news.set()

    def heard(self, room: str, position: Position | None, entry: Entry) -> None:
        self._note("heard", room, position, entry)

    def handled(self) -> None:
        self._note("handled")

    def subscribed(self, room: str) -> None:
        self._note("subscribed", room)

    def told(self, text: str) -> None:
        self._note("told", text)

    def connected(self, *, same: bool) -> None:
        self._note("connected", same)

    def lost(self, error: StoreError) -> None:
        self._note("lost", error)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """Return what was heard of a kind."""
        return [event[1:] for event in self.events if event[0] == kind]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is so, which can change with each event."""
        async with asyncio.timeout(SOON):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def hears(self, kind: str, count: int = 1) -> list[tuple[Any, ...]]:
        """Wait for so many events of a kind; return all of it."""
        await self.until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def forget(self) -> None:
        self.events.clear()


async def ask(method: Callable[..., None], *arguments: Any) -> Any:
    """Call a method of a store; return what came of it, or raise it."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    method(*arguments, answer.set_result)
    assert not answer.done()
    async with asyncio.timeout(SOON):
        result = await answer
    if isinstance(result, StoreError):
        raise result
    return result


async def publish(store: Store, room: str, *texts: str, bounds: Bounds | None = BOUNDS) -> Any:
    """Publish messages; return the position of the last one."""
    position = None
    for text in texts:
        position = await ask(store.publish, room, Entry(text, "n/1"), bounds)
    return position
