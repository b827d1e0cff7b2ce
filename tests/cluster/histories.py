"""Checks what clients have heard of rooms: nothing missing, doubled or out of order, or it is told.

A client of ``~r1`` is fed with its lines as they came, a stock client with its messages. What all
have heard must be one history: each place holds one message, and each client's part of a room is a
piece of it without holes, unless it was told of a gap. Used by the tests of rooms in a cluster,
without sockets and with processes alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


class WrongHistory(AssertionError):
    """Somebody has heard what cannot be."""


@dataclass
class SharedHistory:
    """What clients have heard together.

    Attributes:
        places: the message at each place: room's key, epoch, number.
        tops: the highest number of each room's key and epoch.
    """

    places: dict[tuple[str, str, int], str] = field(default_factory=dict)
    tops: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, room: str, epoch: str, number: int, text: str) -> None:
        """Take a message; another one at its place is wrong."""
        known = self.places.setdefault((room, epoch, number), text)
        if known != text:
            raise WrongHistory(f"{room} {epoch}-{number} is {known!r} and {text!r}")
        self.tops[room, epoch] = max(number, self.tops.get((room, epoch), 0))

    def texts(self, room: str) -> list[str]:
        """Return all that was heard of a room, in order; epochs go up."""
        places = [place for place in self.places if place[0] == room]
        places.sort(key=lambda place: (_order(place[1]), place[2]))
        return [self.places[place] for place in places]


def _order(epoch: str) -> int:
    return int(epoch.rpartition(".")[2])


class Log:
    """What one client of ``~r1`` has heard.

    Args:
        history: of all clients.
        positions: of rooms, by their keys, which the client has told.

    Attributes:
        positions: of rooms: where the client is.
        missed: the keys of rooms of which a gap was told, each as often as that happened.
        names: of rooms, by their keys, as gaps tell them.
        texts: the messages, by the room's key; those without a place by the empty one.
        forbidden: messages that are not for this client; it may be told their places alone.
    """

    def __init__(self, history: SharedHistory, positions: dict[str, str] | None = None) -> None:
        self._history = history
        self.positions = dict(positions or {})
        self.missed: list[str] = []
        self.names: dict[str, str] = {}
        self.texts: dict[str, list[str]] = {}
        self.forbidden: set[str] = set()
        self._gaps: set[str] = set()

    def line(self, line: str) -> None:
        """Take a line; raise `WrongHistory` where it does not follow from those before."""
        if line[0] == "a":
            self.texts.setdefault("", []).extend(json.loads(line[1:]))
        elif line[0] == "p":
            room, place, texts = json.loads(line[1:])
            epoch, _, number = place.rpartition("-")
            self._place(room, epoch, int(number), texts)
        elif line.startswith('r{"missed"'):
            for room, name, *_ in json.loads(line[1:])["missed"]:
                self.missed.append(room)
                self.names[room] = name
                self._gaps.add(room)

    def _place(self, room: str, epoch: str, number: int, texts: list[str]) -> None:
        known = self.positions.get(room)
        if known is not None and room not in self._gaps:
            known_epoch, _, known_number = known.rpartition("-")
            follows = int(known_number) + 1
            if epoch != known_epoch or (number != follows if texts else number < follows - 1):
                raise WrongHistory(f"{room}: {epoch}-{number} {texts} comes behind {known}")
            if not texts:
                for passed_over in range(follows, number + 1):
                    text = self._history.places.get((room, epoch, passed_over))
                    if text not in self.forbidden:
                        raise WrongHistory(f"{room}: {epoch}-{passed_over} {text} is missing")
        self._gaps.discard(room)
        if self.forbidden.intersection(texts):
            raise WrongHistory(f"{texts} is not for this client")
        for index, text in enumerate(texts):
            self._history.note(room, epoch, number + index, text)
        self.texts.setdefault(room, []).extend(texts)
        self.positions[room] = f"{epoch}-{number + max(0, len(texts) - 1)}"

    def lines(self, lines: Iterable[str]) -> None:
        """Take lines, in order."""
        for line in lines:
            self.line(line)

    def left(self, room: str) -> None:
        """Leave a room: where its client is in it is not to be continued."""
        self.positions.pop(room, None)
        self._gaps.discard(room)


def check_order(heard: list[str], published: list[str]) -> None:
    """Check that a stock client has heard messages in a room's order, each once.

    Args:
        heard: by the client.
        published: all of the room, in its order; no two alike.
    """
    where = {text: index for index, text in enumerate(published)}
    places = [where[text] for text in heard]
    if places != sorted(set(places)):
        raise WrongHistory(f"{heard} is not in the order of {published}")
