"""pyramid_tm: the handshake's transaction, and a message's (issue 3, "The pipeline")."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

import pytest
from pyramid.config import Configurator

from sockjs_bridge import WebSocketSession
from sockjs_bridge.testing import serve
from tests.integration.support import closing, connected, get, outcome, until
from tests.pkgs.marriage import transactions, users

both_kinds = pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])
hooks = pytest.mark.parametrize("style", ["plain", "async"])

EXPLICIT = {"tm.manager_hook": "pyramid_tm.explicit_manager"}
FAILED = (4500, "Internal Server Error")


@pytest.fixture(autouse=True)
def short_repeat_window(monkeypatch):
    """A browser's silent repeat is not waited for: no client of these tests repeats."""
    monkeypatch.setattr("sockjs_bridge.core.deadlines.WINDOW", 0.05)


class Shop:
    """An application on a database of its own, where it is served."""

    def __init__(self, folder, settings):
        settings = {"sqlalchemy.url": f"sqlite:///{folder}/notes.sqlite", **settings}
        self.app = transactions.main(**settings)
        self.url = ""

    def runs(self, text):
        """How often a hook, or the handshake, ran for a text."""
        return self.app.registry.runs.count(text)

    async def notes(self):
        """What is stored."""
        status, _, text = await get(f"{self.url}/notes")
        assert status == 200
        return json.loads(text)


@pytest.fixture
def settings(request):
    return getattr(request, "param", EXPLICIT)


@pytest.fixture
def shop(tmp_path, settings):
    shop = Shop(tmp_path, settings)
    with serve(shop.app, shutdown_timeout="0.5") as shop.url:
        yield shop
    shop.app.registry.engine.dispose()


def with_settings(*variants):
    return pytest.mark.parametrize("settings", variants, indirect=True)


def errors(caplog):
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


# A message's transaction


@both_kinds
@hooks
async def test_committed(shop, transport, style):
    """At the end of the block it is stored: the page sees it when the answer is there."""
    async with connected(f"{shop.url}/{style}", transport) as client:
        for text in ("one", "two"):
            await client.send(f"add - {text}")
            assert await client.recv() == f"done {text}"
            assert (await shop.notes())[-1] == text
    assert (await shop.notes())[:2] == ["one", "two"]


@both_kinds
async def test_transaction_of_the_last_hook(shop, transport):
    """on_close may have one too."""
    async with connected(f"{shop.url}/plain", transport):
        pass
    stored: list[str] = []

    async def left() -> bool:
        stored[:] = await shop.notes()
        return stored == ["left"]

    while not await left():
        pass


@both_kinds
@hooks
@pytest.mark.parametrize(
    ("message", "end", "logged"),
    [
        ("raise bug -", FAILED, True),
        ("forbid - -", (4403, "Forbidden"), False),
        ("refuse bug*1 -", FAILED, True),
    ],
)
async def test_aborted(shop, caplog, transport, style, message, end, logged):
    """What raises in the block, or at its end, leaves nothing, and closes as it would anyway."""
    async with connected(f"{shop.url}/{style}", transport) as client:
        await client.send("add - before")
        assert await client.recv() == "done before"
        await client.send(message)
        assert await closing(client) == end
    assert "-" not in await shop.notes()
    assert "before" in await shop.notes()
    assert shop.runs("-") == 1
    assert len(errors(caplog)) == logged


@both_kinds
@hooks
async def test_doomed(shop, transport, style):
    """A doomed transaction is aborted, and the hook goes on."""
    async with connected(f"{shop.url}/{style}", transport) as client:
        await client.send("doom - lost")
        assert await client.recv() == "done lost"
        await client.send("add - kept")
        assert await client.recv() == "done kept"
        assert await shop.notes() == ["kept"]


@both_kinds
@hooks
async def test_error_behind_the_block(shop, caplog, transport, style):
    """What was committed stays."""
    async with connected(f"{shop.url}/{style}", transport) as client:
        await client.send("late - kept")
        assert await closing(client) == FAILED
    assert (await shop.notes())[0] == "kept"
    assert shop.runs("kept") == 1
    assert len(errors(caplog)) == 1


@both_kinds
@hooks
@pytest.mark.parametrize("error", ["conflict", "transient"])
@pytest.mark.parametrize("times", [1, 2])
async def test_tried_again(shop, caplog, transport, style, error, times):
    """A retryable error makes the whole hook run again: one row, one answer, nothing logged."""
    async with connected(f"{shop.url}/{style}", transport) as client:
        await client.send(f"refuse {error}*{times} once")
        await client.send("add - next")
        assert await client.recv() == "done once"
        assert await client.recv() == "done next"
        assert await shop.notes() == ["once", "next"]
    assert shop.runs("once") == times + 1
    assert errors(caplog) == []


