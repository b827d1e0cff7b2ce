"""The room: who is in it, and what was said last."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pyramid_chat.messages import Join, Post, Refused, encode, folded

MAX_PEOPLE = 1000
"""Who fits into the room: a newcomer is told all names in one message."""
HISTORY = 50
"""Messages that a newcomer is told."""
HISTORY_SIZE = 128 * 1024
"""Bytes that they may have together, so that one message can carry them."""

REPLACED = (4001, "Joined from somewhere else")
"""How a connection is closed when another one takes its place in the room."""


class Connection(Protocol):
    """What the room needs of a connection. Both may be called in any thread, and never wait."""

    def send(self, message: str) -> bool:
        """Sends a message."""
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        """Closes the connection."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    token: str
    connection: Connection


class Room:
    """A room that is kept in memory. Its methods may be called in any thread.

    Whatever is told to the room is told under its lock: everybody hears everything in the same
    order, and a newcomer misses nothing between the history and the first message.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[Connection, _Member] = {}
        self._names: dict[str, _Member] = {}
        self._history: deque[tuple[dict[str, Any], int]] = deque()
        self._history_size = 0

    def join(self, connection: Connection, request: Join) -> None:
        """Lets a connection in, and tells it who is there and what was said.

        Raises:
            Refused: it is in already, somebody else has the name, or the room is full.
        """
        with self._lock:
            if connection in self._members:
                raise Refused("already-joined", "You are in already.")
            name = request.name
            former = self._names.get(folded(name))
            if former is not None:
                if not (request.token and hmac.compare_digest(former.token, request.token)):
                    raise Refused("name-taken", f"Somebody here is called {former.name}.")
                name = former.name
                del self._members[former.connection]
                former.connection.close(*REPLACED)
            elif len(self._members) >= MAX_PEOPLE:
                raise Refused("room-full", "The room is full. Try again later.")
            member = _Member(name, request.token, connection)
            if former is None:
                self._tell({"type": "joined", "name": name, "time": _now()})
            self._members[connection] = self._names[folded(name)] = member
            connection.send(
                encode(
                    {
                        "type": "welcome",
                        "name": name,
                        "people": [other.name for other in self._members.values()],
                        "history": [event for event, _ in self._history],
                    }
                )
            )

    def post(self, connection: Connection, request: Post) -> None:
        """Tells everybody what a member says, the member included.

        Raises:
            Refused: the connection is not in the room.
        """
        with self._lock:
            member = self._members.get(connection)
            if member is None:
                raise Refused("not-joined", "Say who you are first.", request.key)
            event = {
                "type": "message",
                "id": secrets.token_hex(8),
                "name": member.name,
                "text": request.text,
                "time": _now(),
            } | ({"key": request.key} if request.key else {})
            self._remember(event, self._tell(event))

    def leave(self, connection: Connection) -> None:
        """Takes a connection out, if it is in."""
        with self._lock:
            member = self._members.pop(connection, None)
            if member is not None:
                del self._names[folded(member.name)]
                self._tell({"type": "left", "name": member.name, "time": _now()})

    def _tell(self, event: dict[str, Any]) -> int:
        message = encode(event)
        for connection in self._members:
            connection.send(message)
        return len(message)

    def _remember(self, event: dict[str, Any], size: int) -> None:
        self._history.append((event, size))
        self._history_size += size
        while len(self._history) > HISTORY or self._history_size > HISTORY_SIZE:
            self._history_size -= self._history.popleft()[1]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
