"""Rooms that are more than a list of sessions, as sessions and applications see them.

Their messages are kept for a while, or go to other processes too. The contract alone: who declares
none (`add_sockjs_rooms`) and has no cluster has nothing that fulfils it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.rooms import Rooms

#: The name of the room that all connections are in.
EVERYBODY = ""
#: Hears that a message has its place; or what came instead.
Published = Callable[[Exception | None], object]


class History(Protocol):
    """The rooms of one application, some of which have a history.

    `join`, `leave`, `leave_all`, `carries` and `broadcast` may be called in any thread, the others
    on the loop. `join`, `broadcast` and `introduced` may call sessions before they return, and with
    that lead to the application.
    """

    def start(self, clock: Clock, rooms: Rooms[Recipient], broadcasts: Broadcasts) -> None:
        """Begins, with nothing kept.

        Args:
            clock: of the server's loop.
            rooms: of the application.
            broadcasts: what takes messages to many sessions.
        """
        raise NotImplementedError

    def carries(self, room: str) -> bool:
        """Tells whether what is sent to a room goes by `broadcast`.

        Args:
            room: its name, or `EVERYBODY`.
        """
        raise NotImplementedError

    def join(self, session: Recipient, room: str) -> Joined:
        """Puts a session into a room, of whatever kind; what it has missed of it follows."""
        raise NotImplementedError

    def introduced(self, session: Recipient) -> None:
        """Hears that a session's client has said what it has of rooms."""
        raise NotImplementedError

    def leave(self, session: Recipient, room: str) -> bool:
        """Takes a session out of a room; False when it was not in."""
        raise NotImplementedError

    def leave_all(self, session: Recipient) -> frozenset[str]:
        """Takes a session that is over out of all rooms, and returns which those were."""
        raise NotImplementedError

    def broadcast(
        self,
        room: str,
        text: str,
        exclude: Collection[object],
        published: Published | None = None,
    ) -> int:
        """Sends a message to all who are in a room that it carries.

        Args:
            room: its name.
            text: the message.
            exclude: sessions that do not get it.
            published: called once, on the loop.

        Returns:
            To how many of this process it goes.
        """
        raise NotImplementedError