@both_kinds
@hooks
@with_settings(
    {**EXPLICIT, "expected": 3},
    {**EXPLICIT, "retry.attempts": "2", "pyramid.includes": "pyramid_retry", "expected": 2},
)
@pytest.mark.parametrize("message", ["refuse conflict*9 never", "raise transient never"])
async def test_tried_again_for_a_while(shop, caplog, settings, transport, style, message):
    """After `retry.attempts` (3) runs the error is one like others: 4500, and nothing stored."""
    async with connected(f"{shop.url}/{style}", transport) as client:
        await client.send(message)
        assert await closing(client) == FAILED
    assert shop.runs("never") == settings["expected"]
    assert "never" not in await shop.notes()
    (record,) = errors(caplog)
    assert isinstance(record.exc_info[1], (transactions.Conflict, transactions.Transient))


@both_kinds
async def test_attempts_are_counted_for_each_message(shop, transport):
    """A message that needed several runs takes nothing from the next one's."""
    async with connected(f"{shop.url}/plain", transport) as client:
        for number in range(3):
            await client.send(f"refuse conflict*2 text{number}")
            assert await client.recv() == f"done text{number}"
            assert shop.runs(f"text{number}") == 3


@both_kinds
async def test_transactions_of_a_view(shop, transport):
    """A blocking view takes request.tm by itself."""
    async with connected(f"{shop.url}/view", transport) as client:
        for text in ("one", "two"):
            await client.send(text)
            assert await client.recv() == f"done {text}"
            assert (await shop.notes())[-1] == text


# The manager of a thread


@both_kinds
@with_settings({})
async def test_manager_of_the_thread(shop, caplog, transport):
    """Plain hooks may have the thread's own manager; asynchronous ones would share it."""
    async with connected(f"{shop.url}/plain", transport) as client:
        await client.send("refuse conflict*1 plain")
        assert await client.recv() == "done plain"
        assert await shop.notes() == ["plain"]
    assert errors(caplog) == []
    async with connected(f"{shop.url}/async", transport) as client:
        await client.send("add - async")
        assert await closing(client) == FAILED
    (record,) = errors(caplog)
    assert "route 'async'" in record.getMessage()
    assert record.exc_info[0] is RuntimeError
    assert "pyramid_tm.explicit_manager" in str(record.exc_info[1])
    assert "async" not in await shop.notes()


class Hopeful(WebSocketSession):
    def on_message(self, message):
        with self.transaction():
            self.send("never")


@both_kinds
async def test_without_pyramid_tm(caplog, transport):
    """transaction() says what is missing."""
    with Configurator() as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("hopeful", "/hopeful", session=Hopeful)
        app = config.make_wsgi_app()
    with serve(app) as url, caplog.at_level(logging.ERROR):
        async with connected(f"{url}/hopeful", transport) as client:
            await client.send("hello")
            assert await closing(client) == FAILED
    (record,) = errors(caplog)
    assert str(record.exc_info[1]) == 'transaction() needs pyramid_tm: config.include("pyramid_tm")'


# The handshake's transaction


@both_kinds
async def test_transaction_of_the_handshake(shop, transport):
    """It is committed when the handshake is over, while the connection lives."""
    async with connected(f"{shop.url}/idle?text=came", transport) as client:
        await client.send("look")
        assert await client.recv() == "transaction its own, 0 connections in use"
        assert await shop.notes() == ["came"]


@both_kinds
async def test_transaction_of_a_refused_handshake(shop, transport):
    """It is aborted, as that of a refused page."""
    assert await outcome(f"{shop.url}/idle?text=came&forbid=1", transport) == 403
    assert await shop.notes() == []


@both_kinds
@pytest.mark.parametrize("query", ["fail=1", "refuse=transient*1"])
async def test_handshake_that_fails_for_a_while(shop, caplog, transport, query):
    """Without pyramid_retry the first failure is the answer."""
    assert await outcome(f"{shop.url}/idle?text=came&{query}", transport) == 409
    assert await shop.notes() == []


@both_kinds
@with_settings({**EXPLICIT, "pyramid.includes": "pyramid_retry"})
@pytest.mark.parametrize("query", ["fail=2", "refuse=transient*2"])
async def test_handshake_with_pyramid_retry(shop, caplog, transport, query):
    """What was said of an attempt that failed does not count: the third is the answer."""
    url = f"{shop.url}/idle?text=came&{query}"
    assert (await outcome(url, transport)).startswith("transaction its own")
    assert shop.runs("came") == 3
    assert await shop.notes() == ["came"]
    assert errors(caplog) == []


