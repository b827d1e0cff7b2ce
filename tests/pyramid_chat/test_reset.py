"""A link for a new password: good once, for an hour, for its owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from yarl import URL

from pyramid_chat import accounts, models, people
from pyramid_chat.models import ResetLink
from pyramid_chat.notices import Watch
from pyramid_chat.scripts import main
from sockjs_bridge.client import ConnectionClosed
from tests.pyramid_chat.conftest import PASSWORD, Browser, Chat, Start, either_database

NEW = "a new password"


@pytest.fixture
def chat(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A chat with a person."""
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    with start() as chat:
        chat.add_user("Ada")
        yield chat


def link(chat: Chat, name: str = "Ada") -> str:
    """Make a link; return its path."""
    with chat.database.writing() as session, session.begin():
        user = people.find(session, name)
        assert user is not None
        return f"/reset/{accounts.make_reset_link(session, user)}"


async def reset(browser: Browser, path: str, password: str = NEW, again: str = NEW) -> int:
    """Fill in the form; return the answer's status."""
    response = await browser.submit(path, password=password, password_again=again)
    return response.status


@either_database
async def test_a_link_is_good_once(chat: Chat) -> None:
    path = link(chat)
    async with chat.browser() as browser, chat.browser("Ada") as elsewhere:
        async with elsewhere.connect() as ada:
            # Programs look at links before people do.
            for _ in range(2):
                status, page = await browser.get(path)
                assert status == 200 and 'value="Ada"' in page
            assert await reset(browser, path, again="another one") == 400
            assert await reset(browser, path, "short", "short") == 400
            response = await browser.submit(path, password=NEW, password_again=NEW)
            assert (response.status, URL(response.headers["Location"]).path) == (303, "/sign-in")
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await ada.hear()
            assert closed.value.code == 4401
        status, page = await browser.get(path)
        assert status == 404 and "used already" in page
        assert (await browser.sign_in("Ada", PASSWORD)).status == 400
        assert (await browser.sign_in("Ada", NEW)).status == 303


@either_database
async def test_of_two_who_use_a_link_at_once_one_sets_the_password(chat: Chat) -> None:
    path = link(chat)
    async with chat.browser() as one, chat.browser() as two:
        _, page = await two.get(path)
        two.token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        assert await reset(one, path) == 303
        status, _ = await two.post(path, password="of another", password_again="of another")
        assert status == 404
        assert (await one.sign_in("Ada", NEW)).status == 303
    token = path.rpartition("/")[2]
    with chat.database.writing() as session, session.begin():
        assert accounts.use_reset_link(session, token, "hash") is None


@either_database
async def test_a_link_is_good_for_an_hour(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    path = link(chat)
    now = models.now()
    async with chat.browser() as browser:
        for minutes, status in ((59, 200), (61, 404)):
            later = now + timedelta(minutes=minutes)
            monkeypatch.setattr(accounts, "now", lambda later=later: later)
            assert (await browser.get(path))[0] == status


@either_database
async def test_a_link_is_worthless_when_something_came_after_it(chat: Chat) -> None:
    async with chat.browser() as browser:
        before = link(chat)
        path = link(chat)
        assert (await browser.get(before))[0] == 404
        assert (await browser.get(path))[0] == 200
        with chat.database.writing() as session, session.begin():
            accounts.disable(session, people.find(session, "Ada"))
        assert (await browser.get(path))[0] == 404
        assert (await browser.get("/reset/" + "A" * 43))[0] == 404
        assert (await browser.get("/reset/short"))[0] == 404


async def test_the_database_has_no_link_that_works(chat: Chat) -> None:
    token = link(chat).rpartition("/")[2]
    with chat.database.session() as session:
        kept = session.query(ResetLink).one()
        assert token not in (kept.digest, str(kept.user_id))
        assert accounts.reset_user(session, kept.digest) is None


@pytest.mark.parametrize(
    ("setting", "option", "beginning"),
    [
        ("https://chat.example.com/talk/", (), "https://chat.example.com/talk/reset/"),
        ("", ("--url", "http://localhost:6543"), "http://localhost:6543/reset/"),
        ("https://a.example", ("--url", "https://b.example"), "https://b.example/reset/"),
        ("", (), None),
        ("", ("--url", "chat.example.com"), None),
        ("", ("--url", "https://chat.example.com/?a=b"), None),
    ],
)
async def test_the_command_prints_the_link(
    chat: Chat,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    option: tuple[str, ...],
    beginning: str | None,
) -> None:
    ini = tmp_path / "chat.ini"
    line = f"chat.public_url = {setting}\n" if setting else ""
    ini.write_text(f"[app:main]\nuse = x\nsqlalchemy.url = {database_url}\n{line}")
    out = StringIO()
    with redirect_stdout(out):
        status = main(["reset-link", str(ini), "Ada", *option])
    if beginning is None:
        assert (status, out.getvalue()) == (1, "")
        assert "--url" in capsys.readouterr().err
        return
    assert status == 0 and out.getvalue().startswith(beginning)
    async with chat.browser() as browser:
        path = out.getvalue().strip().removeprefix(beginning)
        assert (await browser.get(f"/reset/{path}"))[0] == 200


async def test_who_is_disabled_gets_no_link(
    chat: Chat, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ini = tmp_path / "chat.ini"
    ini.write_text(f"[app:main]\nuse = x\nsqlalchemy.url = {database_url}\n")
    assert main(["disable", str(ini), "Ada"]) == 0
    assert main(["reset-link", str(ini), "Ada", "--url", "https://chat.example.com"]) == 1
    assert "enable" in capsys.readouterr().err
