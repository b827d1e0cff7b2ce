"""Who is here. Somebody with several tabs comes once, and goes with the last."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from pyramid_chat.messages import JSONObject
from pyramid_chat.people import Identity
from sockjs_bridge import Presence as Member
from sockjs_bridge import PresenceUnknown, SockJS, WebSocketSession

logger = logging.getLogger("pyramid_chat")

ONLINE = "online"
"""The room of the bridge that those are in who are here, where there are several processes."""

Tell = Callable[[JSONObject, bool], object]
"""Tells everybody that a person came, or went."""


class Visitor(Protocol):
    """A connection of somebody."""

    @property
    def user(self) -> Identity:
        """Whose it is."""
        raise NotImplementedError


class Presence(Protocol):
    """Who is here. May be used in any thread."""

    def come(self, visitor: Visitor, welcome: Callable[[list[int]], object] | None = None) -> None:
        """Counts a connection; others are told if it is the person's first.

        Args:
            visitor: the connection.
            welcome: called with who is here; what changes after that, everybody is told.
        """
        raise NotImplementedError

    def look_again(self, visitor: Visitor) -> Iterable[tuple[JSONObject, bool]]:
        """Returns who came and went while a connection was welcomed, once it hears everybody."""
        raise NotImplementedError

    def go(self, visitor: Visitor) -> None:
        """Counts a connection less; others are told if it was the person's last."""
        raise NotImplementedError

    def online(self) -> set[int] | None:
        """Returns who is here; None where that cannot be known at present."""
        raise NotImplementedError


class OwnPresence:
    """Who is here, in one process; fulfils `Presence`.

    All hear who came and went in the order in which it happened.

    Args:
        tell: tells everybody.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        # Held while something changes and while others are told so.
        self._lock = threading.Lock()
        self._connections: dict[int, int] = {}

    def come(self, visitor: Visitor, welcome: Callable[[list[int]], object] | None = None) -> None:
        """Counts a connection; see `Presence.come`."""
        user_id = visitor.user.id
        with self._lock:
            self._connections[user_id] = self._connections.get(user_id, 0) + 1
            if self._connections[user_id] == 1:
                self._tell(visitor.user.person, True)
            if welcome is not None:
                welcome(sorted(self._connections))

    def look_again(self, visitor: Visitor) -> Iterable[tuple[JSONObject, bool]]:
        """Returns nothing: nobody comes or goes meanwhile."""
        return ()

    def go(self, visitor: Visitor) -> None:
        """Counts a connection less; see `Presence.go`."""
        user_id = visitor.user.id
        with self._lock:
            self._connections[user_id] -= 1
            if not self._connections[user_id]:
                del self._connections[user_id]
                self._tell(visitor.user.person, False)

    def online(self) -> set[int]:
        """Returns who is here."""
        return set(self._connections)


class SharedPresence:
    """Who is here, in all processes; fulfils `Presence`.

    The bridge knows which connections there are (`SockJS.presence`). Where two processes change
    that at the same time, each looks again after it has told of it: what is told last is so. Some
    of it may be told twice.

    Args:
        sockjs: the bridge's.
        tell: tells everybody.
    """

    def __init__(self, sockjs: SockJS, tell: Tell) -> None:
        self._sockjs = sockjs
        self._tell = tell
        # Of connections that are being welcomed: who was here, by id.
        self._welcomed: dict[Visitor, dict[int, JSONObject]] = {}

    def _here(self) -> list[JSONObject] | None:
        """Lists whose connections there are; None where that cannot be known at present."""
        try:
            return people_of(self._sockjs.presence(ONLINE))
        except PresenceUnknown as error:
            logger.warning("it is not known who is here: %s", error)
            return None

    def come(self, visitor: Visitor, welcome: Callable[[list[int]], object] | None = None) -> None:
        """Counts a connection; see `Presence.come`."""
        assert isinstance(visitor, WebSocketSession)
        person = visitor.user.person
        before = self._here()
        visitor.join(ONLINE, info={"name": person["name"]})
        after = self._here()
        if before is None or person not in before or (after or [person]).count(person) == 1:
            self._tell(person, True)
        if welcome is not None:
            here = self._welcomed[visitor] = _by_id([*(after or before or ()), person])
            welcome(sorted(here))

    def look_again(self, visitor: Visitor) -> Iterable[tuple[JSONObject, bool]]:
        """Returns who came and went while a connection was welcomed."""
        before, now = self._welcomed.pop(visitor, None), self._here()
        if before is None or now is None:
            return []
        here = _by_id(now)
        came = [(here[user_id], True) for user_id in here.keys() - before.keys()]
        return [*came, *((before[user_id], False) for user_id in before.keys() - here.keys())]

    def go(self, visitor: Visitor) -> None:
        """Counts a connection less; see `Presence.go`."""
        assert isinstance(visitor, WebSocketSession)
        visitor.leave(ONLINE)
        self._welcomed.pop(visitor, None)
        self.gone([visitor.user.person])

    def gone(self, people: Iterable[JSONObject]) -> None:
        """Tells of those who are here no more, of people who may be."""
        here = self._here()
        if here is None:
            return
        there = _by_id(here)
        went = [each for user_id, each in _by_id(people).items() if user_id not in there]
        for person in went:
            self._tell(person, False)
        # Who came back meanwhile has told so before this was told.
        back = _by_id(self._here() or ()) if went else {}
        for person in went:
            if person["id"] in back:
                self._tell(person, True)

    def online(self) -> set[int] | None:
        """Returns who is here; None where that cannot be known at present."""
        here = self._here()
        return set(_by_id(here)) if here is not None else None


def people_of(members: Iterable[Member]) -> list[JSONObject]:
    """Returns what others are told of those who are in a room of the bridge.

    Args:
        members: as the bridge knows them.
    """
    return [
        {"id": int(who.userid), "name": str(who.info.get("name", ""))}
        for who in members
        if who.userid is not None
    ]


def _by_id(people: Iterable[JSONObject]) -> dict[int, JSONObject]:
    return {person["id"]: person for person in people}
