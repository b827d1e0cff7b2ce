"""`request.sockjs`: rooms and broadcast of an application (api.md, section 6)."""

from __future__ import annotations

import threading

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import (
    AsyncWebSocket,
    MembersGone,
    Notified,
    Process,
    SockJS,
    WebSocket,
    WebSocketSession,
)
from sockjs_bridge.core.presence import Presence
from sockjs_bridge.core.presences import Known
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.signals import GONE
from sockjs_bridge.endpoint.handshake import HANDSHAKE, Handshake
from sockjs_bridge.pyramid.application import BlockingThreads
from sockjs_bridge.pyramid.compat import get_session_manager
from tests.pyramid.support import HandWorkers
from tests.support import BY_NAME, HandClock, Recorder, RecordingHandler


class Talker(WebSocketSession):
    """A session class."""


def view(request):
    """A blocking view."""


async def async_view(request):
    """An asynchronous one."""


class Application:
    """An application with three SockJS routes; `served`, it has connections."""

    def __init__(self, *, served: bool = True) -> None:
        config = Configurator()
        config.include("sockjs_bridge")
        config.add_route("page", "/page")
        config.add_view(self.page, route_name="page")
        for name, callable_ in (("talk", Talker), ("view", view), ("async_view", async_view)):
            config.add_sockjs_route(name, f"/{name}")
            config.add_websocket_view(callable_, route_name=name)
        self.app = config.make_wsgi_app()
        self.sockjs: SockJS = self.app.registry.sockjs
        self.clock = HandClock()
        self.receivers: dict[object, Recorder] = {}
        self.of_page: list[object] = []
        self.workers = HandWorkers()
        if served:
            self.sockjs.endpoints.start(self.clock, self.workers)

    def page(self, request):
        self.of_page = [
            request.sockjs is request.registry.sockjs,
            request.sockjs.broadcast("from a page", room="lobby"),
            request.sockjs.members("lobby"),
            request.sockjs.rooms(),
        ]
        return Response("page")

    def connect(self, name: str = "talk", *, accept: bool = True):
        """Open a session as the server does, and return what the application knows it by."""
        endpoint = self.sockjs.endpoints[name]
        session = endpoint.manager.create("s", BY_NAME["websocket"])
        handshake = Handshake(endpoint, session)
        Request.blank(f"/{name}", environ={HANDSHAKE: handshake}).get_response(self.app)
        receiver = Recorder(BY_NAME["websocket"])
        if accept:
            assert session.accept(handshake.handler)
        session.attach(receiver)
        self.clock.settle()
        self.receivers[session.connection] = receiver
        return session.connection

    def heard(self, *connections):
        """Return what each of some connections has read."""
        self.clock.settle()
        return [self.receivers[connection].messages for connection in connections]


@pytest.fixture
def application():
    application = Application()
    yield application
    # What would run on the loop: this is not about views.
    for coroutine in application.workers.coroutines:
        coroutine.close()


def session_of(connection):
    websocket = connection.websocket if isinstance(connection, Talker) else connection
    return websocket.channel


# What a debugger shows


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("talk", "<Talker of <Connection {}>>"),
        ("view", "<WebSocket {}>"),
        ("async_view", "<AsyncWebSocket {}>"),
    ],
)
def test_connection_shows_its_session(application, name, shown):
    connection = application.connect(name)
    assert repr(connection) == shown.format(f"<Session {connection.id} websocket open>")


def test_session_class_shows_itself_before_it_is_made():
    assert repr(Talker.__new__(Talker)) == "<Talker of None>"


def test_application_shows_its_endpoints(application):
    application.connect("talk")
    shown = ["<Endpoint 'talk' 1 sessions>", "<Endpoint 'view' 0 sessions>"]
    assert (
        repr(application.sockjs)
        == f"<SockJS [{', '.join(shown)}, <Endpoint 'async_view' 0 sessions>]>"
    )
    manager = get_session_manager("talk", application.app.registry)
    assert repr(manager) == "<SessionManager of <Endpoint 'talk' 1 sessions>>"


# Broadcast


def test_broadcast(application):
    """To all connections of the application, whatever route and style they have."""
    connections = [application.connect(name) for name in ("talk", "view", "async_view")]
    assert application.sockjs.broadcast("hello “all”") == 3
    assert application.heard(*connections) == [["hello “all”"]] * 3


def test_broadcast_in_a_room(application):
    """Rooms are the application's: connections of several routes meet there."""
    one, other, outside = (application.connect(name) for name in ("talk", "view", "talk"))
    for connection in (one, other):
        assert connection.join("lobby")
    assert application.sockjs.broadcast("hello", room="lobby") == 2
    assert application.sockjs.broadcast("hello", room="attic") == 0
    assert application.heard(one, other, outside) == [["hello"], ["hello"], []]


