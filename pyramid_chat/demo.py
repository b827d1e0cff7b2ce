"""Something to look at: two people, three rooms, a few messages."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from pyramid_chat import catalog, conversation, memberships, passwords, people, rooms
from pyramid_chat.models import PRIVATE, Room, User, now

PASSWORD = "demo-demo"
NAMES = ("Ada", "Grace")

_LOBBY = (
    (0, "Good morning! Is this thing on?"),
    (1, "Loud and clear. 👋"),
    (0, "I have put the notes of yesterday's meeting here: https://example.org/notes"),
    (1, "Thank you! Two questions on page 3, I'll write them up."),
    (0, "Take your time. The build is green again, by the way."),
    (1, "What was it?"),
    (0, "A <b> that should have been &lt;b&gt;. Of course."),
    (1, "It always is. 😄"),
    (0, "Lunch at half past twelve?"),
    (1, "Yes, please. The usual place?"),
    (0, "The usual place. I'll book a table for two."),
    (1, "Perfect. See you there!"),
)
_PLANS = (
    (1, "Only the two of us can read this."),
    (0, "Then let us plan the surprise here. 🎉"),
)
_DIRECT = ((1, "Do you have a minute?"), (0, "For you, always."))


def fill(session: Session) -> list[str]:
    """Makes the demo people, as far as they are missing, and with them what they said.

    Args:
        session: that may write.

    Returns:
        Their names.
    """
    if not session.scalar(select(User.id).limit(1)):
        ids = [_add(session, name) for name in NAMES]
        lobby = session.scalars(select(Room.id).order_by(Room.id).limit(1)).one()
        catalog.change(session, lobby, None, "Everything that concerns everybody")
        plans = catalog.create(session, ids[0], PRIVATE, "Surprise party", "Not a word to anybody")
        rooms.join(session, plans, ids[1])
        direct, _ = rooms.direct(session, *ids)
        for room_id, said in ((lobby, _LOBBY), (plans, _PLANS), (direct, _DIRECT)):
            _say(session, room_id, ids, said)
    for name in NAMES:
        if people.find(session, name) is None:
            _add(session, name)
    return list(NAMES)


def _add(session: Session, name: str) -> int:
    return people.add(session, name, passwords.hashed(PASSWORD)).id


def _say(session: Session, room_id: int, ids: list[int], said: tuple[tuple[int, str], ...]) -> None:
    time = now() - timedelta(minutes=3 * len(said))
    for index, (author, text) in enumerate(said):
        version = conversation.next_version(session, room_id)
        assert version is not None
        message = conversation.add(
            session, room_id, version, ids[author], f"demo-{room_id}-{index}", text
        )
        message.created = time + timedelta(minutes=3 * index)
    session.flush()
    for user_id in ids:
        memberships.mark_read(session, room_id, user_id, len(said))
