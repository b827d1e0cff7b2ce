"""Every callback that raises, hangs or returns nonsense (issue 3, "Bad input").

Its client hears the documented code, the log holds what is documented, the others go on, and the
server stops in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import threading
import time
from contextlib import contextmanager

import pytest
from pyramid.httpexceptions import (
    HTTPForbidden,
    HTTPFound,
    HTTPNotFound,
    HTTPServiceUnavailable,
    HTTPUnauthorized,
)
from pyramid.response import Response

from sockjs_bridge import ConnectionClosed
from sockjs_bridge.client import HandshakeError
from sockjs_bridge.testing import serve
from tests.integration.support import PATIENCE, Journal, closing, connected, until
from tests.pkgs import misbehaving_app, puppet_app

pytestmark = pytest.mark.integration

# On a busy machine a poll may come late.
SETTINGS = {"sockjs.allowed_origins": "https://app.example.com", "sockjs.disconnect_delay": "60"}
# Seconds that a server's end may take on such a machine, of what hangs for ever.
SOON = PATIENCE / 2

two_transports = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])

_tags = itertools.count()

FAILED = (4500, "Internal Server Error")
#: What does not end a connection.
GOES_ON = None

# What is raised: what the client hears, whether it is logged; then the same in the handshake, as
# the status that a WebSocket gets.


class Unspeakable(Exception):
    """An exception that cannot even be shown."""

    def __str__(self):
        raise RuntimeError("no words for it")

    __repr__ = __str__


RAISED = {
    "RuntimeError": (RuntimeError("oops"), FAILED, True, 500),
    "Unspeakable": (Unspeakable(), FAILED, True, 500),
    "StopIteration": (StopIteration(), FAILED, True, 500),
    "StopAsyncIteration": (StopAsyncIteration(), FAILED, True, 500),
    "ExceptionGroup": (ExceptionGroup("two", [ValueError(), KeyError()]), FAILED, True, 500),
    "SystemExit": (SystemExit(1), FAILED, True, 500),
    "KeyboardInterrupt": (KeyboardInterrupt(), FAILED, True, 500),
    "GeneratorExit": (GeneratorExit(), FAILED, True, 500),
    "CancelledError": (asyncio.CancelledError(), FAILED, True, 500),
    "TimeoutError": (TimeoutError(), FAILED, True, 500),
    "HTTPForbidden": (HTTPForbidden(), (4403, "Forbidden"), False, 403),
    "HTTPUnauthorized": (HTTPUnauthorized(), (4401, "Unauthorized"), False, 401),
    "HTTPNotFound": (HTTPNotFound(), (4404, "Not Found"), False, 404),
    "HTTPServiceUnavailable": (
        HTTPServiceUnavailable(),
        (4503, "Service Unavailable"),
        False,
        503,
    ),
    "HTTPFound": (HTTPFound("/elsewhere"), FAILED, True, 302),
    "ConnectionClosed": (ConnectionClosed(4007, "mine"), (1000, "Normal closure"), False, 500),
}


def raising(error):
    def misdeed():
        raise error

    return misdeed


# What is returned: whether the log tells of it, and closes the connection.


class Odd:
    """Can be asked nothing."""

    def __repr__(self):
        raise RuntimeError("no words for it")

    def __bool__(self):
        raise RuntimeError("neither true nor false")

    def __eq__(self, other):
        raise RuntimeError("nor the same as anything")

    __hash__ = None


async def work():
    raise AssertionError("nobody awaits it")


def generator():
    yield "nobody iterates over it"


async def async_generator():
    yield "nobody iterates over it"


RETURNED = {
    "coroutine": (work, True),
    "generator": (generator, True),
    "async generator": (async_generator, True),
    "response": (lambda: Response("a page"), False),
    "HTTP exception": (lambda: HTTPForbidden(), False),
    "dict": (lambda: {"a": 1}, False),
    "text": (lambda: "text", False),
    "odd": (Odd, False),
}

MISDEEDS = {
    **{name: raising(row[0]) for name, row in RAISED.items()},
    **{name: row[0] for name, row in RETURNED.items()},
}


@pytest.fixture(scope="module")
def journal():
    return Journal()


@pytest.fixture(scope="module")
def url(journal):
    with serve(misbehaving_app.main(journal=journal, misdeeds=MISDEEDS, **SETTINGS)) as url:
        yield url


def problems(caplog):
    """Return what was logged above INFO."""
    return [record for record in caplog.records if record.levelno > logging.INFO]


async def is_undisturbed(other):
    await other.send("undisturbed")
    assert await other.recv() == "undisturbed"


RUNNING = [
    ("view", "view"),
    ("async_view", "view"),
    *[(style, hook) for style in ("plain", "async") for hook in ("on_open", "on_message")],
]
ENDING = [(style, hook) for style in ("plain", "async") for hook in ("on_close", "on_closed")]


def check_log(caplog, style, *, logged):
    """Section 7: an unexpected exception is logged, once, with the route."""
    records = problems(caplog)
    assert len(records) == logged, [record.getMessage() for record in records]
    for record in records:
        assert record.levelno == logging.ERROR
        assert record.name == "sockjs_bridge.views"
        assert f"route {style!r}" in record.getMessage()
        assert record.exc_info is not None
        # It can be written, whatever the exception is.
        assert logging.Formatter().format(record)


@two_transports
@pytest.mark.parametrize(("style", "callback"), RUNNING)
@pytest.mark.parametrize("do", MISDEEDS)
async def test_running(url, journal, caplog, transport, style, callback, do):
    """Of a view, and of the hooks while the connection is open."""
    tag = f"tag{next(_tags)}"
    if do in RAISED:
        _, expected, logged, _ = RAISED[do]
    else:
        logged = RETURNED[do][1]
        # A view that is done closes its connection; a hook that is done does not.
        quiet = (1000, "Normal closure") if callback == "view" else GOES_ON
        expected = FAILED if logged else quiet
    target = f"{url}/{style}?in={callback}&do={do}&tag={tag}"
    async with connected(f"{url}/plain", "websocket") as other:
        async with connected(target, transport) as client:
            if callback != "on_open":
                await client.send("hello")
                if callback == "on_message":
                    assert await client.recv() == "hello"
            if expected is GOES_ON:
                await client.send("close")
                expected = (4001, "as you like")
            assert await closing(client) == expected
        await is_undisturbed(other)
        if callback != "view":
            calls = [event[0] for event in await journal.wait(tag, "on_closed")]
            assert calls[-2:] == ["on_close", "on_closed"]
            assert calls.count("on_open") == 1
    if do == "coroutine":
        # Python says so when it is collected, that it was never awaited; here that is an error.
        gc.collect()
    check_log(caplog, style, logged=logged)


@two_transports
@pytest.mark.parametrize(("style", "callback"), ENDING)
@pytest.mark.parametrize("do", MISDEEDS)
async def test_ending(url, journal, caplog, transport, style, callback, do):
    """Of the last hooks: the client has heard its end, and the one hook does not hide the other."""
    tag = f"tag{next(_tags)}"
    logged = RAISED[do][2] if do in RAISED else RETURNED[do][1]
    target = f"{url}/{style}?in={callback}&do={do}&tag={tag}"
    async with connected(f"{url}/plain", "websocket") as other:
        async with connected(target, transport) as client:
            await client.send("close")
            assert await closing(client) == (4001, "as you like")
        calls = [event[0] for event in await journal.wait(tag, "on_closed")]
        assert calls[-2:] == ["on_close", "on_closed"]
        await is_undisturbed(other)
        # What follows in the same thread, or on the loop, comes after the hook has ended.
        async with connected(f"{url}/{style}", transport) as another:
            await is_undisturbed(another)
    if do == "coroutine":
        gc.collect()
    # Unless the pool has grown meanwhile, and the other one had another thread.
    await until(lambda: len(problems(caplog)) >= logged)
    check_log(caplog, style, logged=logged)


@two_transports
@pytest.mark.parametrize("do", RAISED)
async def test_making(url, caplog, transport, do):
    """Of ``__init__``, which is part of the handshake: its answer is the handshake's."""
    _, _, logged, status = RAISED[do]
    target = f"{url}/plain?in=__init__&do={do}"
    async with connected(f"{url}/plain", "websocket") as other:
        if transport == "websocket":
            with pytest.raises(HandshakeError) as refused:
                await connected(target, transport).__aenter__()
            assert refused.value.status == status
        else:
            async with connected(target, transport) as client:
                assert (await closing(client))[0] == 4000 + status
        await is_undisturbed(other)
    assert len(problems(caplog)) == (status == 500)
    assert logged or status != 302


