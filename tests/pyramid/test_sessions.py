"""Session classes: their hooks, one after another (api.md, section 5)."""

from __future__ import annotations

import asyncio

import pytest
from pyramid.httpexceptions import (
    HTTPForbidden,
)
from pyramid.threadlocal import get_current_request

from sockjs_bridge import Session, WebSocketSession
from sockjs_bridge.pyramid.attempt import note_transient
from sockjs_bridge.pyramid.checks import checked_message
from sockjs_bridge.pyramid.hooks import SessionHandler
from tests.pyramid.styles import (
    FAILURE,
    FAILURE_FRAME,
    errors,
    run_class,
)
from tests.pyramid.support import Opening


def test_hooks_in_order():
    """Section 5: hooks of one session run one after another, in order, whatever they are."""
    calls = []

    class Mixed(WebSocketSession):
        def on_open(self):
            calls.append("open")

        async def on_message(self, message):
            calls.append(message)

        def on_close(self):
            calls.append((self.close_code, self.close_reason))

    opening, handler = run_class(Mixed)
    opening.session.deliver(["a", "b"], 5)
    assert handler.backlog() == 3
    assert calls == []
    # One hook at a time, though three wait.
    assert (len(opening.workers.jobs), opening.workers.coroutines) == (1, [])
    opening.settle()
    assert calls == ["open", "a", "b"]
    opening.session.deliver(["c"], 5)
    opening.session.close(4001, "over")
    opening.settle()
    assert calls == ["open", "a", "b", "c", (4001, "over")]
    assert handler.backlog() == 0


def test_hooks_of_a_class_without_any():
    """Hooks that a class leaves out cost no thread."""
    opening, handler = run_class(WebSocketSession)
    opening.session.deliver(["a"], 5)
    opening.session.close(1000, "")
    assert (handler.backlog(), opening.workers.jobs) == (0, [])


def test_plain_hooks_run_within_the_request():
    """architecture.md: sync bodies run within RequestContext, with the context of the handshake."""
    seen = []

    class Looks(WebSocketSession):
        def on_open(self):
            seen.append((self.request.context.name, get_current_request() is self.request))

    opening, _ = run_class(Looks)
    opening.settle()
    assert seen == [("context", True)]


def test_fairness():
    """A session with many messages lets others have a turn in the pool."""
    calls = []

    class Busy(WebSocketSession):
        def on_message(self, message):
            calls.append(message)

    opening, _ = run_class(Busy)
    messages = [str(number) for number in range(SessionHandler.FAIR * 2 + 1)]
    opening.session.deliver(messages, 100)
    opening.workers.run()
    assert calls == messages[: SessionHandler.FAIR]
    assert opening.workers.jobs == []
    opening.clock.settle()
    assert len(opening.workers.jobs) == 1
    opening.settle()
    assert calls == messages


def test_fairness_on_the_loop():
    """Asynchronous hooks that never wait let the loop have its turn as well."""
    calls = []

    class Busy(WebSocketSession):
        async def on_message(self, message):
            calls.append(message)

    opening, _ = run_class(Busy)
    messages = [str(number) for number in range(SessionHandler.FAIR * 2)]
    opening.session.deliver(messages, 100)

    async def run():
        (coroutine,), opening.workers.coroutines = opening.workers.coroutines, []
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        seen = len(calls)
        await task
        return seen

    assert 0 < asyncio.run(run()) < len(messages)
    assert calls == messages


def test_no_thread_for_a_hook(caplog):
    """Where the system gives no thread for a hook, the client hears it, and nothing is kept."""
    opening = Opening()
    opening.workers.exhausted = True

    class Plain(WebSocketSession):
        def on_open(self):
            raise AssertionError("there is no thread to run it")

    _, handler = run_class(Plain, opening)
    opening.settle()
    assert opening.receiver.frames[-1] == 'c[4503,"Too many connections"]'
    assert handler.backlog() == 0
    (line,) = caplog.records
    assert "no thread is left for a hook: can't start new thread" in line.getMessage()
    assert line.exc_info is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_hooks_make_room(asynchronous):
    """Section 11, max_inbound: who waited for slow hooks goes on."""

    class Plain(WebSocketSession):
        def on_message(self, message):
            checked_message(message)

    class Asynchronous(WebSocketSession):
        async def on_message(self, message):
            checked_message(message)

    opening, _ = run_class(Asynchronous if asynchronous else Plain, max_inbound=2)
    opening.session.deliver(["a"], 5)
    assert not opening.session.full
    opening.session.deliver(["b", "c"], 5)
    assert opening.session.full
    called = []
    opening.session.when_ready(lambda: called.append(True))
    opening.settle()
    assert called == [True]
    assert not opening.session.full


def test_after_an_exception_the_session_is_told_of_its_end():
    """on_close is called once, after the hook that failed, with what the client heard."""
    calls = []

    class Fails(WebSocketSession):
        def on_message(self, message):
            raise HTTPForbidden

        def on_close(self):
            calls.append((self.close_code, self.close_reason))

    opening, _ = run_class(Fails)
    opening.session.deliver(["a"], 5)
    opening.settle()
    assert calls == [(4403, "Forbidden")]


