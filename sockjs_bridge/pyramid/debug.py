"""With ``sockjs.debug``: who keeps the event loop from everybody else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any

logger = logging.getLogger("sockjs_bridge.views")

#: Seconds that an asynchronous view or hook may keep the loop before it is logged.
STANDSTILL = 0.1

#: Wraps what an asynchronous view or hook awaits.
Watch = Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]


def unwatched(awaited: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Changes nothing."""
    return awaited


def watch_of(name: str) -> Watch:
    """Returns what logs every step of a coroutine that takes longer than `STANDSTILL`.

    Args:
        name: of the view or session class, for the log.
    """

    @coroutine
    def stepped(awaited: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = awaited.send
        argument: Any = None
        while True:
            start = time.perf_counter()
            try:
                waits_for = step(argument)
            except StopIteration as result:
                return result.value
            finally:
                taken = time.perf_counter() - start
                if taken > STANDSTILL:
                    logger.warning(
                        "%s blocked the event loop, and all connections, for %.0f ms: move code"
                        " that blocks to a plain view or hook, or to asyncio.to_thread",
                        name,
                        taken * 1000,
                    )
            try:
                step, argument = awaited.send, (yield waits_for)
            except BaseException as error:
                step, argument = awaited.throw, error

    async def watched(awaited: Coroutine[Any, Any, Any]) -> Any:
        # Since Python 3.12 a task takes no generator.
        return await stepped(awaited)

    return watched


def dotted_name(view: object, attr: str | None = None) -> str:
    """Returns where a view is found in the code."""
    name = getattr(view, "__qualname__", None) or type(view).__qualname__
    module = getattr(view, "__module__", None) or type(view).__module__
    return ".".join(part for part in (module, name, attr) if part)
