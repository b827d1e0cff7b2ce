"""The history of rooms, in the memory of this process.

A room costs its last messages for ``ttl`` seconds, and its last number as long as somebody is in
it and four times ``ttl`` beyond: then nothing is left of it, however many names there were. A room
that begins goes on behind the highest number of those that were forgotten, since one of them may
have had its name: so a place that a client kept is known, or it is told that it is not, and never
taken for another one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable

from sockjs_bridge.cluster.engine import Bounds, CaughtUp, Kept, Message
from sockjs_bridge.core.frames import Place

#: For so many times its ``ttl`` a room's last number is kept behind its last message.
NUMBER_LASTS = 4

_POSITION = re.compile(r"(?P<epoch>.+)-(?P<number>\d{1,16})", re.ASCII)


class _Log:
    """What is kept of one room.

    Attributes:
        key: see `Engine.key`.
        top: the number of the last message.
        messages: the last ones, each with the time when it came.
        touched: when the room was used last.
    """

    __slots__ = ("key", "messages", "top", "touched")

    def __init__(self, key: str, top: int, touched: float) -> None:
        self.key = key
        self.top = top
        self.messages: deque[tuple[float, Message]] = deque()
        self.touched = touched

    def trim(self, bounds: Bounds, now: float) -> None:
        messages = self.messages
        while messages and (len(messages) > bounds.size or messages[0][0] + bounds.ttl <= now):
            messages.popleft()


class MemoryEngine:
    """Fulfils `Engine`; calls back before it returns.

    Args:
        time: returns seconds of the clock.
    """

    #: How many rooms are looked at in one go, so that many cannot hold up the loop.
    BATCH = 1000

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._secret = secrets.token_bytes(16)
        self._epoch = secrets.token_urlsafe(6)
        self._lock = threading.Lock()
        self._floor = 0
        # For each bounds the rooms, those that were used last are last: the ones with messages, and
        # those of which only the number is left.
        self._full: dict[Bounds, dict[str, _Log]] = {}
        self._bare: dict[Bounds, dict[str, _Log]] = {}

    def __len__(self) -> int:
        return sum(map(len, [*self._full.values(), *self._bare.values()]))

    def key(self, room: str) -> str:
        """Returns a keyed hash of a room's name; its key is this process's."""
        name = room.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(name, digest_size=12, key=self._secret).hexdigest()

    def foreign(self, position: str) -> bool:
        """Tells whether a position is of another process, which had a key of its own."""
        match = _POSITION.fullmatch(position)
        return match is not None and match["epoch"] != self._epoch

    def add(
        self, room: str, text: str, excluded: frozenset[str], bounds: Bounds, done: Kept
    ) -> None:
        """Keeps a message; see `Engine.add`."""
        now = self._time()
        with self._lock:
            log = self._log(room, bounds, now)
            log.top += 1
            log.touched = now
            message = Message(self._place(log), text, excluded)
            log.messages.append((now, message))
            log.trim(bounds, now)
            self._bare.get(bounds, {}).pop(room, None)
            full = self._full.setdefault(bounds, {})
            full.pop(room, None)
            full[room] = log
        done(message)

    def since(self, room: str, position: str | None, bounds: Bounds, done: CaughtUp) -> None:
        """Looks up what came after a position; see `Engine.since`."""
        now = self._time()
        match = None if position is None else _POSITION.fullmatch(position)
        found = None
        with self._lock:
            log = self._log(room, bounds, now)
            log.trim(bounds, now)
            if match is not None and match["epoch"] == self._epoch:
                count = log.top - int(match["number"])
                if 0 <= count <= len(log.messages):
                    begin = len(log.messages) - count
                    found = [message for _, message in log.messages][begin:]
            place = self._place(log)
        done(place, found)

    def expire(self, now: float, occupied: Callable[[str], bool]) -> float | None:
        """Forgets what is too old; see `Engine.expire`."""
        due: list[float] = []
        with self._lock:
            for bounds, rooms in self._full.items():
                for room, log in self._older(rooms, bounds.ttl, now):
                    log.messages.clear()
                    log.touched = now
                    del rooms[room]
                    self._bare.setdefault(bounds, {})[room] = log
                due += [log.touched + bounds.ttl for log in _first(rooms)]
            for bounds, rooms in self._bare.items():
                lasts = bounds.ttl * NUMBER_LASTS
                for room, log in self._older(rooms, lasts, now):
                    del rooms[room]
                    if occupied(room):
                        log.touched = now
                        rooms[room] = log
                    else:
                        self._floor = max(self._floor, log.top)
                due += [log.touched + lasts for log in _first(rooms)]
        return min(due, default=None)

    def _older(self, rooms: dict[str, _Log], age: float, now: float) -> list[tuple[str, _Log]]:
        found: list[tuple[str, _Log]] = []
        for room, log in rooms.items():
            # Reckoned as `due` is: otherwise what is due might not be old enough, for ever.
            if log.touched + age > now or len(found) == self.BATCH:
                break
            found.append((room, log))
        return found

    def _log(self, room: str, bounds: Bounds, now: float) -> _Log:
        for rooms in (self._full.get(bounds), self._bare.get(bounds)):
            if rooms is not None and room in rooms:
                return rooms[room]
        log = self._bare.setdefault(bounds, {})[room] = _Log(self.key(room), self._floor, now)
        return log

    def _place(self, log: _Log) -> Place:
        return Place(log.key, self._epoch, log.top)


def _first(rooms: dict[str, _Log]) -> list[_Log]:
    return [log for log, _ in zip(rooms.values(), range(1), strict=False)]
