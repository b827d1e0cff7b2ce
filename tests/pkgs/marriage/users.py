"""Users are rows of a database, as in Pyramid's tutorial: what they may do is asked of it.

Every style of view does what messages say (`act`), each within a request's worth of code.
"""

import transaction
import zope.sqlalchemy
from pyramid.authorization import ACLHelper, Allow, Authenticated, Everyone
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPException, HTTPForbidden
from pyramid.request import RequestLocalCache
from pyramid.threadlocal import get_current_request
from sqlalchemy import Column, Integer, Text, create_engine, event, select
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker
from sqlalchemy.pool import QueuePool

from sockjs_bridge import WebSocketSession, websocket_view

Base = declarative_base()


class User(Base):
    __tablename__ = "users"
    id = Column(Integer, primary_key=True)
    name = Column(Text)


class Note(Base):
    __tablename__ = "notes"
    id = Column(Integer, primary_key=True)
    text = Column(Text)


class Conflict(Exception):
    """Somebody else was quicker; what asks the data managers finds it worth another attempt."""


class Refuser:
    """A data manager that lets a commit fail by a `Conflict`."""

    def sortKey(self):
        return "refuser"

    def should_retry(self, error):
        return isinstance(error, Conflict)

    def tpc_vote(self, transaction):
        raise Conflict

    def ignore(self, transaction):
        """Do nothing."""

    abort = tpc_begin = commit = tpc_finish = tpc_abort = ignore


# Who somebody is


class Policy:
    """Finds the user that the header ``Authorization`` names.

    Args:
        cached: once in a request.
    """

    def __init__(self, cached):
        self.acl = ACLHelper()
        self.identity = RequestLocalCache(self.load).get_or_create if cached else self.load

    def load(self, request):
        number = request.headers.get("Authorization")
        return request.dbsession.get(User, int(number)) if number else None

    def authenticated_userid(self, request):
        user = self.identity(request)
        return None if user is None else user.id

    def permits(self, request, context, permission):
        user = self.identity(request)
        principals = [Everyone] if user is None else [Everyone, Authenticated, user.name]
        return self.acl.permits(context, principals, permission)


class Root:
    __acl__ = ((Allow, Authenticated, "connect"), (Allow, "Ada", "talk"))

    def __init__(self, request):
        if request.GET.get("refuse"):
            request.dbsession.scalar(select(User.name))
            raise HTTPForbidden


def own_tween_factory(handler, registry):
    """An application's own tween: it makes responses of HTTP exceptions."""

    def own_tween(request):
        try:
            return handler(request)
        except HTTPException as error:
            return error

    return own_tween


# What is done


def act(request, message):
    """Does what a message says; returns the answer, None for none.

    First of all it notes what those before it left checked out.
    """
    request.registry.out.append(request.registry.engine.pool.checkedout())
    verb, _, argument = message.partition(" ")
    return ACTS[verb](request, argument)


def who(request, argument):
    """Everything that Pyramid says of a user."""
    may = bool(request.has_permission("talk"))
    return f"{request.authenticated_userid} {request.identity.name} {request.user.name} {may}"


def userid(request, argument):
    return str(request.authenticated_userid)


def add(request, text):
    request.registry.runs.append(text)
    request.dbsession.add(Note(text=text))
    request.dbsession.flush()
    return f"added {text}"


def add_globally(request, text):
    request.registry.scoped.add(Note(text=text))
    request.registry.scoped.flush()
    return f"added {text}"


def notes(request, argument):
    return ",".join(request.dbsession.scalars(select(Note.text).order_by(Note.id)))


def fail(request, text):
    add(request, text)
    raise ZeroDivisionError


def fail_globally(request, text):
    add_globally(request, text)
    raise ZeroDivisionError


def conflict(request, argument):
    """``where times text``: fails in the hook or in its commit as often as said, then adds."""
    where, times, text = argument.split()
    add(request, text)
    if request.registry.runs.count(text) <= int(times):
        request.tm.get().join(Refuser())
        if where == "hook":
            raise Conflict


def look(request, argument):
    """What is around the code."""
    current = "this" if get_current_request() is request else "no"
    return f"{current} request, {request.context.__class__.__name__}"


def call_back(request, text):
    request.add_finished_callback(lambda request: request.registry.finished.append(text))


