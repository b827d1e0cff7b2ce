"""The pages and their forms."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVarTuple

from pyramid.csrf import new_csrf_token
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.view import view_defaults

from pyramid_chat import invitations, options, passwords, people
from pyramid_chat.browsers import browser_name
from pyramid_chat.database import AWAY, RETRY_AFTER, Database
from pyramid_chat.decorators import view_config
from pyramid_chat.devices import devices_of
from pyramid_chat.errors import TOO_MANY, Problem, secured
from pyramid_chat.limits import seconds
from pyramid_chat.live import live_of
from pyramid_chat.messages import MAX_TEXT, JSONObject
from pyramid_chat.names import MAX_NAME, BadInput, checked_name, folded
from pyramid_chat.rendering import compress
from pyramid_chat.settings import Settings
from pyramid_chat.throttle import Attempt, Throttle

Arguments = TypeVarTuple("Arguments")

# A path of this host, in characters that stand in a header as they are. Browsers take a backslash
# for a slash, and two of them for the beginning of another host.
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def after_commit(
    request: Request, function: Callable[[*Arguments], object], *arguments: *Arguments
) -> None:
    """Has something done when the request's transaction is committed, before its answer leaves."""

    def hook(committed: bool) -> None:
        if committed:
            function(*arguments)

    request.tm.get().addAfterCommitHook(hook)


def read_only(request: Request, **values: object) -> JSONObject:
    """Returns what a page is made of, and sets its headers."""
    secured(request.response)
    return values


def _next(request: Request) -> str:
    """Returns where somebody who signs in wanted to go, if that is a page of this chat."""
    wanted = request.params.get("next", "")
    home: str = request.route_path("chat")
    return wanted if _LOCAL.fullmatch(wanted) else home


def _not_now(request: Request, status: int, wait: float) -> None:
    """Says that somebody may come again."""
    request.response.status_int = status
    request.response.headers["Retry-After"] = str(seconds(wait))


def _settings(request: Request) -> Settings:
    settings: Settings = request.registry.chat_settings
    return settings


def _registration(request: Request) -> bool:
    """Tells whether people may make accounts for themselves at the moment.

    Where the database does not answer, the ini does: its forms are there all the same.
    """
    database: Database = request.registry.chat_database
    settings = _settings(request)
    with suppress(*AWAY), database.session() as session:
        settings = options.effective(session, settings)
    return settings.registration


@view_config(route_name="home", request_method="GET")
def home(request: Request) -> Response:
    """Leads to the chat."""
    return HTTPSeeOther(request.route_path("chat"))


@view_config(
    route_name="chat",
    request_method="GET",
    renderer="pyramid_chat:templates/chat.pt",
    permission="view",
)
@view_config(
    route_name="room",
    request_method="GET",
    renderer="pyramid_chat:templates/chat.pt",
    permission="view",
)
def chat(context: object, request: Request) -> JSONObject:
    """Shows the page, which connects to the chat."""
    database: Database = request.registry.chat_database
    people.seen(database, request.identity.sign_in, _settings(request).session_timeout)
    room_id = getattr(context, "id", None)
    request.add_response_callback(compress)
    settings = _settings(request)
    return read_only(
        request,
        user=request.identity,
        room_id=room_id,
        max_text=MAX_TEXT,
        max_name=MAX_NAME,
        max_file=settings.max_file_size if settings.files else "",
    )


@view_defaults(route_name="sign_in", renderer="pyramid_chat:templates/sign_in.pt")
class SignIn:
    """The form to sign in."""

    def __init__(self, request: Request) -> None:
        self.request = request

    @view_config(request_method="GET")
    def show(self) -> JSONObject | Response:
        """Shows the form to who is not signed in."""
        if self.request.identity is not None:
            return HTTPSeeOther(_next(self.request))
        return self._form()

    @view_config(request_method="POST")
    def submit(self) -> JSONObject | Response:
        """Signs somebody in."""
        request = self.request
        name = request.POST.get("name", "")
        password = request.POST.get("password", "")
        attempt = self._attempt(name)
        if attempt.wait:
            _not_now(request, 429, attempt.wait)
            text = f"That was too often. Try again in {seconds(attempt.wait)} s."
            # Nor does it ask the database whether there is registration.
            return self._form(text, registration=False)
        user_id, kept, disabled = self._account(name)
        try:
            right = passwords.verify(kept, password[: passwords.MAX_PASSWORD + 1])
        except passwords.PoolFull:
            attempt.take_back()
            _not_now(request, 503, RETRY_AFTER)
            return self._form(TOO_MANY)
        if not right:
            request.response.status_int = 400
            return self._form("The name or the password is wrong.")
        if disabled:
            # Only who knows the password learns it.
            request.response.status_int = 403
            return self._form("This account is disabled. Ask who looks after this chat.")
        attempt.take_back()
        assert kept is not None
        new = passwords.hashed(password) if passwords.is_outdated(kept) else kept
        if not people.has_password(request.dbsession, user_id, kept):
            request.response.status_int = 400
            return self._form("The name or the password is wrong.")
        people.set_password(request.dbsession, user_id, new)
        return signed_in(request, user_id)

    def _attempt(self, name: str) -> Attempt:
        """Counts the attempt; one that has to wait does not ask the database for the account.

        Whether a browser is the person's own, the database alone knows. It is asked for browsers
        that somebody has signed in with, not too often for each.
        """
        request = self.request
        throttle: Throttle = request.registry.chat_throttle
        devices = devices_of(request.registry)
        device = devices.device_of(request)
        if device is not None:
            attempt = Attempt()
            attempt.take(throttle.browsers, device, back=False)
            if attempt.wait:
                return attempt
            if not devices.knows(request, self._account(name)[0]):
                device = None
        return throttle.attempt(folded(name), request.remote_addr, device)

    def _account(self, name: str) -> tuple[int, str | None, bool]:
        """Returns the id, the password's hash and whether it is disabled; of nobody 0 and None."""
        database: Database = self.request.registry.chat_database
        with database.session() as session:
            user = people.find(session, name)
            return (user.id, user.password, user.disabled) if user else (0, None, False)

    def _form(self, error: str | None = None, *, registration: bool | None = None) -> JSONObject:
        return read_only(
            self.request,
            name=self.request.POST.get("name", ""),
            next=_next(self.request),
            error=error,
            registration=self._registration() if registration is None else registration,
        )

    def _registration(self) -> bool:
        wanted = _next(self.request)
        return (
            _registration(self.request) or invitations.admitting(self.request, wanted) is not None
        )


