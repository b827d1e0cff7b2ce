"""What runs views and hooks (api.md, 2, 5, 11; architecture.md, "A message's way in")."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from pyramid.httpexceptions import (
    HTTPException,
    HTTPForbidden,
    HTTPFound,
    HTTPGone,
    HTTPServiceUnavailable,
)
from pyramid.response import Response
from pyramid.threadlocal import get_current_request

from sockjs_bridge import AsyncWebSocket, ConnectionClosed, Session, WebSocketSession
from sockjs_bridge.pyramid.attempt import note_transient
from sockjs_bridge.pyramid.checks import checked_message
from sockjs_bridge.pyramid.handlers import (
    AsyncViewHandler,
    BlockingThreads,
    SessionHandler,
    ViewHandler,
)
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


# Threads


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


FAILURE = (4500, "Internal Server Error", True)
FAILURE_FRAME = 'c[4500,"Internal Server Error"]'
EXCEPTIONS = [
    (HTTPForbidden(), 4403, "Forbidden", False),
    (HTTPGone(), 4410, "Gone", False),
    (HTTPServiceUnavailable(), 4503, "Service Unavailable", False),
    (HTTPFound("/"), *FAILURE),
    (RuntimeError("oops"), *FAILURE),
    (ConnectionClosed(1000, ""), 1000, "Normal closure", False),
]


@pytest.mark.parametrize(
    ("style", "error", "code", "reason", "logged"),
    [
        *[(style, *row) for style in STYLES for row in EXCEPTIONS],
        # One session's code does not end the server.
        *[(style, SystemExit(1), *FAILURE) for style in STYLES],
        *[(style, KeyboardInterrupt(), *FAILURE) for style in STYLES],
        *[(style, GeneratorExit(), *FAILURE) for style in STYLES],
        # It comes out of a future that the code awaits; nobody cancelled the code.
        *[(style, asyncio.CancelledError(), *FAILURE) for style in STYLES],
    ],
)
def test_exceptions(caplog, style, error, code, reason, logged):
    """Section 7: what an exception in a running view or hook means to the client and the log."""
    caplog.set_level(logging.INFO, "sockjs_bridge.views")

    def raises():
        raise error

    opening = run_style(style, raises)
    opening.settle()
    assert opening.receiver.frames == ["o", f'c[{code},"{reason}"]']
    if logged:
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info[1] is error
        assert "'chat'" in record.getMessage()
        assert "/chat" in record.getMessage()
    else:
        assert caplog.records == []


class Peculiar(HTTPException):
    """An HTTP exception that an application made for itself."""

    def __init__(self, code, title):
        super().__init__()
        self.code, self.title = code, title


@every_style
@pytest.mark.parametrize(
    ("code", "title", "frame"),
    [
        (418, "Teapot", 'c[4418,"Teapot"]'),
        (418, None, 'c[4418,""]'),
        (999, "Far", 'c[4999,"Far"]'),
        (1000, "Too far", FAILURE_FRAME),
        (None, "None", FAILURE_FRAME),
        ("403", "Text", FAILURE_FRAME),
        (403, b"bytes", FAILURE_FRAME),
    ],
)
def test_peculiar_http_exception(style, code, title, frame):
    """Whatever an application put into it, its connection is closed."""

    def raises():
        raise Peculiar(code, title)

    opening = run_style(style, raises)
    opening.settle()
    assert opening.receiver.frames == ["o", frame]


@pytest.mark.parametrize("style", ["async view", "async hook"])
def test_cancelled_by_its_own_code(caplog, style):
    """Only the server's stop ends a task quietly: this is a failure like another."""

    def cancels():
        asyncio.current_task().cancel()
        return asyncio.sleep(10)

    calls = []

    async def view():
        await cancels()

    class Asynchronous(WebSocketSession):
        async def on_open(self):
            await cancels()

        async def on_close(self):
            await asyncio.sleep(0)
            calls.append((self.close_code, asyncio.current_task().cancelling()))

    opening = run_async_view(view) if style == "async view" else run_class(Asynchronous)[0]
    opening.settle()
    assert opening.receiver.frames == ["o", FAILURE_FRAME]
    assert [record.exc_info[0] for record in errors(caplog)] == [asyncio.CancelledError]
    assert calls == ([] if style == "async view" else [(4500, 0)])


# What they return


class Odd:
    """Cannot even be shown."""

    def __repr__(self):
        raise RuntimeError("no words for it")

    def __bool__(self):
        raise RuntimeError("neither true nor false")


