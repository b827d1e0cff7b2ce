"""Files in the database: whose they are, to which message they belong, and which ones go.

The table is the folder's ledger: a file has its row before it is written, and loses it after it was
removed. So whatever breaks off, the row says what has to go (`pyramid_chat.uploads.Uploads.sweep`).
Sessions for changes have to be such as may write.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from pyramid_chat.database import alone
from pyramid_chat.messages import JSONObject, Refused
from pyramid_chat.models import File, now

UNUSED_LIFE = timedelta(hours=1)
"""How long an upload is kept that no message names."""
SWEPT_AT_ONCE = 100
"""Files that are removed at a time."""

_ATTACHED = (File.number.is_not(None), File.removed.is_(False))


class NoRoom(Exception):
    """There are files enough.

    Args:
        mine: it is the person who has too many, and not the chat.
    """

    def __init__(self, mine: bool) -> None:
        super().__init__("the files of a person or of the chat are as large as they may be")
        self.mine = mine


def reserve(
    session: Session, room_id: int, owner_id: int, name: str, size: int, most: tuple[int, int]
) -> str:
    """Takes the place for a file that is to be written.

    Args:
        session: see above.
        room_id: where it is to be shown.
        owner_id: who uploads it.
        name: a clean one.
        size: in bytes.
        most: bytes that one person may have, and all together.

    Returns:
        Its id.

    Raises:
        NoRoom: there is none.
    """
    # Else two uploads would both take what is left.
    alone(session.connection())
    total = select(func.coalesce(func.sum(File.size), 0))
    for mine, query, limit in (
        (True, total.where(File.owner_id == owner_id), most[0]),
        (False, total, most[1]),
    ):
        if int(session.scalars(query).one()) + size > limit:
            raise NoRoom(mine)
    file = File(id=secrets.token_hex(16), room_id=room_id, owner_id=owner_id, name=name, size=size)
    session.add(file)
    session.flush()
    return file.id


def attach(
    session: Session, room_id: int, number: int, owner_id: int, file_ids: Sequence[str]
) -> list[File]:
    """Makes uploads the files of a message.

    Args:
        session: see above.
        room_id: of the message.
        number: of the message.
        owner_id: its author's.
        file_ids: which, in their order.

    Raises:
        pyramid_chat.messages.Refused: one is not there, not theirs, or used already.
    """
    found: list[File] = []
    for place, file_id in enumerate(file_ids):
        file = session.scalar(
            update(File)
            .where(
                File.id == file_id,
                File.room_id == room_id,
                File.owner_id == owner_id,
                File.number.is_(None),
                File.complete,
                File.removed.is_(False),
            )
            .values(number=number, place=place)
            .returning(File)
        )
        if file is None:
            raise Refused(
                "no-file", "A file of that message is not there any more. Attach it again."
            )
        found.append(file)
    return found


def of_messages(
    session: Session, places: Collection[tuple[int, int]]
) -> dict[tuple[int, int], list[File]]:
    """Returns the files of messages.

    Args:
        session: to ask.
        places: room and number of each message.

    Returns:
        By the same, those that have some.
    """
    numbers: dict[int, list[int]] = {}
    for room_id, number in places:
        numbers.setdefault(room_id, []).append(number)
    found: dict[tuple[int, int], list[File]] = {}
    for room_id, of_room in numbers.items():
        query = select(File).where(File.room_id == room_id, File.number.in_(of_room), *_ATTACHED)
        for file in session.scalars(query.order_by(File.number, File.place)):
            assert file.number is not None
            found.setdefault((room_id, file.number), []).append(file)
    return found


def told(file: File) -> JSONObject:
    """Returns what clients are told of a file."""
    about: JSONObject = {"id": file.id, "name": file.name, "size": file.size}
    if file.media_type:
        about |= {"width": file.width, "height": file.height}
    return about


def find(session: Session, room_id: int, file_id: str, user_id: int) -> File | None:
    """Finds a file of a room, which somebody may see; one that is not sent yet, its owner alone."""
    return session.scalar(
        select(File).where(
            File.id == file_id,
            File.room_id == room_id,
            File.complete,
            File.removed.is_(False),
            or_(File.number.is_not(None), File.owner_id == user_id),
        )
    )


# What goes. The folder is looked after by `pyramid_chat.uploads`.


def discard(session: Session, file_id: str, owner_id: int) -> bool:
    """Gives an upload up that was not sent; False where there is none."""
    mine = (File.id == file_id, File.owner_id == owner_id, File.number.is_(None))
    return bool(_remove(session, *mine))


def remove_of_message(session: Session, room_id: int, number: int) -> None:
    """Removes the files of a message."""
    _remove(session, File.room_id == room_id, File.number == number)


def remove_of_room(session: Session, room_id: int) -> None:
    """Removes the files of a room."""
    _remove(session, File.room_id == room_id)


def remove_of_person(session: Session, user_id: int) -> None:
    """Removes what somebody has sent."""
    _remove(session, File.owner_id == user_id)


def _remove(session: Session, *conditions: ColumnElement[bool]) -> Sequence[str]:
    return session.scalars(
        update(File)
        .where(*conditions, File.removed.is_(False))
        .values(removed=True)
        .returning(File.id)
        .execution_options(synchronize_session=False)
    ).all()


def _due() -> ColumnElement[bool]:
    old = and_(File.number.is_(None), File.created < now() - UNUSED_LIFE)
    return or_(File.removed, old)


def due(session: Session) -> list[str]:
    """Lists files that are to go from the folder: they were removed, or nobody has used them."""
    return list(session.scalars(select(File.id).where(_due()).limit(SWEPT_AT_ONCE)))


def claim(session: Session, file_ids: Iterable[str]) -> Sequence[str]:
    """Removes those of `due` that no message has taken meanwhile, and returns all that may go."""
    return session.scalars(
        update(File)
        .where(File.id.in_(file_ids), _due())
        .values(removed=True)
        .returning(File.id)
        .execution_options(synchronize_session=False)
    ).all()


def forget(session: Session, file_ids: Iterable[str]) -> None:
    """Forgets files that are not in the folder any more."""
    session.execute(delete(File).where(File.id.in_(file_ids)))
