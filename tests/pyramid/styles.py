"""Code of an application in each of four styles, run on a session that a test holds."""

from __future__ import annotations

import logging

import pytest

from sockjs_bridge import AsyncWebSocket, WebSocketSession
from sockjs_bridge.pyramid.handlers import AsyncViewHandler
from sockjs_bridge.pyramid.hooks import SessionHandler
from sockjs_bridge.pyramid.threads import BlockingThreads, ViewHandler
from tests.pyramid.support import Opening


def run_view(view, opening=None, limit=1):
    """Open a session with a blocking view; it runs when the opening settles."""
    opening = opening or Opening()
    threads = BlockingThreads(limit)
    handler = ViewHandler(view, opening.request, threads, opening.workers)
    opening.request.context = None
    assert opening.session.accept(handler)
    return opening


def run_class(session_class, opening=None, **settings):
    """Open a session with a session class; its hooks run when the opening settles."""
    opening = opening or Opening(**settings)
    handler = SessionHandler(session_class, opening.request, opening.clock, opening.workers)
    opening.request.context = None
    assert opening.session.accept(handler)
    return opening, handler


def run_async_view(view, opening=None, **settings):
    """Open a session with an async def view; it runs when the opening settles."""
    opening = opening or Opening(**settings)
    opening.request.websocket = AsyncWebSocket(opening.session, opening.clock)
    handler = AsyncViewHandler(view, opening.request, opening.workers)
    opening.request.context = None
    assert opening.session.accept(handler)
    return opening


def run_style(style, body):
    """Open a session whose code is a function, in one of four styles; what it returns counts."""

    async def async_body():
        return body()

    if style == "view":
        return run_view(body)
    if style == "async view":
        return run_async_view(async_body)

    class Plain(WebSocketSession):
        def on_open(self):
            return body()

    class Asynchronous(WebSocketSession):
        async def on_open(self):
            return body()

    return run_class(Plain if style == "plain hook" else Asynchronous)[0]


STYLES = ["view", "async view", "plain hook", "async hook"]
every_style = pytest.mark.parametrize("style", STYLES)


def errors(caplog):
    """Return what was logged as an error, with its exception."""
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


FAILURE = (4500, "Internal Server Error", True)
FAILURE_FRAME = 'c[4500,"Internal Server Error"]'
