"""Messages from scripts, tasks and other programs: no server, no loop, no thread."""

from __future__ import annotations

from sockjs_bridge.cluster.factory import MISSING
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.cluster.urls import parse


def publish(url: str, room: str | None, message: str, *, name: str = "default") -> None:
    """Sends a message to a room of an application whose processes share a Redis.

    For programs that serve nothing: Celery tasks, cron jobs, other WSGI servers. Each call makes a
    connection of its own, and blocks until the message is published; at most some seconds. If the
    room has a history, the message is kept as any other. Whoever is excluded, in which order calls
    of several programs arrive and whether somebody is in the room is not known here.

    Args:
        url: of the Redis, as the setting ``sockjs.cluster`` has it.
        room: the name of a room; None means all connections of the application.
        message: any text.
        name: of the cluster, as the setting ``sockjs.cluster_name`` has it.

    Raises:
        TypeError: the message or the room's name is not a string.
        ValueError: the room's name is empty, or the URL cannot be.
        StoreError: Redis cannot be reached or refuses, it knows no such cluster, or redis-py is
            missing: the text says what would help. If the connection broke on the way, the message
            may have been published.
    """
    for what, value in (("message", message), ("name of a room", "all" if room is None else room)):
        if not isinstance(value, str):
            raise TypeError(f"a {what} is a string, not {type(value).__name__}")
    if room == "":
        raise ValueError("the name of a room is empty: None means all connections")
    address = parse(url)
    if address.scheme == "memory":
        raise ValueError("memory:// is within one process: no other program can publish there")
    try:
        from sockjs_bridge.cluster.redisstore.outside import publish_to
    except ImportError as error:
        raise StoreError(MISSING.format(error=error)) from None
    publish_to(address, name, room or "", message)
