"""A chat on sockjs_bridge: rooms for a team, kept in a database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from wsgiref.types import WSGIApplication

from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from zope.sqlalchemy import register

from pyramid_chat import demo
from pyramid_chat.accounts import TOKEN
from pyramid_chat.changes import Changes
from pyramid_chat.database import Database, alone
from pyramid_chat.limits import Limits
from pyramid_chat.live import Live
from pyramid_chat.models import PUBLIC, Room, User
from pyramid_chat.notices import Watch
from pyramid_chat.search import SEARCHES
from pyramid_chat.settings import CannotStart, Settings
from pyramid_chat.throttle import Throttle
from pyramid_chat.uploads import Uploads
from sockjs_bridge import MembersGone, Notified

FIRST_ROOM = "Lobby"
"""The room that there is at first; whoever makes an account is in it."""


MAX_BODY = 16 * 1024
"""Bytes of a request's body that the server takes; what is too much for a form hears it nicely.

Where files are uploaded, it takes ``chat.max_file_size``."""
PAGE_THREADS = 200
"""The most threads for pages: a server has more where those that it has wait for the database."""


UNSCANNED = ("migrations", "picture_worker", "postgresql", "scripts")
"""Modules that hold no views, and want what is not always there, or are programs of their own."""


def main(global_config: Mapping[str, str] | None = None, **settings: object) -> WSGIApplication:
    """Makes the application (``paste.app_factory``).

    Args:
        global_config: the ini's ``[DEFAULT]``; its ``here`` is the folder for the chat's files.
        **settings: Pyramid's, those of the bridge (``sockjs.*``), of the chat (``chat.*``), and
            ``sqlalchemy.url``.

    Raises:
        pyramid_chat.settings.CannotStart: one of them cannot be, or the database cannot be used.
    """
    here = Path((global_config or {}).get("here") or Path.cwd())
    own = Settings.parse(here, settings)
    several = bool(settings.get("sockjs.cluster"))
    if several and own.url.get_backend_name() == "sqlite":
        raise CannotStart(
            "sockjs.cluster is for several processes, and SQLite for one: set sqlalchemy.url ="
            " postgresql://USER:PASSWORD@HOST/DATABASE, or leave sockjs.cluster out"
        )
    database = open_database(own)
    settings.setdefault("tm.manager_hook", "pyramid_tm.explicit_manager")
    settings.setdefault("tm.annotate_user", "false")
    settings.setdefault("sockjs.max_body_size", MAX_BODY)
    settings.setdefault("sockjs.page_threads", PAGE_THREADS)
    with Configurator(settings=settings) as config:
        config.registry.chat_settings = own
        config.registry.chat_database = database
        limits = Limits(database, shared=several)
        config.registry.chat_throttle = Throttle(limits)
        config.registry.chat_searches = limits.make("searches", *SEARCHES)
        config.include("pyramid_chameleon")
        config.commit()
        config.include("pyramid_chat.rendering")
        config.include("pyramid_tm")
        config.include("sockjs_bridge")
        live = config.registry.chat_live = Live(config.registry.sockjs, database, own, limits)
        config.add_subscriber(live.heard, Notified)
        config.add_subscriber(live.members_gone, MembersGone)
        changes = Changes(live, database, own)
        config.registry.chat_uploads = Uploads(database, own, limits) if own.files else None
        sweep = config.registry.chat_uploads.sweep if own.files else None
        config.registry.chat_watch = Watch(database, changes.hear, changes.read_options, sweep)
        config.include("pyramid_chat.security")
        config.include("pyramid_chat.errors")
        config.add_request_method(dbsession, reify=True)
        add_routes(config)
        if several and own.demo:
            config.add_route("processes", "/processes")
        config.include("pyramid_chat.assets")
        if own.files:
            config.include("pyramid_chat.file_views")
        # The scan imports all others. SQLite works without psycopg.
        ignored = [f"pyramid_chat.{name}" for name in UNSCANNED]
        if not own.files:
            ignored.append("pyramid_chat.file_views")
        if not (several and own.demo):
            ignored.append("pyramid_chat.processes")
        config.scan(ignore=ignored)
        app: WSGIApplication = config.make_wsgi_app()
        return app


def add_routes(config: Configurator) -> None:
    """Adds the chat's routes; which views they have is said at the views."""
    config.add_route("home", "/")
    config.add_sockjs_route("chat", "/chat")
    # Who comes back after a short absence, to a new session, misses nothing that a room was told.
    config.add_sockjs_rooms("room-*")
    config.add_route("sign_in", "/sign-in")
    config.add_route("sign_out", "/sign-out")
    config.add_route("register", "/register")
    config.add_route("account", "/account")
    for action in ("name", "password", "sign_out"):
        config.add_route(f"account_{action}", f"/account/{action.replace('_', '-')}")
    config.add_route("admin", "/admin")
    config.add_route("admin_person", r"/admin/people/{id:\d{1,9}}/{action}")
    config.add_route("admin_room", r"/admin/rooms/{id:\d{1,9}}/{action}")
    config.add_route("admin_options", "/admin/options/{action}")
    config.add_route("reset", f"/reset/{{token:{TOKEN}}}")
    config.add_route("invitation", f"/invitation/{{token:{TOKEN}}}")
    config.add_route("rooms", "/rooms")
    config.add_route("direct", "/direct")
    config.add_route("people", "/people")
    config.add_route("search", "/search")
    config.add_route("mentions", "/mentions")
    config.add_route("session", "/session")
    factory = "pyramid_chat.security.room_factory"
    config.add_route("room", "/rooms/{room:[0-9]{1,20}}", factory=factory)
    for action in ("edit", "join", "leave", "invite", "mute"):
        path = f"/rooms/{{room:[0-9]{{1,20}}}}/{action}"
        config.add_route(f"room_{action}", path, factory=factory)
    made = "/rooms/{room:[0-9]{1,20}}/invitations"
    config.add_route("room_invitations", made, factory=factory)
    config.add_route("room_invitation_revoke", rf"{made}/{{id:\d{{1,9}}}}/revoke", factory=factory)


def dbsession(request: Request) -> Session:
    """Returns the request's session, in the transaction of ``request.tm``."""
    database: Database = request.registry.chat_database
    session = database.writing() if request.method == "POST" else database.session()
    register(session, transaction_manager=request.tm)
    return session


def open_database(settings: Settings) -> Database:
    """Returns the database, with all tables and what has to be in them.

    Raises:
        pyramid_chat.settings.CannotStart: it cannot be used.
    """
    try:
        database = Database(settings.url, settings.database_timeout)
    except ImportError:
        raise CannotStart(
            f"sqlalchemy.url = {settings.url.render_as_string()} needs psycopg:"
            " pip install 'sockjs-bridge[postgresql]'"
        ) from None
    database.start(migrate=settings.migrate)
    try:
        with database.session() as session:
            empty = session.scalar(select(Room.id).limit(1)) is None
            nobody = session.scalar(select(User.id).limit(1)) is None
        if empty or (nobody and settings.demo):
            with database.writing() as session, session.begin():
                alone(session.connection())
                # Another process may have been quicker.
                if session.scalar(select(Room.id).limit(1)) is None:
                    unique_name = f"{PUBLIC}:{FIRST_ROOM.casefold()}"
                    session.add(Room(kind=PUBLIC, name=FIRST_ROOM, unique_name=unique_name))
                    session.flush()
                if settings.demo:
                    demo.fill(session)
    except SQLAlchemyError as error:
        name = settings.url.render_as_string()
        raise CannotStart(f"the database {name} cannot be used: {error}") from None
    return database
