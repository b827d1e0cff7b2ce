"""Reactions: who put which emoji below a message, and what others hear of it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from pyramid_chat import accounts, conversation, people, reactions
from pyramid_chat.models import Message, Reaction, User
from pyramid_chat.reactions import MAX_KINDS, Teller
from tests.pyramid_chat.conftest import (
    LOBBY,
    PATIENCE,
    Chat,
    Person,
    Start,
    both_databases,
    each_transport,
)

THUMB, HEART, PARTY = "\N{THUMBS UP SIGN}", "\N{HEAVY BLACK HEART}\ufe0f", "\N{PARTY POPPER}"
FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"

_keys = (f"react-{number}" for number in itertools.count())


async def react(
    person: Person, message: dict[str, Any], emoji: Any, on: Any = True
) -> dict[str, Any]:
    """Put an emoji below a message, or take it away, and return the answer."""
    key = next(_keys)
    place = {name: message[name] for name in ("room", "number")}
    await person.tell({"type": "react", "key": key, **place, "emoji": emoji, "on": on})
    while True:
        event = await person.hear("message", "error")
        if key in (event.get("request"), event.get("key")):
            return event


async def hear_version(person: Person, version: int) -> dict[str, Any]:
    """Wait until somebody has heard of a version of the Lobby."""
    while (event := await person.hear("message"))["version"] < version:
        pass
    return event


def shown(message: dict[str, Any]) -> dict[str, list[str]]:
    """Return whose names stand at each emoji of a message, in order."""
    return {kind["emoji"]: [one["name"] for one in kind["people"]] for kind in message["reactions"]}


@each_transport
async def test_everybody_sees_who_has_reacted(chat: Chat, transport: str) -> None:
    async with chat.visit("Ada", transport) as ada, chat.visit("Grace") as grace:
        said = await ada.say("We ship today")
        assert said["reactions"] == []
        answer = await react(grace, said, THUMB)
        assert answer["reactions"] == [
            {"emoji": THUMB, "users": [grace.id], "people": [{"id": grace.id, "name": "Grace"}]}
        ]
        # It is the message with another version, and nothing else of it has changed.
        request = answer.pop("request")
        assert request.startswith("react-")
        assert answer == said | {"version": 2, "reactions": answer["reactions"]}
        assert await hear_version(ada, 2) == answer
        both = await react(ada, said, THUMB)
        assert shown(both) == {THUMB: ["Grace", "Ada"]}
        assert shown(await react(ada, said, HEART)) == {THUMB: ["Grace", "Ada"], HEART: ["Ada"]}
        gone = await react(grace, said, THUMB, False)
        assert shown(gone) == {THUMB: ["Ada"], HEART: ["Ada"]}
        assert shown(await hear_version(ada, gone["version"])) == shown(gone)
        page = await grace.ask("history", room=LOBBY, before=None)
        assert shown(page["messages"][0]) == shown(gone)
        # Nothing new to read, and nobody's edit.
        assert page["messages"][0]["edited"] is None


@both_databases
async def test_who_missed_them_is_told_the_present_state(chat: Chat) -> None:
    async with chat.visit("Ada") as ada:
        said, other = await ada.say("one"), await ada.say("two")
        for on in (True, False, True):
            await react(ada, said, PARTY, on)
        page = await ada.ask("since", room=LOBBY, version=other["version"])
    assert [(message["number"], message["version"]) for message in page["messages"]] == [(1, 5)]
    assert (shown(page["messages"][0]), page["version"]) == ({PARTY: ["Ada"]}, 5)


@both_databases
async def test_the_same_twice_is_once(chat: Chat) -> None:
    """What a page sends again, because it did not hear the answer, changes nothing."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said = await ada.say("hello")
        first = await react(grace, said, THUMB)
        again = await react(grace, said, THUMB)
        assert again == first | {"request": again["request"]}
        gone = await react(grace, said, THUMB, False)
        assert gone["reactions"] == []
        assert (await react(grace, said, THUMB, False))["version"] == gone["version"]
        await hear_version(ada, gone["version"])
        assert not [event for event in await ada.heard() if event["type"] == "message"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (FAMILY, FAMILY),
        ("\N{HEAVY BLACK HEART}", HEART),
        ("\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}", None),
        ("1\ufe0f\u20e3", None),
        ("\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}", None),
    ],
)
async def test_any_single_emoji_will_do(chat: Chat, written: str, kept: str | None) -> None:
    async with chat.visit("Ada") as ada:
        said = await ada.say("hello")
        assert shown(await react(ada, said, written)) == {kept or written: ["Ada"]}


