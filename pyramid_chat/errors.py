"""What people and pages are told when something cannot be done."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.csrf import BadCSRFOrigin, BadCSRFToken
from pyramid.events import ContextFound
from pyramid.httpexceptions import HTTPException, HTTPSeeOther, HTTPServiceUnavailable
from pyramid.registry import Registry
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import EXCVIEW
from sqlalchemy.exc import InterfaceError, OperationalError

from pyramid_chat.database import RETRY_AFTER, is_away
from pyramid_chat.decorators import (
    exception_view_config,
    forbidden_view_config,
    notfound_view_config,
)
from pyramid_chat.limits import Busy, seconds
from pyramid_chat.names import BadInput
from pyramid_chat.passwords import PoolFull
from pyramid_chat.rooms import TooMany
from pyramid_chat.settings import Settings

logger = logging.getLogger("pyramid_chat")

# No inline script, and nothing from elsewhere.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        # The htmlfile transport receives in a frame.
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

FORM = "application/x-www-form-urlencoded"
OCTETS = "application/octet-stream"
"""What a file is sent as, and what it is served as where it is no picture that was made here."""

JSON_ROUTES = frozenset(
    {
        *("rooms", "room_edit", "room_join", "room_leave", "room_invite", "room_mute"),
        *("room_invitations", "room_invitation_revoke", "room_files", "room_file_discard"),
        *("direct", "people", "search", "mentions", "session"),
    }
)
"""Routes whose answers programs read."""

MAX_FORM = 10 * 1024
"""Bytes of a form: the longest password twice, each character percent-encoded."""
NOT_FOUND = "There is no such page, or it is not yours."
TOO_MANY = "Too many people sign in at the moment. Please try again soon."


class Problem(Exception):
    """A request of the page that is not granted.

    Args:
        status: of HTTP.
        text: one sentence for people.
        field: of the form, where one is wrong.
        retry_after: seconds.
    """

    def __init__(
        self, status: int, text: str, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.field = field
        self.retry_after = retry_after


def secured(response: Response) -> None:
    """Sets the headers of every page."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-cache"


def answer(
    request: Request,
    status: int,
    title: str,
    sentence: str,
    *,
    field: str | None = None,
    retry_after: int | None = None,
) -> Response:
    """Makes the answer to a request that is not granted: a page, or JSON for the page's own."""
    response = Response(status=status)
    if request.matched_route is not None and request.matched_route.name in JSON_ROUTES:
        body = {"error": sentence} | ({"field": field} if field is not None else {})
        response.content_type = "application/json"
        response.charset = "UTF-8"
        response.json_body = body
        response.headers["Cache-Control"] = "no-store"
    else:
        values = {"status": status, "title": title, "sentence": sentence}
        response.text = render("pyramid_chat:templates/error.pt", values, request=request)
        secured(response)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


@notfound_view_config()
def not_found(request: Request) -> Response:
    """Says that there is nothing."""
    return answer(request, 404, "Not found", NOT_FOUND)


@forbidden_view_config()
def forbidden(request: Request) -> Response:
    """Sends who is not signed in to the form; says no to who is."""
    if request.identity is not None:
        if request.matched_route is not None and request.matched_route.name == "room":
            return not_found(request)
        return answer(request, 403, "Not allowed", "You may not do that.")
    route = request.matched_route
    page = request.method == "GET" and (route is None or route.name not in JSON_ROUTES)
    if page and request.websocket is None:
        form = request.route_path("sign_in", _query={"next": request.path_qs})
        return HTTPSeeOther(form)
    return answer(request, 401, "Signed out", "You are signed out. Please sign in again.")


@exception_view_config(context=BadCSRFToken)
@exception_view_config(context=BadCSRFOrigin)
def forged(request: Request) -> Response:
    """Says that the form was not this session's."""
    sentence = "That form is out of date. Go back, load the page again, and try once more."
    return answer(request, 400, "Out of date", sentence)


@exception_view_config(context=UnicodeDecodeError)
def garbled(request: Request) -> Response:
    """Says that the URL is none."""
    return answer(request, 400, "Bad request", "That address is garbled.")


@exception_view_config(context=Problem)
def problem(error: Problem, request: Request) -> Response:
    """Says what is wrong."""
    return answer(
        request,
        error.status,
        "That did not work",
        error.text,
        field=error.field,
        retry_after=error.retry_after,
    )


@exception_view_config(context=BadInput)
def bad_input(error: BadInput, request: Request) -> Response:
    """Says which field is wrong."""
    return problem(Problem(400, error.text, error.field), request)


@exception_view_config(context=TooMany)
def too_many(error: TooMany, request: Request) -> Response:
    """Says that there are rooms enough."""
    return problem(Problem(409, str(error)), request)


# What a commit raises comes from outside of the tween.
@exception_view_config(context=OperationalError)
@exception_view_config(context=InterfaceError)
@exception_view_config(context=HTTPServiceUnavailable)
def unavailable(request: Request) -> Response:
    """Says that the database does not answer."""
    sentence = "The chat cannot reach its database at the moment. Please try again soon."
    return answer(request, 503, "Back soon", sentence, retry_after=RETRY_AFTER)


@exception_view_config(context=PoolFull)
def too_many_hashes(request: Request) -> Response:
    """Says that others come first."""
    return answer(request, 503, "Back soon", TOO_MANY, retry_after=RETRY_AFTER)


class Unavailable(HTTPServiceUnavailable):  # type: ignore[misc]
    """The database does not answer."""


def database_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Turns what the database's driver raises into 503, for pages and handshakes alike."""

    def database_tween(request: Request) -> Response:
        try:
            return handler(request)
        except HTTPException:
            raise
        except Exception as error:
            if not (is_away(error) or isinstance(error, Busy)):
                raise
            logger.warning("%s %s: %s", request.method, request.path, error)
            raise Unavailable from error

    return database_tween


def rate_limited(wait: float) -> Problem:
    """Returns what is told to who asks for too much."""
    return Problem(
        429, f"That was too much at once. Go on in {seconds(wait)} s.", retry_after=seconds(wait)
    )


def check_form(event: ContextFound) -> None:
    """Refuses what no form of the chat holds, before it is read.

    Raises:
        Problem: it is larger, or no form; a file, for example.
    """
    request = event.request
    # Pages send UTF-8 alone; WebOb would take the body for what the header says.
    if request.charset.lower() not in ("utf-8", "utf8"):
        raise Problem(400, "That was not UTF-8.")
    if not request.content_length:
        return
    if request.matched_route is not None and request.matched_route.name == "room_files":
        check_upload(request)
        return
    if request.content_length > MAX_FORM:
        raise Problem(413, "That was too much for one form.")
    if request.method == "POST" and request.content_type != FORM:
        raise Problem(415, f"That was no form: a form is {FORM}.")


def check_upload(request: Request) -> None:
    """Refuses what is too large for a file, or is none as pages send it, before it is read.

    No other site has a browser send this type without asking first (CORS).

    Raises:
        Problem: it is.
    """
    settings: Settings = request.registry.chat_settings
    if request.content_length > settings.max_file_size:
        raise Problem(413, f"A file has at most {settings.max_file_size} bytes.", "file")
    if request.content_type != OCTETS:
        raise Problem(415, f"A file is sent as {OCTETS}.", "file")


def includeme(config: Configurator) -> None:
    """Adds the tween, and the check of forms."""
    config.add_subscriber(check_form, ContextFound)
    config.add_tween("pyramid_chat.errors.database_tween_factory", under=EXCVIEW)
