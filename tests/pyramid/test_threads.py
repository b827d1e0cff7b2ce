"""Blocking views and their threads (api.md, sections 2 and 11)."""

from __future__ import annotations

from pyramid.threadlocal import get_current_request

from sockjs_bridge import ConnectionClosed
from tests.pyramid.styles import (
    run_view,
)
from tests.pyramid.support import Opening


def test_too_many_views():
    """Section 11: c[4503,...]."""
    opening = run_view(lambda: None, limit=0)
    opening.settle()
    assert opening.receiver.frames == ["o", 'c[4503,"Too many connections"]']


# A blocking view


def test_view_runs_with_context_and_threadlocals():
    """architecture.md: the context is restored, and the body runs within RequestContext."""
    seen = []
    opening = Opening()

    def view():
        seen.append(opening.request.context.name)
        seen.append(get_current_request() is opening.request)

    run_view(view, opening)
    opening.settle()
    assert seen == ["context", True]
    assert get_current_request() is None


def test_view_that_returns():
    """A view that is done closes with 1000."""
    opening = run_view(lambda: {"ignored": True})
    opening.settle()
    assert opening.receiver.frames == ["o", 'c[1000,"Normal closure"]']


def test_messages_of_a_view():
    """Messages are handed over in order and counted until they are received."""
    opening = Opening()
    received = []

    def view():
        try:
            while True:
                received.append(opening.websocket.receive())
        except ConnectionClosed as closed:
            received.append((closed.code, closed.reason))
            raise

    run_view(view, opening, limit=1)
    opening.session.deliver(["a", "b"], 7)
    assert opening.session._handler.backlog() == 2
    opening.session.close(4001, "over")
    opening.settle()
    assert received == ["a", "b", (4001, "over")]
    assert opening.receiver.frames == ["o", 'c[4001,"over"]']
