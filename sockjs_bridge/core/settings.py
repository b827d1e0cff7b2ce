"""The settings of a SockJS endpoint: what each bounds, its default, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sockjs_bridge.core.protocol import TOKEN
from sockjs_bridge.core.transports import NAMES
from sockjs_bridge.ini import count, flag, number, read, setting

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
        debug: whether an asynchronous view or hook that keeps the event loop for more than 100 ms
            is logged.
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
    blocking_threads: int = setting(1000, count(1, "threads"))
    max_body_size: int | None = setting(None, count(0, "bytes"))
    page_threads: int | None = setting(None, count(1, "threads"))
    transports: tuple[str, ...] = setting(NAMES, _transports)
    allowed_origins: tuple[str, ...] = setting((), _origins)
    subprotocols: tuple[str, ...] = setting((), _subprotocols)
    jsessionid: bool = setting(False, flag)
    fast: bool = setting(True, flag)
    debug: bool = setting(False, flag)

    def override(self, raw: Mapping[str, Any], prefix: str = "") -> Settings:
        """Makes settings that differ from these.

        Args:
            raw: values by name; strings, as an ini file holds them, or of the settings' types.
            prefix: what the user wrote in front of the names, for the error's text.

        Raises:
            SettingError: an unknown name, or a value that cannot be.
        """
        return replace(self, **read(Settings, raw, prefix))
