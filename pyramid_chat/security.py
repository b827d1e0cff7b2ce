"""Who may do what: the security policy, the contexts of the views, sessions and CSRF tokens."""

from __future__ import annotations

from pyramid.authorization import ACLHelper, Allow, Authenticated
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.security import Allowed, Denied
from pyramid.session import SignedCookieSessionFactory
from sqlalchemy.orm import Session

from pyramid_chat import people, rooms
from pyramid_chat.csrf import MaskedTokens
from pyramid_chat.database import Database
from pyramid_chat.devices import Devices
from pyramid_chat.messages import MAX_ID
from pyramid_chat.people import Identity
from pyramid_chat.settings import Settings

REISSUE = 600
"""Seconds after which a cookie in use is made anew, so that it does not run out."""
SIGN_IN = "sign_in"
"""Where the session holds the id of the sign-in."""


ADMINS = "group:admins"
"""What access control lists know administrators by."""


class Root:
    """The context of everything but a single room.

    Args:
        request: the current one.
    """

    __acl__ = (
        (Allow, Authenticated, ("view", "create")),
        (Allow, ADMINS, "administer"),
    )

    def __init__(self, request: Request) -> None:
        self.request = request


class Nowhere:
    """The context of a room for who is not signed in, be there such a room or not."""

    __acl__ = ()


def room_factory(request: Request) -> rooms.RoomContext | Nowhere:
    """Finds the room of a route.

    Raises:
        pyramid.httpexceptions.HTTPNotFound: there is none, or it may not be seen.
    """
    return find_room(request, request.dbsession)


def find_room(request: Request, session: Session) -> rooms.RoomContext | Nowhere:
    """Finds the room of a route, by a session of the caller's; see `room_factory`."""
    identity: Identity | None = request.identity
    if identity is None:
        return Nowhere()
    number = int(request.matchdict["room"])
    context = rooms.load(session, number, identity.id) if number <= MAX_ID else None
    if context is None or not request.has_permission("view", context):
        raise HTTPNotFound
    return context


class SecurityPolicy:
    """Asks the session who is signed in, and the context's access control list what they may do."""

    def __init__(self) -> None:
        self._acl = ACLHelper()

    def identity(self, request: Request) -> Identity | None:
        """Returns who is signed in; None stands for nobody."""
        identity: Identity | None = request.chat_identity
        return identity

    def authenticated_userid(self, request: Request) -> str | None:
        """Returns the user's id."""
        identity = self.identity(request)
        return str(identity.id) if identity is not None else None

    def permits(self, request: Request, context: object, permission: str) -> Allowed | Denied:
        """Decides whether who is signed in has a permission on a context."""
        identity = self.identity(request)
        who = rooms.principals(identity.id if identity is not None else None)
        if identity is not None and identity.admin:
            who.append(ADMINS)
        return self._acl.permits(context, who, permission)

    def remember(self, request: Request, userid: str, **options: object) -> list[tuple[str, str]]:
        """Notes a sign-in in a new session.

        Args:
            request: whose session it is.
            userid: the id of the sign-in.
            **options: unused; part of Pyramid's interface.
        """
        # Nobody else may have known the session, or its CSRF token.
        request.session.invalidate()
        request.session[SIGN_IN] = userid
        return []

    def forget(self, request: Request, **options: object) -> list[tuple[str, str]]:
        """Ends the session."""
        request.session.invalidate()
        return []


def _identity(request: Request) -> Identity | None:
    sign_in = request.session.get(SIGN_IN)
    if not isinstance(sign_in, str):
        return None
    database: Database = request.registry.chat_database
    settings: Settings = request.registry.chat_settings
    # By a session of its own: that of the request may begin with a write.
    with database.session() as session:
        return people.identify(session, sign_in, settings.session_timeout)


def includeme(config: Configurator) -> None:
    """Sets the root factory, the security policy, sessions and CSRF protection."""
    settings: Settings = config.registry.chat_settings
    config.set_root_factory(Root)
    config.set_security_policy(SecurityPolicy())
    config.add_request_method(_identity, "chat_identity", reify=True)
    secret = settings.secret()
    config.registry.chat_devices = Devices(secret, secure=settings.secure_cookies)
    config.set_session_factory(
        SignedCookieSessionFactory(
            secret,
            cookie_name="chat_session",
            max_age=settings.session_timeout,
            timeout=settings.session_timeout,
            reissue_time=min(REISSUE, settings.session_timeout // 2),
            httponly=True,
            samesite="Lax",
            secure=settings.secure_cookies,
        )
    )
    config.set_default_csrf_options(require_csrf=True)
    config.set_csrf_storage_policy(MaskedTokens())
