"""Pictures among what is uploaded: a program of its own looks at each (`picture_worker`)."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger("pyramid_chat")

AT_ONCE = 2
"""Pictures that are made at once: each may take some hundred MB for a while."""
WAITING = 8
"""Uploads that may wait for that; each holds a thread for pages."""
OF_ONE = 2
"""How many of these may be one person's."""
PATIENCE = 60.0
"""Seconds after which a picture is given up."""

FORMATS = {
    "JPEG": ("image/jpeg", ("jpg", "jpeg", "jpe", "jfif")),
    "PNG": ("image/png", ("png",)),
    "WEBP": ("image/webp", ("webp",)),
}
"""The media type of each format, and how the names of its files end."""
PICTURE_ENDINGS = frozenset({"gif"}.union(*(endings for _, endings in FORMATS.values())))
"""How the names end of what is a picture, or pretends to be one."""

_WORKER = Path(__file__).with_name("picture_worker.py")


class PoolFull(Exception):
    """Too many uploads wait to be looked at."""


class NoPicture(Exception):
    """It cannot be taken as the picture that it is; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was made.

    Attributes:
        format: a key of `FORMATS`.
        width: in pixels,
        height: as it is to be seen.
    """

    format: str
    width: int
    height: int


class Pictures:
    """The pool for pictures of one process, with a short queue.

    Args:
        patience: seconds after which a picture is given up.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        # How many uploads somebody has here.
        self._waiting: Counter[int] = Counter()

    def read(self, user_id: int, source: Path, picture: Path, thumbnail: Path) -> Picture | None:
        """Makes a picture and its thumbnail of a file.

        Args:
            user_id: whose it is.
            source: what was uploaded.
            picture: where the picture is written,
            thumbnail: and where its thumbnail is.

        Returns:
            What was made; None where the file is no picture, or an animated one.

        Raises:
            NoPicture: see there.
            PoolFull: too many wait already.
        """
        with self._place(user_id), self._turns:
            told = self._run(source, picture, thumbnail)
        if "refused" in told:
            raise NoPicture(told["refused"])
        if told["format"] is None:
            return None
        return Picture(told["format"], told["width"], told["height"])

    @contextmanager
    def _place(self, user_id: int) -> Iterator[None]:
        with self._lock:
            if self._waiting.total() >= AT_ONCE + WAITING or self._waiting[user_id] >= OF_ONE:
                raise PoolFull("too many pictures at once")
            self._waiting[user_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting[user_id] -= 1
                # One that has none is forgotten.
                self._waiting += Counter()

    def _run(self, *paths: Path) -> dict[str, Any]:
        # Isolated: neither the environment nor the folder that the server runs in has a say.
        command = [sys.executable, "-I", str(_WORKER), *map(str, paths)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._patience
            )
        except subprocess.TimeoutExpired:
            logger.warning("a picture was given up after %g s", self._patience)
            raise NoPicture("That picture takes too long to look at.") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            logger.warning("a picture ended its worker (%d): %s", done.returncode, said)
            raise NoPicture("That picture cannot be looked at.")
        told: dict[str, Any] = json.loads(done.stdout)
        return told
