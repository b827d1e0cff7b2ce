"""The rooms that there are: the list of public ones, and what rooms may be called."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pyramid_chat.messages import JSONObject
from pyramid_chat.models import PUBLIC, Membership, Room
from pyramid_chat.names import BadInput, folded, skeleton, visible
from pyramid_chat.rooms import join

MAX_LISTED = 50
"""Public rooms that a client is told at once."""
_TAKEN = "There is a room of that name already, or of one that looks like it."


def public_rooms(session: Session, user_id: int, words: str = "", page: int = 0) -> JSONObject:
    """Lists public rooms, with the number of their members: the person's own first, then by name.

    Args:
        session: to ask.
        user_id: who asks.
        words: a part of the names or topics; "" finds all.
        page: how many pages of `MAX_LISTED` come before.

    Returns:
        The rooms of one page, and whether there are more.
    """
    if not visible(words):
        return {"rooms": [], "more": False}
    count = (
        select(func.count()).where(Membership.room_id == Room.id).correlate(Room).scalar_subquery()
    )
    mine = select(Membership.room_id).where(Membership.user_id == user_id)
    own = Room.id.in_(mine)
    query = (
        select(Room.id, Room.name, Room.topic, count, own)
        .where(Room.kind == PUBLIC)
        .order_by(own.desc(), Room.unique_name)
        .offset(page * MAX_LISTED)
        .limit(MAX_LISTED + 1)
    )
    if part := folded(words):
        name = func.substr(Room.unique_name, len(PUBLIC) + 2)
        topic = func.lower(Room.topic)
        query = query.where(
            name.contains(part, autoescape=True) | topic.contains(part, autoescape=True)
        )
    rooms = [
        {"id": id_, "name": name, "topic": topic, "members": number, "member": bool(member)}
        for id_, name, topic, number, member in session.execute(query)
    ]
    return {"rooms": rooms[:MAX_LISTED], "more": len(rooms) > MAX_LISTED}


# Changes. Their sessions have to be such as may write.


def create(session: Session, user_id: int, kind: str, name: str, topic: str) -> int:
    """Makes a public or private room with one member, who owns it.

    Returns:
        Its id.

    Raises:
        BadInput: there is a public room of that name, or of one that looks like it.
        TooMany: the person is in too many rooms.
    """
    _check_free(session, kind, name)
    room = Room(kind=kind, name=name, topic=topic, owner_id=user_id)
    room.unique_name = _unique_name(kind, name)
    session.add(room)
    _flush_room(session)
    join(session, room.id, user_id)
    return room.id


def change(session: Session, room_id: int, name: str | None, topic: str | None) -> None:
    """Gives a room another name or topic; None leaves it.

    Raises:
        BadInput: there is a public room of that name, or of one that looks like it.
    """
    room = session.get_one(Room, room_id)
    if topic is not None:
        room.topic = topic
    if name is not None:
        _check_free(session, room.kind, name, but=room_id)
        room.name = name
        room.unique_name = _unique_name(room.kind, name)
    _flush_room(session)


def _unique_name(kind: str, name: str) -> str | None:
    # The name of a private room is nobody's business.
    return f"{PUBLIC}:{folded(name)}" if kind == PUBLIC else None


def _check_free(session: Session, kind: str, name: str, but: int | None = None) -> None:
    """Sees to it that no other public room looks as if it had a name.

    Raises:
        BadInput: there is one.
    """
    if kind == PUBLIC:
        looks = skeleton(name)
        others = select(Room.name).where(Room.kind == PUBLIC, Room.id != (but or 0))
        if any(skeleton(other) == looks for other in session.scalars(others)):
            raise BadInput(_TAKEN, "name")


def _flush_room(session: Session) -> None:
    try:
        session.flush()
    except IntegrityError:
        raise BadInput(_TAKEN, "name") from None
