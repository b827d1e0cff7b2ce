"""From a setting to a store."""

from __future__ import annotations

from collections.abc import Iterable

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.memorybroker import MemoryBroker
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.cluster.store import Store, StoreError
from sockjs_bridge.cluster.urls import parse
from sockjs_bridge.core.contracts import Clock

MISSING = "the cluster's Redis needs a package: pip install sockjs-bridge[cluster] ({error})"

# By the names of clusters: what ``memory://`` means to all servers of this process.
_brokers: dict[str, MemoryBroker] = {}


def make_store(
    url: str,
    name: str,
    clock: Clock,
    *,
    application: str = "",
    rooms: Iterable[tuple[str, Bounds]] = (),
) -> Store:
    """Returns a store that is not started yet.

    Args:
        url: see `urls.FORMS`.
        name: of the cluster: 1 to 64 of ``A-Z a-z 0-9 _ . -``.
        clock: of the server's loop, which runs.
        application: a name that all processes of the cluster share, and no other application has;
            empty: any other one is welcome.
        rooms: the patterns of rooms with history, and how much is kept: for `publish`.

    Raises:
        StoreError: the URL or the name cannot be, or a package is missing.
    """
    try:
        address = parse(url)
    except ValueError as error:
        raise StoreError(str(error)) from None
    if address.scheme == "memory":
        return MemoryStore(_brokers.setdefault(name, MemoryBroker()), clock)
    try:
        from sockjs_bridge.cluster.redisstore.store import RedisStore
    except ImportError as error:
        raise StoreError(MISSING.format(error=error)) from None
    return RedisStore(address, name, application, rooms)
