"""What the page asks for by HTTP: JSON answers to forms."""

from __future__ import annotations

import re

from pyramid.request import Request

from pyramid_chat import catalog, conversation, mentions, people, rooms
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import Problem, rate_limited
from pyramid_chat.live import live_of
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import PRIVATE, PUBLIC, User
from pyramid_chat.names import MAX_ROOM_NAME, BadInput, checked_name, checked_topic
from pyramid_chat.rooms import RoomContext
from pyramid_chat.views import after_commit

MAX_DIGITS = 6
"""Fewer digits than that the number of a page has."""
_PLACE = re.compile(r"(?P<room>[0-9]{1,9})-(?P<number>[0-9]{1,9})")


def limit(request: Request) -> None:
    """Lets somebody ask only so much."""
    if wait := live_of(request.registry).requests.take(request.identity.id):
        raise rate_limited(wait)


def _limit_changes(request: Request) -> None:
    """Lets somebody make only so many changes that others hear of."""
    limit(request)
    if wait := live_of(request.registry).changes.take(request.identity.id):
        raise rate_limited(wait)


def _limit_rooms(request: Request) -> None:
    """Lets somebody make, and put others into, only so many rooms."""
    limit(request)
    if wait := live_of(request.registry).rooms.take(request.identity.id):
        raise rate_limited(wait)


def _changed(request: Request, room_id: int, *user_ids: int) -> None:
    """Has those told whom a new or ended membership concerns."""
    for user_id in user_ids:
        after_commit(request, live_of(request.registry).membership_changed, room_id, user_id)


def _room(request: Request, room_id: int) -> JSONObject:
    """Returns a room as who asks sees it now."""
    context = rooms.load(request.dbsession, room_id, request.identity.id)
    if context is None:
        raise Problem(404, "There is no such room.")
    return rooms.told_of(request.dbsession, context)


def _other(request: Request) -> User:
    """Finds the person that a form names.

    Raises:
        BadInput: there is none, or it is who asks.
    """
    user = people.find(request.dbsession, request.POST.get("name", ""))
    if user is None:
        raise BadInput("There is nobody of that name.", "name")
    if user.id == request.identity.id:
        raise BadInput("That is you.", "name")
    return user


@view_config(route_name="rooms", request_method="GET", renderer="json", permission="view")
def public_rooms(request: Request) -> JSONObject:
    """Lists public rooms, a page of them, by a part of their names or topics."""
    limit(request)
    page = request.GET.get("page", "0")
    if not (page.isascii() and page.isdigit() and len(page) < MAX_DIGITS):
        raise BadInput("A page is a number.", "page")
    words = request.GET.get("q", "")
    return catalog.public_rooms(request.dbsession, request.identity.id, words, int(page))


@view_config(route_name="rooms", request_method="POST", renderer="json", permission="create")
def create(request: Request) -> JSONObject:
    """Makes a room."""
    _limit_rooms(request)
    kind = request.POST.get("kind", PUBLIC)
    if kind not in (PUBLIC, PRIVATE):
        raise BadInput("A room is public or private.", "kind")
    name = checked_name(request.POST.get("name", ""), MAX_ROOM_NAME)
    topic = checked_topic(request.POST.get("topic", ""))
    room_id = catalog.create(request.dbsession, request.identity.id, kind, name, topic)
    _changed(request, room_id, request.identity.id)
    request.response.status_int = 201
    return _room(request, room_id)


@view_config(route_name="room_edit", request_method="POST", renderer="json")
def edit(context: RoomContext, request: Request) -> JSONObject:
    """Gives a room another name or topic."""
    _limit_changes(request)
    name, topic = request.POST.get("name"), request.POST.get("topic")
    for value, permission in ((name, "rename"), (topic, "topic")):
        if value is not None and not request.has_permission(permission, context):
            raise Problem(
                403, f"You may not change the {permission.replace('re', '')} of this room."
            )
    catalog.change(
        request.dbsession,
        context.id,
        checked_name(name, MAX_ROOM_NAME) if name is not None else None,
        checked_topic(topic) if topic is not None else None,
    )
    after_commit(request, live_of(request.registry).room_changed, context.id)
    return _room(request, context.id)


@view_config(route_name="room_join", request_method="POST", renderer="json", permission="join")
def join(context: RoomContext, request: Request) -> JSONObject:
    """Makes who asks a member."""
    _limit_changes(request)
    if rooms.join(request.dbsession, context.id, request.identity.id):
        _changed(request, context.id, request.identity.id)
    return _room(request, context.id)


@view_config(route_name="room_leave", request_method="POST", renderer="json", permission="leave")
def leave(context: RoomContext, request: Request) -> JSONObject:
    """Ends the membership of who asks."""
    _limit_changes(request)
    rooms.leave(request.dbsession, context.id, request.identity.id)
    _changed(request, context.id, request.identity.id)
    return {"id": context.id}


@view_config(route_name="room_invite", request_method="POST", renderer="json", permission="invite")
def invite(context: RoomContext, request: Request) -> JSONObject:
    """Makes somebody else a member."""
    _limit_rooms(request)
    user = _other(request)
    if not rooms.join(request.dbsession, context.id, user.id, invited=True):
        raise Problem(409, f"{user.name} is in this room already.", "name")
    _changed(request, context.id, user.id)
    return {"id": user.id, "name": user.name}


@view_config(route_name="mentions", request_method="GET", renderer="json", permission="view")
def mentioned(request: Request) -> JSONObject:
    """Lists the messages that mention who asks, a page of them, the newest first."""
    limit(request)
    before = request.GET.get("before")
    place = None
    if before is not None:
        match = _PLACE.fullmatch(before)
        if match is None:
            raise BadInput("A page begins behind a message: its room and its number.", "before")
        place = int(match["room"]), int(match["number"])
    request.response.headers["Cache-Control"] = "no-store"
    found, more = mentions.places(request.dbsession, request.identity.id, place)
    return {"mentions": conversation.at(request.dbsession, found), "more": more}


@view_config(route_name="direct", request_method="POST", renderer="json", permission="create")
def direct(request: Request) -> JSONObject:
    """Finds or makes the room of who asks and somebody else."""
    limit(request)
    user = _other(request)
    room_id, new = rooms.direct(request.dbsession, request.identity.id, user.id)
    if new:
        # What was made is undone with the transaction.
        _limit_rooms(request)
        _changed(request, room_id, request.identity.id, user.id)
    return _room(request, room_id)


@view_config(route_name="people", request_method="GET", renderer="json", permission="view")
def search(request: Request) -> JSONObject:
    """Finds people by a part of their names."""
    limit(request)
    here = live_of(request.registry).presence.online() or set()
    found = people.search(request.dbsession, request.GET.get("q", ""))
    return {"people": [one | {"online": one["id"] in here} for one in found]}


@view_config(route_name="session", request_method="GET", renderer="json", permission="view")
def session(request: Request) -> JSONObject:
    """Says who is signed in."""
    request.response.headers["Cache-Control"] = "no-store"
    return {"user": request.identity.person}
