"""What the application's processes tell each other: `SockJS.notify`, and the event `Notified`."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from pyramid.registry import Registry

from sockjs_bridge.endpoint.endpoints import Endpoints

logger = logging.getLogger("sockjs_bridge")

KIND = "notice"


class Notified:
    """An event: a process of the application has called `SockJS.notify`.

    Subscribers (`pyramid.events.subscriber`) are called once in each process, also in the one that
    has called, in a thread of the pool for hooks. They have no request, and no transaction but
    their own.

    Attributes:
        topic: what it is about; None where notices may have been missed, because the processes
            were out of each other's reach.
        data: what was said of it.
        registry: of the application.
    """

    def __init__(self, topic: str | None, data: Any, registry: Registry) -> None:
        self.topic = topic
        self.data = data
        self.registry = registry

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.topic!r}>"


def deliver(endpoints: Endpoints, registry: Registry) -> None:
    """Has subscribers hear of what the processes of an application say.

    Args:
        endpoints: of the application.
        registry: of it.
    """

    def hear(said: tuple[str | None, Any]) -> None:
        endpoints.workers.submit(partial(_notify, registry, *said))

    endpoints.signals.on(KIND, hear)
    endpoints.signals.on_missed(lambda: hear((None, None)))


def _notify(registry: Registry, topic: str | None, data: Any) -> None:
    try:
        registry.notify(Notified(topic, data, registry))
    except Exception:
        logger.exception("a subscriber of Notified failed, topic %r", topic)
