"""A hook, and a view between two messages, begin and end like a request (api.md, 12)."""

from __future__ import annotations

import json
import logging
from itertools import count
from operator import attrgetter

import pytest
import transaction
from pyramid.config import Configurator
from pyramid.interfaces import INewRequest, ISecurityPolicy
from pyramid.request import Request
from pyramid.response import Response
from pyramid.threadlocal import get_current_request
from sqlalchemy import select

from sockjs_bridge import WebSocketSession
from sockjs_bridge.pyramid.transactions import SHARED
from tests.pkgs.marriage import users
from tests.pyramid.support import Connected

EXPLICIT = {"tm.manager_hook": "pyramid_tm.explicit_manager"}
MANAGERS = {"explicit": EXPLICIT, "of the thread": {}}
FAILED = 'c[4500,"Internal Server Error"]'
NORMAL = 'c[1000,"Normal closure"]'
ADA = {"Authorization": "1"}

every_style = pytest.mark.parametrize("style", users.STYLES)
hooks = pytest.mark.parametrize("style", ["plain", "async"])
every_manager = pytest.mark.parametrize("manager", MANAGERS)
#: Asynchronous code has transactions where each request has a manager of its own.
able = pytest.mark.parametrize(
    ("style", "manager"),
    [
        *((style, "explicit") for style in users.STYLES),
        *((style, "of the thread") for style in ("plain", "view")),
    ],
)


@pytest.fixture
def make(tmp_path):
    """Make the application; at the end nothing of it is left over."""
    apps = []

    def make(manager="explicit", **settings):
        url = f"sqlite:///{tmp_path}/users.sqlite"
        app = users.main(**{"sqlalchemy.url": url, **MANAGERS[manager], **settings})
        apps.append(app)
        return app

    yield make
    for app in apps:
        assert app.registry.engine.pool.checkedout() == 0
        assert set(app.registry.out) <= {0}
        app.registry.engine.dispose()
    assert get_current_request() is None
    assert transaction.manager.manager._txn is None


def run(app, style, *messages, query=""):
    """Say things to the application, as Ada; return what came back, as frames without ``o``."""
    return Connected(app, f"/{style}?{query}", ADA).say(*messages)[1:]


def answers(*texts):
    """The frame that answers make which leave in one tick."""
    return ["a" + json.dumps(list(texts), separators=(",", ":"))]


def said(frames):
    """The messages of frames, and the last frame where it is a close frame."""
    texts = [text for frame in frames if frame[0] == "a" for text in json.loads(frame[1:])]
    return texts, frames[-1] if frames and frames[-1][0] == "c" else None


def notes(app):
    with app.registry.engine.connect() as connection:
        return list(connection.scalars(select(users.Note.text).order_by(users.Note.id)))


