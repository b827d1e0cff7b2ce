"""The settings of a SockJS endpoint: what each bounds, its default, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sockjs_bridge.core.protocol import TOKEN
from sockjs_bridge.core.transports import NAMES
from sockjs_bridge.ini import count, flag, number, read, setting

# No pattern of a route: the server itself compares it.
_PATH = re.compile(r"(/[\w.~-]+)+", re.ASCII)
_ORIGIN = re.compile(r"https?://(\*\.)?[^/*@?#\s]+")


def _words(value: Any) -> tuple[str, ...]:
    words: Iterable[Any] = value.replace(",", " ").split() if isinstance(value, str) else value
    try:
        return tuple(dict.fromkeys(words))
    except TypeError:
        return (repr(value),)


def _transports(value: Any) -> tuple[str, ...]:
    names = _words(value)
    if not names or not set(names) <= set(NAMES):
        raise ValueError("one or more of " + ", ".join(NAMES))
    return names


def _origins(value: Any) -> tuple[str, ...]:
    origins = _words(value)
    for origin in origins:
        if not isinstance(origin, str) or (origin != "*" and not _ORIGIN.fullmatch(origin)):
            raise ValueError(
                "origins as https://app.example.com or https://*.example.org, separated by"
                " spaces or lines, or * for all"
            )
    return tuple(origin.lower() for origin in origins)


def _subprotocols(value: Any) -> tuple[str, ...]:
    names: tuple[Any, ...] = _words(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(name, str) and TOKEN.fullmatch(name) for name in names):
        raise ValueError("names of subprotocols as v12.stomp, separated by spaces or lines")
    return names


_STORES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "memory")
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: Characters that the secret of a cluster has at least: who listens in may try out short ones.
SHORTEST_SECRET = 16


def _store(value: Any) -> str:
    """Parses the URL of what the processes share; its reader says what is wrong with the rest."""
    url = str(value).strip()
    scheme, separator, _ = url.partition("://")
    if url and (not separator or scheme not in _STORES):
        raise ValueError("a URL that begins with " + ", ".join(f"{each}://" for each in _STORES))
    return url


def _cluster_name(value: Any) -> str:
    if not isinstance(value, str) or not _CLUSTER_NAME.fullmatch(value.strip()):
        raise ValueError("1 to 64 of A-Z a-z 0-9 _ . -")
    return value.strip()


def _listen(value: Any) -> str:
    where = str(value).strip()
    host, _, port = where.rpartition(":")
    if where and not (host and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ValueError("an address of this host and a port, as 10.0.0.5:7000 (0: any free port)")
    if host in ("0.0.0.0", "[::]", "::", "*"):
        raise ValueError("one address of this host, by which other processes reach it")
    return where


def _secret(value: Any) -> str:
    if not isinstance(value, str) or 0 < len(value) < SHORTEST_SECRET:
        raise ValueError(f"a random text of {SHORTEST_SECRET} characters or more")
    return value


def _drain(value: Any) -> float | None:
    return None if value in (None, "") else number(0, 86400, "seconds")(value)


def _path(value: Any) -> str:
    if value != "" and not (isinstance(value, str) and _PATH.fullmatch(value)):
        raise ValueError("a path as /metrics, or nothing, for none")
    return str(value)


def _permission(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the name of a permission, or nothing, for everybody")
    return value


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one endpoint.

    Attributes:
        heartbeat_delay: seconds of silence before a heartbeat. At most 35: the browser's client
            gives up on a jsonp poll then.
        disconnect_delay: seconds that a session lives without a receiver.
        response_limit: bytes after which a streaming response ends, and of one frame.
        response_max_age: seconds after which a streaming response ends.
        max_message_size: bytes of one inbound message, and of a request's body; beyond: 413,
            or close code 1009 on a WebSocket.
        resume_window: seconds that a session of ``~r1`` waits for its client; 0 turns those off.
        max_suspended_bytes: what the sessions of ``~r1`` of one process keep while nobody receives;
            beyond, the oldest of them end.
        max_tombstones: sessions of ``~r1`` of one process that are over and whose end is known, ten
            minutes long.
        max_queue_size: bytes that wait for one slow client; beyond: its session is closed with
            4008 "Slow consumer".
        max_inbound: messages that wait for one slow handler; beyond: reading stops (WebSocket),
            the send is answered late (HTTP).
        max_sessions: sessions of one process; beyond: 503 with ``Retry-After``.
        max_presence_info: bytes of what is told of a connection in a room, as JSON
            (``join(room, info=...)``).
        blocking_threads: connections served by blocking views; beyond: the session is closed
            with 4503.
        max_body_size: bytes of the body of a request of the application's pages; beyond: 413.
            None leaves it to the server's setting of the same name, of which the smaller counts.
        page_threads: how many threads there may be for the application's pages where they wait
            longer than 0.1 s for one; None for as many as the server's ``threads``.
        transports: which are on, by the names that the SockJS client uses.
        allowed_origins: the origins that may connect beside the page's own; ``*`` for all.
        subprotocols: those of raw WebSockets that the application speaks, in the order of its
            preference; the first that the client offers is agreed on.
        jsessionid: whether responses set the cookie ``JSESSIONID``, for sticky balancers.
        fast: whether polls and sends of open sessions, and WebSockets, are handled before aiohttp
            makes requests of them (`sockjs_bridge.server.fast`).
        metrics_path: where `sockjs_bridge.ops` shows metrics; empty: nowhere.
        metrics_permission: who may see them; empty: everybody.
        health_path: below which `sockjs_bridge.ops` says how the process is; empty: nowhere.
        debug: whether an asynchronous view or hook that keeps the event loop for more than 100 ms
            is logged.
        cluster: URL of what the processes of the application share; empty where there is one.
        cluster_name: tells clusters apart that share a store.
        cluster_listen: address and port for links from other hosts; empty: a unix socket.
        cluster_secret: what processes on different hosts know each other by.
        cluster_lease: seconds after which a process that says nothing is taken for dead.
        drain: seconds over which clients leave a process that ends; None: most of
            ``shutdown_timeout``.
    """

    heartbeat_delay: float = setting(25.0, number(0.05, 35, "seconds"))
    disconnect_delay: float = setting(5.0, number(0.05, 3600, "seconds"))
    resume_window: float = setting(60.0, number(0, 86400, "seconds"))
    max_suspended_bytes: int = setting(268435456, count(0, "bytes"))
    max_tombstones: int = setting(100000, count(0, "sessions"))
    response_limit: int = setting(131072, count(1, "bytes"))
    response_max_age: float = setting(25.0, number(0.05, 86400, "seconds"))
    max_message_size: int = setting(65536, count(1, "bytes"))
    max_queue_size: int = setting(1048576, count(1, "bytes"))
    max_inbound: int = setting(64, count(1, "messages"))
    max_sessions: int = setting(50000, count(1, "sessions"))
    max_presence_info: int = setting(1024, count(2, "bytes"))
    blocking_threads: int = setting(1000, count(1, "threads"))
    max_body_size: int | None = setting(None, count(0, "bytes"))
    page_threads: int | None = setting(None, count(1, "threads"))
    transports: tuple[str, ...] = setting(NAMES, _transports)
    allowed_origins: tuple[str, ...] = setting((), _origins)
    subprotocols: tuple[str, ...] = setting((), _subprotocols)
    jsessionid: bool = setting(False, flag)
    fast: bool = setting(True, flag)
    metrics_path: str = setting("/metrics", _path)
    metrics_permission: str = setting("metrics", _permission)
    health_path: str = setting("/health", _path)
    debug: bool = setting(False, flag)
    cluster: str = setting("", _store, secret=True)
    cluster_name: str = setting("default", _cluster_name)
    cluster_listen: str = setting("", _listen)
    cluster_secret: str = setting("", _secret, secret=True)
    cluster_lease: float = setting(5.0, number(1, 60, "seconds"))
    drain: float | None = setting(None, _drain)

    def override(self, raw: Mapping[str, Any], prefix: str = "") -> Settings:
        """Makes settings that differ from these.

        Args:
            raw: values by name; strings, as an ini file holds them, or of the settings' types.
            prefix: what the user wrote in front of the names, for the error's text.

        Raises:
            SettingError: an unknown name, or a value that cannot be.
        """
        return replace(self, **read(Settings, raw, prefix))