@pytest.mark.parametrize("room", [None, "lobby"])
def test_exclude(application, room):
    """Connections in any of their faces; who is not among the receivers changes nothing."""
    connections = [application.connect(name) for name in ("talk", "view", "async_view", "talk")]
    for connection in connections[:3]:
        connection.join("lobby")
    one, two, three, four = connections
    receivers = [one, two, three] if room else connections
    for exclude, left_out in (
        ((), []),
        ([one], [one]),
        ([one.websocket], [one]),
        ((two, three), [two, three]),
        ({one, four}, [one, four]),
        (iter([two]), [two]),
    ):
        expected = [connection for connection in receivers if connection not in left_out]
        assert application.sockjs.broadcast("x", room=room, exclude=exclude) == len(expected)
        assert application.heard(*connections) == [
            ["x"] if connection in expected else [] for connection in connections
        ]
        for receiver in application.receivers.values():
            receiver.written.clear()


@pytest.mark.parametrize("wrong", ["view", "talk", "async_view"])
def test_exclude_is_a_list(application, wrong):
    """A blocking view's connection can be iterated over, and would wait for its messages."""
    connection = application.connect(wrong)
    with pytest.raises(TypeError, match="exclude is a list of connections"):
        application.sockjs.broadcast("x", exclude=connection)
    assert application.heard(connection) == [[]]


@pytest.mark.parametrize("wrong", [[None], ["text"], "text", [object()]])
def test_exclude_of_something_else(application, wrong):
    connection = application.connect()
    with pytest.raises(TypeError, match="exclude takes connections, not "):
        application.sockjs.broadcast("x", exclude=wrong)
    assert application.heard(connection) == [[]]


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"message": b"bytes"}, TypeError, "a message is a str, not bytes"),
        ({"message": None}, TypeError, "a message is a str, not NoneType"),
        ({"message": "x", "room": 7}, TypeError, "a room's name is a str, not int"),
        ({"message": "x", "room": ""}, ValueError, "a room's name is not empty"),
    ],
)
def test_broadcast_of_something_else(served, arguments, error, text):
    """It is told at the call, whether anybody would hear it or not."""
    with pytest.raises(error, match=text):
        Application(served=served).sockjs.broadcast(**arguments)


def test_who_is_not_open(application):
    """A broadcast to all is for who is open; what is sent to a room waits for the handshake."""
    new = application.connect(accept=False)
    over = application.connect()
    over.close()
    application.clock.settle()
    assert application.sockjs.broadcast("to all") == 0
    new.join("lobby")
    assert application.sockjs.broadcast("to the room", room="lobby") == 1
    session_of(new).accept(RecordingHandler())
    assert application.heard(new, over) == [["to the room"], []]


def test_broadcast_from_a_thread(application):
    """What one thread sends keeps its order, whichever way it goes."""
    connection = application.connect()
    connection.join("lobby")

    def talk():
        connection.send("1")
        application.sockjs.broadcast("2")
        application.sockjs.broadcast("3", room="lobby")
        connection.send("4")

    thread = threading.Thread(target=talk)
    thread.start()
    thread.join()
    assert application.heard(connection) == [["1", "2", "3", "4"]]


# Who is there


def test_members(application):
    """A session class's instance, or the view's connection, in the order of joining."""
    talker, blocking, asynchronous = (
        application.connect(name) for name in ("talk", "view", "async_view")
    )
    assert isinstance(talker, Talker)
    assert type(blocking) is WebSocket
    assert type(asynchronous) is AsyncWebSocket
    for connection in (asynchronous, talker, blocking):
        connection.join("lobby")
    members = application.sockjs.members("lobby")
    assert members == [asynchronous, talker, blocking]
    assert members[1] is talker
    assert application.sockjs.members("attic") == []
    assert application.sockjs.rooms() == ["lobby"]
    talker.close()
    application.clock.settle()
    assert application.sockjs.members("lobby") == [asynchronous, blocking]


@pytest.mark.parametrize("room", [None, 7, b"lobby"])
def test_members_of_something_else(application, room):
    with pytest.raises(TypeError, match="a room's name is a str"):
        application.sockjs.members(room)


def test_members_of_no_name(application):
    with pytest.raises(ValueError, match="a room's name is not empty"):
        application.sockjs.members("")


def test_page(application):
    """Section 6: from any view; `request.sockjs` is the registry's."""
    connection = application.connect()
    connection.join("lobby")
    assert Request.blank("/page").get_response(application.app).text == "page"
    assert application.of_page == [True, 1, [connection], ["lobby"]]
    assert application.heard(connection) == [["from a page"]]