def describe(request, argument):
    current = request.tm.get()
    return f"{current.description.strip()} by {current.user.strip()}"


def block(request, text):
    with request.tm:
        request.dbsession.add(Note(text=text))
    out = request.registry.engine.pool.checkedout()
    return f"committed {text}, {out} out"


def by_hand(request, text):
    request.tm.begin()
    request.dbsession.add(Note(text=text))
    request.tm.commit()
    return f"committed {text}"


def doom(request, text):
    add(request, text)
    request.tm.doom()


def veto(request, text):
    add(request, text)
    request.response.headers["X-Tm"] = "abort"


def held(request, text):
    """By the database session that was made at the handshake."""
    request.held.add(Note(text=text))


def keep(request, name):
    setattr(request, name, type(getattr(request, name))())


ACTS = {
    function.__name__: function
    for function in (
        *(who, userid, add, add_globally, notes, fail, fail_globally, conflict, look, call_back),
        *(describe, block, by_hand, doom, veto, held, keep),
    )
}


# In every style


class Acting(WebSocketSession):
    def __init__(self, request):
        super().__init__(request)
        request.held = request.dbsession
        self.queries = request.GET

    def act(self, message):
        if message == "bye":
            self.close()
        elif (answer := act(self.request, message)) is not None:
            self.send(answer)


@websocket_view(route_name="plain", permission="connect")
class PlainActing(Acting):
    def on_open(self):
        if "open" in self.queries:
            self.act(self.queries["open"])

    def on_message(self, message):
        self.act(message)

    def on_close(self):
        if "close" in self.queries:
            answer = act(self.request, self.queries["close"])
            self.request.registry.last.append(answer)


@websocket_view(route_name="async", permission="connect")
class AsyncActing(Acting):
    async def on_open(self):
        if "open" in self.queries:
            self.act(self.queries["open"])

    async def on_message(self, message):
        self.act(message)

    async def on_close(self):
        if "close" in self.queries:
            answer = act(self.request, self.queries["close"])
            self.request.registry.last.append(answer)


@websocket_view(route_name="view", permission="connect")
def view(request):
    request.held = request.dbsession
    while (message := request.receive()) != "bye":
        if (answer := act(request, message)) is not None:
            request.websocket.send(answer)


@websocket_view(route_name="coroutine", permission="connect")
async def coroutine(request):
    while (message := await request.receive()) != "bye":
        if (answer := act(request, message)) is not None:
            request.websocket.send(answer)


STYLES = ("plain", "async", "view", "coroutine")


def models(config):
    settings = config.get_settings()
    engine = config.registry.engine = create_engine(
        settings["sqlalchemy.url"],
        poolclass=QueuePool,
        pool_size=5,
        max_overflow=0,
        pool_timeout=1,
        connect_args={"check_same_thread": False},
    )
    # No test asks for what survives the machine, and waiting for the disk was half of the time.
    event.listen(engine, "connect", lambda made, _: made.execute("PRAGMA synchronous = OFF"))
    Base.metadata.create_all(engine)
    with sessionmaker(engine).begin() as session:
        session.merge(User(id=1, name="Ada"))
        session.merge(User(id=2, name="Bob"))
    factory = sessionmaker(engine)
    config.registry.scoped = scoped_session(sessionmaker(engine))
    zope.sqlalchemy.register(config.registry.scoped, transaction_manager=transaction.manager)

    def dbsession(request):
        session = factory(info={"request": request})
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    config.add_request_method(dbsession, reify=True)
    config.add_request_method(lambda request: request.identity, "user", reify=True)


INCLUDES = ("pyramid_tm", "sockjs_bridge")


def main(global_config=None, *, includes=INCLUDES, cached=True, tween=None, **settings):
    with Configurator(settings=settings, root_factory=Root) as config:
        for name in includes:
            config.include(name)
        if tween is not None:
            config.add_tween(f"{__name__}.own_tween_factory", **tween)
        config.include(models)
        config.set_security_policy(Policy(cached))
        registry = config.registry
        registry.runs, registry.finished, registry.last, registry.out = [], [], [], []
        for name in STYLES:
            config.add_sockjs_route(name, f"/{name}")
        config.scan(__name__)
        return config.make_wsgi_app()
