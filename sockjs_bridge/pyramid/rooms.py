"""The directive that declares rooms with history."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.registry import Registry

from sockjs_bridge.ini import count, number
from sockjs_bridge.pyramid.application import SockJS

_PARSERS = {"history_size": count(1, "messages"), "history_ttl": number(0.05, 86400, "seconds")}


def add_sockjs_rooms(
    config: Configurator, pattern: str, history_size: int = 100, history_ttl: float = 300
) -> None:
    """Keeps the last messages of rooms, for clients that come back.

    Whatever `SockJS.broadcast` sends to such a room is kept for a while. A client whose resumable
    session was lost tells which messages it has. When its new session joins the room, the client
    gets the later ones, before anything newer; see `Joined`. Other clients see no difference.

    If several patterns match a name, the one that was declared first is used, as with routes.

    Args:
        config: the configurator (this is a directive).
        pattern: of the rooms' names; ``*`` stands for any number of characters, also for none.
        history_size: how many messages of each room are kept.
        history_ttl: for how many seconds each is kept, also if nobody is in the room.

    Raises:
        pyramid.exceptions.ConfigurationError: a value is not allowed, or the server runs already.
        pyramid.exceptions.ConfigurationConflictError: a pattern was declared twice.
    """
    if not isinstance(pattern, str) or not pattern:
        raise _wrong("pattern", pattern, "a room's name, in which * stands for any characters")
    values: dict[str, Any] = {"history_size": history_size, "history_ttl": history_ttl}
    for name, parse in _PARSERS.items():
        try:
            values[name] = parse(values[name])
        except ValueError as error:
            raise _wrong(name, values[name], str(error)) from None
    introspectable = config.introspectable("sockjs rooms", pattern, pattern, "sockjs rooms")
    introspectable.update({"pattern": pattern, **values})
    config.action(
        ("sockjs rooms", pattern),
        _declare,
        (config.registry, pattern, values["history_size"], values["history_ttl"]),
        introspectables=(introspectable,),
    )


def _wrong(name: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(
        f"add_sockjs_rooms: {name} = {value!r} cannot be: allowed is {allowed}"
    )


def _declare(registry: Registry, pattern: str, size: int, ttl: float) -> None:
    # Here: an application without such rooms imports none of it.
    from sockjs_bridge.cluster.declared import DeclaredRooms
    from sockjs_bridge.cluster.engine import Bounds

    sockjs: SockJS = registry.sockjs
    if sockjs.endpoints.served:
        raise ConfigurationError(f"add_sockjs_rooms: {pattern!r} is declared while the server runs")
    endpoints = sockjs.endpoints
    declared: object = endpoints.history
    if endpoints.cluster is not None:
        declared = endpoints.cluster.declared
    elif declared is None:
        from sockjs_bridge.cluster.rooms import HistoryRooms

        declared = endpoints.history = HistoryRooms()
    assert isinstance(declared, DeclaredRooms)
    declared.declare(pattern, Bounds(size, ttl))
