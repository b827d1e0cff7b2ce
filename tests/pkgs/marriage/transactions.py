"""pyramid_tm with SQLAlchemy: a handshake has a request's transaction, a message may have its own.

``request.dbsession`` is made as Pyramid's cookiecutter makes it.
"""

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.view import view_config
from sqlalchemy import Column, Integer, Text, create_engine, select
from sqlalchemy.orm import declarative_base, sessionmaker
from transaction.interfaces import TransientError

from sockjs_bridge import WebSocketSession, websocket_view

Base = declarative_base()


class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    text = Column(Text)


# Errors at the end of a transaction


class Refuser:
    """A data manager that lets a commit fail.

    Args:
        error: what it raises; its own judgement is that a `Conflict` may be tried again.
    """

    def __init__(self, error):
        self.error = error

    def sortKey(self):
        return "refuser"

    def should_retry(self, error):
        return isinstance(error, Conflict)

    def tpc_vote(self, transaction):
        raise self.error

    def ignore(self, transaction):
        """Do nothing."""

    abort = tpc_begin = commit = tpc_finish = tpc_abort = ignore


class Conflict(Exception):
    """Two transactions wanted the same; the data manager says that one may try again."""


class Transient(TransientError):
    """The transaction package's own kind of error that goes by."""


ERRORS = {"conflict": Conflict, "transient": Transient, "bug": ZeroDivisionError}


# A message's transaction


class Notes(WebSocketSession):
    """Takes ``verb argument text``: adds the text, and what else the verb asks for."""

    def act(self, message):
        request = self.request
        verb, argument, text = message.split()
        request.registry.runs.append(text)
        with self.transaction() as current:
            request.dbsession.add(Note(text=text))
            if verb == "raise":
                raise ERRORS[argument]("in the block")
            elif verb == "forbid":
                request.dbsession.flush()
                raise HTTPForbidden()
            elif verb == "doom":
                current.doom()
            elif verb == "refuse":
                error, times = argument.split("*")
                if request.registry.runs.count(text) <= int(times):
                    current.join(Refuser(ERRORS[error]("at the end")))
        if verb == "late":
            raise RuntimeError("behind the block")
        self.send(f"done {text}")


@websocket_view(route_name="plain")
class PlainNotes(Notes):
    def on_message(self, message):
        self.act(message)

    def on_close(self):
        with self.transaction():
            self.request.dbsession.add(Note(text="left"))


@websocket_view(route_name="async")
class AsyncNotes(Notes):
    async def on_message(self, message):
        self.act(message)


@websocket_view(route_name="view")
def view(request):
    """A view may use the manager by itself; nothing tries again for it."""
    for message in request.websocket:
        with request.tm:
            request.dbsession.add(Note(text=message))
        request.websocket.send(f"done {message}")


@websocket_view(route_name="idle")
class Idle(WebSocketSession):
    """Looks at its transaction."""

    def on_message(self, message):
        out = self.request.registry.engine.pool.checkedout()
        whose = "the handshake's" if self.request.tm.get() is self.request.first else "its own"
        self.send(f"transaction {whose}, {out} connections in use")


# The handshake's transaction


def noting_factory(request):
    """Root factory that stores who came, and may fail after that."""
    registry = request.registry
    request.first = request.tm.get()
    text = request.GET.get("text")
    if text:
        registry.runs.append(text)
        request.dbsession.add(Note(text=text))
        request.dbsession.flush()
    if request.GET.get("forbid"):
        raise HTTPForbidden()
    if error := request.GET.get("refuse"):
        name, _, times = error.partition("*")
        if registry.runs.count(text) <= int(times):
            request.tm.get().join(Refuser(ERRORS[name]("at the end of the handshake")))
    if request.GET.get("fail") and registry.runs.count(text) <= int(request.GET["fail"]):
        raise Transient("in the handshake")


@view_config(route_name="notes", renderer="json")
def notes(request):
    return list(request.dbsession.scalars(select(Note.text).order_by(Note.id)))


@view_config(context=Transient, renderer="string")
def busy(error, request):
    """What people see of an error that goes by, if it does not."""
    request.response.status = 409
    return "Try again."


def models(config):
    settings = config.get_settings()
    config.include("pyramid_tm")
    engine = config.registry.engine = create_engine(settings["sqlalchemy.url"])
    Base.metadata.create_all(engine)
    factory = sessionmaker()
    factory.configure(bind=engine)

    def dbsession(request):
        session = factory(info={"request": request})
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    config.add_request_method(dbsession, reify=True)


def main(global_config=None, **settings):
    with Configurator(settings=settings, root_factory=noting_factory) as config:
        config.include("sockjs_bridge")
        config.include(models)
        config.registry.runs = []
        for name in ("plain", "async", "view", "idle"):
            config.add_sockjs_route(name, f"/{name}")
        config.add_route("notes", "/notes")
        config.scan(__name__)
        return config.make_wsgi_app()
