"""Connections to a Redis server, and what is known of the server; what its errors mean."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import Coroutine
from typing import Any

from sockjs_bridge.cluster.redis import (
    Connection,
    NoBackoff,
    Retry,
    Sentinel,
    SSLConnection,
    UnixDomainSocketConnection,
    exceptions,
)
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.cluster.urls import Address

#: Seconds until a connection is there, with all that is checked.
CONNECT_TIMEOUT = 3.0
#: Seconds without an answer after which a connection is given up.
SILENCE = 3.0
#: Seconds between two looks at that.
LOOK = 0.5
#: Seconds until the next attempt to connect: the first ones, and at most.
RETRY_FIRST, RETRY_AT_MOST = 0.05, 2.0

#: What ends a connection.
FAILURES = (exceptions.RedisError, StoreError, OSError, EOFError, UnicodeError)

AnyConnection = Connection | SSLConnection | UnixDomainSocketConnection

#: A peer that vanished is noticed by the kernel too, so that no socket stays behind.
_KEEPALIVE = {socket.TCP_USER_TIMEOUT: 5000} if hasattr(socket, "TCP_USER_TIMEOUT") else {}


def login(address: Address) -> dict[str, Any]:
    """Returns what redis-py is told for any connection, synchronous ones too."""
    return {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        # RESP2: what is pushed comes as plain lists.
        "protocol": 2,
    }


def tcp(address: Address) -> dict[str, Any]:
    """Returns what redis-py is told for connections over TCP, synchronous ones too."""
    return {
        "socket_keepalive": True,
        "socket_keepalive_options": _KEEPALIVE,
        **(address.tls or {}),
    }


class Server:
    """Where Redis is; connects to it.

    Args:
        address: its URL.
    """

    def __init__(self, address: Address) -> None:
        self.address = address

    async def connect(self) -> AnyConnection:
        """Returns a connection of its own, after the login.

        Raises:
            one of `FAILURES`.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT):
            connection = self._connection(await self._host())
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            return connection

    def _connection(self, host: tuple[str, int]) -> AnyConnection:
        address = self.address
        # How long something may take is measured from outside.
        common: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": CONNECT_TIMEOUT}
        common |= login(address)
        if address.scheme == "unix":
            return UnixDomainSocketConnection(path=address.path, **common)
        made = Connection if address.tls is None else SSLConnection
        return made(host=host[0], port=host[1], **common, **tcp(address))

    async def _host(self) -> tuple[str, int]:
        if not self.address.service:
            return self.address.hosts[0] if self.address.hosts else ("", 0)
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            self.address.hosts,
            sentinel_kwargs={**sentinel_login(self.address), "retry": Retry(NoBackoff(), 0)},
        )
        try:
            host, port = await sentinel.discover_master(self.address.service)
        finally:
            for each in sentinel.sentinels:
                await each.aclose()
        return str(host), int(port)

    def explain(self, error: BaseException) -> StoreError:
        """Returns what an error means: one sentence, with what would help."""
        return explain(self.address, error)


def sentinel_login(address: Address) -> dict[str, Any]:
    """Returns what redis-py is told for connections to Sentinels."""
    return {
        "username": address.sentinel_username,
        "password": address.sentinel_password,
        "protocol": 2,
        "socket_timeout": 1.0,
        "socket_connect_timeout": 1.0,
        **({} if address.tls is None else {"ssl": True, **address.tls}),
    }


async def call(connection: AnyConnection, *command: Any) -> Any:
    """Sends one command over a connection that nobody else uses, and returns the answer."""
    await connection.send_packed_command(connection.pack_command(*command), check_health=False)
    return await connection.read_response()


def explain(address: Address, error: BaseException) -> StoreError:
    """Returns what an error means: one sentence, with what would help."""
    if isinstance(error, StoreError):
        return error
    text = " ".join(str(error).split()).rstrip(".")
    at = f"Redis at {address}"
    for kind, words, meaning in _MEANINGS:
        if isinstance(error, kind) and words in text:
            return StoreError(f"{at} {meaning} ({text})")
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return StoreError(
            f"{at} does not answer: is the host right, does a firewall drop packets, is TLS "
            "(rediss://) used at both ends or at none?"
        )
    if isinstance(error, exceptions.ResponseError):
        return StoreError(f"{at} refuses: {text}")
    return StoreError(f"{at} cannot be reached: {text or type(error).__name__}")


_REFUSED = "cannot be reached: does it run, is the port or path right?"
_PASSWORD = "refuses the login: put the right user and password into the URL"
_ACL = (
    "forbids something to this user: it needs the keys and channels below the cluster's prefix, "
    "and the commands that the documentation lists"
)
_REPLICA = "is a read-only replica: name the primary in the URL, or use redis+sentinel://"

#: Kinds of errors, words in them, and what they mean; the first one counts.
_MEANINGS: tuple[tuple[type[Exception], str, str], ...] = (
    (exceptions.ConnectionError, f"Error {errno.ECONNREFUSED} ", _REFUSED),
    (exceptions.ConnectionError, f"Error {errno.ENOENT} ", _REFUSED),
    (exceptions.NoPermissionError, "", _ACL),
    (exceptions.ReadOnlyError, "", _REPLICA),
    (exceptions.OutOfMemoryError, "", "is out of memory: raise its maxmemory"),
    (exceptions.BusyLoadingError, "", "is still loading its data: try again"),
    (exceptions.AuthenticationError, "", _PASSWORD),
    (exceptions.AuthenticationWrongNumberOfArgsError, "", _PASSWORD),
    (exceptions.ResponseError, "WRONGPASS", _PASSWORD),
    (exceptions.ResponseError, "NOAUTH", _PASSWORD),
    (exceptions.ResponseError, "NOPERM", _ACL),
    (exceptions.ResponseError, "The user executing the script can't", _ACL),
    (exceptions.ResponseError, "READONLY", _REPLICA),
    (exceptions.ResponseError, "OOM", "is out of memory: raise its maxmemory"),
    (
        exceptions.ResponseError,
        "unknown command",
        "lacks a command: rename-command in its configuration has taken it away, or it is no Redis",
    ),
    (exceptions.ResponseError, "DB index", "has no such database: see databases in redis.conf"),
    (exceptions.InvalidResponse, "", "does not speak Redis's protocol: is the port right?"),
)


_chance = secrets.SystemRandom()


class Backoff:
    """How long to wait until the next attempt to connect: longer each time, at random."""

    def __init__(self) -> None:
        self._next = RETRY_FIRST

    def reset(self) -> None:
        """Begins with a short time again."""
        self._next = RETRY_FIRST

    async def wait(self) -> None:
        """Waits."""
        seconds, self._next = self._next, min(2 * self._next, RETRY_AT_MOST)
        await asyncio.sleep(seconds * _chance.uniform(0.5, 1))


async def look(loop: asyncio.AbstractEventLoop) -> float:
    """Waits for the next look at a connection.

    Args:
        loop: the one that runs.

    Returns:
        How many seconds this process stood still meanwhile: what arrived then is not read yet, and
        is not to be taken for the server's silence.
    """
    due = loop.time() + LOOK
    await asyncio.sleep(LOOK)
    return max(0.0, loop.time() - due)


async def first_of(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs until the first one ends, and raises what it raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