# What hangs


class Hangs:
    """Waits for ever: in a thread until the test is over, on the loop until it is cancelled."""

    def __init__(self):
        self.over = threading.Event()

    def wait(self):
        self.over.wait()

    def wait_on_the_loop(self):
        return self

    async def run(self):
        await asyncio.Event().wait()


class Stubborn(Hangs):
    """Does not even end when it is cancelled, until the test is over."""

    async def run(self):
        while not self.over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)


class InAThread(Hangs):
    """Waits for a thread that waits for ever."""

    async def run(self):
        await asyncio.to_thread(self.over.wait)


@contextmanager
def hanging(journal, do, **server):
    """Serve an application of which one callback hangs; lets it go when the server has ended."""
    misdeeds = {"wait": do.wait, "run": do.wait_on_the_loop}
    try:
        with serve(
            misbehaving_app.main(journal=journal, misdeeds=misdeeds, **SETTINGS), **server
        ) as url:
            yield url
    finally:
        do.over.set()


@pytest.mark.parametrize(
    ("style", "callback"), [("async_view", "view"), ("async", "on_message"), ("async", "on_close")]
)
@pytest.mark.parametrize("kind", [Stubborn, InAThread])
async def test_hanging_for_good(style, callback, kind):
    """Code that cannot be cancelled does not hold the server's end."""
    hangs = kind()
    # It ends at last, whatever becomes of it: the test must fail, and not hang.
    end = threading.Timer(PATIENCE, hangs.over.set)
    end.start()
    with hanging(Journal(), hangs, shutdown_timeout=0.3) as url:
        target = f"{url}/{style}?in={callback}&do=run"
        async with connected(target, "websocket") as client:
            await client.send("hello" if callback != "on_close" else "close")
            if callback != "view":
                await closing(client) if callback == "on_close" else await client.recv()
        start = time.monotonic()
    end.cancel()
    assert time.monotonic() - start < SOON


