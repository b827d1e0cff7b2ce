"""Replies: what is told of the message that another one answers, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from pyramid_chat.conversation import PAGE
from pyramid_chat.messages import MAX_ID
from pyramid_chat.quotes import EXCERPT
from tests.pyramid_chat.conftest import LOBBY, Browser, Chat, Person, both_databases


async def change(person: Person, kind: str, number: int, **fields: Any) -> dict[str, Any]:
    """Edit or delete a message of the lobby, and take the answer."""
    key = f"{kind}-{number}"
    await person.tell({"type": kind, "room": LOBBY, "number": number, "key": key, **fields})
    while (event := await person.hear("message", "error")).get("request") != key:
        assert event["type"] == "message", event
    return event


@both_databases
async def test_a_reply_tells_of_the_message_as_it_is_now(chat: Chat) -> None:
    """When it is said, in the history, and in what was missed; others hear the same."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        first = await ada.say("Who **comes**?\nBy what train?")
        reply = await grace.say("I do", reply_to=first["number"])
        quote = {
            "number": first["number"],
            "version": first["version"],
            "author": {"id": ada.id, "name": "Ada"},
            "text": "Who **comes**?\nBy what train?",
            "edited": False,
            "deleted": False,
            "removed_by": None,
        }
        assert reply["quote"] == quote
        assert (await ada.hear("message"))["quote"] == quote
        edited = await change(ada, "edit", first["number"], text="Who comes tomorrow?")
        assert edited["quote"] is None
        now = quote | {
            "version": edited["version"],
            "text": "Who comes tomorrow?",
            "edited": True,
        }
        assert await told(grace, reply["number"]) == [now, now]
        # The reply itself is changed: it answers the same message still.
        changed = await change(grace, "edit", reply["number"], text="I do not")
        assert changed["quote"] == now
        deleted = await change(ada, "delete", first["number"])
        gone = now | {"version": deleted["version"], "text": "", "deleted": True}
        assert await told(grace, reply["number"]) == [gone, gone]


async def told(person: Person, number: int) -> list[dict[str, Any]]:
    """Return what the history and what was missed tell of the message that one answers."""
    pages = [
        await person.ask("history", room=LOBBY, before=None),
        await person.ask("since", room=LOBBY, version=0),
    ]
    return [
        message["quote"]
        for page in pages
        for message in page["messages"]
        if message["number"] == number
    ]


@both_databases
async def test_an_administrator_who_removed_it_is_named(chat: Chat, admin: Browser) -> None:
    async with chat.visit("Ada") as ada, admin.connect() as root:
        first = await ada.say("rude")
        reply = await ada.say("sorry", reply_to=first["number"])
        await change(root, "delete", first["number"])
        for quote in await told(ada, reply["number"]):
            assert quote["deleted"] and quote["text"] == ""
            assert quote["removed_by"] == {"id": root.id, "name": "Root"}


@both_databases
async def test_what_is_not_there_cannot_be_answered(chat: Chat) -> None:
    """Nor what was removed, nor what was said in another room; no message comes of it."""
    async with (
        chat.browser("Ada") as browser,
        browser.connect() as ada,
    ):
        await ada.say("one")
        two = await ada.say("two")
        await change(ada, "delete", two["number"])
        for reply_to, words in ((two["number"], "removed"), (99, "no such"), (MAX_ID, "no such")):
            refused = await ada.say("answer", reply_to=reply_to)
            assert (refused["type"], refused["code"]) == ("error", "no-message")
            assert words in refused["text"] and "retry_after" not in refused
        # There the number is of no message.
        _, room = await browser.post("/rooms", name="Attic", kind="public")
        refused = await ada.say("answer", room=room["id"], reply_to=1)
        assert refused["code"] == "no-message"
        page = await ada.ask("history", room=LOBBY, before=None)
        assert [message["text"] for message in page["messages"]] == ["one", ""]
        # No version was used up.
        assert (await ada.say("three"))["number"] == page["version"] + 1


@pytest.mark.parametrize("wrong", ["1", True, 0, -1, 1.5, MAX_ID + 1, [1], {"number": 1}])
async def test_what_is_no_number_is_refused(chat: Chat, wrong: object) -> None:
    async with chat.visit("Ada") as ada:
        await ada.say("one")
        refused = await ada.say("answer", key="wrong", reply_to=wrong)
        assert (refused["code"], refused["key"]) == ("bad-request", "wrong")


@both_databases
async def test_a_repeat_is_the_message_that_there_is(chat: Chat) -> None:
    """Even where what it answers was removed in the meantime."""
    async with chat.visit("Ada") as ada:
        first = await ada.say("one")
        reply = await ada.say("answer", key="once", reply_to=first["number"])
        await change(ada, "delete", first["number"])
        again = await ada.say("answer", key="once", reply_to=first["number"])
        assert again["number"] == reply["number"]
        assert again["quote"]["deleted"]


@both_databases
async def test_a_long_message_is_told_in_part_and_from_any_page(chat: Chat) -> None:
    """A reply may answer what stands far above what its reader has loaded."""
    async with chat.visit("Ada") as ada:
        chat.add_messages(ada.id, 1, text="ü" * (EXCERPT + 50))
        chat.add_messages(ada.id, PAGE + 5)
        reply = await ada.say("at last", reply_to=1)
        assert reply["quote"]["text"] == "ü" * EXCERPT
        page = await ada.ask("history", room=LOBBY, before=None)
        assert page["messages"][0]["number"] > 1
        assert page["messages"][-1]["quote"] == reply["quote"]


async def test_a_direct_conversation_has_replies_too(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as browser,
        browser.connect() as ada,
        chat.visit("Grace") as grace,
    ):
        _, room = await browser.post("/direct", name="Grace")
        await grace.hear("room")
        first = await ada.say("psst", room=room["id"])
        reply = await grace.say("yes?", room=room["id"], reply_to=first["number"])
        assert reply["quote"]["author"]["name"] == "Ada"
