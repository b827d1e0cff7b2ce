"""Rooms whose messages are kept for a while, as sessions and applications see them.

The contract alone: who declares none (`add_sockjs_rooms`) has nothing that fulfils it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from sockjs_bridge.core.broadcasts import Broadcasts
from sockjs_bridge.core.contracts import Clock, Recipient
from sockjs_bridge.core.joined import Joined
from sockjs_bridge.core.rooms import Rooms


class History(Protocol):
    """The rooms of one application that have a history.

    `join`, `leave_all`, `keeps` and `broadcast` may be called in any thread, the others on the
    loop. `broadcast` and `introduced` may call sessions before they return, and with that lead to
    the application.
    """

    def start(self, clock: Clock, rooms: Rooms[Recipient], broadcasts: Broadcasts) -> None:
        """Begins, with nothing kept.

        Args:
            clock: of the server's loop.
            rooms: of the application.
            broadcasts: what takes messages to many sessions.
        """
        raise NotImplementedError

    def keeps(self, room: str) -> bool:
        """Tells whether a room has a history."""
        raise NotImplementedError

    def join(self, session: Recipient, room: str) -> Joined:
        """Puts a session into a room, of whatever kind; what it has missed of it follows."""
        raise NotImplementedError

    def introduced(self, session: Recipient) -> None:
        """Hears that a session's client has said what it has of rooms."""
        raise NotImplementedError

    def leave_all(self, session: Recipient) -> frozenset[str]:
        """Takes a session that is over out of all rooms, and returns which those were."""
        raise NotImplementedError

    def broadcast(self, room: str, text: str, exclude: Collection[object]) -> int:
        """Keeps a message, and sends it to all who are in a room with a history.

        Args:
            room: its name.
            text: the message.
            exclude: sessions that do not get it.

        Returns:
            To how many it goes.
        """
        raise NotImplementedError
