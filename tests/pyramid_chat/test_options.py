"""What administrators set on their page, and where it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from pyramid_chat import options
from pyramid_chat.models import Option
from pyramid_chat.notices import Watch
from tests.pyramid_chat.conftest import PASSWORD, PATIENCE, Browser, Chat, Start, either_database


@pytest.fixture
def chat(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    with start(chat__messages_per_minute="60", chat__message_burst="3") as chat:
        yield chat


async def register(browser: Browser, name: str) -> int:
    status, _ = await browser.post(
        "/register", name=name, password=PASSWORD, password_again=PASSWORD
    )
    return status


@either_database
async def test_registration_is_closed_and_opened_at_once(chat: Chat, admin: Browser) -> None:
    async with chat.browser() as browser:
        # Somebody has the form already.
        done = await browser.submit("/register", name="", password="", password_again="")
        assert done.status == 400
        page = await done.text()
        browser.token = page.split('name="csrf_token" value="')[1].split('"')[0]
        assert (await admin.post("/admin/options/registration", registration="false"))[0] == 303
        assert await register(browser, "Ada") == 404
        assert (await browser.get("/register"))[0] == 404
        assert "/register" not in (await browser.get("/sign-in"))[1]
        assert "It is closed" in (await admin.get("/admin"))[1]
        assert "The ini has it open" in (await admin.get("/admin"))[1]
        assert (await admin.post("/admin/options/registration", registration="true"))[0] == 303
        assert "/register" in (await browser.get("/sign-in"))[1]
        assert await register(browser, "Ada") == 303
    page = (await admin.get("/admin"))[1]
    assert page.index("opened the registration") < page.index("closed the registration")
    assert (await admin.post("/admin/options/registration", registration="true"))[0] == 303
    assert (await admin.get("/admin"))[1].count("opened the registration") == 1


async def test_it_holds_after_a_restart_until_it_is_as_the_ini_has_it(start: Start) -> None:
    def kept(chat: Chat) -> list[tuple[str, str]]:
        with chat.database.session() as session:
            return [(one.name, one.value) for one in session.scalars(select(Option))]

    def change(chat: Chat, value: str) -> None:
        with chat.database.writing() as session, session.begin():
            settings = chat.app.registry.chat_settings
            assert options.change(session, settings, 1, {"registration": value})

    with start() as chat:
        change(chat, "false")
        assert kept(chat) == [("registration", "False")]
    with start() as chat:
        async with chat.browser() as browser:
            assert (await browser.get("/register"))[0] == 404
        change(chat, "true")
        assert kept(chat) == []
    with start(chat__registration="false") as chat:
        async with chat.browser() as browser:
            assert (await browser.get("/register"))[0] == 404


async def until_more_can_be_said(chat: Chat, burst: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while chat.live.messages._burst != burst:
            await asyncio.sleep(0.02)


async def test_limits_change_while_people_talk(chat: Chat, admin: Browser) -> None:
    async with chat.visit("Ada") as ada:
        for _ in range(3):
            assert (await ada.say("hello"))["type"] == "message"
        assert (await ada.say("too much"))["code"] == "rate-limited"
        values = {"messages_per_minute": "6000.5", "message_burst": "1000"}
        assert (await admin.post("/admin/options/limits", **values))[0] == 303
        await until_more_can_be_said(chat, 1000)
        async with chat.visit("Grace") as grace:
            for _ in range(10):
                assert (await grace.say("hello"))["type"] == "message"
    page = (await admin.get("/admin"))[1]
    assert 'value="6000.5"' in page and "The ini has 60 a minute, 3 at once" in page
    assert "limited messages to <bdi>6000.5 a minute, 1000 at once</bdi>" in page
    # Who connects first after a while knows of what was changed meanwhile.
    values = {"messages_per_minute": "1", "message_burst": "1"}
    assert (await admin.post("/admin/options/limits", **values))[0] == 303
    async with chat.visit("Mary") as mary:
        assert (await mary.say("hello"))["type"] == "message"
        assert (await mary.say("hello"))["code"] == "rate-limited"


@pytest.mark.parametrize(
    ("action", "fields", "problem"),
    [
        ("registration", {"registration": "maybe"}, "&#39;maybe&#39; is not true or false."),
        ("registration", {}, "&#39;&#39; is not true or false."),
        ("limits", {"messages_per_minute": "0", "message_burst": "1"}, "from 1 to 100000"),
        ("limits", {"messages_per_minute": "nan", "message_burst": "1"}, "from 1 to 100000"),
        ("limits", {"messages_per_minute": "60", "message_burst": "1.5"}, "a whole number"),
        ("limits", {"messages_per_minute": "60"}, "a whole number"),
        ("limits", {"messages_per_minute": "\0" * 3000, "message_burst": "1"}, "a number"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_sentence(
    chat: Chat, admin: Browser, action: str, fields: dict[str, str], problem: str
) -> None:
    status, page = await admin.post(f"/admin/options/{action}", **fields)
    assert (status, problem in page.replace("'", "&#39;")) == (400, True)
    with chat.database.session() as session:
        assert session.scalars(select(Option)).all() == []
    assert "Nothing yet" in page


async def test_nobody_else_sets_them(chat: Chat, admin: Browser) -> None:
    async with chat.browser("Ada") as ada:
        status, _ = await ada.post("/admin/options/registration", registration="false")
        assert status == 403
    assert (await admin.post("/admin/options/colours"))[0] == 404


async def test_what_another_version_allowed_is_as_in_the_ini(chat: Chat) -> None:
    with chat.database.writing() as session, session.begin():
        session.add(Option(name="registration", value="maybe"))
        session.add(Option(name="secret_file", value="elsewhere"))
        session.add(Option(name="message_burst", value="7"))
    with chat.database.session() as session:
        found = options.effective(session, chat.app.registry.chat_settings)
    assert (found.registration, found.message_burst) == (True, 7)
    assert found.secret_file == chat.app.registry.chat_settings.secret_file
