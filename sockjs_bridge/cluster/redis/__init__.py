"""The store on Redis, and all that is used of redis-py: no other module imports that.

To read in this order: `scripts` (what happens there in one step), `keys` (names, and how messages
are written), `server` (connections, and what errors mean), `acquaintance` (the first words),
`commands` and `subscriptions` (what goes over the two connections), `lifecycle` (when they are
there), `asking` and `store` (what fulfils `Store`).
"""

from redis import exceptions
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.client import Redis as BlockingRedis
from redis.retry import Retry as BlockingRetry
from redis.sentinel import Sentinel as BlockingSentinel

__all__ = (
    "BlockingRedis",
    "BlockingRetry",
    "BlockingSentinel",
    "Connection",
    "NoBackoff",
    "Retry",
    "SSLConnection",
    "Sentinel",
    "UnixDomainSocketConnection",
    "exceptions",
)