@pytest.mark.parametrize(
    ("emoji", "code"),
    [
        *((wrong, "bad-emoji") for wrong in ("", "a", "1", THUMB * 2, f"{THUMB} ", ":thumbs_up:")),
        *((wrong, "bad-emoji") for wrong in ("\u200d", "<b>", FAMILY * 50, None, 7, [THUMB])),
    ],
)
async def test_nothing_else_will(chat: Chat, emoji: object, code: str) -> None:
    async with chat.visit("Ada") as ada:
        said = await ada.say("hello")
        refused = await react(ada, said, emoji)
        assert (refused["type"], refused["code"], refused["room"]) == ("error", code, LOBBY)
        assert "retry_after" not in refused


async def test_a_request_that_says_nothing_is_refused(chat: Chat) -> None:
    async with chat.visit("Ada") as ada:
        said = await ada.say("hello")
        for on in (None, 1, "true"):
            assert (await react(ada, said, THUMB, on))["code"] == "bad-request"
        assert (await react(ada, said | {"number": 99}, THUMB))["code"] == "no-message"
        assert (await react(ada, said | {"room": 99}, THUMB))["code"] == "bad-room"


@both_databases
async def test_who_is_not_in_the_room_does_not_react(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        for kind, code in (("public", "not-member"), ("private", "bad-room")):
            _, room = await browser.post("/rooms", name=f"Plans {kind}", kind=kind)
            said = await ada.say("hello", room["id"])
            async with chat.visit("Grace") as grace:
                assert (await react(grace, said, THUMB))["code"] == code


@both_databases
async def test_a_message_has_so_many_different_ones(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said = await ada.say("hello")
        # Clocks: U+1F550 and those after it.
        kinds = [chr(0x1F550 + number) for number in range(MAX_KINDS + 1)]
        for emoji in kinds[:-1]:
            last = await react(ada, said, emoji)
        assert list(shown(last)) == kinds[:-1]
        refused = await react(grace, said, kinds[-1])
        assert (refused["code"], str(MAX_KINDS) in refused["text"]) == ("too-many", True)
        # One that is there already is no other one.
        assert shown(await react(grace, said, kinds[0]))[kinds[0]] == ["Ada", "Grace"]
        await react(ada, said, kinds[1], False)
        assert kinds[-1] in shown(await react(grace, said, kinds[-1]))


async def test_a_message_has_so_many_at_all(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "MAX_REACTIONS", 2)
    monkeypatch.setattr(reactions, "MAX_NAMED", 1)
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace, chat.visit("Eve") as eve:
        said = await ada.say("hello")
        await react(ada, said, THUMB)
        (kind,) = (await react(grace, said, THUMB))["reactions"]
        # Of many the first are named, and all are counted.
        assert (kind["users"], len(kind["people"])) == ([ada.id, grace.id], 1)
        assert (await react(eve, said, THUMB))["code"] == "too-many"


@both_databases
async def test_a_removed_message_loses_them(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said = await ada.say("hello")
        await react(grace, said, THUMB)
        await ada.tell({"type": "delete", "room": LOBBY, "number": said["number"], "key": "d"})
        event = await hear_version(grace, 3)
        assert (event["deleted"], event["reactions"]) == (True, [])
        # Who reacted while it was deleted hears so, and that is no error.
        late = await react(grace, said, HEART)
        assert (late["deleted"], late["version"], late["reactions"]) == (True, 3, [])
    with chat.database.session() as session:
        assert session.scalar(select(func.count()).select_from(Reaction)) == 0


@both_databases
async def test_they_go_with_messages_and_accounts(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said, other = await ada.say("one"), await ada.say("two")
        for message in (said, other):
            await react(grace, message, THUMB)
        await react(ada, said, THUMB)
        with chat.database.writing() as session, session.begin():
            accounts.remove(session, session.get_one(User, grace.id))
        page = await ada.ask("history", room=LOBBY, before=None)
        # Like what somebody said: it stays, as a removed account's.
        assert shown(page["messages"][0]) == {THUMB: [accounts.REMOVED_NAME, "Ada"]}
    with chat.database.writing() as session, session.begin():
        session.execute(delete(Message).where(Message.number == said["number"]))
        kept = session.scalars(select(Reaction.number)).all()
    assert kept == [other["number"]]
    with chat.database.writing() as session, session.begin():
        lonely = people.add(session, "Eve", "hash")
        reactions.react(
            session,
            session.get_one(Message, (LOBBY, other["number"])),
            9,
            lonely.id,
            HEART,
            on=True,
        )
        session.execute(delete(User).where(User.id == lonely.id))
        assert session.scalars(select(Reaction.emoji)).all() == [THUMB]


@both_databases
async def test_they_are_limited_like_messages(start: Start) -> None:
    with start(chat__messages_per_minute="1", chat__message_burst="3") as chat:
        async with chat.visit("Ada") as ada:
            said = await ada.say("hello")
            await react(ada, said, THUMB)
            await react(ada, said, HEART)
            refused = await react(ada, said, PARTY)
            assert (refused["code"], refused["retry_after"] > 0) == ("rate-limited", True)


@both_databases
async def test_many_at_once_are_told_together_and_nobody_misses_one(chat: Chat) -> None:
    """Each connection hears of every version, alone or as one that another event covers."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said = await ada.say("hello")
        clocks = [chr(0x1F550 + number) for number in range(10)]

        async def toggle(person: Person) -> None:
            for emoji in clocks:
                await react(person, said, emoji)

        async with chat.visit("Eve") as eve:
            # Whoever is answered hears the rooms.
            await eve.heard()
            await asyncio.gather(toggle(ada), toggle(grace))
            known = {1}
            while known != set(range(1, 22)):
                event = await eve.hear("message")
                known |= {event["version"], *event.get("covers", [])}
                assert "request" not in event
            assert {emoji: len(names) for emoji, names in shown(event).items()} == dict.fromkeys(
                clocks, 2
            )


async def test_what_comes_in_between_is_told_once() -> None:
    loop, told, done = asyncio.get_running_loop(), [], asyncio.Event()

    def tell(event: dict[str, Any], name: str) -> None:
        told.append((name, event))
        if len(told) == 3:
            loop.call_soon_threadsafe(done.set)

    teller = Teller(tell, every=2)
    first = {"number": 1, "version": 5, "request": "key"}
    teller.tell(first, "room-1")
    assert told == [("room-1", {"number": 1, "version": 5})]
    teller.tell({"number": 2, "version": 6}, "room-1")
    assert told[1:] == [("room-1", {"number": 2, "version": 6})]
    # Of two processes one may be quicker: the order in which they come in says nothing.
    for version in (7, 9, 8):
        teller.tell({"number": 1, "version": version}, "room-1")
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    assert told[2:] == [("room-1", {"number": 1, "version": 9, "covers": [7, 8]})]


@both_databases
async def test_a_commit_that_was_in_doubt_is_told_with_them(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may get lost with the connection to the database: the next change tells both."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        # Whoever is answered hears the rooms.
        await grace.heard()
        said = await ada.say("hello")
        await asyncio.to_thread(_react_unheard, chat, said["number"], grace.id)
        answer = await react(ada, said, HEART)
        assert shown(answer) == {THUMB: ["Grace"], HEART: ["Ada"]}
        assert shown(await hear_version(grace, answer["version"])) == shown(answer)


def _react_unheard(chat: Chat, number: int, user_id: int) -> None:
    with chat.live.room(LOBBY):
        with chat.database.writing() as session, session.begin():
            version = conversation.next_version(session, LOBBY)
            assert version is not None
            message = session.get_one(Message, (LOBBY, number))
            reactions.react(session, message, version, user_id, THUMB, on=True)
        chat.live.doubt(LOBBY, version)
