"""What clients and server tell each other: JSON objects, one in each message.

They are told apart by ``type``. Here is what a client may ask for; what the server tells is made
by `pyramid_chat.rooms`, `pyramid_chat.conversation`, `pyramid_chat.live` and
`pyramid_chat.realtime`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import emoji

MAX_TEXT = 4000
"""Characters of a message."""
MAX_FILES = 10
"""Files of a message."""
MAX_ID = 2**31 - 1
"""The greatest number of a room, a message or a version that a database takes."""
MAX_INTEGER = 2**53
"""The greatest integer that JavaScript knows."""
SIDES = ("both", "before", "after")
"""Where the messages stand that `Around` asks for, seen from one."""

JSONObject = dict[str, Any]
"""An object of JSON, as clients are told it; each kind has fields of its own, hence `Any`."""

T = TypeVar("T")

_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
# What PostgreSQL cannot keep, and what no UTF-8 can carry.
_UNKEPT = re.compile("[\x00\ud800-\udfff]")


class Refused(Exception):
    """A client's request that is not granted.

    Args:
        code: for programs.
        text: for people.
        key: of the message that is refused, as its client named it.
        room: that the request was for.
        retry_after: seconds after which the same request may be granted; None: it never is.
    """

    def __init__(
        self,
        code: str,
        text: str,
        *,
        key: str | None = None,
        room: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.key = key
        self.room = room
        self.retry_after = retry_after

    def event(self) -> JSONObject:
        """Returns what its client is told."""
        details = {"key": self.key, "room": self.room, "retry_after": self.retry_after}
        return {
            "type": "error",
            "code": self.code,
            "text": self.text,
            **{name: value for name, value in details.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class Open:
    """Looks at a room, and hears what happens in it."""

    room: int


@dataclass(frozen=True, slots=True)
class Close:
    """Looks away from a room that one is not in."""

    room: int


@dataclass(frozen=True, slots=True)
class Post:
    """Says something.

    Attributes:
        room: where.
        key: the client's name for the message; no other message of its author has it. It is the
            same where the client says it again, after a refusal or over another session.
        text: 1 to 4000 characters; with files it may be "".
        reply_to: the number of the message that it answers.
        files: the ids of what was uploaded for it, in this room.
    """

    room: int
    key: str
    text: str
    reply_to: int | None = None
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.text and not self.files:
            raise _nothing()


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes what one has said."""

    room: int
    number: int
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Takes back what one has said."""

    room: int
    number: int
    key: str


@dataclass(frozen=True, slots=True)
class React:
    """Puts an emoji below a message, or takes it away again.

    Attributes:
        room: where.
        number: of the message.
        key: the client's name for this request, which the answer has.
        emoji: one, fully qualified.
        on: whether it is to be there.
    """

    room: int
    number: int
    key: str
    emoji: str
    on: bool


@dataclass(frozen=True, slots=True)
class History:
    """The messages before one; before None are the newest."""

    room: int
    before: int | None


@dataclass(frozen=True, slots=True)
class Since:
    """What has changed in a room after a version."""

    room: int
    version: int


@dataclass(frozen=True, slots=True)
class Around:
    """The messages around one.

    Attributes:
        side: one of `SIDES`: "before" and "after" are without the one itself.
    """

    room: int
    number: int
    side: str


@dataclass(frozen=True, slots=True)
class Read:
    """A message was seen, and those before it."""

    room: int
    number: int


@dataclass(frozen=True, slots=True)
class Typing:
    """Somebody is writing."""

    room: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks whether the server is there."""

    n: int


Request = (
    Open | Close | Post | Edit | Delete | React | History | Since | Around | Read | Typing | Ping
)


def encode(event: Mapping[str, object]) -> str:
    """Returns an event as JSON in ASCII, which every transport carries."""
    return json.dumps(event, separators=(",", ":"))


