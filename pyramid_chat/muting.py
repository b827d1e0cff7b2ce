"""Somebody mutes a room: all of their pages are told, and nobody else."""

from __future__ import annotations

from pyramid.request import Request

from pyramid_chat import memberships, rooms
from pyramid_chat.api import limit
from pyramid_chat.database import Database
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import Problem
from pyramid_chat.live import Live, live_of, user_name
from pyramid_chat.messages import JSONObject
from pyramid_chat.names import BadInput
from pyramid_chat.rooms import RoomContext
from pyramid_chat.views import after_commit


@view_config(route_name="room_mute", request_method="POST", renderer="json", permission="view")
def mute(context: RoomContext, request: Request) -> JSONObject:
    """Has who asks told only of mentions in the room, or of everything again."""
    limit(request)
    if not context.member:
        raise Problem(403, "Join the room first.")
    muted = request.POST.get("muted", "")
    if muted not in ("true", "false"):
        raise BadInput("A room is muted or not: true or false.", "muted")
    user_id = request.identity.id
    memberships.mute(request.dbsession, context.id, user_id, muted == "true")
    registry = request.registry
    live, database = live_of(registry), registry.chat_database
    after_commit(request, tell, live, database, context.id, user_id)
    return {"id": context.id, "muted": muted == "true"}


def tell(live: Live, database: Database, room_id: int, user_id: int) -> None:
    """Tells somebody's pages in all processes whether a room is muted: what the database says now.

    Args:
        live: the connections.
        database: to look into.
        room_id: of the room.
        user_id: whose pages.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        pyramid_chat.limits.Busy: somebody else changes their memberships for too long.
    """
    # Of two changes at once, what is told last is so.
    with live.user(user_id):
        with database.session() as session:
            context = rooms.load(session, room_id, user_id)
        if context is not None and context.member:
            event = {"type": "muted", "room": room_id, "muted": context.muted}
            live.tell(event, user_name(user_id))