def errors(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


# Who somebody is


@able
@pytest.mark.parametrize("cached", [True, False])
def test_user(make, style, manager, cached):
    """The user is there at each message, as a row of the present transaction."""
    app = make(manager, cached=cached)
    texts, end = said(run(app, style, "who", "who", "who", "bye"))
    assert texts == ["1 Ada Ada True"] * 3
    assert end == NORMAL


@every_manager
@hooks
@pytest.mark.parametrize("cached", [True, False])
def test_userid_in_every_hook(make, manager, style, cached):
    """The one of the handshake is answered from what was noted, even without a transaction."""
    app = make(manager, cached=cached)
    query = "open=userid&close=userid"
    texts, end = said(run(app, style, "userid", "bye", query=query))
    assert (texts, end) == (["1", "1"], NORMAL)
    assert app.registry.last == ["1"]


@able
@pytest.mark.parametrize("cached", [True, False])
def test_user_in_the_first_and_last_hook(make, style, manager, cached):
    if style not in ("plain", "async"):
        pytest.skip("views have no hooks")
    app = make(manager, cached=cached)
    texts, _ = said(run(app, style, "bye", query="open=who&close=who"))
    assert texts == ["1 Ada Ada True"]
    assert app.registry.last == ["1 Ada Ada True"]


@every_manager
@every_style
def test_userid_of_nobody(make, manager, style):
    """Nobody is noted too: the policy is not asked again."""
    app = make(manager)
    policy = app.registry.queryUtility(ISecurityPolicy)
    asked = []
    policy.authenticated_userid = asked.append
    policy.permits = lambda request, context, permission: True
    texts, _ = said(run(app, style, "userid", "userid", "bye"))
    assert texts == ["None", "None"]
    # pyramid_tm asks at the beginning of the handshake, and the bridge at its end.
    assert len(asked) == 2


def test_identity_is_fresh(make):
    """What changes in the database is seen by the next hook."""
    app = make()
    connected = Connected(app, "/plain", ADA)
    connected.say("who")
    with app.registry.engine.begin() as connection:
        connection.execute(users.User.__table__.update().values(name="Ida"))
    assert said(connected.say("who"))[0] == ["1 Ada Ada True", "1 Ida Ida False"]


@pytest.mark.parametrize("style", ["async", "coroutine"])
@pytest.mark.parametrize("message", ["who", "add text", "add_globally text", "block text"])
def test_shared_transaction(make, caplog, style, message):
    """Asynchronous code has none with the manager of the thread: the error says what to set."""
    app = make("of the thread")
    texts, end = said(run(app, style, "userid", message, "bye"))
    assert (texts[:1], end) == (["1"], FAILED)
    (record,) = errors(caplog)
    assert isinstance(record.exc_info[1], RuntimeError)
    assert str(record.exc_info[1]) == SHARED
    assert "tm.manager_hook = pyramid_tm.explicit_manager" in SHARED
    assert notes(app) == []


def test_shared_transaction_by_a_session_of_the_handshake(make, caplog):
    """One that was made where it was allowed is used where it is not."""
    app = make("of the thread")
    assert said(run(app, "async", "held text", "notes"))[1] == FAILED
    assert str(errors(caplog)[0].exc_info[1]) == SHARED
    assert notes(app) == []


def test_transaction_of_the_loop(make, caplog):
    """Who has one on the loop keeps it, unless a hook has put something into it."""
    app = make("of the thread")
    connected = Connected(app, "/async", ADA)
    mine = transaction.begin()
    assert said(connected.say("userid"))[0] == ["1"]
    assert transaction.get() is mine
    assert said(connected.say("held text"))[1] == FAILED
    assert transaction.manager.manager._txn is None
    assert notes(app) == []


# Its transaction


@able
def test_committed(make, style, manager):
    """Each at its end: the next message's sees what was done."""
    app = make(manager)
    texts, _ = said(run(app, style, "add one", "notes", "add two", "notes", "bye"))
    assert texts == ["added one", "one", "added two", "one,two"]
    assert notes(app) == ["one", "two"]


@able
def test_aborted(make, caplog, style, manager):
    """Where it raises, all of it is gone, and what was done before is kept."""
    app = make(manager)
    texts, end = said(run(app, style, "add kept", "fail lost", "add never"))
    assert (texts, end) == (["added kept"], FAILED)
    assert notes(app) == ["kept"]
    assert len(errors(caplog)) == 1


@able
@pytest.mark.parametrize("message", ["doom lost", "veto lost"])
def test_aborted_without_an_exception(make, style, manager, message):
    app = make(manager, **{"tm.commit_veto": "pyramid_tm.default_commit_veto"})
    texts, end = said(run(app, style, message, "add kept", "bye"))
    assert (texts, end) == (["added kept"], NORMAL)
    assert notes(app) == ["kept"]


@able
def test_transactions_are_described(make, style, manager):
    """As those of pyramid_tm: by the path, and the user."""
    texts, _ = said(run(make(manager), style, "describe", "bye"))
    assert texts == [f"/{style} by 1"]


@able
def test_users_are_not_described(make, style, manager):
    texts, _ = said(run(make(manager, **{"tm.annotate_user": "false"}), style, "describe", "bye"))
    assert texts == [f"/{style} by "]


@able
@pytest.mark.parametrize("message", ["block", "by_hand"])
def test_transactions_by_hand(make, style, manager, message):
    """request.tm is as ever for who ends transactions; behind them, a new one begins."""
    app = make(manager)
    texts, _ = said(run(app, style, "who", f"{message} one", "add two", f"{message} three", "bye"))
    assert [text.partition(",")[0] for text in texts[1:]] == [
        *("committed one", "added two", "committed three")
    ]
    assert notes(app) == ["one", "two", "three"]


@hooks
def test_transaction_behind_a_block(make, monkeypatch, style):
    """The block takes over what was done before it, and a new transaction begins behind it."""
    app = make()
    seen = []

    def act(session, message):
        request = session.request
        request.dbsession.add(users.Note(text="before"))
        first = request.tm.get()
        with session.transaction() as current:
            seen.append(current is first)
        seen.append(notes(app) == ["before"])
        # Not made by the look at it.
        seen.append(vars(request)["tm"]._manager._txn not in (None, first))
        request.dbsession.add(users.Note(text="behind"))

    monkeypatch.setattr(users.Acting, "act", act)
    assert run(app, style, "message") == []
    assert seen == [True, True, True]
    assert notes(app) == ["before", "behind"]


@every_manager
def test_block_in_a_block(make, caplog, monkeypatch, manager):
    """It is an error with each manager: the thread's would forget what the outer one did."""
    app = make(manager)

    def act(session, message):
        with session.transaction():
            session.request.dbsession.add(users.Note(text="outer"))
            with session.transaction():
                session.request.dbsession.add(users.Note(text="inner"))

    monkeypatch.setattr(users.Acting, "act", act)
    assert run(app, "plain", "message")[-1] == FAILED
    assert "inside of another" in str(errors(caplog)[0].exc_info[1])
    assert notes(app) == []


@pytest.mark.parametrize("with_tm", [False, True])
def test_block_behind_a_global_session(make, monkeypatch, with_tm):
    """The transaction of one that knows the thread's manager only is taken over too."""
    app = make("of the thread")

    def act(session, message):
        request = session.request
        users.add_globally(request, "before")
        with request.tm if with_tm else session.transaction():
            users.add_globally(request, "in")
        assert request.registry.engine.pool.checkedout() == 0
        users.add_globally(request, "behind")

    monkeypatch.setattr(users.Acting, "act", act)
    assert run(app, "plain", "message") == []
    assert notes(app) == ["before", "in", "behind"]


@pytest.mark.parametrize("style", ["plain", "view"])
def test_global_session(make, caplog, style):
    """One of the thread's manager never touches request.tm, and is committed or aborted too."""
    app = make("of the thread")
    assert said(run(app, style, "add_globally one", "fail_globally two"))[1] == FAILED
    assert notes(app) == ["one"]


@able
def test_session_of_the_handshake(make, style, manager):
    """A database session can be held: it works in each transaction that comes."""
    app = make(manager)
    if style == "coroutine":
        pytest.skip("it has made none")
    texts, _ = said(run(app, style, "held one", "notes", "held two", "notes", "bye"))
    assert texts == ["one", "one,two"]


@every_style
def test_inactive(make, caplog, style):
    """Where pyramid_tm leaves the handshake alone, it leaves the code of the connection alone."""
    active = {"tm.activate_hook": lambda request: False, "tm.annotate_user": False}
    app = make(**active)
    app.registry.queryUtility(ISecurityPolicy).authenticated_userid = lambda request: 1
    app.registry.queryUtility(ISecurityPolicy).permits = lambda *arguments: True
    texts, end = said(run(app, style, "userid", "describe", "bye"))
    assert (texts, end) == (["1"], FAILED)
    assert isinstance(errors(caplog)[0].exc_info[1], transaction.interfaces.NoTransaction)


def test_view_that_asks_for_no_message(make):
    """It holds no transaction before it uses one."""
    app = make()
    seen = []

    def view(request):
        seen.append(transactions_of(request))
        request.tm.get()
        seen.append(transactions_of(request))

    connected = Connected(app, "/view", ADA)
    connected.handshake.handler._view = lambda: view(connected.handshake.handler._unit.request)
    connected.settle()
    assert seen == [False, True]


def transactions_of(request):
    return vars(request)["tm"]._manager._txn is not None


# How it begins and ends


@every_style
def test_surroundings(make, style):
    """The context is there, and in threads Pyramid's thread-local request."""
    texts, _ = said(run(make(), style, "look", "look", "bye"))
    current = "this" if style in ("plain", "view") else "no"
    assert texts == [f"{current} request, Root"] * 2


@every_style
def test_finished_callbacks(make, style):
    """They are called at the end of the code that added them, also where it raises."""
    app = make()
    connected = Connected(app, f"/{style}", ADA)
    connected.say("call_back one", "call_back two", "fail text")
    assert app.registry.finished == ["one", "two"]


@every_style
def test_finished_callback_that_raises(make, caplog, style):
    """It ends the connection, as any error; the others are called all the same."""
    app = make()
    app.registry.finished = Breaks()
    texts, end = said(run(app, style, "call_back 1", "call_back 2", "add never"))
    assert (texts, end) == ([], FAILED)
    assert app.registry.finished == ["1"]
    assert len(errors(caplog)) == 1


@able
def test_finished_callbacks_that_raise(make, caplog, monkeypatch, style, manager):
    """The others are called, and nothing that was reified is left for the next hook."""
    app = make(manager)

    def call_back(request, text):
        for _ in range(5):
            request.add_finished_callback(lambda request: 1 / 0)
        return users.call_back(request, text)

    monkeypatch.setitem(users.ACTS, "call_back", call_back)
    connected = Connected(app, f"/{style}", ADA)
    _, end = said(connected.say("call_back last"))
    assert (end, app.registry.finished) == (FAILED, ["last"])
    assert len(errors(caplog)) == 5


@able
def test_finished_callback_with_a_database(make, monkeypatch, style, manager):
    """Its transaction is one of its own, which is aborted: nothing is held for nobody."""
    app = make(manager)

    def call_back(request, text):
        def look(request):
            app.registry.finished.append(request.dbsession.get(users.User, 1).name)
            request.dbsession.add(users.Note(text="lost"))
            request.dbsession.flush()

        request.add_finished_callback(look)
        return users.add(request, text)

    monkeypatch.setitem(users.ACTS, "call_back", call_back)
    texts, end = said(run(app, style, "call_back kept", "notes", "bye"))
    assert (texts, end) == (["added kept", "kept"], NORMAL)
    assert app.registry.finished == ["Ada"]


class Breaks(list):
    def append(self, item):
        super().append(item)
        raise ZeroDivisionError


def test_what_was_set_stays(make):
    """What was reified is made anew, what somebody has set by hand is not."""
    app = make()
    connected = Connected(app, "/plain", ADA)
    connected.say("keep user", "call_back text", "veto text")
    attributes = vars(connected.session.connection.request)
    assert type(attributes["user"]) is users.User
    assert not {"dbsession", "response", "finished_callbacks"} & attributes.keys()


@able
def test_properties_of_one_request(make, style, manager):
    """What a subscriber has reified on the request itself is made anew as well."""
    app = make(manager)

    def add_properties(event):
        add = event.request.set_property
        add(lambda request: request.identity, "user", reify=True)
        add(lambda request: request.user.name.upper(), "shouted", reify=True)

    app.registry.registerHandler(add_properties, (INewRequest,))
    texts, _ = said(run(app, style, "who", "who", "bye"))
    assert texts == ["1 Ada Ada True"] * 2
    assert "shouted" not in vars(Request)


@pytest.mark.parametrize("calls_back", [False, True])
def test_reified_without_pyramid_tm(calls_back):
    """It is kept where nothing ends it, and made anew where a finished callback did."""
    numbers = count(1)
    closed = []

    def number(request):
        value = next(numbers)
        if calls_back:
            request.add_finished_callback(lambda request: closed.append(value))
        return value

    class Numbers(WebSocketSession):
        def on_message(self, message):
            self.send(str(self.request.number))

    with Configurator() as config:
        config.include("sockjs_bridge")
        config.add_request_method(number, reify=True)
        factory = attrgetter("number")
        config.add_sockjs_route("numbers", "/numbers", session=Numbers, factory=factory)
        app = config.make_wsgi_app()
    connected = Connected(app, "/numbers")
    assert said(connected.say("a", "b"))[0] == (["2", "3"] if calls_back else ["2", "2"])
    assert closed == ([1, 2, 3] if calls_back else [])


# Once more


@able
@pytest.mark.parametrize("where", ["hook", "commit"])
@pytest.mark.parametrize("times", [1, 2])
def test_run_again(make, caplog, style, manager, where, times):
    """A hook that lost against another transaction is; a view never is."""
    app = make(manager)
    texts, end = said(run(app, style, f"conflict {where} {times} text", "notes", "bye"))
    if style in ("plain", "async"):
        assert (texts, end) == (["text"], NORMAL)
        assert app.registry.runs == ["text"] * (times + 1)
        assert errors(caplog) == []
    else:
        assert (texts, end) == ([], FAILED)
        assert app.registry.runs == ["text"]
        assert isinstance(errors(caplog)[0].exc_info[1], users.Conflict)


ACTS = {
    "send": lambda session: session.send("text"),
    "send of another": lambda session: session.request.other.send("text"),
    "broadcast": lambda session: session.request.sockjs.broadcast("text"),
    "old broadcast": lambda session: old(session).broadcast("text"),
    "join": lambda session: session.join("room"),
    "leave": lambda session: session.leave("room"),
    "commit": lambda session: session.request.tm.commit(),
    "block": lambda session: session.transaction().__enter__() and session.request.tm.commit(),
}


def old(session):
    return session.request.get_sockjs_manager(session.request.matched_route.name)


@hooks
@pytest.mark.parametrize("where", ["hook", "commit"])
@pytest.mark.parametrize("act", [None, *ACTS])
def test_not_run_again(make, caplog, monkeypatch, style, where, act):
    """Somebody may know of the first time: 4500."""
    app = make()
    other = Connected(app, "/plain", ADA)
    connected = Connected(app, f"/{style}", ADA)

    def conflict(session, message):
        session.request.other = other.session.connection
        app.registry.runs.append(message)
        if act is not None:
            ACTS[act](session)
        if len(app.registry.runs) == 1:
            session.request.tm.get().join(users.Refuser())
            if where == "hook":
                raise users.Conflict

    monkeypatch.setattr(users.Acting, "act", conflict)
    _, end = said(connected.say("message"))
    if act is None:
        assert (end, app.registry.runs) == (None, ["message"] * 2)
    else:
        assert (end, app.registry.runs) == (FAILED, ["message"])
        assert isinstance(errors(caplog)[0].exc_info[1], users.Conflict)


def test_end_that_fails_twice(make, caplog, monkeypatch):
    """What goes wrong behind an error is logged, and nothing is left over."""

    def asks(self, error):
        raise ZeroDivisionError("asked")

    monkeypatch.setattr(users.Refuser, "should_retry", asks)
    app = make()
    texts, end = said(run(app, "plain", "conflict hook 1 text", "add never"))
    assert (texts, end) == ([], FAILED)
    assert notes(app) == []
    assert [record.exc_info[0] for record in errors(caplog)] == [ZeroDivisionError, users.Conflict]


# The handshake


@every_manager
@pytest.mark.parametrize(
    "includes", [("pyramid_tm", "sockjs_bridge"), ("sockjs_bridge", "pyramid_tm")]
)
def test_refused_handshake_holds_nothing(make, manager, includes):
    app = make(manager, includes=includes)
    assert Connected(app, "/plain?refuse=1", ADA).status == 403
    assert Connected(app, "/plain").status == 403
    assert Connected(app, "/plain", {"Authorization": "3"}).status == 403


def test_pages_are_left_alone(make):
    """The request of a page has the application's own manager."""
    app = make()
    seen = []
    config = Configurator(registry=app.registry, autocommit=True)
    config.add_view(lambda request: seen.append(request.tm) or Response(), name="page")
    Request.blank("/page", headers=ADA).get_response(app)
    assert type(seen[0]) is transaction.TransactionManager