def parse(message: str, message_id: str | None = None) -> Request:
    """Reads a client's request.

    Args:
        message: as it came.
        message_id: what the bridge knows it by, which is its key where it names none.

    Raises:
        Refused: it is none, or a field of it is missing, unknown or wrong.
    """
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        raise Refused("bad-json", "That was not JSON.") from None
    if not isinstance(request, dict):
        raise Refused("bad-request", "A request is a JSON object.")
    kind = request.pop("type", None)
    try:
        if not isinstance(kind, str) or kind not in _REQUESTS:
            raise Refused("bad-request", f"The type of a request is one of {', '.join(_REQUESTS)}.")
        made, checks = _REQUESTS[kind]
        if "key" in checks and message_id is not None:
            request.setdefault("key", message_id)
        if unknown := sorted(request.keys() - checks.keys()):
            raise Refused("bad-request", f"Unknown field: {unknown[0][:40]!a}.")
        return made(**{name: check(request.get(name)) for name, check in checks.items()})
    except Refused as refused:
        # So that its client knows what failed.
        refused.key = _tried(_key, request.get("key"))
        refused.room = _tried(_id, request.get("room"))
        raise


def _tried(check: Callable[[object], T], value: object) -> T | None:
    try:
        return check(value)
    except Refused:
        return None


def _integer(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        # True is an integer to Python.
        if type(value) is int and least <= value <= most:
            return value
        raise Refused("bad-request", "A room, a number or a version is not what it can be.")

    return check


def _key(value: object) -> str:
    if isinstance(value, str) and _KEY.fullmatch(value):
        return value
    raise Refused("bad-request", "A key has 1 to 64 characters of A-Z, a-z, 0-9, _ and -.")


def _text(value: object) -> str:
    if not (text := _perhaps_text(value)):
        raise _nothing()
    return text


def _nothing() -> Refused:
    return Refused("bad-text", "There is nothing to read in that message.")


def _perhaps_text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("bad-text", "The text of a message is a string.")
    text = _UNKEPT.sub("\ufffd", value.strip())
    if len(text) > MAX_TEXT:
        raise Refused("bad-text", f"A message has at most {MAX_TEXT} characters.")
    return text


def _files(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_FILES:
        raise Refused("bad-request", f"A message has at most {MAX_FILES} files.")
    if not all(isinstance(one, str) and _KEY.fullmatch(one) for one in value):
        raise Refused("bad-request", "A file is named by its id.")
    return tuple(value)


def _emoji(value: object) -> str:
    """Returns an emoji as UTS 51 has it fully qualified: some are written in several ways."""
    # What is no emoji of Unicode's list is none, so nothing long comes through.
    if isinstance(value, str) and emoji.is_emoji(value):
        return emoji.emojize(emoji.demojize(value))
    raise Refused("bad-emoji", "A reaction is one emoji.")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Refused("bad-request", "A reaction is there (true) or not (false).")


def _optional_id(value: object) -> int | None:
    return None if value is None else _id(value)


def _side(value: object) -> str:
    if isinstance(value, str) and value in SIDES:
        return value
    raise Refused("bad-request", f"A side is one of {', '.join(SIDES)}.")


_id = _integer(1, MAX_ID)

_REQUESTS: dict[str, tuple[Callable[..., Request], dict[str, Callable[[object], object]]]] = {
    "open": (Open, {"room": _id}),
    "close": (Close, {"room": _id}),
    "message": (
        Post,
        {
            "room": _id,
            "key": _key,
            "text": _perhaps_text,
            "reply_to": _optional_id,
            "files": _files,
        },
    ),
    "edit": (Edit, {"room": _id, "number": _id, "key": _key, "text": _text}),
    "delete": (Delete, {"room": _id, "number": _id, "key": _key}),
    "react": (React, {"room": _id, "number": _id, "key": _key, "emoji": _emoji, "on": _flag}),
    "history": (History, {"room": _id, "before": _optional_id}),
    "since": (Since, {"room": _id, "version": _integer(0, MAX_ID)}),
    "around": (Around, {"room": _id, "number": _id, "side": _side}),
    "read": (Read, {"room": _id, "number": _id}),
    "typing": (Typing, {"room": _id}),
    "ping": (Ping, {"n": _integer(-MAX_INTEGER, MAX_INTEGER)}),
}
