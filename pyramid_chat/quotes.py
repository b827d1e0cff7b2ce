"""Replies: what clients are told of the message that another one answers, as it is now."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session, aliased

from pyramid_chat.messages import JSONObject, Refused
from pyramid_chat.models import Message, User

EXCERPT = 200
"""Characters of a message that a reply to it shows at most: pages show one line of them."""

_quoted = aliased(Message)
_author = aliased(User)
_remover = aliased(User)

COLUMNS = (_quoted, _author.name, _remover.name)
"""What a query of messages selects for `told`, if it is `joined`."""


def joined(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Returns a query of messages that finds those that they answer, too."""
    return (
        query.outerjoin(
            _quoted,
            and_(_quoted.room_id == Message.room_id, _quoted.number == Message.reply_to),
        )
        .outerjoin(_author, _author.id == _quoted.author_id)
        .outerjoin(_remover, _remover.id == _quoted.removed_by_id)
    )


def find(session: Session, room_id: int, number: int | None) -> JSONObject | None:
    """Returns what clients are told of a message that is about to be answered.

    Args:
        session: in which nobody else changes the room.
        room_id: of the room of both messages.
        number: of the message; None: none is answered.

    Raises:
        pyramid_chat.messages.Refused: there is none of that number, or it was removed.
    """
    if number is None:
        return None
    found = session.execute(
        select(Message, User.name)
        .join(User, User.id == Message.author_id)
        .where(Message.room_id == room_id, Message.number == number)
    ).one_or_none()
    if found is None:
        raise Refused("no-message", "There is no such message to reply to.")
    if found[0].deleted:
        raise Refused("no-message", "The message that you reply to was removed.")
    return told(*found)


def told(
    quoted: Message | None, author: str | None, remover: str | None = None
) -> JSONObject | None:
    """Returns what clients are told of a message that another one answers.

    Args:
        quoted: it; None: there is none.
        author: its author's name.
        remover: that of the administrator who removed it; None: nobody did.
    """
    if quoted is None:
        return None
    removed_by = {"id": quoted.removed_by_id, "name": remover} if remover is not None else None
    return {
        "number": quoted.number,
        "version": quoted.version,
        "author": {"id": quoted.author_id, "name": author},
        "text": quoted.text[:EXCERPT],
        "edited": quoted.edited is not None,
        "deleted": quoted.deleted,
        "removed_by": removed_by,
    }
