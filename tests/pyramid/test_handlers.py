"""What runs views and hooks (api.md, 2, 5, 11; architecture.md, "A message's way in")."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPGone
from pyramid.threadlocal import get_current_request

from sockjs_bridge import ConnectionClosed, Session, WebSocketSession
from sockjs_bridge.pyramid.handlers import BlockingThreads, SessionHandler, ViewHandler
from sockjs_bridge.pyramid.views import checked_message
from tests.pyramid.support import HandWorkers, Opening


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
    handler = SessionHandler(
        lambda: session_class(opening.request), opening.request, opening.clock, opening.workers
    )
    opening.request.context = None
    assert opening.session.accept(handler)
    return opening, handler


# Threads


def test_limit_of_threads():
    """blocking_threads: no more run at once, and one that ends gives its place back."""
    threads, workers = BlockingThreads(2), HandWorkers()
    ran = []
    assert threads.start(workers, lambda: ran.append(1), "a")
    assert threads.start(workers, lambda: ran.append(2), "b")
    assert not threads.start(workers, lambda: ran.append(3), "c")
    workers.run()
    assert threads.start(workers, lambda: ran.append(4), "d")
    workers.run()
    assert ran == [1, 2, 4]


def test_place_is_given_back_after_an_exception():
    threads, workers = BlockingThreads(1), HandWorkers()

    def fails():
        raise RuntimeError

    assert threads.start(workers, fails, "a")
    with pytest.raises(RuntimeError):
        workers.run()
    assert threads.start(workers, fails, "b")


def test_no_thread_to_be_had(caplog):
    """Where the system gives no thread, the client hears the same as beyond the limit."""
    threads, workers = BlockingThreads(1), HandWorkers()
    workers.exhausted = True
    assert not threads.start(workers, lambda: None, "a")
    assert "no more threads" in caplog.text
    workers.exhausted = False
    assert threads.start(workers, lambda: None, "b")


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


EXCEPTIONS = [
    (HTTPForbidden(), 4403, "Forbidden", False),
    (HTTPGone(), 4410, "Gone", False),
    (HTTPFound("/"), 4500, "Internal Server Error", True),
    (RuntimeError("oops"), 4500, "Internal Server Error", True),
    (ConnectionClosed(1000, ""), 1000, "Normal closure", False),
]


@pytest.mark.parametrize(
    ("style", "error", "code", "reason", "logged"),
    [
        *[(style, *row) for style in ("view", "plain", "asynchronous") for row in EXCEPTIONS],
        # One session's code does not end the server.
        ("view", SystemExit(1), 4500, "Internal Server Error", True),
        ("plain", SystemExit(1), 4500, "Internal Server Error", True),
        ("asynchronous", SystemExit(1), 4500, "Internal Server Error", True),
        # It comes out of a future that the hook awaits; nobody cancelled the hook.
        ("asynchronous", asyncio.CancelledError(), 4500, "Internal Server Error", True),
    ],
)
def test_exceptions(caplog, style, error, code, reason, logged):
    """Section 7: what an exception in a running view or hook means to the client and the log."""
    caplog.set_level(logging.INFO, "sockjs_bridge.views")

    def raises():
        raise error

    class Plain(WebSocketSession):
        def on_open(self):
            raise error

    class Asynchronous(WebSocketSession):
        async def on_open(self):
            raise error

    if style == "view":
        opening = run_view(raises)
    else:
        opening, _ = run_class(Plain if style == "plain" else Asynchronous)
    opening.settle()
    close = opening.receiver.frames[-1]
    assert close.startswith(f"c[{code},")
    assert reason in close
    if logged:
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info[1] is error
        assert "'chat'" in record.getMessage()
        assert "/chat" in record.getMessage()
    else:
        assert caplog.records == []


async def test_cancelled_hooks():
    """The server stops: a hook that is cancelled ends, and none of its session follows."""
    calls = []

    class Waiting(WebSocketSession):
        async def on_open(self):
            calls.append("open")
            await asyncio.Event().wait()

        async def on_close(self):
            calls.append("close")

    opening, _ = run_class(Waiting)
    (coroutine,) = opening.workers.coroutines
    opening.workers.coroutines.clear()
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    opening.session.close(3000, "Go away!")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert calls == ["open"]
    assert opening.workers.coroutines == []


# A session class


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
    assert "no threads" in caplog.text


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
