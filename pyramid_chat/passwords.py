"""Passwords, by argon2."""

from __future__ import annotations

import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from pyramid_chat.names import BadInput

MIN_PASSWORD = 8
"""Characters of a password."""
MAX_PASSWORD = 200
"""Characters of a password; its hash takes as long as any other's."""
AT_ONCE = 2
"""Hashes that are computed at once: each takes 64 MiB."""
WAITING = 16
"""Hashes that may wait for that: about a second's."""
NICENESS = 5
"""By how much their threads give way to all others."""

T = TypeVar("T")

_hasher = PasswordHasher()
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
        PoolFull: too many want that at the moment.
    """
    return _pool.run(lambda: _hasher.hash(_bytes(password)))


def verify(kept: str | None, password: str) -> bool:
    """Tells whether a password is the one that was kept; None stands for nobody's.

    Raises:
        PoolFull: too many want that at the moment.
    """

    def look() -> bool:
        try:
            return _hasher.verify(kept or _NOBODY, _bytes(password)) and kept is not None
        except VerificationError:
            return False

    return _pool.run(look)


def is_outdated(kept: str) -> bool:
    """Tells whether a password is better hashed anew."""
    return _hasher.check_needs_rehash(kept)


def _bytes(password: str) -> bytes:
    # Keyboards compose the same character in different ways (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


class PoolFull(Exception):
    """Too many hashes wait to be computed."""


class Pool:
    """The threads for hashes. Those of requests and of the event loop go before them."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE + WAITING)
        self._threads = ThreadPoolExecutor(AT_ONCE, "chat-passwords", initializer=_give_way)

    def run(self, function: Callable[[], T]) -> T:
        """Runs a function, and waits for it.

        Raises:
            PoolFull: too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise PoolFull("too many passwords at once")
        try:
            return self._threads.submit(function).result()
        finally:
            self._places.release()


def _give_way() -> None:
    # In Linux a thread has a priority of its own (setpriority(2), "C library/kernel differences").
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)


_pool = Pool()


def _forked() -> None:
    # The threads stayed with the parent.
    global _pool
    _pool = Pool()


os.register_at_fork(after_in_child=_forked)
