"""Words: what the search knows of a text, what is asked for, and where that stands in a text.

Both databases are given words that are folded here, so that they find the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MAX_WORD = 64
"""Characters of a word that are compared."""
MIN_PREFIX = 2
"""Characters that stand for all words that begin with them; fewer are a whole word."""
EXCERPT = 240
"""Characters of a text that a hit is shown with."""
BEFORE_HIT = 60
"""How many of them stand before the hit, at most."""

# Scripts that put no spaces between words: each character is one.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_QUOTES = re.compile('["\u201c-\u201f\u00ab\u00bb]')
# Signs that change what a letter is, and do not just stand at it (Unicode, 4.3, combining classes):
# nuktas, the voicing of kana, viramas.
_OF_LETTERS = range(1, 10)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text.

    Attributes:
        folded: as it is compared: without case and accents.
        start: where it begins in the text.
        end: where what follows it begins.
    """

    folded: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Term:
    """What a text must have: words that follow each other.

    Attributes:
        words: folded, at least one.
        prefix: the last one is the beginning of a word.
    """

    words: tuple[str, ...]
    prefix: bool


def _is_part(char: str) -> bool:
    """Tells whether a character is part of a word: a letter, a digit, a mark."""
    return unicodedata.category(char)[0] in "LNM"


def folded(word: str) -> str:
    """Returns what two words have in common that differ in case or accents; "" for no word."""
    plain = "".join(
        char
        for char in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
        if _is_part(char) and (unicodedata.combining(char) or 1) in _OF_LETTERS
    )
    return plain[:MAX_WORD]


def words_of(text: str) -> Iterator[Word]:
    """Finds the words of a text, in their order."""
    start = None
    for index, char in enumerate(f"{text} "):
        alone = _UNSPACED.match(char) is not None
        goes_on = _is_part(char) and not alone
        if start is not None and not goes_on:
            yield from _word(text, start, index)
            start = None
        if alone:
            yield from _word(text, index, index + 1)
        elif goes_on and start is None:
            start = index


def _word(text: str, start: int, end: int) -> Iterator[Word]:
    if word := folded(text[start:end]):
        yield Word(word, start, end)


def indexed(text: str) -> str:
    """Returns the words of a text with a space between them: what the databases know of it."""
    return " ".join(word.folded for word in words_of(text))


def parse(query: str) -> list[Term]:
    """Reads what somebody looks for: words, and phrases in quotes. No other sign has a meaning.

    The last word is the beginning of one, unless a quote ends behind it.
    """
    terms: list[Term] = []
    parts = _QUOTES.split(query)
    for index, part in enumerate(parts):
        quoted = index % 2 == 1
        for phrase in [part] if quoted else part.split():
            # One without spaces may be several words, such as an address.
            if words := tuple(word.folded for word in words_of(phrase)):
                terms.append(Term(words, prefix=False))
    if terms and not _QUOTES.match(query.rstrip()[-1:]) and indexed(parts[-1]):
        last = terms[-1].words
        terms[-1] = Term(last, prefix=len(last[-1]) >= MIN_PREFIX)
    return terms


def excerpt(text: str, terms: list[Term]) -> list[str]:
    """Returns the part of a text around its first hit.

    Returns:
        Texts; every second one, beginning with the second, is a hit.
    """
    hits = _hits(text, terms)
    start = max(0, hits[0][0] - BEFORE_HIT) if hits and len(text) > EXCERPT else 0
    end = min(len(text), start + EXCERPT)
    parts = [""]
    done = start
    for first, last in hits:
        if first >= end:
            break
        parts[-1] += text[done:first]
        parts += [text[first : min(last, end)], ""]
        done = min(last, end)
    parts[-1] += text[done:end]
    if start:
        parts[0] = f"…{parts[0]}"
    if end < len(text):
        parts[-1] += "…"
    return parts


def _hits(text: str, terms: list[Term]) -> list[tuple[int, int]]:
    """Finds where the terms stand in a text: from where to where, in order, without overlaps."""
    words = list(words_of(text))
    plain = [word.folded for word in words]
    # A hundred terms of one letter meet four thousand words of one letter.
    places: dict[str, list[int]] = {}
    for index, word in enumerate(plain):
        places.setdefault(word, []).append(index)
    found: set[tuple[int, int]] = set()
    for term in dict.fromkeys(terms):
        length = len(term.words)
        *before, last = term.words
        anywhere = term.prefix and length == 1
        for at in range(len(words)) if anywhere else places.get(term.words[0], ()):
            here = plain[at : at + length]
            if len(here) < length or here[:-1] != before:
                continue
            if here[-1].startswith(last) if term.prefix else here[-1] == last:
                found.add((words[at].start, words[at + length - 1].end))
    apart: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((start, end))
    return apart
