"""Tokens against forged requests: another text in every page, the same token."""

from __future__ import annotations

import re
import secrets

import pytest

from pyramid_chat.csrf import masked, unmasked
from tests.pyramid_chat.conftest import Chat

TOKEN = re.compile(r'(?:data-csrf|name="csrf_token" value)="([^"]+)"')


def test_a_token_is_masked_anew_each_time() -> None:
    token = secrets.token_hex(20)
    made = [masked(token) for _ in range(20)]
    assert {unmasked(text) for text in made} == {token}
    assert len({text[:8] for text in made}) == len({text[-8:] for text in made}) == 20
    assert all(token not in text for text in made)


@pytest.mark.parametrize("text", ["", "no hexadecimal digits", "\x00", "é", "abc", "abcdef"])
def test_what_is_none_is_no_token(text: str) -> None:
    assert unmasked(text) == ""


async def test_every_page_has_other_texts_and_each_is_taken(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        texts = [text for _ in range(2) for text in TOKEN.findall((await browser.get("/chat"))[1])]
        assert len({*texts}) == len(texts) == 4
        assert len({unmasked(text) for text in texts}) == 1
        for number, text in enumerate(texts):
            browser.token = text
            status, _ = await browser.post("/rooms", name=f"Room {number}", kind="public")
            assert status == 201


async def test_a_page_from_before_an_upgrade_goes_on(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        browser.token = unmasked(browser.token)
        assert (await browser.post("/rooms", name="Room", kind="public"))[0] == 201


async def test_no_other_text_is_taken(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        own = browser.token
        for text in ("", "x", "é", own[:-2], f"{own}00", masked(secrets.token_hex(20))):
            browser.token = text
            assert (await browser.post("/rooms", name="Room", kind="public"))[0] == 400
