"""Reactions: an emoji that somebody puts below a message, in the database and as others hear it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import partial

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pyramid_chat.coalescer import Coalescer
from pyramid_chat.messages import JSONObject, Refused
from pyramid_chat.models import Message, Reaction, User

MAX_KINDS = 20
"""Different emoji below one message."""
MAX_REACTIONS = 1000
"""Reactions to one message, of all people: a client is told all of them in one event."""
MAX_NAMED = 10
"""People of whom a client is told the names, for each emoji of a message."""
EVERY = 0.2
"""Seconds in which a room hears of the reactions to one message once. Pages ask for a version that
they miss after 0.25 s (``PATIENCE`` of ``store.js``)."""


def told(session: Session, room_id: int, numbers: Collection[int]) -> dict[int, list[JSONObject]]:
    """Returns what clients are told of the reactions to messages.

    Args:
        session: to ask.
        room_id: of the room.
        numbers: of the messages.

    Returns:
        By the message's number, for each emoji, the one that was first before others: the ids of
        all who have put it there, and the first of these people.
    """
    query = (
        select(Reaction.number, Reaction.emoji, User.id, User.name)
        .join(User, User.id == Reaction.user_id)
        .where(Reaction.room_id == room_id, Reaction.number.in_(numbers))
        .order_by(Reaction.number, Reaction.version)
    )
    found: dict[int, dict[str, JSONObject]] = {}
    for number, emoji, user_id, name in session.execute(query):
        kinds = found.setdefault(number, {})
        kind = kinds.setdefault(emoji, {"emoji": emoji, "users": [], "people": []})
        kind["users"].append(user_id)
        if len(kind["people"]) < MAX_NAMED:
            kind["people"].append({"id": user_id, "name": name})
    return {number: list(kinds.values()) for number, kinds in found.items()}


def attach(session: Session, found: list[JSONObject]) -> list[JSONObject]:
    """Adds the reactions to what clients are told of messages.

    Args:
        session: to ask.
        found: the messages, as `pyramid_chat.conversation.told` makes them, of any rooms.

    Returns:
        The same.
    """
    for room_id in {message["room"] for message in found}:
        here = [message for message in found if message["room"] == room_id]
        reacted = told(session, room_id, [message["number"] for message in here])
        for message in here:
            message["reactions"] = reacted.get(message["number"], [])
    return found


def react(
    session: Session, message: Message, version: int, user_id: int, emoji: str, *, on: bool
) -> bool:
    """Puts an emoji below a message, or takes it away.

    Args:
        session: that may write.
        message: which.
        version: of the room, with that change.
        user_id: who does it.
        emoji: a checked one.
        on: whether it is to be there.

    Returns:
        False where it was so before.

    Raises:
        Refused: there are too many already.
    """
    of_message = (Reaction.room_id == message.room_id, Reaction.number == message.number)
    mine = (*of_message, Reaction.user_id == user_id, Reaction.emoji == emoji)
    if (session.scalar(select(Reaction.version).where(*mine)) is not None) == on:
        return False
    if on:
        _check(session, message, emoji)
        place = {"room_id": message.room_id, "number": message.number}
        session.add(Reaction(**place, emoji=emoji, user_id=user_id, version=version))
    else:
        session.execute(delete(Reaction).where(*mine))
    message.version = version
    session.flush()
    return True


def _check(session: Session, message: Message, emoji: str) -> None:
    of_message = (Reaction.room_id == message.room_id, Reaction.number == message.number)
    counts = select(Reaction.emoji, func.count().label("people")).where(*of_message)
    found = session.execute(counts.group_by(Reaction.emoji))
    kinds = {row.emoji: row.people for row in found}
    if emoji not in kinds and len(kinds) >= MAX_KINDS:
        text = f"A message has at most {MAX_KINDS} different reactions."
        raise Refused("too-many", text)
    if sum(kinds.values()) >= MAX_REACTIONS:
        raise Refused("too-many", f"A message has at most {MAX_REACTIONS} reactions.")


def forget(session: Session, message: Message) -> None:
    """Takes all reactions to a message away."""
    of_message = (Reaction.room_id == message.room_id, Reaction.number == message.number)
    session.execute(delete(Reaction).where(*of_message))


class Teller:
    """Tells rooms of messages whose reactions have changed: of each at most every 0.2 s.

    In between there may be any number of changes. An event has the message as it is after the last
    one, and names the versions of the others as ``covers``, so that nobody misses them.

    Args:
        tell: tells a room something.
        every: seconds.
    """

    def __init__(self, tell: Callable[[JSONObject, str], None], every: float = EVERY) -> None:
        self._tell = tell
        self._coalescer = Coalescer(every)
        self._lock = threading.Lock()
        # By room and number, what is yet to be told.
        self._waiting: dict[tuple[str, int], list[JSONObject]] = {}

    def tell(self, event: JSONObject, name: str) -> None:
        """Tells of a change, now or a little later.

        Args:
            event: the message after the change.
            name: of the room, as `pyramid_chat.live` has it.
        """
        key = (name, event["number"])
        with self._lock:
            self._waiting.setdefault(key, []).append(event)
        self._coalescer.call(key, partial(self._tell_all, key))

    def _tell_all(self, key: tuple[str, int]) -> None:
        with self._lock:
            # Whoever came in between may have been told by the call before.
            events = self._waiting.pop(key, [])
        if not events:
            return
        newest = max(events, key=lambda event: int(event["version"]))
        others = sorted(event["version"] for event in events if event is not newest)
        told = {name: value for name, value in newest.items() if name != "request"}
        self._tell(told | ({"covers": others} if others else {}), key[0])
