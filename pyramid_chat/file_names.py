"""What files may be called, and how browsers are told it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from pyramid_chat.names import visible

MAX_FILE_NAME = 120
"""Characters of a file's name, its ending included."""
NAMELESS = "file"
"""What a file is called of whose name nothing is left."""

# What Windows takes in no name.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
# attr-char of RFC 8187, 3.2.1, without letters and digits.
_PLAIN = "!#$&+-.^_`|~"
_NOT_QUOTED = re.compile(r"[^ !#$&\'()+,\-./0-9;=@A-Z\[\]^_`a-z{}~]")


def ending(name: str) -> str:
    """Returns what a name ends with, such as ``pdf``; "" where that says nothing."""
    match = _ENDING.search(name)
    return match[0][1:].lower() if match else ""


def cleaned_name(value: str) -> str:
    """Returns a file's name as it is kept, whatever a client has sent.

    It has no folders, no control character, none that hides or turns others around, and no dot at
    its beginning. A long one is cut before its ending.
    """
    name = re.split(r"[/\\]", value)[-1]
    name = unicodedata.normalize(
        "NFC", "".join(char for char in name if visible(char) or char.isspace())
    )
    name = _FORBIDDEN.sub("_", " ".join(name.split())).strip(". ")
    if len(name) > MAX_FILE_NAME:
        last = _ENDING.search(name)
        kept = last[0] if last else ""
        name = name[: MAX_FILE_NAME - len(kept)].rstrip(". ") + kept
    return name or NAMELESS


def with_ending(name: str, endings: tuple[str, ...]) -> str:
    """Returns a name that ends as its content wants.

    Args:
        name: a clean one.
        endings: that fit; the first takes the place of one that does not.
    """
    if ending(name) in endings:
        return name
    return cleaned_name(f"{_ENDING.sub('', name)}.{endings[0]}")


def content_disposition(kind: str, name: str) -> str:
    """Returns the header that tells a browser a file's name (RFC 6266, 4; RFC 8187, 3.2).

    Args:
        kind: ``inline`` or ``attachment``.
        name: a clean one.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    fallback = _NOT_QUOTED.sub("_", ascii_name).strip(". ") or NAMELESS
    extended = quote(name, safe=_PLAIN)
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{extended}"
