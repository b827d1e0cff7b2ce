"""The first words with a server: what it is, whether it will do, and whose keys it has."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore.keys import FORMAT, Keys
from sockjs_bridge.cluster.redisstore.scripts import MICROSECONDS, Script, command, whole
from sockjs_bridge.cluster.redisstore.server import SILENCE, AnyConnection, call
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.cluster.urls import Address

logger = logging.getLogger("sockjs_bridge.cluster")

#: Makes the acquaintance of a server. Keys: the marker, all processes. Arguments: the format of
#: the keys, the application, the server's lineage, the highest epoch that this process has seen on
#: another server or 0, a secret, the prefix of leases, the rooms with history.
#: Returns ``ok``, the floor of epochs and the cluster's secret; or whose keys these are.
MEET = Script(
    MICROSECONDS
    + """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'hash' then return {'foreign', kind} end
local format, application, lineage, floor, secret =
  unpack(redis.call('HMGET', KEYS[1], 'format', 'application', 'lineage', 'floor', 'secret'))
if kind == 'hash' and not format then return {'foreign', kind} end
local other = format and format ~= ARGV[1]
if application and application ~= '' and ARGV[2] ~= '' and application ~= ARGV[2] then
  other = true
end
if other then
  for _, node in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    if redis.call('EXISTS', ARGV[6] .. node) == 1 then return {'other', format, application} end
  end
end
floor = tonumber(floor or '0')
if lineage ~= ARGV[3] then floor = math.max(now, floor + 1) end
floor = whole(math.max(floor, ARGV[4] + 1))
secret = secret or ARGV[5]
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'lineage', ARGV[3], 'floor', floor, 'secret', secret,
           'rooms', ARGV[7])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'application', ARGV[2]) end
return {'ok', floor, secret}
"""
)

#: Tries out what the others do, and leaves nothing behind: what is not allowed fails at the start.
#: Keys: one that nothing else uses. Arguments: a channel that nobody hears.
PROBE = Script(
    """
local key = KEYS[1]
redis.call('DEL', key)
redis.call('XADD', key, 'MAXLEN', '~', 1, '1-*', 'm', '')
redis.call('XRANGE', key, '-', '+')
redis.call('XREVRANGE', key, '+', '-')
redis.call('EXISTS', key)
redis.call('PEXPIRE', key, 1000)
redis.call('DEL', key)
redis.call('SADD', key, '')
redis.call('SMEMBERS', key)
redis.call('SREM', key, '')
redis.call('SPOP', key, 1)
redis.call('HSET', key, '', '')
redis.call('HGETALL', key)
redis.call('HGET', key, '')
redis.call('HDEL', key, '')
redis.call('SET', key, '', 'PX', 1000)
redis.call('GET', key)
redis.call('DEL', key)
redis.call('PUBLISH', ARGV[1], '')
return 'ok'
"""
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself.

    Attributes:
        version: of Redis, or that Valkey is compatible with.
        run: another one after each start.
        lineage: another one after each start, and where it has become a primary: it may have other
            data, and lack the last ones.
        role: ``master`` or ``slave``.
        mode: ``standalone``, ``sentinel`` or ``cluster``.
        evicts: the policy by which it drops keys when its memory is full; empty where it does not.
    """

    version: tuple[int, ...]
    run: str
    lineage: str
    role: str
    mode: str
    evicts: str


def facts(info: bytes) -> Facts:
    """Reads the answer to ``INFO``."""
    lines = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    values = {name: value for name, _, value in lines}
    version = values.get("redis_version", "0").split(".")
    policy = values.get("maxmemory_policy", "noeviction")
    bounded = values.get("maxmemory", "0") != "0"
    return Facts(
        tuple(int(part) for part in version if part.isdecimal()),
        values.get("run_id", ""),
        f"{values.get('run_id', '')} {values.get('master_replid', '')}",
        values.get("role", ""),
        values.get("redis_mode", ""),
        policy if bounded and policy != "noeviction" else "",
    )


def check(address: Address, found: Facts) -> None:
    """Checks that a server can do what is asked of it.

    Raises:
        StoreError: it cannot; the text says why, and what would help.
    """
    at = f"Redis at {address}"
    if found.version < (7, 0):
        version = ".".join(map(str, found.version))
        raise StoreError(f"{at} is too old, {version}: Redis 7.0 or later, or Valkey, is needed")
    if found.mode == "cluster":
        raise StoreError(f"{at} is a Redis Cluster: a single server, or Sentinel, is needed")
    if found.mode == "sentinel":
        raise StoreError(f"{at} is a Sentinel: write redis+sentinel://host/service in the URL")
    if found.role == "slave":
        raise StoreError(f"{at} is a read-only replica: name the primary in the URL, or Sentinel")


async def check_server(address: Address, connection: AnyConnection) -> Facts:
    """Asks a server what it is.

    Raises:
        StoreError: it cannot do what is asked of it.
    """
    answer = await call(connection, "INFO")
    if not isinstance(answer, bytes) or b"redis_version:" not in answer:
        raise StoreError(f"Redis at {address} is no Redis: it does not say what it is")
    found = facts(answer)
    check(address, found)
    return found


def noted_rooms(rooms: Iterable[tuple[str, Bounds]]) -> str:
    """Returns the rooms with history as the marker has them."""
    return json.dumps([(pattern, bounds.size, bounds.ttl) for pattern, bounds in rooms])


def meeting(
    keys: Keys, application: str, lineage: str, *, highest: int, secret: bytes, rooms: str
) -> tuple[Any, ...]:
    """Returns the command that makes the acquaintance of a server; `met` reads its answer.

    Args:
        keys: of the cluster.
        application: see `Lifecycle`.
        lineage: of the server.
        highest: the highest epoch that was seen on another server; 0: none.
        secret: of the cluster, where it has none yet.
        rooms: see `noted_rooms`.
    """
    names = [keys.marker, keys.nodes]
    arguments = (FORMAT, application, lineage, highest, secret, keys.lease_prefix, rooms)
    return whole(MEET, names, *arguments)


def met(address: Address, keys: Keys, answer: list[Any]) -> tuple[int, bytes]:
    """Returns the floor of epochs, and the cluster's secret.

    Raises:
        StoreError: the keys belong to something else.
    """
    if answer[0] != b"ok":
        raise StoreError(whose(address, keys, answer))
    return int(answer[1]), answer[2]


async def probe(address: Address, keys: Keys, connection: AnyConnection) -> None:
    """Tries out whether all is allowed that will be needed, and warns of what goes wrong."""
    async with asyncio.timeout(SILENCE):
        await call(connection, "PING")
        await call(connection, "SCRIPT", "LOAD", PROBE.text)
        await call(connection, *command(PROBE, [keys.probe], keys.probe))
        policy = facts(await call(connection, "INFO")).evicts
    if policy:
        logger.warning(
            "Redis at %s drops keys when its memory is full (maxmemory-policy %s): members and "
            "histories of rooms may be lost; set it to noeviction",
            address,
            policy,
        )


def whose(address: Address, keys: Keys, answer: list[Any]) -> str:
    """Returns the sentence on keys that belong to something else."""
    at, prefix = f"Redis at {address}", keys.prefix
    if answer[0] == b"foreign":
        return (
            f"{at} has keys of something else below {prefix} "
            f"({prefix}is is a {answer[1].decode()}): set another sockjs.cluster_name"
        )
    kind, name = ((part or b"").decode("utf-8", "replace") for part in answer[1:3])
    return (
        f"{at} has processes of another application below {prefix} (of {name or 'no name'}, "
        f"keys of {kind}): set another sockjs.cluster_name, or end those first"
    )
