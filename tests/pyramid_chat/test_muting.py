"""Rooms that somebody has muted: kept for them alone, and told to all of their pages."""

from __future__ import annotations

from tests.pyramid_chat.conftest import LOBBY, Chat, both_databases


@both_databases
async def test_all_pages_of_a_person_are_told_and_nobody_else(chat: Chat) -> None:
    async with (
        chat.browser("Ann") as browser,
        browser.connect() as here,
        browser.connect("xhr-polling") as there,
        chat.visit("Ada") as ada,
    ):
        assert here.welcome["rooms"][0]["muted"] is False
        for muted in (True, False, True):
            status, answer = await browser.post(f"/rooms/{LOBBY}/mute", muted=str(muted).lower())
            assert (status, answer) == (200, {"id": LOBBY, "muted": muted})
            for page in (here, there):
                event = await page.hear("muted")
                assert event == {"type": "muted", "room": LOBBY, "muted": muted}
        assert "muted" not in [event["type"] for event in await ada.heard()]
        assert ada.welcome["rooms"][0]["muted"] is False
        async with browser.connect() as later:
            assert later.welcome["rooms"][0]["muted"] is True
        # A change of the room says the same, to each.
        await browser.post(f"/rooms/{LOBBY}/edit", topic="News")
        for page, muted in ((here, True), (ada, False)):
            while (room := (await page.hear("room"))["room"])["topic"] != "News":
                pass
            assert room["muted"] is muted


@both_databases
async def test_who_leaves_a_room_and_comes_back_hears_it_again(chat: Chat) -> None:
    async with chat.browser("Ann") as browser, browser.connect() as ann:
        assert (await browser.post(f"/rooms/{LOBBY}/mute", muted="true"))[0] == 200
        assert (await browser.post(f"/rooms/{LOBBY}/leave"))[0] == 200
        await ann.hear("left")
        await ann.heard()
        # It is public: she sees it, and has nothing to mute.
        assert (await browser.post(f"/rooms/{LOBBY}/mute", muted="true"))[0] == 403
        assert (await browser.post(f"/rooms/{LOBBY}/join"))[0] == 200
        assert (await ann.hear("room"))["room"]["muted"] is False


async def test_what_cannot_be_muted(chat: Chat) -> None:
    async with chat.browser("Ann") as browser:
        assert (await browser.post(f"/rooms/{LOBBY}/mute"))[0] == 400
        assert (await browser.post(f"/rooms/{LOBBY}/mute", muted="yes"))[0] == 400
        assert (await browser.post("/rooms/77/mute", muted="true"))[0] == 404
    async with chat.browser() as browser:
        assert (await browser.post(f"/rooms/{LOBBY}/mute", muted="true"))[0] != 200
