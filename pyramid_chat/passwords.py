"""Passwords, by argon2."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from pyramid_chat.limits import Busy
from pyramid_chat.names import BadInput

MIN_PASSWORD = 8
"""Characters of a password."""
MAX_PASSWORD = 200
"""Characters of a password; its hash takes as long as any other's."""
AT_ONCE = 4
"""Hashes that are computed at once: each takes 64 MiB."""
PATIENCE = 10.0
"""Seconds to wait for a turn."""

_hasher = PasswordHasher()
_turns = threading.BoundedSemaphore(AT_ONCE)
# Of no password: somebody unknown takes as long as somebody known.
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA"
    "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


def checked_password(password: str) -> str:
    """Returns a password that may be somebody's.

    Raises:
        BadInput: it is too short or too long.
    """
    if len(password) < MIN_PASSWORD:
        raise BadInput(f"A password has at least {MIN_PASSWORD} characters.", "password")
    if len(password) > MAX_PASSWORD:
        raise BadInput(f"A password has at most {MAX_PASSWORD} characters.", "password")
    return password


def hashed(password: str) -> str:
    """Returns what is kept of a password.

    Raises:
        Busy: too many want that at the moment.
    """
    with _turn():
        return _hasher.hash(_bytes(password))


def verify(kept: str | None, password: str) -> bool:
    """Tells whether a password is the one that was kept; None stands for nobody's.

    Raises:
        Busy: too many want that at the moment.
    """
    with _turn():
        try:
            return _hasher.verify(kept or _NOBODY, _bytes(password)) and kept is not None
        except VerificationError:
            return False


def is_outdated(kept: str) -> bool:
    """Tells whether a password is better hashed anew."""
    return _hasher.check_needs_rehash(kept)


def _bytes(password: str) -> bytes:
    # Keyboards compose the same character in different ways (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=PATIENCE):
        raise Busy("too many passwords at once")
    try:
        yield
    finally:
        _turns.release()
