"""The page of one's own account, with forms alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from pyramid_chat.models import SignIn
from pyramid_chat.notices import Watch
from sockjs_bridge.client import ConnectionClosed
from tests.pyramid_chat.conftest import PASSWORD, Browser, Chat, Person, Start, either_database

NEW = "another good password"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def chat(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    with start() as chat:
        yield chat


async def send(browser: Browser, form: str, **fields: str) -> aiohttp.ClientResponse:
    """Send a form of the page."""
    data = {"csrf_token": browser.token, **fields}
    url = f"{browser.url}/account/{form}"
    async with browser.http.post(url, data=data, allow_redirects=False) as response:
        await response.read()
        return response


async def said(response: aiohttp.ClientResponse) -> list[str]:
    return re.findall(r'role="alert">([^<]+)<', await response.text())


async def closed(person: Person) -> int:
    with pytest.raises(ConnectionClosed) as error:
        while True:
            await person.hear()
    return error.value.code


async def test_the_chats_page_leads_there(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        _, page = await browser.get("/chat")
        assert 'href="/account"' in page
        status, page = await browser.get("/account?done=nonsense")
        assert status == 200 and 'value="Ada"' in page and "<script" not in page
        assert 'id="done"' not in page
    async with chat.browser() as stranger:
        assert (await stranger.get("/account"))[0] == 303


@either_database
async def test_a_new_name_shows_to_all(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, chat.visit("Grace") as grace:
        async with browser.connect() as ada:
            assert (await send(browser, "name", name="Lady Ada")).status == 303
            for person in (ada, grace):
                assert (await person.hear("person"))["user"]["name"] == "Lady Ada"
        assert 'value="Lady Ada"' in (await browser.get("/account?done=name"))[1]
        for name, sentence in (("GRACE", "has that name"), (" ", "at least one")):
            response = await send(browser, "name", name=name)
            assert response.status == 400 and sentence in (await said(response))[0]
        assert 'value="Lady Ada"' in (await browser.get("/account"))[1]


@either_database
async def test_a_new_password_ends_the_other_sign_ins(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, chat.browser("Ada") as other:
        async with browser.connect() as here, other.connect() as there:
            for fields, sentence in (
                ({"current": "wrong"}, "current"),
                ({"current": PASSWORD, "password_again": "different one"}, "not the same"),
                ({"current": PASSWORD, "password": "x", "password_again": "x"}, "at least 8"),
            ):
                form = {"password": NEW, "password_again": NEW, **fields}
                response = await send(browser, "password", **form)
                assert response.status == 400 and sentence in (await said(response))[0]
            form = {"current": PASSWORD, "password": NEW, "password_again": NEW}
            response = await send(browser, "password", **form)
            assert urlsplit(response.headers["Location"])[2:4] == ("/account", "done=password")
            assert await closed(there) == 4401
            assert (await here.say("still here"))["type"] == "message"
        assert (await other.get("/chat"))[0] == 303
        assert (await other.sign_in("Ada", PASSWORD)).status == 400
        assert (await other.sign_in("Ada", NEW)).status == 303


@either_database
async def test_sign_ins_are_listed_and_ended(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, chat.browser("Grace") as grace:
        async with chat.browser() as one, chat.browser("Ada") as two:
            one.http.headers["User-Agent"] = FIREFOX
            await one.sign_in("Ada")
            _, page = await browser.get("/account")
            assert page.count("<li>") == 3 and page.count("(this one)") == 1
            (which,) = re.findall(
                r"<span>Firefox on Linux<.*?name=\"which\" value=\"(\w+)\"", page, re.DOTALL
            )
            async with one.connect() as first, two.connect() as second:
                # It is nobody's but the owner's.
                assert (await send(grace, "sign-out", which=which)).status == 303
                assert (await first.say("still here"))["type"] == "message"
                for _ in range(2):
                    assert (await send(browser, "sign-out", which=which)).status == 303
                assert await closed(first) == 4401
                assert (await second.say("still here"))["type"] == "message"
                assert (await send(browser, "sign-out", which="others")).status == 303
                assert await closed(second) == 4401
        assert (await grace.get("/chat"))[0] == 200
        _, page = await browser.get("/account?done=others")
        assert page.count("<li>") == 1 and 'value="others"' not in page
        # No page shows what a cookie holds.
        with chat.database.session() as session:
            assert not any(one.id in page for one in session.query(SignIn))


async def test_passwords_cannot_be_tried_for_ever(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        statuses = [
            (await send(browser, "password", current=f"guess {number}")).status
            for number in range(11)
        ]
        assert statuses == [400] * 10 + [429]