@two_transports
@pytest.mark.parametrize(("style", "callback"), [*RUNNING, *ENDING, ("plain", "__init__")])
async def test_hanging(caplog, transport, style, callback):
    """It delays its own session only, and the server stops when its grace period is over."""
    journal = Journal()
    with hanging(journal, Hangs(), shutdown_timeout=0.3) as url:
        target = f"{url}/{style}?tag=it&in={callback}&do={'run' if 'async' in style else 'wait'}"
        async with contextlib.AsyncExitStack() as stack:
            other = await stack.enter_async_context(connected(f"{url}/{style}", transport))
            if callback == "__init__":
                opening = asyncio.create_task(connected(target, transport).__aenter__())
            else:
                client = await stack.enter_async_context(connected(target, transport))
                await client.send("hello" if callback not in ("on_close", "on_closed") else "close")
            await journal.wait("it", callback)
            await is_undisturbed(other)
            if callback == "__init__":
                assert not opening.done()
                opening.cancel()
                await asyncio.wait({opening})
        start = time.monotonic()
    assert time.monotonic() - start < SOON
    assert problems(caplog) == []


# Views that do not read


class Asleep:
    """Does not read until it is woken; it reads on then, or ends."""

    def __init__(self, style, then):
        self.awake = threading.Event()
        self._asynchronous = "async" in style
        self._then = then

    def work(self, connection):
        return self.wait_on_the_loop() if self._asynchronous else self.wait()

    def wait(self):
        assert self.awake.wait(PATIENCE)
        if self._then == "ends":
            raise ConnectionClosed(1000, "")

    async def wait_on_the_loop(self):
        await asyncio.to_thread(self.wait)


