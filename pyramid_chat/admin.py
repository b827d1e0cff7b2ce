"""The page of administrators: people and rooms, registration and limits, and who did what."""

from __future__ import annotations

from datetime import datetime

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_defaults

from pyramid_chat import accounts, audit, moderation, options
from pyramid_chat.account import day
from pyramid_chat.database import Database
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import Problem
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import User
from pyramid_chat.moderation import MAX_SHOWN
from pyramid_chat.names import BadInput
from pyramid_chat.rooms import TooMany
from pyramid_chat.settings import Settings
from pyramid_chat.views import read_only


@view_defaults(renderer="pyramid_chat:templates/admin.pt", permission="administer")
class Admin:
    """The page, and what its buttons do. It works without JavaScript.

    What an administrator does is noted, see `pyramid_chat.audit`.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.settings: Settings = request.registry.chat_settings

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
        return self._done("disable", user)

    @view_config(route_name="admin_person", request_method="POST", match_param="action=enable")
    def enable(self) -> Response:
        """Lets somebody sign in again."""
        user = self._person()
        accounts.enable(self.request.dbsession, user)
        return self._done("enable", user)

    @view_config(route_name="admin_person", request_method="POST", match_param="action=sign-out")
    def sign_out(self) -> Response:
        """Ends all sign-ins of somebody."""
        user = self._person()
        accounts.sign_out(self.request.dbsession, user)
        return self._done("sign-out", user)

    @view_config(route_name="admin_person", request_method="POST", match_param="action=reset-link")
    def reset_link(self) -> JSONObject:
        """Makes a link for a new password, and shows it, once."""
        request = self.request
        user = self._person()
        if user.disabled:
            raise Problem(409, f"{user.name} is disabled.")
        token = accounts.make_reset_link(request.dbsession, user)
        audit.record(request.dbsession, request.identity, "reset-link", user=user)
        base = self.settings.public_url or request.application_url
        page = self._page(link=f"{base}/reset/{token}", link_name=user.name)
        request.response.headers["Cache-Control"] = "no-store"
        return page

    @view_config(route_name="admin_room", request_method="POST", match_param="action=reopen")
    def reopen_room(self) -> JSONObject | Response:
        """Puts somebody into an archived room."""
        request = self.request
        room_id, name = int(request.matchdict["id"]), request.POST.get("name", "")
        try:
            found = moderation.reopen_room(request.dbsession, room_id, name, request.identity)
        except BadInput as bad:
            return self._refused(bad.text)
        except TooMany as many:
            return self._refused(str(many))
        if found is None:
            raise HTTPNotFound
        return self._back()

    @view_config(route_name="admin_room", request_method="POST", match_param="action=remove")
    def remove_room(self) -> Response:
        """Removes a room, with its messages."""
        room_id = int(self.request.matchdict["id"])
        if moderation.remove_room(self.request.dbsession, room_id, self.request.identity) is None:
            raise HTTPNotFound
        return self._back()

    @view_config(
        route_name="admin_options", request_method="POST", match_param="action=registration"
    )
    def registration(self) -> JSONObject | Response:
        """Lets people make accounts for themselves, or no more."""
        return self._change(options.REGISTRATION)

    @view_config(route_name="admin_options", request_method="POST", match_param="action=limits")
    def limits(self) -> JSONObject | Response:
        """Sets how many messages one person may send."""
        return self._change(*options.LIMITS)

    def _change(self, *names: str) -> JSONObject | Response:
        session, admin = self.request.dbsession, self.request.identity
        values = {name: self.request.POST.get(name, "") for name in names}
        try:
            if options.change(session, self.settings, admin.id, values):
                audit.record(session, admin, *self._changed(names[0]))
        except BadInput as bad:
            return self._refused(bad.text)
        return self._back()

    def _changed(self, name: str) -> tuple[str, str]:
        """Returns what was done, and how things are now."""
        now = options.effective(self.request.dbsession, self.settings)
        if name == options.REGISTRATION:
            return ("open-registration" if now.registration else "close-registration"), ""
        rate, burst = now.messages_per_minute, now.message_burst
        return "limit-messages", f"{rate:.10g} a minute, {burst} at once"

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

    def _done(self, action: str, user: User) -> Response:
        audit.record(self.request.dbsession, self.request.identity, action, user=user)
        return self._back()

    def _back(self) -> Response:
        words = self.request.POST.get("q", "")
        query = {"q": words} if words else None
        return HTTPSeeOther(self.request.route_path("admin", _query=query))

    def _refused(self, error: str) -> JSONObject:
        self.request.response.status_int = 400
        # What was written so far is not kept.
        self.request.tm.doom()
        return self._page(error=error)

    def _page(
        self, *, link: str | None = None, link_name: str = "", error: str | None = None
    ) -> JSONObject:
        words = " ".join(self.request.params.get("q", "").split())
        database: Database = self.request.registry.chat_database
        with database.session() as session:
            people = moderation.find_people(session, words)
            rooms = moderation.find_rooms(session, words)
            now = options.effective(session, self.settings)
            entries = audit.newest(session)
        return read_only(
            self.request,
            user=self.request.identity,
            q=words,
            people=people[:MAX_SHOWN],
            rooms=rooms[:MAX_SHOWN],
            more=len(people) > MAX_SHOWN or len(rooms) > MAX_SHOWN,
            link=link,
            link_name=link_name,
            error=error,
            now=now,
            ini=self.settings,
            entries=entries,
            day=day,
            minute=minute,
            plain="{:.10g}".format,
        )


def minute(time: datetime) -> str:
    """Returns a time (UTC) as pages without JavaScript show it: "2 January 2026, 03:04 UTC"."""
    return f"{day(time)}, {time:%H:%M} UTC"
