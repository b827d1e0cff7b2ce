"""What processes tell each other: `SockJS.notify`, and the events `Notified` and `MembersGone`."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from pyramid.registry import Registry

from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.presences import Known
from sockjs_bridge.core.signals import GONE
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


class MembersGone:
    """An event: a process has died, and with it members of rooms.

    Subscribers are called in one of the processes that live on, in a thread of the pool for hooks,
    when `SockJS.presence` lists those members no more. It is for applications that tell others who
    is there by themselves; `WebSocketSession.on_leave` needs none of it.

    Attributes:
        members: the rooms that they were in, and who they were.
        registry: of the application.
    """

    def __init__(self, members: list[tuple[str, Presence]], registry: Registry) -> None:
        self.members = members
        self.registry = registry

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self.members)} members>"


def deliver(endpoints: Endpoints, registry: Registry) -> None:
    """Has subscribers hear of what the processes of an application say.

    Args:
        endpoints: of the application.
        registry: of it.
    """

    def tell(event: object) -> None:
        endpoints.workers.submit(partial(_notify, registry, event))

    def gone(left: list[list[str]]) -> None:
        known = [(room, Known.parse(member, text)) for room, member, text in left]
        members = [(room, each.presence) for room, each in known if each is not None]
        tell(MembersGone(members, registry))

    def notice(said: tuple[str, Any]) -> None:
        topic, data = said
        tell(Notified(topic, data, registry))

    endpoints.signals.on(KIND, notice)
    endpoints.signals.on_missed(lambda: tell(Notified(None, None, registry)))
    endpoints.signals.on(GONE, gone)


def _notify(registry: Registry, event: object) -> None:
    try:
        registry.notify(event)
    except Exception:
        logger.exception("a subscriber failed: %r", event)
