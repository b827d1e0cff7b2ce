"""What callers may hand to a connection."""

from __future__ import annotations

import inspect


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
