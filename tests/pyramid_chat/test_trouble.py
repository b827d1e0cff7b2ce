"""A database that is locked, away, or overloaded: refused with a retry, nothing confirmed lost."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy.exc import OperationalError

from pyramid_chat.database import POOL
from sockjs_bridge.client import TRANSPORTS, ConnectionClosed, HandshakeError, connect
from tests.pyramid_chat.conftest import LOBBY, PASSWORD, Chat, Person, Start, both_databases
from tests.pyramid_chat.postgresql import Cluster

TIMEOUT = 0.5
"""Seconds of ``chat.database_timeout`` here."""


@pytest.fixture
def chat(start: Start) -> Iterator[Chat]:
    with start(chat__database_timeout=str(TIMEOUT)) as chat:
        yield chat


@contextlib.contextmanager
def locked(chat: Chat) -> Iterator[sqlite3.Connection]:
    """Locks SQLite's file as another process would."""
    other = sqlite3.connect(str(chat.database.url.database), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield other
    finally:
        other.close()


async def refusal(person: Person, key: str, room: int = LOBBY) -> None:
    """Say something that is refused, with a retry, while the database is away."""
    answer = await person.say(f"text of {key}", room, key=key)
    assert (answer["type"], answer.get("code")) == ("error", "unavailable"), answer
    assert answer["retry_after"] > 0
    assert "database" in answer["text"]


async def until_said(person: Person, key: str) -> dict:
    """Say something as a page does: again, until it is there."""
    async with asyncio.timeout(30):
        while (answer := await person.say(f"text of {key}", key=key))["type"] == "error":
            assert answer["code"] == "unavailable"
            await asyncio.sleep(0.1)
        return answer


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_locked_database_refuses_messages_and_keeps_the_rest_going(
    chat: Chat, transport: str
) -> None:
    async with (
        chat.browser("Ada") as browser,
        browser.connect(transport) as ada,
        chat.visit("Grace") as grace,
    ):
        confirmed = [await ada.say(f"before {number}") for number in range(3)]
        with locked(chat) as lock:
            for _ in range(3):
                await refusal(ada, "k1")
            await refusal(grace, "g1")
            # What only looks goes on.
            page = await ada.ask("history", room=LOBBY)
            assert page["messages"] == confirmed
            assert (await ada.ask("open", "opened", room=LOBBY))["room"]["version"] == 3
            status, answer = await browser.post("/rooms", name="New")
            assert (status, "database" in answer["error"]) == (503, True)
            lock.rollback()
        for person in (ada, grace):
            await until_said(person, "k1" if person is ada else "g1")
        page = await ada.ask("history", room=LOBBY)
        assert page["messages"][:3] == confirmed
        assert [message["key"] for message in page["messages"][3:]] == ["k1", "g1"]
        assert [message["version"] for message in page["messages"]] == [1, 2, 3, 4, 5]


async def test_a_whole_room_that_meets_a_lock_is_refused_soon(chat: Chat) -> None:
    """They wait for each other, and the last of them does not wait for all the others."""
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(chat.visit(f"P{index}")) for index in range(8)]
        with locked(chat):
            await asyncio.gather(*(refusal(p, f"k{index}") for index, p in enumerate(crowd)))
        said = await asyncio.gather(*(until_said(p, f"k{index}") for index, p in enumerate(crowd)))
        assert sorted(message["version"] for message in said) == list(range(1, 9))
        assert len(chat.live._locks) == 0


async def test_forms_meet_a_locked_database_with_a_page(chat: Chat) -> None:
    chat.add_user("Ada")
    async with chat.browser() as browser:
        with locked(chat):
            done = await browser.sign_in("Ada")
            assert done.status == 503
            assert int(done.headers["Retry-After"]) > 0
            page = await done.text()
            assert "cannot reach its database" in page and "Traceback" not in page
            done = await browser.submit(
                "/register", name="Eve", password=PASSWORD, password_again=PASSWORD
            )
            assert done.status == 503
        assert (await browser.sign_in("Ada")).status == 303


