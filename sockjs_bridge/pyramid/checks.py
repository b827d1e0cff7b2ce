"""What callers may hand to a connection."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from sockjs_bridge.core.protocol import NORMAL


def checked_message(message: object) -> None:
    """Raises a TypeError unless a message is a string."""
    if not isinstance(message, str):
        advice = ""
        if inspect.iscoroutine(message):
            message.close()
            advice = ": an await is missing"
        elif isinstance(message, (dict, list)):
            advice = ": json.dumps() makes one of it"
        raise TypeError(f"a message is a str, not {type(message).__name__}{advice}")


def checked_room(room: object) -> None:
    """Raises a TypeError or a ValueError unless a room's name is a string that is not empty."""
    if not isinstance(room, str):
        raise TypeError(f"a room's name is a str, not {type(room).__name__}")
    if not room:
        raise ValueError("a room's name is not empty")


def encoded_info(info: Mapping[str, Any] | None) -> str:
    """Makes a JSON object of what is told of a connection in a room; empty of nothing.

    Raises:
        TypeError: it is no dict, or JSON cannot hold it.
        ValueError: the same: it holds itself, or what is no number.
    """
    if info is None:
        return ""
    if not isinstance(info, Mapping):
        raise TypeError(f"info is a dict, not {type(info).__name__}")
    return json.dumps(dict(info), allow_nan=False, separators=(",", ":"))


def checked_close(code: int, reason: str) -> None:
    """Raises a ValueError or a TypeError unless an application may close with that."""
    if code != NORMAL[0] and not 3000 <= code <= 4999:
        raise ValueError(f"a close code is 1000, or 3000 to 4999, not {code}")
    if not isinstance(reason, str):
        raise TypeError(f"a reason is a str, not {type(reason).__name__}")
