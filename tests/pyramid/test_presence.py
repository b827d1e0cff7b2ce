"""What `presence` returns, what `join` takes, and the hooks of those who come and leave."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

import pytest

from sockjs_bridge import Presence, PresenceUnknown, WebSocketSession
from sockjs_bridge.endpoint.loglimit import LogLimit
from sockjs_bridge.pyramid import hooks
from sockjs_bridge.pyramid import presence as presence_module
from sockjs_bridge.pyramid.hooks import MAX_WAITING_CALLS, SessionHandler
from sockjs_bridge.pyramid.presence import PresenceList
from sockjs_bridge.testing import DummyWebSocket
from tests.pyramid.support import Opening

ANN = Presence("n/1", "ann", 1.0, {"name": "Ann"})
BOB = Presence("n/2", "bob", 2.0, {})


def at_once(answer, done):
    done(answer)


def test_a_list_in_a_thread():
    found = PresenceList(partial(at_once, [ANN, BOB]))
    assert (len(found), found[1], found[:1], list(found)) == (2, BOB, [ANN], [ANN, BOB])
    assert ANN in found
    assert repr(found).startswith("<PresenceList ")


def test_it_is_waited_for():
    def later(done):
        threading.Timer(0.05, done, [[ANN]]).start()

    assert list(PresenceList(later)) == [ANN]


async def test_a_coroutine_awaits_it():
    def later(done):
        asyncio.get_running_loop().call_soon(done, [ANN])

    found = PresenceList(later)
    with pytest.raises(RuntimeError, match=r"await request\.sockjs\.presence"):
        len(found)
    assert await found == [ANN]


@pytest.mark.parametrize("error", [OSError("it is away"), None])
def test_what_is_not_known_is_told(monkeypatch, error):
    monkeypatch.setattr(presence_module, "PATIENCE", 0.05)
    ask = partial(at_once, error) if error else lambda done: None
    with pytest.raises(PresenceUnknown, match="it is away" if error else "no answer within"):
        PresenceList(ask)


async def test_what_is_not_known_is_told_to_coroutines():
    with pytest.raises(PresenceUnknown, match="it is away"):
        await PresenceList(partial(at_once, OSError("it is away")))


@pytest.mark.parametrize(
    ("info", "error"),
    [
        (["a"], TypeError),
        ({"a": object()}, TypeError),
        ({"a": float("nan")}, ValueError),
        ({"a": "x" * 1020}, ValueError),
    ],
)
def test_what_cannot_be_told_is_refused(info, error):
    ws = DummyWebSocket()
    with pytest.raises(error):
        ws.join("a", info=info)
    assert ws.rooms == frozenset()


def test_what_can_be_told():
    ws = DummyWebSocket()
    assert ws.join("a", info={"a": "x" * 1000})
    assert [who.info for who in ws.sockjs.presence("a")] == [{"a": "x" * 1000}]
    assert list(ws.sockjs.presence("b")) == []
    with pytest.raises(ValueError, match="not empty"):
        ws.sockjs.presence("")


def test_who_cannot_be_closed():
    sockjs = DummyWebSocket().sockjs
    with pytest.raises(TypeError, match="nobody"):
        sockjs.close_user(None)
    with pytest.raises(ValueError, match="1001"):
        sockjs.close_user("bob", 1001)
    assert sockjs.close_user("bob") == 0


class Hearing(WebSocketSession):
    """Notes what its hooks are called with."""

    heard: list

    def on_open(self):
        self.heard = []

    def on_join(self, room, who):
        self.heard.append(("join", room, who))
        if room == "broken":
            raise ValueError("it stumbles")

    def on_leave(self, room, who):
        self.heard.append(("leave", room, who))


def opened(session_class):
    opening = Opening()
    handler = SessionHandler(session_class, opening.request, opening.clock, opening.workers)
    assert opening.session.accept(handler)
    opening.settle()
    return opening


def test_hooks_are_called_in_order():
    opening = opened(Hearing)
    opening.session.presence_changed("a", ANN, joined=True)
    opening.session.presence_changed("a", ANN, joined=False)
    opening.settle()
    assert opening.session.connection.heard == [("join", "a", ANN), ("leave", "a", ANN)]


def test_a_class_without_them_costs_no_thread():
    opening = opened(WebSocketSession)
    opening.session.presence_changed("a", ANN, joined=True)
    assert opening.workers.jobs == []


def test_after_one_has_raised_none_is_called():
    opening = opened(Hearing)
    instance = opening.session.connection
    for room in ("broken", "a"):
        opening.session.presence_changed(room, ANN, joined=True)
    opening.settle()
    assert instance.heard == [("join", "broken", ANN)]
    assert opening.session.close_code == 4500
    opening.session.presence_changed("a", ANN, joined=False)
    opening.settle()
    assert len(instance.heard) == 1


def test_more_than_hooks_can_take_is_passed_over_and_told_once(caplog, monkeypatch):
    monkeypatch.setattr(hooks, "_log_limit", LogLimit())
    caplog.set_level(logging.WARNING, "sockjs_bridge.views")
    opening = opened(Hearing)
    for _ in range(MAX_WAITING_CALLS + 5):
        opening.session.presence_changed("a", ANN, joined=True)
    opening.settle()
    assert len(opening.session.connection.heard) == MAX_WAITING_CALLS
    assert caplog.text.count("too slow") == 1
