"""The panel's monitor, and who has the panel; `tests/integration/test_toolbar.py` looks at it."""

from __future__ import annotations

from collections import Counter

import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from sockjs_bridge.core.monitor import Monitor
from sockjs_bridge.pyramid.toolbar import LastMinute, SockJSPanel, _shown

CALLS = [
    ("opened", "websocket"),
    ("ended", "websocket", 1000),
    ("refused", 404),
    ("handshake", 200, 0.01),
    ("hook", "on_open", 0.01),
    ("dropped", 3),
    ("messages_in", "websocket", 2, 10),
    ("messages_out", "xhr-polling", 1, 7),
    ("broadcast", 5),
    ("missed", 2),
    ("relayed", "answered"),
    ("engine", 0.002),
    ("unpublished", 3),
    ("degraded", True),
]


class Recording(Monitor):
    """Notes what it is told."""

    def __init__(self):
        self.calls = []


def _noting(name):
    def method(self, *arguments):
        self.calls.append((name, *arguments))

    return method


for _name in {name for name, *_ in CALLS}:
    setattr(Recording, _name, _noting(_name))


class Clock:
    now = 100.5

    def __call__(self):
        return self.now


def test_all_is_passed_on():
    """An application's own monitor hears what it would hear without the toolbar."""
    methods = {name for name, value in vars(Monitor).items() if callable(value)}
    assert {name for name, *_ in CALLS} == methods
    recording = Recording()
    monitor = LastMinute(recording)
    assert monitor.traffic is monitor
    for name, *arguments in CALLS:
        getattr(monitor, name)(*arguments)
    assert recording.calls == CALLS


def test_what_is_counted():
    monitor = LastMinute(Monitor(), Clock())
    for name, *arguments in CALLS:
        getattr(monitor, name)(*arguments)
    monitor.messages_in("websocket", 1, 5)
    assert monitor.table() == {
        "websocket": Counter({"opened": 1, "ended": 1, "messages in": 3, "payload bytes in": 15}),
        "xhr-polling": Counter({"messages out": 1, "frame bytes out": 7}),
    }


def test_for_a_minute():
    """What is older does not count, and is forgotten."""
    clock = Clock()
    monitor = LastMinute(Monitor(), clock)
    for _ in range(200):
        clock.now += 1
        monitor.opened("websocket")
    assert monitor.table() == {"websocket": Counter(opened=60)}
    assert len(monitor._counts) == 60
    clock.now += 58
    assert monitor.table() == {"websocket": Counter(opened=2)}
    clock.now += 2
    assert monitor.table() == {}


class Nameless:
    def __str__(self):
        raise LookupError("the user is gone")


@pytest.mark.parametrize(
    ("userid", "shown"), [("ada", "ada"), (7, "7"), (Nameless(), f"{__name__}.Nameless")]
)
def test_users(userid, shown):
    """A user is the application's, and may be of any type."""
    assert _shown(userid) == shown


def make_app(**settings):
    config = Configurator(settings=settings)
    config.include("sockjs_bridge")
    return config


def has_panel(app):
    return SockJSPanel in app.registry.settings.get("debugtoolbar.extra_panels", ())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pyramid.includes": "pyramid_debugtoolbar", "debugtoolbar.enabled": "false"},
        # Of an ini that names the toolbar, without which the application runs.
        {"debugtoolbar.enabled": "true", "debugtoolbar.hosts": "127.0.0.1"},
    ],
)
def test_without_the_toolbar(settings):
    """Nothing is counted."""
    app = make_app(**settings).make_wsgi_app()
    assert not has_panel(app)
    assert type(app.registry.sockjs.endpoints.monitor) is Monitor


def test_an_application_that_counts_by_itself_alone():
    """It has set a monitor of its own after it was made: of the last minute nothing is known."""
    app = make_app(**{"pyramid.includes": "pyramid_debugtoolbar"}).make_wsgi_app()
    app.registry.sockjs.endpoints.monitor = Monitor()
    request = Request.blank("/")
    request.registry = app.registry
    shown = SockJSPanel(request).render_content(request)
    assert "Open sessions" in shown
    assert "The last minute" not in shown


def test_an_application_that_is_made_twice():
    config = make_app(**{"pyramid.includes": "pyramid_debugtoolbar"})
    monitors = set()
    for _ in range(2):
        app = config.make_wsgi_app()
        monitors.add(app.registry.sockjs.endpoints.monitor)
    (monitor,) = monitors
    assert isinstance(monitor, LastMinute)
    assert app.registry.settings["debugtoolbar.extra_panels"] == [SockJSPanel]