@both_kinds
@with_settings({**EXPLICIT, "pyramid.includes": "pyramid_retry"})
async def test_handshake_with_pyramid_retry_in_vain(shop, transport):
    """When no attempt is left, the exception view's status is."""
    assert await outcome(f"{shop.url}/idle?text=came&fail=9", transport) == 409
    assert shop.runs("came") == 3
    assert await shop.notes() == []


@both_kinds
async def test_connections_hold_nothing(shop, transport):
    """However many connections live, the database's pool is untouched, and it can be written."""
    async with (
        connected(f"{shop.url}/plain?text=a", transport),
        connected(f"{shop.url}/async?text=b", transport),
        connected(f"{shop.url}/view?text=c", transport) as view,
    ):
        await view.send("d")
        assert await view.recv() == "done d"
        await until(lambda: shop.app.registry.engine.pool.checkedout() == 0)
        assert sorted(await shop.notes()) == ["a", "b", "c", "d"]


# Users who are rows of the database

ADA = {"Authorization": "1"}


@pytest.fixture(params=["explicit", "of the thread"])
def club(request, tmp_path):
    """An application with users, and either kind of manager; its pool has five connections."""
    settings = EXPLICIT if request.param == "explicit" else {}
    app = users.main(**{"sqlalchemy.url": f"sqlite:///{tmp_path}/users.sqlite", **settings})
    with serve(app, shutdown_timeout="0.5") as app.url:
        yield app
    assert app.registry.engine.pool.checkedout() == 0
    app.registry.engine.dispose()


@both_kinds
@pytest.mark.parametrize("style", users.STYLES)
async def test_users_come_and_go(club, transport, style):
    """More of them than the pool has connections: nothing stays checked out meanwhile."""
    shares = not club.registry.settings.get("tm.manager_hook")
    question = "userid" if shares and style in ("async", "coroutine") else "who"
    answer = "1" if question == "userid" else "1 Ada Ada True"
    pool = club.registry.engine.pool
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            context = connected(f"{club.url}/{style}?open=userid", transport, headers=ADA)
            client = await stack.enter_async_context(context)
            if style in ("plain", "async"):
                assert await client.recv() == "1"
            for _ in range(2):
                await client.send(question)
                assert await client.recv() == answer
        await until(lambda: pool.checkedout() == 0)
    await until(lambda: pool.checkedout() == 0)


@both_kinds
@pytest.mark.parametrize("hook", ["open", "close"])
async def test_user_in_the_first_and_last_hook(club, transport, hook):
    url = f"{club.url}/plain?{hook}=who"
    async with connected(url, transport, headers=ADA) as client:
        if hook == "open":
            assert await client.recv() == "1 Ada Ada True"
    if hook == "close":
        await until(lambda: club.registry.last == ["1 Ada Ada True"])
    await until(lambda: club.registry.engine.pool.checkedout() == 0)


@both_kinds
@pytest.mark.parametrize("style", ["plain", "view"])
async def test_exceptions_leave_nothing(club, caplog, transport, style):
    for number in range(8):
        async with connected(f"{club.url}/{style}", transport, headers=ADA) as client:
            await client.send(f"fail {number}")
            assert await closing(client) == FAILED
    async with connected(f"{club.url}/{style}", transport, headers=ADA) as client:
        await client.send("notes")
        assert await client.recv() == ""


@both_kinds
async def test_asynchronous_hooks_side_by_side(tmp_path, monkeypatch, caplog, transport):
    """Each has a transaction of its own, also while the other's waits for something."""
    app = users.main(**{"sqlalchemy.url": f"sqlite:///{tmp_path}/users.sqlite", **EXPLICIT})
    both = asyncio.Barrier(2)

    async def on_message(session, text):
        session.request.dbsession.add(users.Note(text=text))
        await both.wait()
        if text == "lost":
            raise ZeroDivisionError

    monkeypatch.setattr(users.AsyncActing, "on_message", on_message)
    with serve(app, shutdown_timeout="0.5") as url:
        async with (
            connected(f"{url}/async", transport, headers=ADA) as one,
            connected(f"{url}/async", transport, headers=ADA) as other,
            connected(f"{url}/plain", transport, headers=ADA) as looks,
        ):
            await one.send("kept")
            await other.send("lost")
            assert await closing(other) == FAILED
            await until(lambda: app.registry.engine.pool.checkedout() == 0)
            await looks.send("notes")
            assert await looks.recv() == "kept"
    app.registry.engine.dispose()
