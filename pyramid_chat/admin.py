"""The page of administrators: people and rooms."""

from __future__ import annotations

import logging

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_defaults

from pyramid_chat import accounts, moderation
from pyramid_chat.database import Database
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import Problem
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import User
from pyramid_chat.moderation import MAX_SHOWN
from pyramid_chat.settings import Settings
from pyramid_chat.views import read_only

logger = logging.getLogger("pyramid_chat")


@view_defaults(renderer="pyramid_chat:templates/admin.pt", permission="administer")
class Admin:
    """The page, and what its buttons do. It works without JavaScript.

    What an administrator does is noted in the log.
    """

    def __init__(self, request: Request) -> None:
        self.request = request

    @view_config(route_name="admin", request_method="GET")
    def show(self) -> JSONObject:
        """Shows the page."""
        return self._page()

    @view_config(route_name="admin_person", request_method="POST", match_param="action=disable")
    def disable(self) -> Response:
        """Signs somebody out, who cannot sign in any more."""
        user = self._person()
        if user.id == self.request.identity.id:
            raise Problem(409, "That is you. Another administrator can do that.")
        accounts.disable(self.request.dbsession, user)
        return self._done("disabled", user.name)

    @view_config(route_name="admin_person", request_method="POST", match_param="action=enable")
    def enable(self) -> Response:
        """Lets somebody sign in again."""
        user = self._person()
        accounts.enable(self.request.dbsession, user)
        return self._done("enabled", user.name)

    @view_config(route_name="admin_person", request_method="POST", match_param="action=sign-out")
    def sign_out(self) -> Response:
        """Ends all sign-ins of somebody."""
        user = self._person()
        accounts.sign_out(self.request.dbsession, user)
        return self._done("signed out", user.name)

    @view_config(route_name="admin_person", request_method="POST", match_param="action=reset-link")
    def reset_link(self) -> JSONObject:
        """Makes a link for a new password, and shows it, once."""
        request = self.request
        user = self._person()
        if user.disabled:
            raise Problem(409, f"{user.name} is disabled.")
        token = accounts.make_reset_link(request.dbsession, user)
        self._note("made a link for a new password of", user.name)
        settings: Settings = request.registry.chat_settings
        base = settings.public_url or request.application_url
        page = self._page(link=f"{base}/reset/{token}", link_name=user.name)
        request.response.headers["Cache-Control"] = "no-store"
        return page

    @view_config(route_name="admin_room", request_method="POST", match_param="action=enter")
    def enter_room(self) -> Response:
        """Puts who asks into a room."""
        room_id = int(self.request.matchdict["id"])
        name = moderation.enter_room(self.request.dbsession, room_id, self.request.identity.id)
        if name is None:
            raise HTTPNotFound
        self._note("entered the room", name)
        return HTTPSeeOther(self.request.route_path("room", room=room_id))

    @view_config(route_name="admin_room", request_method="POST", match_param="action=remove")
    def remove_room(self) -> Response:
        """Removes a room, with its messages."""
        room_id = int(self.request.matchdict["id"])
        name = moderation.remove_room(self.request.dbsession, room_id, self.request.identity.id)
        if name is None:
            raise HTTPNotFound
        return self._done("removed the room", name)

    def _person(self) -> User:
        """Finds whom a button is for.

        Raises:
            pyramid.httpexceptions.HTTPNotFound: there is none.
        """
        found = self.request.dbsession.get(User, int(self.request.matchdict["id"]))
        if found is None or found.removed:
            raise HTTPNotFound
        user: User = found
        return user

    def _note(self, did: str, name: str) -> None:
        logger.warning("administrator %r %s %r", self.request.identity.name, did, name)

    def _done(self, did: str, name: str) -> Response:
        self._note(did, name)
        words = self.request.POST.get("q", "")
        query = {"q": words} if words else None
        return HTTPSeeOther(self.request.route_path("admin", _query=query))

    def _page(self, link: str | None = None, link_name: str = "") -> JSONObject:
        words = " ".join(self.request.params.get("q", "").split())
        database: Database = self.request.registry.chat_database
        with database.session() as session:
            people = moderation.find_people(session, words)
            rooms = moderation.find_rooms(session, words)
        return read_only(
            self.request,
            user=self.request.identity,
            q=words,
            people=people[:MAX_SHOWN],
            rooms=rooms[:MAX_SHOWN],
            more=len(people) > MAX_SHOWN or len(rooms) > MAX_SHOWN,
            link=link,
            link_name=link_name,
        )
