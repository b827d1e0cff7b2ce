"""What administrators see of people and rooms, and what they do to rooms, in the database."""

from __future__ import annotations

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session

from pyramid_chat import notices, rooms
from pyramid_chat.database import alone
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import PRIVATE, PUBLIC, REMOVED, Membership, Message, Room, SignIn, User
from pyramid_chat.names import folded, visible

MAX_SHOWN = 50
"""People and rooms that a search shows."""


def find_people(session: Session, words: str) -> list[JSONObject]:
    """Finds people by a part of their names, be they disabled or not; one more than are shown."""
    sign_ins = select(func.count()).where(SignIn.user_id == User.id).scalar_subquery()
    part = folded(words) if visible(words) else ""
    query = select(User, sign_ins).where(
        User.removed.is_(False), User.folded.contains(part, autoescape=True)
    )
    return [
        {
            "id": user.id,
            "name": user.name,
            "admin": user.admin,
            "disabled": user.disabled,
            "sign_ins": count,
        }
        for user, count in session.execute(query.order_by(User.folded).limit(MAX_SHOWN + 1))
    ]


def find_rooms(session: Session, words: str) -> list[JSONObject]:
    """Finds rooms by a part of their names; one more than are shown.

    They are the public ones, and the private ones that everybody has left: what others are in is
    their own business.
    """
    count = select(func.count()).where(Membership.room_id == Room.id).correlate(Room)
    members = count.scalar_subquery()
    query = select(Room, members).where(
        or_(Room.kind == PUBLIC, and_(Room.kind == PRIVATE, members == 0))
    )
    if visible(words):
        query = query.where(func.lower(Room.name).contains(words.lower(), autoescape=True))
    return [
        {"id": room.id, "name": room.name, "kind": room.kind, "members": number}
        for room, number in session.execute(query.order_by(Room.id).limit(MAX_SHOWN + 1))
    ]


def _find_room(session: Session, room_id: int) -> Room | None:
    """Finds one of these rooms; nobody else changes it until the transaction ends."""
    # Before any room, as in `pyramid_chat.accounts.remove`: nobody waits in a circle.
    alone(session.connection())
    room = session.scalar(select(Room).where(Room.id == room_id).with_for_update())
    if room is None or room.kind not in (PUBLIC, PRIVATE):
        return None
    member = select(Membership.user_id).where(Membership.room_id == room_id).limit(1)
    if room.kind == PRIVATE and session.scalar(member) is not None:
        return None
    return room


def enter_room(session: Session, room_id: int, user_id: int) -> str | None:
    """Puts an administrator into a room that `find_rooms` lists, which is theirs if it is nobody's.

    Returns:
        Its name; None where there is no such room.

    Raises:
        pyramid_chat.rooms.TooMany: they are in too many rooms.
    """
    room = _find_room(session, room_id)
    if room is None:
        return None
    rooms.join(session, room_id, user_id)
    notices.post(session, notices.MEMBERSHIP, user_id, room_id)
    return room.name


def remove_room(session: Session, room_id: int, user_id: int) -> str | None:
    """Removes a room that `find_rooms` lists, for ever, with its messages.

    Args:
        session: that may write.
        room_id: of the room.
        user_id: who removes it.

    Returns:
        The name that it had; None where there is no such room.
    """
    room = _find_room(session, room_id)
    if room is None:
        return None
    name = room.name
    session.execute(delete(Membership).where(Membership.room_id == room_id))
    session.execute(delete(Message).where(Message.room_id == room_id))
    # The row stays: SQLite would give its number to the next room, and pages know its messages.
    room.kind, room.name, room.topic = REMOVED, "", ""
    room.unique_name = room.owner_id = None
    session.flush()
    notices.post(session, notices.REMOVED, user_id, room_id)
    return name
