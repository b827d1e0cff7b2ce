"""What clients and server tell each other: JSON objects, one in each message.

They are told apart by ``type``. A client sends ``join`` (``name``, and optionally ``token``), then
``message`` (``text``, and optionally ``key``). The server sends ``welcome`` to who joined,
``joined``, ``left`` and ``message`` to all, and ``error`` to a client whose request it refuses;
that client may go on.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_NAME = 32
"""Characters of a nickname."""
MAX_TEXT = 4000
"""Characters of a message."""

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


def _fields(request: dict[str, Any], **checks: Callable[[object], str]) -> list[str]:
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
