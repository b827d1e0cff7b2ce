"""What names and topics may look like, and when two names are the same."""

from __future__ import annotations

import unicodedata

MAX_NAME = 32
"""Characters of a person's name."""
MAX_ROOM_NAME = 60
"""Characters of a room's name."""
MAX_TOPIC = 200
"""Characters of a room's topic."""

# They join letters in some scripts, and the parts of many emoji; the variation selectors choose
# between the drawings of a character.
_PARTS = frozenset("\u200c\u200d") | {chr(code) for code in range(0xFE00, 0xFE10)}
# Python takes them for printable, and nobody sees them: fillers, blanks and the like.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for start, end in ((0x180B, 0x1810), (0xE0100, 0xE01F0)) for code in range(start, end)
}


class BadInput(ValueError):
    """What somebody has filled in cannot be.

    Args:
        text: one sentence for people.
        field: the form's name for it.
    """

    def __init__(self, text: str, field: str) -> None:
        super().__init__(text)
        self.text = text
        self.field = field


def visible(text: str) -> bool:
    """Tells whether there is no character in a text that hides, or that turns others around."""
    return all((char.isprintable() and char not in _INVISIBLE) or char in _PARTS for char in text)


def folded(name: str) -> str:
    """Returns what two names have in common that look alike to a hasty eye."""
    plain = "".join(char for char in unicodedata.normalize("NFKC", name) if char not in _PARTS)
    return plain.casefold().strip()


def checked_name(value: str, limit: int = MAX_NAME) -> str:
    """Returns a name as it is kept: white space in it is one space.

    Args:
        value: what somebody has filled in.
        limit: characters.

    Raises:
        BadInput: it is empty, too long, or a character of it is invisible.
    """
    name = " ".join(value.split())
    if len(name) > limit:
        raise BadInput(f"A name has at most {limit} characters.", "name")
    if not visible(name) or not folded(name):
        raise BadInput("A name has at least one character, and none that is invisible.", "name")
    return name


def checked_topic(value: str) -> str:
    """Returns a topic as it is kept: in one line.

    Raises:
        BadInput: it is too long, or a character of it is invisible.
    """
    topic = " ".join(value.split())
    if len(topic) > MAX_TOPIC:
        raise BadInput(f"A topic has at most {MAX_TOPIC} characters.", "topic")
    if not visible(topic):
        raise BadInput("A topic has no invisible characters.", "topic")
    return topic
