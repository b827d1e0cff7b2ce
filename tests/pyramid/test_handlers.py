"""What runs views and hooks (api.md, 2, 5, 11; architecture.md, "A message's way in")."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator

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

from sockjs_bridge import AsyncWebSocket, ConnectionClosed, WebSocketSession
from sockjs_bridge.pyramid.handlers import AsyncViewHandler
from sockjs_bridge.pyramid.hooks import SessionHandler
from tests.pyramid.styles import (
    FAILURE,
    FAILURE_FRAME,
    STYLES,
    errors,
    every_style,
    run_async_view,
    run_class,
    run_style,
)
from tests.pyramid.support import Opening

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


@pytest.fixture
def young() -> Iterator[None]:
    """What is made stays in the youngest generation, so that `gc.collect` needs no other one."""
    gc.disable()
    yield
    gc.enable()


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
def test_code_that_was_not_run(caplog, recwarn, young, style, make, advice):
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
    gc.collect(0)
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
