"""The page of one's own account: name, password, sign-ins."""

from __future__ import annotations

from datetime import datetime

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_defaults

from pyramid_chat import accounts, passwords
from pyramid_chat.database import Database
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import rate_limited
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import User
from pyramid_chat.names import MAX_NAME, BadInput, checked_name
from pyramid_chat.throttle import Throttle
from pyramid_chat.views import new_password, read_only

DONE = {
    "name": "You have another name.",
    "password": "You have another password. All other browsers are signed out.",
    "sign-out": "That browser is signed out.",
    "others": "All other browsers are signed out.",
}
"""What is said on the page after a change."""


@view_defaults(renderer="pyramid_chat:templates/account.pt", permission="view")
class Account:
    """The page, and what its forms do. It works without JavaScript."""

    def __init__(self, request: Request) -> None:
        self.request = request

    @view_config(route_name="account", request_method="GET")
    def show(self) -> JSONObject:
        """Shows the page."""
        return self._page(done=DONE.get(self.request.GET.get("done", "")))

    @view_config(route_name="account_name", request_method="POST")
    def name(self) -> JSONObject | Response:
        """Gives who asks another name."""
        self._limit()
        try:
            name = checked_name(self.request.POST.get("name", ""))
            accounts.rename(self.request.dbsession, self._user(), name)
        except BadInput as bad:
            return self._refused(name_error=bad.text)
        return self._done("name")

    @view_config(route_name="account_password", request_method="POST")
    def password(self) -> JSONObject | Response:
        """Gives who asks another password, if they know the one before."""
        self._limit()
        request = self.request
        database: Database = request.registry.chat_database
        with database.session() as session:
            kept = session.get_one(User, request.identity.id).password
        current = request.POST.get("current", "")[: passwords.MAX_PASSWORD + 1]
        if not passwords.verify(kept, current):
            return self._refused(password_error="That is not your current password.")
        try:
            new = passwords.hashed(new_password(request))
        except BadInput as bad:
            return self._refused(password_error=bad.text)
        accounts.set_password(request.dbsession, self._user(), new, request.identity.sign_in)
        return self._done("password")

    @view_config(route_name="account_sign_out", request_method="POST")
    def sign_out(self) -> Response:
        """Ends one sign-in, or all but that of the browser which asks."""
        request = self.request
        which = request.POST.get("which", "")
        if which == "others":
            accounts.sign_out(request.dbsession, self._user(), request.identity.sign_in)
            return self._done("others")
        # Whoever did that in another tab is told the same.
        accounts.end_sign_in(request.dbsession, request.identity.id, which)
        return self._done("sign-out")

    def _user(self) -> User:
        user: User = self.request.dbsession.get_one(User, self.request.identity.id)
        return user

    def _limit(self) -> None:
        throttle: Throttle = self.request.registry.chat_throttle
        if wait := throttle.changes.take(self.request.identity.id):
            raise rate_limited(wait)

    def _done(self, what: str) -> Response:
        return HTTPSeeOther(self.request.route_path("account", _query={"done": what}))

    def _refused(self, **errors: str) -> JSONObject:
        self.request.response.status_int = 400
        # What was written so far is not kept.
        self.request.tm.doom()
        return self._page(**errors)

    def _page(
        self,
        *,
        done: str | None = None,
        name_error: str | None = None,
        password_error: str | None = None,
    ) -> JSONObject:
        database: Database = self.request.registry.chat_database
        mine = self.request.identity
        with database.session() as session:
            sign_ins = [
                {
                    "digest": accounts.digest(one.id),
                    "mine": one.id == mine.sign_in,
                    "browser": one.browser or "A browser",
                    "created": day(one.created) if one.created is not None else None,
                    "seen": day(one.seen),
                }
                for one in accounts.sign_ins(session, mine.id)
            ]
        return read_only(
            self.request,
            name=self.request.POST.get("name", mine.name),
            user=mine,
            sign_ins=sign_ins,
            done=done,
            name_error=name_error,
            password_error=password_error,
            max_name=MAX_NAME,
        )


def day(time: datetime) -> str:
    """Returns a date (UTC) as pages without JavaScript show it: "2 January 2026"."""
    return f"{time.day} {time:%B %Y}"
