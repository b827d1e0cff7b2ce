"""The page to which a link for a new password leads (``pyramid-chat reset-link``)."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_defaults

from pyramid_chat import accounts, passwords
from pyramid_chat.database import Database
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import Problem
from pyramid_chat.messages import JSONObject
from pyramid_chat.names import BadInput
from pyramid_chat.views import new_password, read_only


@view_defaults(route_name="reset", renderer="pyramid_chat:templates/reset.pt")
class Reset:
    """The form for a new password.

    Raises:
        Problem: the link is not good (any more).
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.token: str = request.matchdict["token"]
        database: Database = request.registry.chat_database
        # To look at the page does not use the link: programs that show previews look at it too.
        with database.session() as session:
            user = accounts.reset_user(session, self.token)
            if user is None:
                raise _worthless()
            self.name = user.name

    @view_config(request_method="GET")
    def show(self) -> JSONObject:
        """Shows the form."""
        return self._form()

    @view_config(request_method="POST")
    def submit(self) -> JSONObject | Response:
        """Sets the password, and leads to the form to sign in with it."""
        request = self.request
        try:
            password = new_password(request)
        except BadInput as bad:
            request.response.status_int = 400
            return self._form(bad.text)
        kept = passwords.hashed(password)
        if accounts.use_reset_link(request.dbsession, self.token, kept) is None:
            raise _worthless()
        return HTTPSeeOther(request.route_path("sign_in"))

    def _form(self, error: str | None = None) -> JSONObject:
        return read_only(self.request, name=self.name, token=self.token, error=error)


def _worthless() -> Problem:
    return Problem(
        404,
        "This link was used already, or is older than an hour."
        " Ask who looks after this chat for another one.",
    )
