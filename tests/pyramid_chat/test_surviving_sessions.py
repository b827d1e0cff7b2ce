"""People whose sessions survive their connections, and what they miss when one did not."""

from __future__ import annotations

import re

import pytest

from sockjs_bridge.client import ConnectionClosed
from tests.integration.support import until
from tests.integration.test_resume_styles import Events, hold, let_go
from tests.proxies.tcp import Proxy
from tests.pyramid_chat.conftest import LOBBY, Chat, Start, each_transport

SURVIVING = pytest.mark.parametrize("transport", ["websocket", "xhr-streaming", "xhr-polling"])
SHORT = {"sockjs__disconnect_delay": "0.1"}


async def test_the_id_of_a_message_is_its_key_where_it_names_none(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, browser.connect(resume=True) as ada:
        keys = []
        for text in ("one", "two"):
            await ada.tell({"type": "message", "room": LOBBY, "text": text})
            keys.append((await ada.hear("message"))["key"])
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}-1", keys[0])
        assert keys[1] == keys[0][:-1] + "2"
        # Said again over another session, by its key, it is there once.
        again = await ada.say("one", key=keys[0])
        assert (again["number"], again["text"]) == (1, "one")
        await ada.tell({"type": "delete", "room": LOBBY, "number": 2})
        assert re.fullmatch(rf"{keys[0][:-1]}\d", (await ada.hear("message"))["request"])


@each_transport
async def test_a_client_without_ids_has_to_name_a_key(chat: Chat, transport: str) -> None:
    async with chat.visit("Ada", transport) as ada:
        refused = await ada.ask("message", room=LOBBY, text="one")
        assert (refused["type"], refused["code"]) == ("error", "bad-request")


@pytest.mark.parametrize("resume", [False, True])
async def test_a_page_of_somebody_else_can_do_nothing(chat: Chat, *, resume: bool) -> None:
    """It hears who is signed in now, and what it sends is not taken for theirs."""
    async with chat.visit("Grace") as grace, chat.browser("Ada") as browser:
        url = f"{chat.url}/chat?user={grace.id}"
        with pytest.raises(ConnectionClosed) as closed:
            async with browser.connect(url=url, resume=resume) as ada:
                assert ada.welcome["user"]["name"] == "Ada"
                assert ada.welcome["rooms"] == []
                await ada.tell({"type": "message", "room": LOBBY, "key": "k", "text": "mine"})
                while True:
                    await ada.connection.recv()
        assert (closed.value.code, closed.value.reason) == (4401, "Signed out")
        assert [e["type"] for e in await grace.heard()] == []
        async with browser.connect(url=f"{chat.url}/chat?user={ada.id}", resume=resume) as ada:
            assert (await ada.say("mine"))["number"] == 1


@SURVIVING
async def test_who_is_out_of_reach_is_not_here(start: Start, transport: str) -> None:
    """And misses nothing: the session is the same, and so is the tab that was never away."""
    with start(**SHORT) as chat:
        async with chat.visit("Ada") as ada:
            async with (
                chat.browser("Grace") as browser,
                Proxy(chat.url) as proxy,
                browser.connect(transport, f"{proxy.url}/chat", resume=True) as grace,
            ):
                event = {"type": "presence", "user": grace.welcome["user"], "online": True}
                assert await ada.hear("presence") == event
                hold(proxy)
                assert await ada.hear("presence") == event | {"online": False}
                said = await ada.say("meanwhile")
                let_go(proxy)
                assert await ada.hear("presence") == event
                assert await grace.hear("message") == said
            assert await ada.hear("presence") == event | {"online": False}
            assert [e for e in await ada.heard() if e["type"] == "presence"] == []


@SURVIVING
async def test_a_short_absence_misses_nothing(start: Start, transport: str) -> None:
    """The session was lost: what the rooms were told comes behind the welcome, unasked."""
    told = Events()
    with start(**SHORT, sockjs__resume_window="0.2") as chat:
        async with (
            chat.visit("Ada") as ada,
            chat.browser("Grace") as browser,
            Proxy(chat.url) as proxy,
            browser.connect(transport, f"{proxy.url}/chat", resume=True, on_event=told) as grace,
        ):
            before = await ada.say("before")
            assert await grace.hear("message") == before
            hold(proxy)
            await until(lambda: len(chat.live.listeners("room-1")) == 1)
            await ada.tell({"type": "typing", "room": LOBBY})
            missed = [await ada.say(text) for text in ("one", "two")]
            let_go(proxy)
            welcome = await grace.hear("welcome")
            assert welcome["rooms"][0]["version"] == 3
            assert [await grace.hear("message") for _ in missed] == missed
            # That somebody was typing is of no use any more.
            assert "typing" not in [event["type"] for event in await grace.heard()]
    assert [event.name for event in told if event.name in ("lost", "missed")] == ["lost"]
