"""The settings of a SockJS endpoint: what each bounds, its default, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from sockjs_bridge.core.protocol import TOKEN
from sockjs_bridge.core.transports import NAMES

_ORIGIN = re.compile(r"https?://(\*\.)?[^/*@?#\s]+")


class SettingError(ValueError):
    """A setting that cannot be: the text names the key, the value and what is allowed."""


def number(low: float, high: float, unit: str) -> Callable[[Any], float]:
    """Returns a parser of numbers within bounds; it raises ValueError with what is allowed."""

    def parse(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if isinstance(value, bool) or not low <= number <= high:
            raise ValueError(f"a number of {unit} from {low:g} to {high:g}")
        return number

    return parse


def count(low: int, unit: str) -> Callable[[Any], int]:
    """Returns a parser of whole numbers from a bound; it raises ValueError with what is allowed."""

    def parse(value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = low - 1
        if isinstance(value, (bool, float)) or number < low:
            raise ValueError(f"a whole number of {unit}, {low} or more")
        return number

    return parse


def flag(value: Any) -> bool:
    """Parses true or false.

    Raises:
        ValueError: it is neither.
    """
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ValueError("true or false")


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


def _setting(default: Any, parse: Callable[[Any], Any]) -> Any:
    return field(default=default, metadata={"parse": parse})


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
        max_queue_size: bytes that wait for one slow client; beyond: its session is closed with
            4008 "Slow consumer".
        max_inbound: messages that wait for one slow handler; beyond: reading stops (WebSocket),
            the send is answered late (HTTP).
        max_sessions: sessions of one process; beyond: 503 with ``Retry-After``.
        blocking_threads: connections served by blocking views; beyond: the session is closed
            with 4503.
        max_body_size: bytes of the body of a request of the application's pages; beyond: 413.
            None leaves it to the server's setting of the same name, of which the smaller counts.
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

    heartbeat_delay: float = _setting(25.0, number(0.05, 35, "seconds"))
    disconnect_delay: float = _setting(5.0, number(0.05, 3600, "seconds"))
    response_limit: int = _setting(131072, count(1, "bytes"))
    response_max_age: float = _setting(25.0, number(0.05, 86400, "seconds"))
    max_message_size: int = _setting(65536, count(1, "bytes"))
    max_queue_size: int = _setting(1048576, count(1, "bytes"))
    max_inbound: int = _setting(64, count(1, "messages"))
    max_sessions: int = _setting(50000, count(1, "sessions"))
    blocking_threads: int = _setting(1000, count(1, "threads"))
    max_body_size: int | None = _setting(None, count(0, "bytes"))
    transports: tuple[str, ...] = _setting(NAMES, _transports)
    allowed_origins: tuple[str, ...] = _setting((), _origins)
    subprotocols: tuple[str, ...] = _setting((), _subprotocols)
    jsessionid: bool = _setting(False, flag)
    fast: bool = _setting(True, flag)
    debug: bool = _setting(False, flag)

    def override(self, raw: Mapping[str, Any], prefix: str = "") -> Settings:
        """Makes settings that differ from these.

        Args:
            raw: values by name; strings, as an ini file holds them, or of the settings' types.
            prefix: what the user wrote in front of the names, for the error's text.

        Raises:
            SettingError: an unknown name, or a value that cannot be.
        """
        parsers = {item.name: item.metadata["parse"] for item in fields(self)}
        changes = {}
        for name, value in raw.items():
            if name not in parsers:
                known = ", ".join(sorted(parsers))
                raise SettingError(f"{prefix}{name} = {value!r} is no setting; there are: {known}")
            try:
                changes[name] = parsers[name](value)
            except ValueError as error:
                raise SettingError(
                    f"{prefix}{name} = {value!r} cannot be: allowed is {error}"
                ) from None
        return replace(self, **changes)
