"""What somebody keeps of a room that they are in: what they have read, and that it is muted.

All sessions here have to be such as may write.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pyramid_chat.models import Membership, Room


def look_into(session: Session, room_id: int, user_id: int) -> None:
    """Notes that somebody has looked into a room into which others have put them."""
    mine = (Membership.room_id == room_id, Membership.user_id == user_id)
    session.execute(update(Membership).where(*mine, Membership.invited).values(invited=False))


def mark_read(session: Session, room_id: int, user_id: int, number: int) -> bool:
    """Notes what a member has read, and that they have looked into the room; nobody un-reads.

    Returns:
        False where that is no news, or cannot be.
    """
    version = select(Room.version).where(Room.id == room_id).scalar_subquery()
    changed = session.scalar(
        update(Membership)
        .where(
            Membership.room_id == room_id,
            Membership.user_id == user_id,
            Membership.read < number,
            version >= number,
        )
        .values(read=number, invited=False)
        .returning(Membership.read)
        .execution_options(synchronize_session=False)
    )
    return changed is not None


def mute(session: Session, room_id: int, user_id: int, muted: bool) -> None:
    """Notes whether somebody is told only of mentions in a room. Who is not in it has no such note.

    Args:
        session: see above.
        room_id: of the room.
        user_id: who.
        muted: whether it is so from now on.
    """
    mine = (Membership.room_id == room_id, Membership.user_id == user_id)
    session.execute(update(Membership).where(*mine).values(muted=muted))