@every_style
@pytest.mark.parametrize(
    "result",
    [None, "text", {"a": 1}, Response("a page"), HTTPForbidden(), Odd(), object, 0],
    ids=lambda result: type(result).__name__,
)
def test_return_value_is_ignored(caplog, style, result):
    """A view that is done closes with 1000; a hook that is done goes on."""
    opening = run_style(style, lambda: result)
    opening.settle()
    end = ['c[1000,"Normal closure"]'] if "view" in style else []
    assert opening.receiver.frames == ["o", *end]
    assert errors(caplog) == []


def coroutine():
    async def work():
        raise AssertionError("nobody awaits it")

    return work()


class OddAwaitable:
    """Awaitable, and that is all that can be said of it."""

    def __await__(self):
        raise AssertionError("nobody awaits it")


def generator():
    yield "nobody iterates over it"


async def async_generator():
    yield "nobody iterates over it"


@every_style
@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (coroutine, {"plain": "declare it async def", "async": "return await it"}),
        (OddAwaitable, {"plain": "declare it async def", "async": "return await it"}),
        (generator, "it must not yield"),
        (async_generator, "it must not yield"),
    ],
)
def test_code_that_was_not_run(caplog, recwarn, style, make, advice):
    """What a view or hook returned in place of running it is told of, and never silently lost."""
    if isinstance(advice, dict):
        advice = advice["async" if "async" in style else "plain"]
    opening = run_style(style, make)
    opening.settle()
    assert opening.receiver.frames == ["o", FAILURE_FRAME]
    (record,) = errors(caplog)
    assert record.exc_info[0] is TypeError
    assert advice in str(record.exc_info[1])
    del opening, record
    caplog.clear()
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


# The server's end


async def test_cancelled_view():
    """The server stops: a view that is cancelled ends."""
    ended = []

    async def view():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    opening = run_async_view(view)
    (coroutine,), opening.workers.coroutines = opening.workers.coroutines, []
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    opening.session.close(3000, "Go away!")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


@pytest.mark.parametrize("style", ["async view", "async hook"])
async def test_dropped(caplog, recwarn, style):
    """The server has ended without it: it is taken apart, and says nothing."""
    ended = []

    async def view():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    class Asynchronous(WebSocketSession):
        async def on_open(self):
            await view()

    opening = run_async_view(view) if style == "async view" else run_class(Asynchronous)[0]
    (coroutine,), opening.workers.coroutines = opening.workers.coroutines, []

    async def begin():
        coroutine.send(None)

    await asyncio.create_task(begin())
    coroutine.close()
    assert ended == [True]
    assert errors(caplog) == []
    assert list(recwarn) == []


def test_dropped_with_its_loop(caplog, recwarn):
    """The same when there is no loop any more."""

    async def view():
        await asyncio.sleep(0)

    opening = run_async_view(view)
    (coroutine,), opening.workers.coroutines = opening.workers.coroutines, []

    async def begin():
        coroutine.send(None)

    asyncio.run(begin())
    coroutine.close()
    assert errors(caplog) == []
    assert list(recwarn) == []


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


# An asynchronous view


def test_async_view_runs_with_its_context():
    """The router takes the context away when the handshake is over; the view has it."""
    seen = []
    opening = Opening()

    async def view():
        seen.append(opening.request.context.name)
        # Across an await threadlocals cannot be held.
        seen.append(get_current_request())

    run_async_view(view, opening)
    opening.settle()
    assert seen == ["context", None]
    assert opening.receiver.frames == ["o", 'c[1000,"Normal closure"]']


def test_messages_of_an_async_view():
    """Messages are handed over in order and counted until they are received."""
    opening = Opening()
    received = []

    async def view():
        websocket = opening.request.websocket
        try:
            while True:
                received.append(await websocket.receive())
        except ConnectionClosed as closed:
            received.append((closed.code, closed.reason))
            raise

    run_async_view(view, opening)
    opening.session.deliver(["a", "b"], 7)
    assert opening.session._handler.backlog() == 2
    opening.session.close(4001, "over")
    opening.settle()
    assert received == ["a", "b", (4001, "over")]
    assert opening.receiver.frames == ["o", 'c[4001,"over"]']


@pytest.mark.parametrize("style", ["async view", "async hook"])
def test_watched(style):
    """sockjs.debug: what is awaited is wrapped, and does what it did."""
    opening = Opening()
    watched = []

    async def watch(awaited):
        watched.append(awaited)
        return await awaited

    async def view():
        opening.websocket.send("from the view")

    class Asynchronous(WebSocketSession):
        async def on_open(self):
            await view()

    opening.request.websocket = AsyncWebSocket(opening.session, opening.clock)
    if style == "async view":
        handler = AsyncViewHandler(view, opening.request, opening.workers, watch)
    else:
        handler = SessionHandler(
            Asynchronous, opening.request, opening.clock, opening.workers, watch
        )
    assert opening.session.accept(handler)
    opening.settle()
    assert len(watched) == 1
    assert 'a["from the view"]' in opening.receiver.frames


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
