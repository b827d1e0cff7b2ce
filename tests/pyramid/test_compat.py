"""The names of pyramid_sockjs 0.3 (api.md, section 5)."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from sockjs_bridge import Session, WebSocketSession
from sockjs_bridge.endpoint.endpoint import Endpoint
from sockjs_bridge.pyramid.compat import SessionManager, get_session_manager
from tests.pyramid.support import HandWorkers, Opening
from tests.support import BY_NAME, HandClock, Recorder, RecordingHandler, make_manager


def served_by(manager):
    """An endpoint with the sessions of a manager."""
    endpoint = Endpoint("chat", "/chat".__eq__, manager.settings)
    endpoint._manager = manager
    return endpoint


def test_broadcast_encodes_and_reaches_all():
    """manager.broadcast reaches every session of the endpoint, whatever its transport."""
    clock = HandClock()
    manager = make_manager(clock)
    receivers = []
    for name in ("websocket", "raw-websocket", "xhr-streaming", "eventsource"):
        session = manager.create(name, BY_NAME[name])
        receiver = Recorder(BY_NAME[name])
        session.attach(receiver)
        session.accept(RecordingHandler())
        receivers.append(receiver)
    sessions = SessionManager(served_by(manager))
    assert sessions.name == "chat"
    sessions.broadcast("hello “all”")
    clock.settle()
    assert [receiver.messages for receiver in receivers] == [["hello “all”"]] * 4


def test_broadcast_of_something_else():
    with pytest.raises(TypeError, match="a message is a str, not bytes"):
        SessionManager(served_by(make_manager())).broadcast(b"bytes")


def request_of(app):
    request = Request.blank("/")
    request.registry = app.registry
    return request


def served(name="", **keywords):
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_sockjs_route(name, prefix="/chat", **keywords)
    app = config.make_wsgi_app()
    endpoints = app.registry.sockjs.endpoints
    endpoints.start(HandClock(), HandWorkers())
    return app, endpoints


@pytest.mark.parametrize("name", ["", "named"])
def test_get_sockjs_manager(name):
    """request.get_sockjs_manager(name) is the endpoint of that name; without, the nameless."""
    app, endpoints = served(name, session=Session)
    from pyramid.interfaces import IRequestExtensions
    from pyramid.request import apply_request_extensions

    request = request_of(app)
    assert app.registry.queryUtility(IRequestExtensions) is not None
    apply_request_extensions(request)
    manager = request.get_sockjs_manager(name) if name else request.get_sockjs_manager()
    assert manager.name == name
    session = endpoints[name].manager.create("s", BY_NAME["xhr-polling"])
    manager.broadcast("hello")
    endpoints.clock.settle()
    receiver = Recorder()
    session.attach(receiver)
    session.accept(RecordingHandler())
    endpoints.clock.settle()
    assert receiver.frames == ["o"]
    with pytest.raises(KeyError):
        request.get_sockjs_manager("missing")


def test_active_sessions():
    """Those whose handshake is over and that are not closed, as the application knows them."""
    clock = HandClock()
    manager = make_manager(clock)
    sessions = [manager.create(f"s{number}", BY_NAME["xhr-polling"]) for number in range(3)]
    for session in sessions:
        session.connection = f"instance of {session.id}"
    for session in sessions[1:]:
        session.accept(RecordingHandler())
    sessions[2].close(1000, "")
    assert SessionManager(served_by(manager)).active_sessions() == ["instance of s1"]


def test_manager_without_a_request():
    app, endpoints = served("named", session=Session)
    manager = get_session_manager("named", app.registry)
    session = endpoints["named"].manager.create("s", BY_NAME["xhr-polling"])
    session.connection = "the instance"
    session.accept(RecordingHandler())
    assert (manager.name, manager.active_sessions()) == ("named", ["the instance"])
    session.close(1000, "")
    session.finish()
    assert session.connection is None, "a cycle would wait for a collection of all garbage"
    with pytest.raises(KeyError):
        get_session_manager("missing", app.registry)


def test_manager_under_another_server():
    """Pages that broadcast go on: nobody is there, as for request.sockjs."""
    config = Configurator()
    config.include("sockjs_bridge")
    config.add_sockjs_route(prefix="/chat", session=Session)
    config.commit()
    manager = get_session_manager("", config.registry)
    manager.broadcast("hello")
    assert manager.active_sessions() == []


def test_manager_of_a_session():
    """self.manager is the manager of the route that the connection came by."""
    opening = Opening()
    asked = []
    opening.request.get_sockjs_manager = lambda name: asked.append(name) or "manager"
    assert Session(opening.request).manager == "manager"
    assert asked == ["chat"]


def test_old_session_is_a_session():
    """The old class has the new one's methods, and one hook more that does nothing."""
    opening = Opening()
    session = Session(opening.request)
    assert isinstance(session, WebSocketSession)
    assert session.on_closed() is None
    assert session.registry is opening.request.registry
