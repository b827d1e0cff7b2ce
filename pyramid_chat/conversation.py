"""What was said in a room: its messages in the database, and what clients are told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, aliased

from pyramid_chat import files
from pyramid_chat.messages import JSONObject, Post, encode
from pyramid_chat.models import File, Message, Room, User, now
from pyramid_chat.people import Identity

PAGE = 50
"""Messages that a client is told at once."""
PAGE_SIZE = 128 * 1024
"""Bytes that they may have together."""


def next_version(session: Session, room_id: int) -> int | None:
    """Allots the next version of a room, whose changes from now on wait for this transaction.

    Returns:
        The version; None where there is no such room.
    """
    return session.scalar(
        update(Room)
        .where(Room.id == room_id)
        .values(version=Room.version + 1)
        .returning(Room.version)
        .execution_options(synchronize_session=False)
    )


def add(session: Session, room_id: int, version: int, user_id: int, key: str, text: str) -> Message:
    """Keeps a new message.

    Raises:
        sqlalchemy.exc.IntegrityError: its author has used the key.
    """
    message = Message(
        room_id=room_id, number=version, version=version, author_id=user_id, key=key, text=text
    )
    session.add(message)
    session.flush()
    return message


def say(session: Session, version: int, author: Identity, post: Post) -> JSONObject:
    """Keeps a new message with its files, and returns what clients are told of it.

    Raises:
        Refused: a file is not to be had.
        sqlalchemy.exc.IntegrityError: its author has used the key.
    """
    message = add(session, post.room, version, author.id, post.key, post.text)
    attached = files.attach(session, post.room, version, author.id, post.files)
    return told(message, author.name, attached=attached)


def find(session: Session, *conditions: ColumnElement[bool]) -> JSONObject | None:
    """Returns what clients are told of one message; None where there is none."""
    found = _told_all(session, conditions)
    return found[0] if found else None


def history(session: Session, room_id: int, before: int | None) -> JSONObject:
    """Returns the page of messages before a number, or of the newest ones."""
    # First: what comes in between may be in the page as well, and is told again.
    version = _version(session, room_id)
    conditions = [Message.room_id == room_id]
    if before is not None:
        conditions.append(Message.number < before)
    found = _told_all(session, conditions, Message.number.desc(), PAGE + 1)
    page = _fitting(found)
    return {
        "type": "history",
        "room": room_id,
        "before": before,
        "version": version,
        "messages": page[::-1],
        "more": len(page) < len(found),
    }


def since(session: Session, room_id: int, after: int) -> JSONObject:
    """Returns the messages that changed after a version, those that changed first."""
    version = _version(session, room_id)
    conditions = [Message.room_id == room_id, Message.version > after]
    found = _told_all(session, conditions, Message.version.asc(), PAGE + 1)
    page = _fitting(found)
    more = len(page) < len(found)
    last = page[-1]["version"] if page else 0
    return {
        "type": "since",
        "room": room_id,
        "from": after,
        "version": last if more else max(version, last),
        "messages": page,
        "more": more,
    }


def _version(session: Session, room_id: int) -> int:
    return session.scalars(select(Room.version).where(Room.id == room_id)).one()


def _told_all(
    session: Session,
    conditions: Iterable[ColumnElement[bool]],
    order: ColumnElement[int] | None = None,
    limit: int = 1,
) -> list[JSONObject]:
    remover = aliased(User)
    query = (
        select(Message, User.name, remover.name)
        .join(User, User.id == Message.author_id)
        .outerjoin(remover, remover.id == Message.removed_by_id)
        .where(*conditions)
        .order_by(order)
        .limit(limit)
    )
    rows = session.execute(query).all()
    places = [(message.room_id, message.number) for message, _, _ in rows if not message.deleted]
    attached = files.of_messages(session, places)
    return [
        told(message, author, remover_name, attached.get((message.room_id, message.number), ()))
        for message, author, remover_name in rows
    ]


def _fitting(messages: list[JSONObject]) -> list[JSONObject]:
    """Returns as many of the first messages as one page may hold."""
    size = 0
    for index, message in enumerate(messages[:PAGE]):
        size += len(encode(message))
        if size > PAGE_SIZE and index:
            return messages[:index]
    return messages[:PAGE]


def told(
    message: Message, author: str, remover: str | None = None, attached: Sequence[File] = ()
) -> JSONObject:
    """Returns what clients are told of a message.

    Args:
        message: it.
        author: the author's name.
        remover: that of the administrator who removed it; None: nobody did.
        attached: the message's files.
    """
    removed_by = {"id": message.removed_by_id, "name": remover} if remover is not None else None
    return {
        "type": "message",
        "room": message.room_id,
        "number": message.number,
        "version": message.version,
        "key": message.key,
        "author": {"id": message.author_id, "name": author},
        "text": message.text,
        "time": moment(message.created),
        "edited": moment(message.edited) if message.edited is not None else None,
        "deleted": message.deleted,
        "removed_by": removed_by,
        **({"files": [files.told(file) for file in attached]} if attached else {}),
    }


def moment(time: datetime) -> str:
    """Returns a point in time as clients are told it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def edit(session: Session, message: Message, version: int, text: str) -> None:
    """Gives a message another text."""
    message.version, message.text, message.edited = version, text, now()
    session.flush()


def remove(session: Session, message: Message, version: int, admin_id: int | None = None) -> None:
    """Forgets what a message said, and removes its files.

    Args:
        session: that may write.
        message: which.
        version: of the room, with that change.
        admin_id: the administrator's who removes it; None: its author does.
    """
    message.version, message.text, message.deleted = version, "", True
    message.removed_by_id = admin_id
    session.flush()
    files.remove_of_message(session, message.room_id, message.number)
