"""What is known later: it comes on the loop, and is waited for in a thread, or awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

#: Seconds that an application waits for what other processes or a store have to say.
PATIENCE = 5.0


def on_loop() -> bool:
    """Tells whether an event loop runs in this thread: then nothing may be waited for."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def awaited(future: Future[T]) -> Generator[object, None, T]:
    """Waits for a result in a coroutine, `PATIENCE` at most.

    Raises:
        TimeoutError: it has not come by then; it may come still.
    """
    return _awaited(future).__await__()


async def _awaited(future: Future[T]) -> T:
    if not future.done():
        waiting = asyncio.wrap_future(future)
        # What it comes to is looked at below, or nobody wants to know any more.
        waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        # Whoever gives up does not cancel it: others may wait for it, too.
        await asyncio.wait([waiting], timeout=PATIENCE)
    return future.result(timeout=0)
