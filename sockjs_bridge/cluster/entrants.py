"""Sessions that enter a room with history, and what they get at their turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeGuard

from sockjs_bridge.cluster.engine import Message
from sockjs_bridge.core.contracts import Recipient
from sockjs_bridge.core.frames import Place, Placed
from sockjs_bridge.resume.lines import At, Item, Missed
from sockjs_bridge.resume.session import ResumableSession


def counts_on_places(session: Recipient) -> TypeGuard[ResumableSession]:
    """Tells whether a session's client understands places, or has yet to say so."""
    return isinstance(session, ResumableSession) and (
        session.proof is None or session.positions is not None
    )


def clients_of(sessions: Iterable[object]) -> frozenset[str]:
    """Returns what the clients among those who are excluded call themselves."""
    clients = (each.client for each in sessions if isinstance(each, ResumableSession))
    return frozenset(client for client in clients if client is not None)


class Entrant:
    """A session that enters a room.

    Args:
        session: see `session`.

    Attributes:
        session: the session.
        place: of the last message before it.
        recovered: see `Joined.recovered`.
        items: what it gets at its turn, behind the place.
        decided: what its client has of the room is known.
        continues: its client has told its place, and all since is to follow.
    """

    __slots__ = ("continues", "decided", "items", "place", "recovered", "session")

    def __init__(self, session: ResumableSession) -> None:
        self.session = session
        self.place: Place | None = None
        self.recovered: bool | None = None
        self.items: list[Item] = []
        self.decided = self.continues = False

    def position(self, key: str, foreign: Callable[[str], bool]) -> str | None:
        """Returns what its client has said that it has of the room; asked once.

        Args:
            key: the room's.
            foreign: tells whether a position may be of any room; see `Engine.foreign`.
        """
        positions = self.session.positions
        if positions is None:
            return None
        position = positions.get(key)
        if position is None:
            # Of any room, perhaps this one: a gap that is told in vain is better than a silent one.
            position = next(filter(foreign, positions.values()), None)
        # What it has later, it has from this session.
        positions[key] = ""
        return position or None

    def gather(self, message: Message, entitled: bool) -> None:
        """Keeps a message until it is its turn, or that it does not get it.

        Args:
            message: of the room.
            entitled: it gets it.
        """
        if self.place is not None and not self._has(message.place):
            self.items.append(message.quoted if entitled else At(message.place))

    def _has(self, place: Place) -> bool:
        """Tells whether a place is not behind its own: of another epoch, a gap stands between."""
        assert self.place is not None
        return place.epoch == self.place.epoch and place.number <= self.place.number

    def missed(self, place: Place, name: str) -> None:
        """Hears that messages are missing before it has its turn.

        Args:
            place: behind which the room goes on.
            name: of the room.
        """
        if self.place is None or (self.recovered and self._has(place)):
            return
        self.items += [Missed(place.room, name), At(place)]
        self.recovered = bool(self.recovered)
        self.continues = False

    def found(self, position: str | None, place: Place, missed: list[Message] | None) -> None:
        """Hears what the engine has.

        Args:
            position: that was asked for.
            place: of the last message.
            missed: the messages since.
        """
        if missed is not None:
            size = sum(len(message.quoted) + 1 for message in missed)
            if size > self.session.max_catch_up:
                # It would be closed as a slow consumer, each time that it comes back.
                missed = None
        if missed is not None:
            gathered = [item for item in self._placed() if item.place.number > place.number]
            self.items = [*(self._item(message) for message in missed), *gathered]
            self.recovered = True
        elif position is not None:
            self.recovered = self.continues = False
        if missed is not None or self.place is None:
            self.place = place

    def _placed(self) -> list[Placed | At]:
        return [item for item in self.items if isinstance(item, (Placed, At))]

    def _item(self, message: Message) -> Placed | At:
        return At(message.place) if self.session.client in message.excluded else message.quoted

    def told(self, name: str) -> Iterable[Item]:
        """Returns what the session gets at its turn.

        Args:
            name: of the room.
        """
        assert self.place is not None
        if self.session.positions is None:
            return [item for item in self.items if isinstance(item, Placed)]
        if self.recovered and self.items:
            return self.items
        missed = [Missed(self.place.room, name)] if self.recovered is False else []
        return [*missed, At(self.place), *self.items]
