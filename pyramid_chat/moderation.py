"""What administrators see of people and rooms, and what they do to rooms and messages there."""

from __future__ import annotations

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from pyramid_chat import audit, conversation, files, notices, people, rooms
from pyramid_chat.database import alone
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import (
    PUBLIC,
    REMOVED,
    Invitation,
    Membership,
    Message,
    Room,
    SignIn,
    User,
)
from pyramid_chat.names import BadInput, folded, visible
from pyramid_chat.people import Identity
from pyramid_chat.rooms import RoomContext

MAX_SHOWN = 50
"""People and rooms that a search shows."""
_MODERATED = or_(Room.kind == PUBLIC, Room.archived.is_not(None))


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
    """Finds public rooms and archived ones by a part of their names; one more than are shown.

    Private rooms that somebody is in are their own business.
    """
    count = select(func.count()).where(Membership.room_id == Room.id).correlate(Room)
    query = select(Room, count.scalar_subquery()).where(_MODERATED)
    if visible(words):
        query = query.where(func.lower(Room.name).contains(words.lower(), autoescape=True))
    return [
        {"id": room.id, "name": room.name, "archived": room.archived, "members": number}
        for room, number in session.execute(query.order_by(Room.id).limit(MAX_SHOWN + 1))
    ]


def _find_room(session: Session, room_id: int) -> Room | None:
    """Finds one of these rooms; nobody else changes it until the transaction ends."""
    # Before any room, as in `pyramid_chat.accounts.remove`: nobody waits in a circle.
    alone(session.connection())
    return session.scalar(select(Room).where(Room.id == room_id, _MODERATED).with_for_update())


def reopen_room(session: Session, room_id: int, name: str, admin: Identity) -> str | None:
    """Puts somebody into an archived room, which is theirs from then on.

    Args:
        session: that may write.
        room_id: of the room.
        name: of the person, as anybody may write it.
        admin: who does it.

    Returns:
        The room's name; None where there is no such room.

    Raises:
        pyramid_chat.names.BadInput: there is nobody of that name, or they cannot sign in.
        pyramid_chat.rooms.TooMany: they were put into too many rooms.
    """
    room = _find_room(session, room_id)
    if room is None or room.archived is None:
        return None
    user = people.find(session, name)
    if user is None:
        raise BadInput("There is nobody of that name.", "name")
    if user.disabled:
        raise BadInput(f"{user.name} is disabled.", "name")
    rooms.join(session, room_id, user.id, invited=user.id != admin.id)
    audit.record(session, admin, "reopen-room", room.name, user)
    notices.post(session, notices.MEMBERSHIP, user.id, room_id)
    return room.name


def remove_room(session: Session, room_id: int, admin: Identity) -> str | None:
    """Removes a room that `find_rooms` lists, for ever, with its messages and files.

    Args:
        session: that may write.
        room_id: of the room.
        admin: who removes it.

    Returns:
        The name that it had; None where there is no such room.
    """
    room = _find_room(session, room_id)
    if room is None:
        return None
    name = room.name
    session.execute(delete(Membership).where(Membership.room_id == room_id))
    session.execute(delete(Message).where(Message.room_id == room_id))
    session.execute(delete(Invitation).where(Invitation.room_id == room_id))
    files.remove_of_room(session, room_id)
    # The row stays: SQLite would give its number to the next room, and pages know its messages.
    room.kind, room.name, room.topic = REMOVED, "", ""
    room.unique_name = room.owner_id = room.archived = None
    session.flush()
    audit.record(session, admin, "remove-room", name)
    notices.post(session, notices.REMOVED, admin.id, room_id)
    return name


def remove_message(
    session: Session, room: RoomContext, message: Message, version: int, admin: Identity
) -> None:
    """Removes what somebody else has said: all who may read the room see by whom.

    Args:
        session: that may write.
        room: as the administrator finds it.
        message: which.
        version: of the room, with that change.
        admin: who removes it.
    """
    conversation.remove(session, message, version, admin.id)
    author = session.get_one(User, message.author_id)
    # The name of a private room is nobody's business.
    about = room.name if room.kind == PUBLIC else "a private room"
    audit.record(session, admin, "remove-message", about, author)
