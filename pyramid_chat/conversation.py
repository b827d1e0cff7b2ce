"""What was said in a room: its messages in the database, and what clients are told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from pyramid_chat import files, mentions, messages, quotes, reactions, search_index
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


def add(
    session: Session,
    room_id: int,
    version: int,
    user_id: int,
    key: str,
    text: str,
    reply_to: int | None = None,
) -> Message:
    """Keeps a new message.

    Raises:
        sqlalchemy.exc.IntegrityError: its author has used the key.
    """
    message = Message(
        room_id=room_id,
        number=version,
        version=version,
        author_id=user_id,
        key=key,
        text=text,
        reply_to=reply_to,
    )
    session.add(message)
    session.flush()
    search_index.add(session, message)
    mentions.keep(session, message)
    return message


def say(session: Session, version: int, author: Identity, post: Post) -> JSONObject:
    """Keeps a new message with its files, and returns what clients are told of it.

    Raises:
        Refused: a file is not to be had, or the message that it answers is not.
        sqlalchemy.exc.IntegrityError: its author has used the key.
    """
    quote = quotes.find(session, post.room, post.reply_to)
    message = add(session, post.room, version, author.id, post.key, post.text, post.reply_to)
    attached = files.attach(session, post.room, version, author.id, post.files)
    return mentions.attach(session, [told(message, author.name, None, quote, attached)])[0]


def find(session: Session, *conditions: ColumnElement[bool]) -> JSONObject | None:
    """Returns what clients are told of one message; None where there is none."""
    found = _told_all(session, conditions)
    return found[0] if found else None


def at(session: Session, places: list[tuple[int, int]]) -> list[JSONObject]:
    """Returns what clients are told of some messages.

    Args:
        session: to ask.
        places: the room and the number of each, which is the order here, too.
    """
    wanted = tuple_(Message.room_id, Message.number).in_(places)
    found = {
        (one["room"], one["number"]): one for one in _told_all(session, [wanted], None, len(places))
    }
    # A room may have been removed since they were looked for.
    return [found[place] for place in places if place in found]


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


def around(session: Session, room_id: int, number: int, side: str) -> JSONObject:
    """Returns the messages around a number, with the one that has it.

    Args:
        session: to ask.
        room_id: of the room.
        number: of a message, be it there or not.
        side: "both"; "before" or "after": only those, without the one.

    Returns:
        ``earlier`` and ``later`` tell whether there are more; None on the side that is not wanted.
    """
    version = _version(session, room_id)
    here = [Message.room_id == room_id]
    told: JSONObject = {"earlier": None, "later": None}
    page: list[JSONObject] = []
    size = PAGE // 2 if side == "both" else PAGE
    if side != "after":
        upto = Message.number <= number if side == "both" else Message.number < number
        found = _told_all(session, [*here, upto], Message.number.desc(), size + 1)
        page = _fitting(found, size)[::-1]
        told["earlier"] = len(page) < len(found)
    if side != "before":
        behind = [*here, Message.number > number]
        found = _told_all(session, behind, Message.number.asc(), size + 1)
        later = _fitting(found, size)
        page += later
        told["later"] = len(later) < len(found)
    about = {"type": "around", "room": room_id, "number": number, "side": side}
    return about | {"version": version, "messages": page} | told


def page(
    session: Session, request: messages.History | messages.Since | messages.Around
) -> JSONObject:
    """Returns the messages that a client asks for."""
    match request:
        case messages.History():
            return history(session, request.room, request.before)
        case messages.Since():
            return since(session, request.room, request.version)
        case messages.Around():
            return around(session, request.room, request.number, request.side)


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
        select(Message, User.name, remover.name, *quotes.COLUMNS)
        .join(User, User.id == Message.author_id)
        .outerjoin(remover, remover.id == Message.removed_by_id)
        .where(*conditions)
        .order_by(order)
        .limit(limit)
    )
    rows = session.execute(quotes.joined(query)).all()
    places = [(row[0].room_id, row[0].number) for row in rows if not row[0].deleted]
    attached = files.of_messages(session, places)
    found = [
        told(
            message,
            author,
            remover,
            quotes.told(*quoted),
            attached.get((message.room_id, message.number), ()),
        )
        for message, author, remover, *quoted in rows
    ]
    return mentions.attach(session, reactions.attach(session, found))


def _fitting(found: list[JSONObject], most: int = PAGE) -> list[JSONObject]:
    """Returns as many of the first messages as a page of so many may hold."""
    size = 0
    for index, message in enumerate(found[:most]):
        size += len(encode(message))
        if size > PAGE_SIZE * most // PAGE and index:
            return found[:index]
    return found[:most]


def told(
    message: Message,
    author: str,
    remover: str | None = None,
    quote: JSONObject | None = None,
    attached: Sequence[File] = (),
) -> JSONObject:
    """Returns what clients are told of a message, apart from reactions and mentions.

    Args:
        message: it.
        author: the author's name.
        remover: that of the administrator who removed it; None: nobody did.
        quote: what is told of the message that it answers; None: it answers none.
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
        "quote": quote,
        "reactions": [],
        **({"files": [files.told(file) for file in attached]} if attached else {}),
    }


def moment(time: datetime) -> str:
    """Returns a point in time as clients are told it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def edit(session: Session, message: Message, version: int, text: str) -> None:
    """Gives a message another text."""
    message.version, message.edited = version, now()
    mentions.change(session, message, text)
    search_index.change(session, message)


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
    reactions.forget(session, message)
    session.flush()
    search_index.remove(session, message)
    mentions.forget(session, message)
    files.remove_of_message(session, message.room_id, message.number)
