"""`sockjs.debug`: who keeps the event loop from everybody else is logged (issue 3, "Threads")."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from sockjs_bridge.pyramid import debug
from sockjs_bridge.pyramid.debug import STANDSTILL as LIMIT
from sockjs_bridge.pyramid.debug import dotted_name, unwatched, watch_of


def test_standstill():
    """Issue 3: more than 100 ms."""
    assert LIMIT == 0.1


class HandClock:
    """A clock that stands still unless it is wound: nothing depends on how quick the machine is."""

    now = 0.0

    def perf_counter(self):
        return self.now


clock = HandClock()


@pytest.fixture(autouse=True)
def wound_by_hand(monkeypatch, caplog):
    monkeypatch.setattr(debug, "time", clock)
    caplog.set_level(logging.DEBUG, "sockjs_bridge.views")


def block(seconds=0.12):
    """Keep the loop for more than what is allowed."""
    clock.now += seconds


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


watch = watch_of("app.views.slow")


async def test_blocking_call(caplog):
    """It is logged with the view's name, and with the time that it took."""

    async def view():
        block()
        return "result"

    assert await watch(view()) == "result"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "sockjs_bridge.views"
    text = record.getMessage()
    assert text.startswith("app.views.slow blocked the event loop")
    assert " for 120 ms: " in text
    assert "asyncio.to_thread" in text


async def test_each_step_counts_for_itself(caplog):
    """Before an await and after it: two standstills are two lines; short ones add up to none."""

    async def view():
        block()
        await asyncio.sleep(0)
        block()
        for _ in range(4):
            block(0.04)
            await asyncio.sleep(0)

    await watch(view())
    assert len(warnings(caplog)) == 2


async def test_waiting_is_not_blocking(caplog):
    """Whoever awaits, even something slow in a thread, keeps nobody."""

    awaits = threading.Event()

    def work():
        assert awaits.wait(40)
        block()

    async def view():
        loop = asyncio.get_running_loop()
        loop.call_soon(block)
        await asyncio.sleep(0)
        # Called when the view awaits already.
        loop.call_soon(awaits.set)
        await asyncio.to_thread(work)
        async with asyncio.timeout(40):
            loop.call_soon(block)
            await asyncio.sleep(0)

    await watch(view())
    assert warnings(caplog) == []


async def test_exceptions_pass(caplog):
    """What is raised within, and what is thrown in, are as they were without the watch."""

    async def view():
        try:
            await failing
        except KeyError as error:
            block()
            raise ValueError("of the view") from error

    failing = asyncio.get_running_loop().create_future()
    failing.set_exception(KeyError("of what it awaits"))
    with pytest.raises(ValueError, match="of the view") as raised:
        await watch(view())
    assert isinstance(raised.value.__cause__, KeyError)
    assert len(warnings(caplog)) == 1


async def test_cancellation():
    """A watched task is cancelled as any other, and may clean up."""
    cleaned = []

    async def view():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    task = asyncio.create_task(watch(view()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [True]


async def test_a_view_that_refuses_to_be_cancelled():
    """It goes on, and its result is still its own."""

    async def view():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "not now"

    task = asyncio.create_task(watch(view()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "not now"


def test_closed():
    """A coroutine that nobody finishes is closed through the watch."""
    closed = []

    async def view():
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    watched = watch(view())
    watched.send(None)
    watched.close()
    assert closed == [True]


async def test_unwatched(caplog):
    """Without sockjs.debug nothing is measured, and nothing is wrapped."""

    async def view():
        block()
        return "result"

    coroutine = view()
    assert unwatched(coroutine) is coroutine
    assert await coroutine == "result"
    assert warnings(caplog) == []


# The name


class Views:
    """A view class, and one that is called."""

    async def method(self):
        """A view."""

    async def __call__(self):
        """A view."""


@pytest.mark.parametrize(
    ("view", "attr", "name"),
    [
        (block, None, "block"),
        (Views, None, "Views"),
        (Views, "method", "Views.method"),
        (Views.method, None, "Views.method"),
        (Views(), None, "Views"),
        (Views(), "method", "Views.method"),
    ],
)
def test_dotted_name(view, attr, name):
    """Where a view is found in the code, whatever kind of view it is."""
    assert dotted_name(view, attr) == f"{__name__}.{name}"