@view_defaults(route_name="register", renderer="pyramid_chat:templates/register.pt")
class Register:
    """The form to make an account; for who has a link that admits them, where it is closed."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.token: str | None = None
        if _registration(request):
            return
        self.token = invitations.admitting(request, _next(request))
        if self.token is None:
            text = "Nobody can make an account for themselves. Ask who looks after this chat."
            raise Problem(404, text)

    @view_config(request_method="GET")
    def show(self) -> JSONObject | Response:
        """Shows the form."""
        return self._form()

    @view_config(request_method="POST")
    def submit(self) -> JSONObject | Response:
        """Makes an account and signs its owner in."""
        request = self.request
        throttle: Throttle = request.registry.chat_throttle
        try:
            name = checked_name(request.POST.get("name", ""))
            password = new_password(request)
            if wait := throttle.register(request.remote_addr):
                _not_now(request, 429, wait)
                return self._form(f"Too many accounts at once. Try again in {seconds(wait)} s.")
            kept = passwords.hashed(password)
            user = people.add(request.dbsession, name, kept)
            after = self._join(user.id)
        except BadInput as bad:
            request.response.status_int = 400
            # What was written so far is not kept.
            request.tm.doom()
            return self._form(bad.text, bad.field)
        except passwords.PoolFull:
            _not_now(request, 503, RETRY_AFTER)
            request.tm.doom()
            return self._form(TOO_MANY)
        live = live_of(request.registry)
        for room_id in people.rooms_of(request.dbsession, user.id):
            after_commit(request, live.membership_changed, room_id, user.id)
        return signed_in(request, user.id, after)

    def _join(self, user_id: int) -> str | None:
        """Uses the link that admits somebody; returns the path of the room to which it leads.

        Raises:
            Problem: somebody else has used it meanwhile.
        """
        if self.token is None:
            return None
        used = invitations.use(self.request.dbsession, self.token, user_id, new=True)
        if used is None:
            raise invitations.worthless()
        path: str = self.request.route_path("room", room=used[0])
        return path

    def _form(self, error: str | None = None, wrong: str | None = None) -> JSONObject:
        name = self.request.POST.get("name", "")
        return read_only(
            self.request,
            name=name,
            next=_next(self.request),
            error=error,
            wrong=wrong,
            # The passwords are to be written again, whatever was wrong.
            focus="name" if wrong == "name" or not name else "password",
            max_name=MAX_NAME,
        )


def new_password(request: Request) -> str:
    """Returns the new password of a form, which has it twice.

    Raises:
        BadInput: it cannot be one, or the two are not the same.
    """
    password = passwords.checked_password(request.POST.get("password", ""))
    if password != request.POST.get("password_again", ""):
        raise BadInput("The two passwords are not the same.", "password_again")
    return password


def signed_in(request: Request, user_id: int, after: str | None = None) -> Response:
    """Signs somebody in, who was somebody else before, or nobody.

    Args:
        request: the current one.
        user_id: who.
        after: the path to which they go; None: where they wanted to.
    """
    sign_out_before(request)
    timeout = _settings(request).session_timeout
    browser = browser_name(request.user_agent or "")
    sign_in = people.sign_in(request.dbsession, user_id, timeout, browser)
    after = after or _next(request)
    remember(request, sign_in)
    new_csrf_token(request)
    done = HTTPSeeOther(after)
    devices_of(request.registry).remember(request, done, user_id)
    return done


def sign_out_before(request: Request) -> None:
    """Ends the sign-in of a browser, and its connections with it."""
    if request.identity is not None:
        sign_in = request.identity.sign_in
        people.sign_out(request.dbsession, sign_in)
        after_commit(request, live_of(request.registry).signed_out, sign_in)


@view_config(route_name="sign_out", request_method="POST")
def sign_out(request: Request) -> Response:
    """Signs somebody out."""
    sign_out_before(request)
    forget(request)
    done = HTTPSeeOther(request.route_path("sign_in"))
    # Drafts and what was not sent: whoever comes next at this computer must not find them.
    done.headers["Clear-Site-Data"] = '"storage"'
    return done


__all__ = ("Problem", "after_commit")