@pytest.mark.parametrize("hook", ["on_open", "on_message"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_messages_behind_a_failure(caplog, hook, asynchronous):
    """An exception is the end of a session class as of a view: on_close alone follows it."""
    calls = []

    class Plain(WebSocketSession):
        def on_open(self):
            self.note("open", hook == "on_open")

        def on_message(self, message):
            self.note(message, True)

        def on_close(self):
            calls.append((self.close_code, self.close_reason))

        def note(self, what, fails):
            calls.append(what)
            if fails:
                raise RuntimeError(what)

    class Asynchronous(Plain):
        async def on_open(self):
            self.note("open", hook == "on_open")

        async def on_message(self, message):
            self.note(message, True)

    opening, handler = run_class(Asynchronous if asynchronous else Plain, max_inbound=4)
    opening.session.deliver([str(number) for number in range(40)], 200)
    made_room = []
    opening.session.when_ready(lambda: made_room.append(True))
    opening.settle()
    failed = "open" if hook == "on_open" else "0"
    assert calls == [*(["open"] if hook == "on_message" else []), failed, (4500, FAILURE[1])]
    assert len(errors(caplog)) == 1
    assert handler.backlog() == 0
    assert made_room == [True]


def raising(session):
    """Raise, as a property of a session class."""
    raise RuntimeError("no hook")


@pytest.mark.parametrize("nonsense", [None, "text", property(raising)])
@pytest.mark.parametrize("hook", ["on_open", "on_message"])
def test_hook_that_is_no_function(caplog, hook, nonsense):
    """What cannot be called is an error as any other: the connection does not stay open, silent."""
    calls = []

    class Nonsense(WebSocketSession):
        def on_close(self):
            calls.append(self.close_code)

    setattr(Nonsense, hook, nonsense)
    opening, _ = run_class(Nonsense)
    opening.session.deliver(["a"], 5)
    opening.settle()
    assert calls == [4500]
    assert len(errors(caplog)) == 1


def test_init_without_that_of_the_base():
    """A session class that forgets super() is told what to write, when the connection begins."""

    class Forgetful(WebSocketSession):
        def __init__(self, request):
            self.count = 0

    with pytest.raises(TypeError, match=r"Forgetful: its __init__ must call super\(\).__init__"):
        run_class(Forgetful)


def test_messages_behind_a_close():
    """What arrived before close() is still the application's, as it is for a view."""
    calls = []

    class Closes(WebSocketSession):
        def on_message(self, message):
            calls.append(message)
            self.close(4001, "enough")

        def on_close(self):
            calls.append(self.close_code)

    opening, _ = run_class(Closes)
    opening.session.deliver(["a", "b"], 5)
    opening.settle()
    assert calls == ["a", "b", 4001]


def test_instance_is_the_connection_of_its_session():
    """Section 6: members() gives the session class's instance, from its first line on."""
    opening = Opening()
    seen = []

    class Early(WebSocketSession):
        def __init__(self, request):
            super().__init__(request)
            seen.append(self.join("lobby"))

        def on_open(self):
            seen.append(opening.session.connection is self)

    run_class(Early, opening)
    opening.settle()
    assert seen == [True, True]


# Once more


class Conflict(Exception):
    """What ends a transaction that may succeed another time."""


def conflict():
    """Raise one as a transaction does."""
    error = Conflict()
    note_transient(error)
    raise error


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("setting", "allowed"), [(None, 3), ("1", 1), ("5", 5)], ids=["default", "once", "five"]
)
@pytest.mark.parametrize("enough", [False, True])
def test_retry(caplog, asynchronous, setting, allowed, enough):
    """decisions: the hook runs again with the same message, up to retry.attempts times in all."""
    calls = []
    opening = Opening()
    opening.request.registry.settings = {} if setting is None else {"retry.attempts": setting}
    failures = allowed - 1 if enough else allowed

    class Plain(WebSocketSession):
        def on_message(self, message):
            calls.append(message)
            if message == "b" and calls.count("b") <= failures:
                conflict()

    class Asynchronous(Plain):
        async def on_message(self, message):
            Plain.on_message(self, message)

    run_class(Asynchronous if asynchronous else Plain, opening)
    opening.session.deliver(["a", "b", "c"], 7)
    opening.settle()
    assert calls == ["a", *["b"] * allowed, *(["c"] if enough else [])]
    assert opening.receiver.frames == (["o"] if enough else ["o", FAILURE_FRAME])
    assert len(errors(caplog)) == (0 if enough else 1)


def test_retries_are_counted_for_each_message():
    """A message that came through at its last try leaves the next one all of its own."""
    calls = []
    opening = Opening()
    opening.request.registry.settings = {}

    class Plain(WebSocketSession):
        def on_message(self, message):
            calls.append(message)
            if calls.count(message) < 3:
                conflict()

    run_class(Plain, opening)
    opening.session.deliver(["a", "b"], 5)
    opening.settle()
    assert calls == ["a"] * 3 + ["b"] * 3
    assert opening.receiver.frames == ["o"]


def test_old_hooks():
    """Section 5: code for pyramid_sockjs has on_closed, which comes after on_close."""
    calls = []

    class Old(Session):
        def on_close(self):
            calls.append("close")

        def on_closed(self):
            calls.append("closed")

    opening, _ = run_class(Old)
    opening.session.close(1000, "")
    opening.settle()
    assert calls == ["close", "closed"]
