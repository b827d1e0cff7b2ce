"""The search: messages of the rooms that somebody may see, by their words."""

from __future__ import annotations

from pyramid.request import Request
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pyramid_chat.conversation import moment
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import rate_limited
from pyramid_chat.limits import Limit
from pyramid_chat.messages import MAX_ID, JSONObject
from pyramid_chat.models import DIRECT, PUBLIC, Membership, Message, Room, User
from pyramid_chat.names import BadInput
from pyramid_chat.search_index import ENTRIES, FTS5, matches
from pyramid_chat.words import Term, excerpt, parse

MAX_QUERY = 200
"""Characters of what somebody looks for."""
PAGE = 20
"""Messages that are told at once."""
SEARCHES = (60, 20)
"""Searches a minute, and at once: a page searches while somebody types."""
MAX_ENTRY = 2**63 - 1
"""The greatest id of an entry that a database takes."""


def find(
    session: Session,
    user_id: int,
    terms: list[Term],
    *,
    room_id: int | None = None,
    before: int | None = None,
) -> JSONObject:
    """Finds messages, the newest first.

    Args:
        session: to ask.
        user_id: who asks; they are told only of rooms that they may see.
        terms: that a message must have, all of them; none find nothing.
        room_id: where to look; None: everywhere.
        before: the ``next`` of the page before; None: begins with the newest.

    Returns:
        ``hits`` of one page, and ``next``: what comes before the next one; None: there is none.
    """
    if not terms:
        return {"hits": [], "next": None}
    sqlite = session.get_bind().dialect.name == "sqlite"
    mine = select(Membership.room_id).where(Membership.user_id == user_id)
    query = (
        select(ENTRIES.c.id, Message, User.name, Room)
        .join(
            Message, (ENTRIES.c.room_id == Message.room_id) & (ENTRIES.c.number == Message.number)
        )
        .join(Room, Room.id == Message.room_id)
        .join(User, User.id == Message.author_id)
        .where(*matches(sqlite, terms))
        # What `pyramid_chat.rooms.RoomContext` calls "view".
        .where(or_(Room.kind == PUBLIC, Room.id.in_(mine)), Room.archived.is_(None))
        .limit(PAGE + 1)
    )
    # Of SQLite that of the index, which is read in this order.
    id_ = FTS5.c.rowid if sqlite else ENTRIES.c.id
    query = query.order_by(id_.desc())
    if before is not None:
        query = query.where(id_ < before)
    if room_id is not None:
        query = query.where(Room.id == room_id)
    found = session.execute(query).all()
    others = _others(session, user_id, {room.id for *_, room in found if room.kind == DIRECT})
    hits = [
        {
            "room": {
                "id": room.id,
                "kind": room.kind,
                "name": others.get(room.id, "") if room.kind == DIRECT else room.name,
            },
            "number": message.number,
            "author": {"id": message.author_id, "name": author},
            "time": moment(message.created),
            "excerpt": excerpt(message.text, terms),
        }
        for _, message, author, room in found[:PAGE]
    ]
    return {"hits": hits, "next": found[PAGE - 1][0] if len(found) > PAGE else None}


def _others(session: Session, user_id: int, room_ids: set[int]) -> dict[int, str]:
    """Returns the names of those whom somebody talks to in direct rooms, by room."""
    query = (
        select(Membership.room_id, User.name)
        .join(User, User.id == Membership.user_id)
        .where(Membership.room_id.in_(room_ids), User.id != user_id)
    )
    return {row.room_id: row.name for row in session.execute(query)} if room_ids else {}


@view_config(route_name="search", request_method="GET", renderer="json", permission="view")
def search(request: Request) -> JSONObject:
    """Finds messages by their words, a page of them."""
    searches: Limit = request.registry.chat_searches
    if wait := searches.take(request.identity.id):
        raise rate_limited(wait)
    words = request.GET.get("q", "")
    if len(words) > MAX_QUERY:
        raise BadInput(f"Look for at most {MAX_QUERY} characters.", "q")
    room_id = _number(request, "room", MAX_ID)
    before = _number(request, "before", MAX_ENTRY)
    # Others' messages are nothing for a cache.
    request.response.headers["Cache-Control"] = "no-store"
    return find(
        request.dbsession, request.identity.id, parse(words), room_id=room_id, before=before
    )


def _number(request: Request, name: str, most: int) -> int | None:
    """Returns a number of the query; None where there is none.

    Raises:
        BadInput: it is no positive integer, or too large.
    """
    value = request.GET.get(name, "")
    if not value:
        return None
    # So many digits are no work.
    if value.isascii() and value.isdigit() and len(value) < 20 and 0 < int(value) <= most:
        return int(value)
    raise BadInput("A room or a page is a number.", name)