def test_application_that_nobody_serves():
    """Under a foreign server there are no connections, and nothing happens."""
    application = Application(served=False)
    assert application.sockjs.broadcast("hello") == 0
    assert application.sockjs.broadcast("hello", room="lobby") == 0
    assert Request.blank("/page").get_response(application.app).text == "page"
    assert application.of_page == [True, 0, [], []]


# The threads of blocking views


def test_limit_of_threads():
    """blocking_threads: no more run at once, and one that ends gives its place back."""
    threads, workers = BlockingThreads(2), HandWorkers()
    ran = []
    assert threads.start(workers, lambda: ran.append(1), "a")
    assert threads.start(workers, lambda: ran.append(2), "b")
    assert not threads.start(workers, lambda: ran.append(3), "c")
    assert list(workers.threads) == ["a", "b"]
    workers.run()
    assert threads.start(workers, lambda: ran.append(4), "d")
    workers.run()
    assert ran == [1, 2, 4]


def test_limit_of_threads_of_several_applications():
    """Those of all that a server serves count, each has its own limit."""
    small, large, workers = BlockingThreads(1), BlockingThreads(2), HandWorkers()
    assert large.start(workers, lambda: None, "a")
    assert not small.start(workers, lambda: None, "b")
    assert large.start(workers, lambda: None, "c")
    assert not large.start(workers, lambda: None, "d")
    workers.run()
    assert small.start(workers, lambda: None, "e")
    # Another server's are none of theirs.
    assert small.start(HandWorkers(), lambda: None, "f")


def test_place_is_given_back_after_an_exception():
    threads, workers = BlockingThreads(1), HandWorkers()

    def fails():
        raise SystemExit

    assert threads.start(workers, fails, "a")
    with pytest.raises(SystemExit):
        workers.run()
    assert threads.start(workers, fails, "b")


def test_no_thread_to_be_had(caplog):
    """Where the system gives no thread, the client hears the same as beyond the limit."""
    threads, workers = BlockingThreads(1), HandWorkers()
    workers.exhausted = True
    for _ in range(3):
        assert not threads.start(workers, lambda: None, "a")
    lines = {record.getMessage(): record.exc_info for record in caplog.records}
    assert lines == {"the system starts no more threads: can't start new thread": None}
    workers.exhausted = False
    assert threads.start(workers, lambda: None, "b")


def test_threads_of_an_application():
    sockjs = SockJS(Settings().override({"blocking_threads": 1}), "client/sockjs.js")
    assert sockjs.client_path == "client/sockjs.js"
    workers = HandWorkers()
    assert sockjs.threads.start(workers, lambda: None, "a")
    assert not sockjs.threads.start(workers, lambda: None, "b")


# Notices


def test_notices_reach_subscribers(application, caplog):
    """In a thread of the hooks' pool, once for each; one that fails keeps none from the others."""
    heard = []

    def subscribe(notice):
        assert notice.registry is application.app.registry
        heard.append((notice.topic, notice.data))
        if notice.topic == "wrong":
            raise ValueError("something is wrong")

    application.app.registry.registerHandler(subscribe, (Notified,))
    for topic, data in (("news", {"id": 7}), ("wrong", None), ("more", [])):
        application.sockjs.notify(topic, data)
    application.sockjs.endpoints.signals.missed()
    assert heard == []
    application.clock.settle()
    for job in application.workers.jobs:
        job()
    assert sorted(heard, key=repr) == [
        ("more", []),
        ("news", {"id": 7}),
        ("wrong", None),
        (None, None),
    ]
    assert "a subscriber failed: <Notified 'wrong'>" in caplog.text


def test_members_that_a_dead_process_had(application):
    heard = []
    application.app.registry.registerHandler(heard.append, (MembersGone,))
    known = Known(Presence("node/1", "ada", 7.0, {"tab": 1}), announced=False)
    left = [("room", "node/1", known.text), ("room", "node/2", "of a newer release")]
    application.sockjs.endpoints.signals.hear_alone(GONE, left)
    for job in application.workers.jobs:
        job()
    (event,) = heard
    assert event.members == [("room", known.presence)]
    assert event.registry is application.app.registry
    assert repr(event) == "<MembersGone 1 members>"


@pytest.mark.parametrize(("topic", "data"), [(7, None), (None, None), ("news", object())])
def test_notices_that_are_none(application, topic, data):
    with pytest.raises(TypeError):
        application.sockjs.notify(topic, data)


def test_notice_shows_its_topic(application):
    assert repr(Notified("news", "secret", application.app.registry)) == "<Notified 'news'>"


def test_a_process_alone_lists_itself(application):
    application.connect("talk")
    assert application.sockjs.processes() == [Process("", 1, own=True)]
    assert Application(served=False).sockjs.processes() == [Process("", 0, own=True)]


def test_users_of_an_application_that_nobody_serves():
    assert Application(served=False).sockjs.close_user("bob", 4003, "Bye") == 0
