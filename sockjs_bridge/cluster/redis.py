"""All that is used of redis-py: no other module imports it."""

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
