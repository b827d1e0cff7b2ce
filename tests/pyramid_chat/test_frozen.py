"""PostgreSQL that stands: it takes what is sent, and says nothing, as long as it is frozen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import psycopg
import pytest

from pyramid_chat.breaker import CircuitBreaker
from pyramid_chat.postgresql import NoAnswer, connect
from tests.pyramid_chat.conftest import LOBBY, Chat, Person, Start
from tests.pyramid_chat.postgresql import Cluster

TIMEOUT = 1
"""Seconds of ``chat.database_timeout`` here."""
PATIENCE = 40.0


@pytest.fixture
def chat(start: Start) -> Iterator[Chat]:
    with start(chat__database_timeout=str(TIMEOUT)) as chat:
        yield chat


@contextlib.contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """All of PostgreSQL's processes are stopped."""
    cluster.freeze()
    try:
        yield
    finally:
        cluster.thaw()


async def said_in_the_end(person: Person, text: str, key: str) -> dict:
    """Say something as a page does: again, until it is there."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await person.say(text, key=key))["type"] == "error":
            assert answer["code"] == "unavailable"
            await asyncio.sleep(0.1)
        return answer


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_everybody_is_answered_meanwhile(chat: Chat, cluster: Cluster) -> None:
    """Messages and pages hear that they may come again; static files are served."""
    async with (
        chat.browser("Ada") as browser,
        browser.connect() as ada,
        chat.visit("Grace") as grace,
    ):
        # Connections to the database that are open already, as on a busy day.
        await asyncio.gather(*(browser.get("/chat") for _ in range(20)))
        before = await ada.say("before")
        with frozen(cluster):
            # More than there are threads at first.
            pages = [asyncio.create_task(browser.get("/chat")) for _ in range(20)]
            told = asyncio.create_task(ada.say("while frozen", key="frozen"))
            assert (await browser.get("/static/icon.svg"))[0] == 200
            answer = await told
            assert (answer["type"], answer["code"]) == ("error", "unavailable")
            assert [(await page)[0] for page in pages] == [503] * 20
            # From here on nobody waits but who tries.
            assert (await grace.say("too"))["code"] == "unavailable"
            assert (await ada.ask("ping", "pong", n=5))["n"] == 5
        await said_in_the_end(ada, "while frozen", "frozen")
        await said_in_the_end(grace, "after", "after")
        page = await ada.ask("history", room=LOBBY)
        texts = [message["text"] for message in page["messages"]]
        assert (texts[0], sorted(texts[1:])) == (before["text"], ["after", "while frozen"])
        assert (await browser.get("/chat"))[0] == 200


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_transaction_under_way_ends_too(cluster: Cluster, database_url: str) -> None:
    """Its next statement finds no answer; the connection is not used again."""
    name = database_url.split("/")[3].split("?")[0]
    options = {"host": cluster.folder, "user": "postgres", "dbname": name}
    breaker = CircuitBreaker(TIMEOUT)
    first, second = (connect(breaker, TIMEOUT, **options) for _ in range(2))
    first.execute("SELECT 1")
    with frozen(cluster):
        with pytest.raises(NoAnswer, match="the server does not answer"):
            first.execute("SELECT 2")
        assert first.closed
        # One tries; others are refused, and so is who comes anew.
        with pytest.raises(NoAnswer, match="the server does not answer"):
            second.execute("SELECT 3")
        breaker.refuses()
        with pytest.raises(NoAnswer, match="did not answer others"):
            connect(breaker, TIMEOUT, **options)
    with connect(CircuitBreaker(TIMEOUT), TIMEOUT, **options) as third:
        assert third.execute("SELECT 4").fetchone() == (4,)


def test_a_server_that_takes_connections_and_says_nothing() -> None:
    """Over TCP; all addresses of a host have one time together."""
    breaker = CircuitBreaker(TIMEOUT)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hosts = {"host": "127.0.0.1,127.0.0.1", "port": f"{port},{port}"}
        with pytest.raises(NoAnswer, match="the server does not answer"):
            connect(breaker, 0.2, **hosts, user="postgres")
    # Now it is refused, which is an answer.
    with pytest.raises(psycopg.OperationalError) as refused:
        connect(breaker, 0.2, **hosts, user="postgres")
    assert not isinstance(refused.value, NoAnswer)
    assert not breaker.refuses() and not breaker.refuses()
