"""How long a sign-in lasts, and how often a password may be guessed."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import event, select

from pyramid_chat import main, models, passwords, people
from pyramid_chat.database import Database
from pyramid_chat.limits import Buckets
from sockjs_bridge.testing import serve
from tests.pyramid_chat.conftest import Browser, Chat

DAY = 86400


@pytest.fixture
def app(tmp_path: Path) -> Any:
    """A chat with one person."""
    made: Any = main({"here": str(tmp_path)}, **{"chat.database_timeout": "0.2"})
    database: Database = made.registry.chat_database
    with database.writing() as session, session.begin():
        people.add(session, "Ada", passwords.hashed("correct horse"))
    return made


def signed_in(database: Database, timeout: int) -> str:
    """Sign the person in."""
    with database.writing() as session, session.begin():
        return people.sign_in(session, 1, timeout)


@pytest.mark.parametrize("timeout", [60, DAY, 30 * DAY])
def test_who_is_active_stays_signed_in(
    app: Any, timeout: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that comes ten times within the time-out is never given up."""
    database = app.registry.chat_database
    sign_in = signed_in(database, timeout)
    start = models.now()
    for tenth in range(1, 30):
        time = start + timedelta(seconds=tenth * timeout / 10)
        monkeypatch.setattr(people, "now", lambda time=time: time)
        with database.session() as session:
            assert people.identify(session, sign_in, timeout) is not None
        people.seen(database, sign_in, timeout)


def test_a_locked_database_is_no_obstacle(app: Any, tmp_path: Path) -> None:
    """Being seen is noted another time."""
    database = app.registry.chat_database
    sign_in = signed_in(database, 60)
    with database.writing() as session, session.begin():
        session.get_one(models.SignIn, sign_in).seen = models.now() - timedelta(seconds=30)
    writer = sqlite3.connect(tmp_path / "chat.sqlite", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        people.seen(database, sign_in, 60)
    finally:
        writer.close()
    with database.session() as session:
        assert session.get_one(models.SignIn, sign_in).seen < models.now() - timedelta(seconds=20)
    people.seen(database, sign_in, 60)
    with database.session() as session:
        assert session.get_one(models.SignIn, sign_in).seen > models.now() - timedelta(seconds=20)


def test_guesses_at_once_are_counted_one_by_one(app: Any) -> None:
    """Of many wrong passwords that come at the same time only ten are looked at."""

    async def guess() -> Counter[int]:
        with serve(app) as url:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
                async with http.get(f"{url}/sign-in") as response:
                    token = re.search(r'name="csrf_token" value="([^"]+)"', await response.text())
                assert token

                async def once(number: int) -> int:
                    data = {"csrf_token": token[1], "name": "Ada", "password": f"wrong-{number}"}
                    async with http.post(f"{url}/sign-in", data=data) as response:
                        return response.status

                return Counter(await asyncio.gather(*map(once, range(30))))

    assert asyncio.run(guess()) == {400: 10, 429: 20}


def test_of_many_browsers_the_oldest_are_forgotten(app: Any) -> None:
    """Nobody fills the table by signing in again and again."""
    database = app.registry.chat_database
    first = signed_in(database, DAY)
    for _ in range(people.MAX_SIGN_INS):
        last = signed_in(database, DAY)
    with database.session() as session:
        kept = set(session.scalars(select(models.SignIn.id)))
    assert len(kept) == people.MAX_SIGN_INS
    assert first not in kept and last in kept


async def test_who_has_to_wait_costs_the_database_nothing(chat: Chat) -> None:
    """Nor does a browser that somebody signed in with, when it has asked too often."""
    throttle = chat.app.registry.chat_throttle
    throttle.guesses, throttle.browsers = Buckets(0.001, 2), Buckets(0.001, 3)
    statements: list[str] = []
    event.listen(
        chat.database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *rest: statements.append(statement),
    )

    async def guess(browser: Browser) -> tuple[int, bool]:
        """Try a wrong password; return the status, and whether the database was asked."""
        statements.clear()
        status, page = await browser.post("/sign-in", name="Ada", password="wrong")
        assert ("too often" in page) == (status == 429)
        return status, bool(statements)

    chat.add_user("Ada")
    async with chat.browser("Eve") as eve, chat.browser() as stranger:
        assert (await eve.post("/sign-out"))[0] == 303
        for browser in (eve, stranger):
            _, page = await browser.get("/sign-in")
            found = re.search(r'name="csrf_token" value="([^"]+)"', page)
            assert found
            browser.token = found[1]
        answers = [await guess(stranger) for _ in range(4)]
        assert answers == [(400, True), (400, True), (429, False), (429, False)]
        # Whether it is Ada's own, the database alone knows.
        answers = [await guess(eve) for _ in range(5)]
        assert answers == [(429, True)] * 3 + [(429, False)] * 2