@contextlib.asynccontextmanager
async def away(cluster: Cluster) -> AsyncIterator[None]:
    """PostgreSQL crashes, and comes back."""
    await asyncio.to_thread(cluster.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(cluster.start)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("transport", ["websocket", "xhr-polling"])
async def test_a_database_that_is_away_refuses_everything_until_it_is_back(
    chat: Chat, cluster: Cluster, transport: str
) -> None:
    async with (
        chat.browser("Ada") as browser,
        browser.connect(transport) as ada,
        chat.visit("Grace") as grace,
    ):
        confirmed = [await ada.say(f"before {number}") for number in range(3)]
        # All that a welcome asks the database for has been answered.
        await grace.heard()
        async with away(cluster):
            for _ in range(2):
                await refusal(ada, "k1")
                await refusal(grace, "g1")
            for kind in ("history", "open", "typing"):
                answer = await ada.ask(kind, room=LOBBY)
                assert (answer["code"], answer["room"]) == ("unavailable", LOBBY)
            # What needs no database goes on, and nobody is thrown out.
            assert (await ada.ask("ping", "pong", n=5))["n"] == 5
            for path in ("/chat", "/rooms/1"):
                async with browser.http.get(chat.url + path) as response:
                    assert response.status == 503
                    assert int(response.headers["Retry-After"]) > 0
                    assert "cannot reach its database" in await response.text()
            async with chat.browser() as stranger:
                # A form is there, with what the ini says of registration.
                status, page = await stranger.get("/sign-in")
                assert (status, "/register" in page) == (200, True)
            for answer in (
                await browser.get("/session"),
                await browser.get("/people"),
                await browser.post("/rooms", name="New"),
            ):
                assert (answer[0], "database" in answer[1]["error"]) == (503, True)
            headers = {"Cookie": browser.cookie}
            with pytest.raises(HandshakeError) as refused:
                await connect(f"{chat.url}/chat", headers=headers)
            assert refused.value.status == 503
            with pytest.raises((HandshakeError, ConnectionClosed)):
                polling = connect(f"{chat.url}/chat", transport="xhr-polling", headers=headers)
                async with polling as ws:
                    await ws.recv()
        assert (await until_said(ada, "k1"))["version"] == 4
        assert (await until_said(grace, "g1"))["version"] == 5
        page = await ada.ask("history", room=LOBBY)
        assert page["messages"][:3] == confirmed
        assert [message["key"] for message in page["messages"][3:]] == ["k1", "g1"]
        async with browser.connect():
            pass


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_row_that_another_process_holds_is_given_up(
    chat: Chat, cluster: Cluster, database_url: str
) -> None:
    name = database_url.split("/")[3].split("?")[0]
    async with chat.visit("Ada") as ada:
        with cluster.connect(name) as other, other.transaction():
            other.execute("SELECT * FROM room FOR UPDATE")
            await refusal(ada, "k1")
        assert (await until_said(ada, "k1"))["version"] == 1


@both_databases
async def test_a_pool_without_a_free_connection_is_told_like_the_rest(chat: Chat) -> None:
    engine = chat.database.engine
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        taken = [engine.connect() for _ in range(sum(POOL.values()))]
        await refusal(ada, "k1")
        assert (await browser.get("/chat"))[0] == 503
        for connection in taken:
            connection.close()
        assert (await until_said(ada, "k1"))["version"] == 1


@both_databases
async def test_a_commit_of_which_nobody_knows_is_told_to_all_in_the_end(
    chat: Chat, monkeypatch
) -> None:
    """The connection breaks when the database has committed and not said so."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        dialect = chat.database.engine.dialect
        commit = dialect.do_commit

        def broken(connection: object) -> None:
            commit(connection)
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

        monkeypatch.setattr(dialect, "do_commit", broken)
        await refusal(ada, "k1")
        monkeypatch.undo()
        assert "message" not in [event["type"] for event in await grace.heard()]
        # The page sends it again.
        assert (await ada.say("text of k1", key="k1"))["version"] == 1
        assert (await grace.hear("message"))["version"] == 1
        await ada.heard()
        monkeypatch.setattr(dialect, "do_commit", broken)
        await refusal(ada, "k2")
        monkeypatch.undo()
        # Or somebody else says something first.
        said = await grace.say("and I")
        assert said["version"] == 3
        assert [(await ada.hear("message"))["version"] for _ in range(2)] == [2, 3]


@both_databases
async def test_who_cannot_be_told_of_a_change_comes_back_and_knows(chat: Chat, monkeypatch) -> None:
    """A membership has changed, and the database is gone before it can be told."""
    async with chat.browser("Ada") as browser, browser.connect() as ada:

        def gone(*arguments: object) -> None:
            raise OperationalError("SELECT", {}, Exception("gone"))

        monkeypatch.setattr("pyramid_chat.rooms.told_to", gone)
        assert (await browser.post(f"/rooms/{LOBBY}/leave"))[0] == 200
        with pytest.raises(ConnectionClosed) as closed:
            await ada.hear("nothing")
        assert closed.value.code == 4503
        # An opening that fails half-way ends in the same manner.
        async with connect(f"{chat.url}/chat", headers={"Cookie": browser.cookie}) as ws:
            with pytest.raises(ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.code == 4503
        monkeypatch.undo()
        async with browser.connect() as again:
            assert again.welcome["rooms"] == []


async def test_who_hears_a_room_that_cannot_be_told_of_comes_back(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as browser,
        chat.visit("Grace") as grace,
    ):
        _, room = await browser.post("/rooms", name="Attic")
        await grace.ask("open", "opened", room=room["id"])
        with chat.live.room(room["id"]):
            # Somebody else is at it, for longer than anybody waits.
            assert (await browser.post(f"/rooms/{room['id']}/edit", topic="x"))[0] == 200
        with pytest.raises(ConnectionClosed) as closed:
            await grace.hear("nothing")
        assert closed.value.code == 4503
