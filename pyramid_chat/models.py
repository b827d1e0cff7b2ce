"""The room: who is in it, what was said last, and what a client may ask for.

Clients and server exchange JSON objects, one in each message, told apart by ``type``.

A client sends ``join`` (``name``, and optionally ``token``), then ``message`` (``text``, and
optionally ``key``). The server sends ``welcome`` to who joined, ``joined``, ``left`` and
``message`` to all, and ``error`` to a client whose request it refuses; that client may go on.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
import unicodedata
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

MAX_NAME = 32
"""Characters of a nickname."""
MAX_TEXT = 4000
"""Characters of a message."""
MAX_PEOPLE = 1000
"""Who fits into the room: a newcomer is told all names in one message."""
HISTORY = 50
"""Messages that a newcomer is told."""
HISTORY_SIZE = 128 * 1024
"""Bytes that they may have together, so that one message can carry them."""

REPLACED = (4001, "Joined from somewhere else")
"""How a connection is closed when another one takes its place in the room."""

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
# They join letters in some scripts, and the parts of many emoji.
_JOINERS = "\u200c\u200d"


class Refused(Exception):
    """A client's request that cannot be granted.

    Args:
        code: for programs.
        text: for people.
        key: of the message that is refused, as its client named it.
    """

    def __init__(self, code: str, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.key = key

    def event(self) -> str:
        """Returns what its client is told."""
        event = {"type": "error", "code": self.code, "text": self.text}
        return encode(event | ({"key": self.key} if self.key else {}))


@dataclass(frozen=True, slots=True)
class Join:
    """The request to enter the room.

    Attributes:
        name: 1 to 32 characters that can be seen.
        token: a secret of the client; with the same one it takes its own place again when its
            former connection is not known to be lost yet. Empty: it has none.
    """

    name: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """The request to say something.

    Attributes:
        text: 1 to 4000 characters.
        key: the client's name for the message, by which it knows it again. Empty: it has none.
    """

    text: str
    key: str = ""


def encode(event: dict[str, Any]) -> str:
    """Returns an event as JSON in ASCII, which every transport carries, lone surrogates too."""
    return json.dumps(event, separators=(",", ":"))


def parse(message: str) -> Join | Post:
    """Reads a client's request.

    Raises:
        Refused: it is none, or a field of it is missing, unknown or wrong.
    """
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        raise Refused("bad-json", "That was not JSON.") from None
    if not isinstance(request, dict):
        raise Refused("bad-request", "A request is a JSON object.")
    match request.pop("type", None):
        case "join":
            return Join(*_fields(request, name=_checked_name, token=_checked_token))
        case "message":
            key = _checked_key(request.get("key", ""))
            try:
                return Post(*_fields(request, text=_checked_text, key=_checked_key))
            except Refused as refused:
                refused.key = key
                raise
        case _:
            raise Refused("bad-request", "The type of a request is join or message.")


def _fields(request: dict[str, Any], **checks: Any) -> list[str]:
    if unknown := sorted(request.keys() - checks.keys()):
        raise Refused("bad-request", f"Unknown field: {unknown[0][:40]!a}.")
    return [check(request.get(name, "")) for name, check in checks.items()]


def _checked_name(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("bad-name", "A name is a string.")
    name = " ".join(value.split())
    if len(name) > MAX_NAME:
        raise Refused("bad-name", f"A name has at most {MAX_NAME} characters.")
    if not all(char.isprintable() or char in _JOINERS for char in name) or not folded(name):
        raise Refused("bad-name", "A name has at least one character, and none that is invisible.")
    return name


def _checked_token(value: object) -> str:
    if value != "" and not (isinstance(value, str) and _TOKEN.fullmatch(value)):
        raise Refused("bad-request", "A token has 16 to 64 characters of A-Z, a-z, 0-9, _ and -.")
    return str(value)


def _checked_key(value: object) -> str:
    if value != "" and not (isinstance(value, str) and _KEY.fullmatch(value)):
        raise Refused("bad-request", "A key has 1 to 64 characters of A-Z, a-z, 0-9, _ and -.")
    return str(value)


def _checked_text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("bad-text", "The text of a message is a string.")
    text = value.strip()
    if not text:
        raise Refused("bad-text", "There is nothing to read in that message.")
    if len(text) > MAX_TEXT:
        raise Refused("bad-text", f"A message has at most {MAX_TEXT} characters.")
    return text


def folded(name: str) -> str:
    """Returns what two names have in common that look alike to a hasty eye."""
    plain = "".join(char for char in unicodedata.normalize("NFKC", name) if char not in _JOINERS)
    return plain.casefold().strip()


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
