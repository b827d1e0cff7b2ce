"""One message, sent without a loop; see `sockjs_bridge.publish`."""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from typing import Any

from sockjs_bridge.cluster.declared import DeclaredRooms
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redis import (
    BlockingRedis,
    BlockingRetry,
    BlockingSentinel,
    NoBackoff,
)
from sockjs_bridge.cluster.redisstore import scripts
from sockjs_bridge.cluster.redisstore.acquaintance import check, facts, meeting, met
from sockjs_bridge.cluster.redisstore.keys import FORMAT, Keys, add_arguments, payload
from sockjs_bridge.cluster.redisstore.server import (
    CONNECT_TIMEOUT,
    FAILURES,
    SILENCE,
    explain,
    login,
    sentinel_login,
    tcp,
)
from sockjs_bridge.cluster.store import Entry, StoreError
from sockjs_bridge.cluster.urls import Address


def publish_to(address: Address, name: str, room: str, text: str) -> None:
    """Publishes a message.

    Args:
        address: of Redis.
        name: of the cluster.
        room: its name; the empty one reaches all connections.
        text: the message.

    Raises:
        StoreError: it was not published, or nobody knows.
    """
    keys = Keys(name)
    try:
        with closing(_client(address)) as client:
            _publish(address, keys, client, room, Entry(text))
    except FAILURES as error:
        raise explain(address, error) from None


def _client(address: Address) -> Any:
    once = BlockingRetry(NoBackoff(), 0)
    common: dict[str, Any] = {
        "retry": once,
        "single_connection_client": True,
        "socket_timeout": SILENCE,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        **login(address),
    }
    if address.scheme == "unix":
        return BlockingRedis(unix_socket_path=address.path, **common)
    host, port = address.hosts[0]
    if address.service:
        sentinel = BlockingSentinel(  # type: ignore[no-untyped-call]
            address.hosts, sentinel_kwargs={**sentinel_login(address), "retry": once}
        )
        try:
            host, port = sentinel.discover_master(address.service)  # type: ignore[no-untyped-call]
        finally:
            for each in sentinel.sentinels:
                each.close()
    return BlockingRedis(
        host=host, port=port, ssl=address.tls is not None, **common, **tcp(address)
    )


def _publish(address: Address, keys: Keys, client: Any, room: str, entry: Entry) -> None:
    connection = client.connection

    def call(*command: Any) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    found = facts(call("INFO"))
    check(address, found)
    fields = ("format", "lineage", "floor", "rooms", "application")
    format, lineage, floor, rooms, application = call("HMGET", keys.marker, *fields)
    if format is None:
        raise StoreError(
            f"Redis at {address} knows no cluster below {keys.prefix}: no process of the "
            "application has used it yet, or it has another sockjs.cluster_name"
        )
    if format.decode() != FORMAT:
        raise StoreError(
            f"Redis at {address} is used by another version of sockjs-bridge: its keys are of "
            f"{format.decode('utf-8', 'replace')}, and not of {FORMAT}"
        )
    bounds = _bounds(rooms, room)
    if bounds is None:
        call("PUBLISH", keys.channel(room), b"- " + payload(entry))
        return
    if lineage.decode() != found.lineage:
        # No process has come here yet since it is another one: its epochs are over.
        application = (application or b"").decode("utf-8", "replace")
        options = {"highest": 0, "secret": secrets.token_bytes(32), "rooms": rooms.decode()}
        command = meeting(keys, application, found.lineage, **options)
        floor, _ = met(address, keys, call(*command))
    arguments = add_arguments(keys, room, entry, bounds, epoch=0, floor=int(floor), renew=True)
    call(*scripts.whole(scripts.ADD, [keys.stream(room)], *arguments))


def _bounds(rooms: bytes, room: str) -> Bounds | None:
    declared = DeclaredRooms()
    for pattern, size, ttl in json.loads(rooms):
        declared.declare(pattern, Bounds(size, ttl))
    # The room of all connections has no history, whatever matches.
    return declared.bounds(room) if room else None