@two_transports
@pytest.mark.parametrize("style", ["view", "async_view", "plain", "async"])
@pytest.mark.parametrize("then", ["reads on", "ends"])
async def test_who_does_not_read(transport, style, then):
    """max_inbound bounds what waits; who sends more waits himself, until it is read or over."""
    # More than kernel and server buffer on the way, one message in a request.
    limit, count, filler = 4, 700 if transport == "websocket" else 12, "x" * 60_000
    asleep = Asleep(style, then)
    journal = Journal()
    settings = {"sockjs.max_inbound": str(limit), "sockjs.max_queue_size": "100000000"}
    app = puppet_app.main(journal=journal, jobs={"asleep": asleep.work}, **settings)
    handled = []

    async def send_all():
        for number in range(count):
            await client.send(f"{number} {filler}")
            handled.append(number)

    with serve(app) as url:
        async with (
            connected(f"{url}/{style}", transport) as other,
            connected(f"{url}/{style}?tag=it", transport) as client,
        ):
            await client.send("asleep")
            await journal.wait("it", "message")
            endpoint = app.registry.sockjs.endpoints[style]
            (session,) = [one for one in endpoint.sessions if one.messages_in]
            sending = asyncio.create_task(send_all())
            await until(lambda: session.full)
            for _ in range(20):
                await is_undisturbed(other)
            # One message in a frame: no more than the limit was taken.
            assert session.messages_in == 1 + limit
            assert not sending.done()
            asleep.awake.set()
            if then == "ends":
                (outcome,) = await asyncio.gather(sending, return_exceptions=True)
                # What leaves before the client has read the close frame is no error.
                assert isinstance(outcome, ConnectionClosed) or len(handled) == count
                assert await closing(client) == (1000, "Normal closure")
            else:
                for number in range(count):
                    assert await client.recv() == f"{number} {filler}"
                await sending
            await is_undisturbed(other)


@pytest.mark.parametrize("style", ["view", "async_view"])
@two_transports
async def test_reading_after_close(transport, style):
    """What came before is still read; then every call says that it is over, and with what."""
    seen = []

    def note(error):
        seen.append((error.code, error.reason))

    def read_on(connection):
        # The messages behind this one have arrived.
        connection.close(4001, "enough")
        for _ in range(5):
            try:
                seen.append(connection.receive(timeout=PATIENCE))
            except ConnectionClosed as closed:
                note(closed)

    async def read_on_the_loop(connection):
        connection.close(4001, "enough")
        for _ in range(5):
            try:
                seen.append(await connection.receive(timeout=PATIENCE))
            except ConnectionClosed as closed:
                note(closed)

    jobs = {"read on": read_on if style == "view" else read_on_the_loop}
    journal = Journal()
    with serve(puppet_app.main(journal=journal, jobs=jobs)) as url:
        async with connected(f"{url}/{style}?tag=it", transport) as client:
            # In one frame, as the server sees it.
            if transport == "websocket":
                await client._websocket.send_str(json.dumps(["read on", "one", "two"]))
            else:
                await asyncio.gather(*map(client.send, ["first", "read on", "one", "two"]))
                assert await client.recv() == "first"
            assert await closing(client) == (4001, "enough")
        assert (await journal.wait("it", "close"))[-1] == ("close", 4001, "enough")
    assert seen == ["one", "two", *[(4001, "enough")] * 3]


@two_transports
async def test_who_never_learns(transport):
    """A view that reads on and on after the end keeps nobody, and does not hold the end."""
    reads = itertools.count()

    async def read_on(connection):
        connection.close(4001, "enough")
        while True:
            with contextlib.suppress(ConnectionClosed):
                await connection.receive()
            next(reads)

    with serve(
        puppet_app.main(journal=Journal(), jobs={"read on": read_on}), shutdown_timeout=0.3
    ) as url:
        async with (
            connected(f"{url}/async_view", transport) as other,
            connected(f"{url}/async_view", transport) as client,
        ):
            await client.send("read on")
            assert await closing(client) == (4001, "enough")
            for _ in range(3):
                before = next(reads)
                await is_undisturbed(other)
                assert next(reads) > before + 1
        start = time.monotonic()
    assert time.monotonic() - start < SOON
