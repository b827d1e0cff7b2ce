"""What names and topics may look like, and when two names are the same."""

from __future__ import annotations

import functools
import unicodedata

from disarm import skeleton_key

MAX_NAME = 32
"""Characters of a person's name."""
MAX_ROOM_NAME = 60
"""Characters of a room's name."""
MAX_TOPIC = 200
"""Characters of a room's topic."""

MAX_MARKS = 4
"""Nonspacing marks on one character of a name."""

# They join letters in some scripts, and the parts of many emoji; the variation selectors choose
# between the drawings of a character.
_PARTS = frozenset("\u200c\u200d") | {chr(code) for code in range(0xFE00, 0xFE10)}
# Python takes them for printable, and nobody sees them: fillers, blanks and the like.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4\U0001d159") | {
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


@functools.lru_cache(100_000)
def skeleton(name: str) -> str:
    """Returns what two names have in common that look alike (UTS 39, 4, "Confusable Detection").

    Upper and lower case are the same here, as in `folded`.
    """
    key: str = skeleton_key(folded(skeleton_key(name, digit_policy="tr39")), digit_policy="tr39")
    # In the standard it is the other way round; the library leaves out what is several characters.
    return key.replace("rn", "m")


def _has_base(name: str) -> bool:
    """Tells whether there is something to see of itself: a letter, a digit, a sign."""
    return any(unicodedata.category(char)[0] in "LNPS" for char in name)


def _piles_up(name: str) -> bool:
    """Tells whether more marks are on one letter than any script has (UTS 39, 5.4)."""
    marks = 0
    for char in unicodedata.normalize("NFD", name):
        marks = marks + 1 if unicodedata.category(char) == "Mn" else 0
        if marks > MAX_MARKS:
            return True
    return False


def checked_name(value: str, limit: int = MAX_NAME) -> str:
    """Returns a name as it is kept: white space in it is one space.

    Args:
        value: what somebody has filled in.
        limit: characters.

    Raises:
        BadInput: it is empty, too long, a character of it is invisible, or marks are piled up.
    """
    name = " ".join(value.split())
    if len(name) > limit:
        raise BadInput(f"A name has at most {limit} characters.", "name")
    if not visible(name) or not folded(name) or not _has_base(name):
        raise BadInput("A name has at least one character, and none that is invisible.", "name")
    if _piles_up(name):
        raise BadInput("A letter of a name has only a few marks.", "name")
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
