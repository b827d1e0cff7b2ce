"""Who is meant in a message, what they are told, and the list of one's own mentions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from pyramid_chat import accounts, catalog, mentions, moderation, people, rooms
from pyramid_chat.mentions import MAX_MENTIONS, MAX_SIGNS, MAX_TOLD, PAGE
from pyramid_chat.models import PRIVATE, PUBLIC, Mention
from pyramid_chat.names import folded
from pyramid_chat.people import Identity
from tests.pyramid_chat.conftest import LOBBY, Chat, Person, both_databases

NAMES = (
    "Ann",
    "Anna",
    "Ann Lee",
    "Élodie",
    "王",
    "王明",
    "민수",
    "नीता",
    "नी",
    "Bob 😀",
    "x@y",
    "👩",
)


def meant(text: str) -> list[tuple[str, str]]:
    """Return who is meant in a text, and what of it says so."""
    people = {folded(name): index for index, name in enumerate(NAMES)}

    def ids(names: set[str]) -> dict[str, int]:
        return {name: people[name] for name in names & people.keys()}

    found = mentions.find(text, ids)
    return [(NAMES[who], text[span.start : span.end]) for span, who in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@Ann", [("Ann", "@Ann")]),
        ("(@Ann)", [("Ann", "@Ann")]),
        ("@Anna, @Ann: hello", [("Anna", "@Anna"), ("Ann", "@Ann")]),
        ("@Annabel @Anna_b @Annalee", []),
        ("_@Anna_ *@Ann*", [("Anna", "@Anna"), ("Ann", "@Ann")]),
        ("@Ann Lee, @Ann Leery", [("Ann Lee", "@Ann Lee"), ("Ann", "@Ann")]),
        ("@Ann\nLee", [("Ann", "@Ann")]),
        ("@Ann\u00a0Lee", [("Ann Lee", "@Ann\u00a0Lee")]),
        ("@ANN's", [("Ann", "@ANN")]),
        ("@élodie @E\u0301lodie", [("Élodie", "@élodie"), ("Élodie", "@E\u0301lodie")]),
        # What only looks like a name is none.
        ("@\u0410nn @\u0410nna", []),
        # A letter without its vowel sign is another letter.
        ("@नीता @नी @न", [("नीता", "@नीता"), ("नी", "@नी")]),
        # There is no space behind these.
        ("你好@王明你好 @王你", [("王明", "@王明"), ("王", "@王")]),
        ("@민수는 왔다", [("민수", "@민수")]),
        ("@Bob 😀!", [("Bob 😀", "@Bob 😀")]),
        ("@👩 @👩\u200d🚀", [("👩", "@👩")]),
        ("@x@y", [("x@y", "@x@y")]),
        ("@@Ann", [("Ann", "@Ann")]),
        # An address of mail, or of the web.
        ("me@Ann me.x@Ann é@Ann https://example.com/@Ann", []),
        ("@ Ann @", []),
        ("@nobody", []),
    ],
)
def test_who_is_meant(text: str, expected: list[tuple[str, str]]) -> None:
    assert meant(text) == expected


def test_not_too_many_are_meant() -> None:
    assert len(meant("@Ann " * 100)) == MAX_MENTIONS
    assert meant("@nobody " * (MAX_SIGNS - 1) + "@Ann")
    assert not meant("@nobody " * MAX_SIGNS + "@Ann")


async def names(person: Person, text: str, room: int = LOBBY) -> list[tuple[str, str]]:
    """Say something, and return who is told to be meant, and where."""
    said = await person.say(text, room)
    return told(said)


def told(message: dict[str, Any]) -> list[tuple[str, str]]:
    """Return who a client is told to be meant, and the part of the text."""
    units = message["text"].encode("utf-16-le")
    return [
        (
            one["user"]["name"],
            units[2 * one["start"] : 2 * (one["start"] + one["length"])].decode("utf-16-le"),
        )
        for one in message.get("mentions", ())
    ]


def make_room(chat: Chat, owner: int, *others: int, kind: str = PRIVATE) -> int:
    """Make a room called Plans, with members."""
    with chat.database.writing() as session, session.begin():
        room = catalog.create(session, owner, kind, "Plans", "")
        for other in others:
            rooms.join(session, room, other)
    return room


def mine(person: Person, room: int = LOBBY) -> dict[str, Any]:
    """Return what somebody was told of a room in the welcome."""
    return next(one for one in person.welcome["rooms"] if one["id"] == room)


@both_databases
async def test_everybody_in_the_room_is_told_who_is_meant(chat: Chat) -> None:
    for name in ("Anna", "Ann Lee", "王明"):
        chat.add_user(name)
    async with chat.visit("Ada") as ada, chat.visit("Ann") as ann:
        text = "😀 @ann, @ANNA @Ann Lee @王明你好 @Nobody @Ada"
        said = await ada.say(text)
        expected = [
            ("Ann", "@ann"),
            ("Anna", "@ANNA"),
            ("Ann Lee", "@Ann Lee"),
            ("王明", "@王明"),
            ("Ada", "@Ada"),
        ]
        assert told(said) == expected
        assert said["mentions"][0]["user"]["id"] == ann.id
        assert await ann.hear("message") == said
        page = await ann.ask("history", room=LOBBY, before=None)
        assert page["messages"] == [said]
        page = await ann.ask("since", room=LOBBY, version=0)
        assert page["messages"] == [said]
        assert "mentions" not in await ada.say("Ann without a sign")
        # A repeat of the message is answered alike.
        assert await ada.say(text, key=said["key"]) == said


@both_databases
async def test_only_who_is_in_the_room_can_be_meant(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Ann") as ann, chat.visit("Bo") as bo:
        room = make_room(chat, ada.id, bo.id)
        chat.live.membership_changed(room, ada.id)
        chat.live.membership_changed(room, bo.id)
        assert await names(ada, "@Ann @Bo", room) == [("Bo", "@Bo")]
        assert [event for event in await ann.heard() if event.get("room") == room] == []
    async with chat.browser("Ann") as browser:
        assert (await browser.get("/mentions"))[1] == {"mentions": [], "more": False}


@both_databases
async def test_a_change_of_the_text_changes_who_is_meant(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Ann"), chat.visit("Bo"):
        said = await ada.say("@Ann @Bo")
        place = {"room": LOBBY, "number": said["number"]}
        changed = await ada.ask("edit", "message", **place, text="no, @Bo @Ada", key="e1")
        assert told(changed) == [("Bo", "@Bo"), ("Ada", "@Ada")]
        changed = await ada.ask("edit", "message", **place, text="nobody", key="e2")
        assert "mentions" not in changed
        changed = await ada.ask("edit", "message", **place, text="@Ann", key="e3")
        assert told(changed) == [("Ann", "@Ann")]
        deleted = await ada.ask("delete", "message", **place, key="d")
        assert "mentions" not in deleted
    with chat.database.session() as session:
        assert session.scalar(select(func.count()).select_from(Mention)) == 0


@both_databases
async def test_who_has_another_name_is_meant_still(chat: Chat) -> None:
    """Also where the message is changed, and somebody else has the name by now."""
    async with chat.visit("Ada") as ada, chat.visit("Ann") as ann:
        said = await ada.say("@Ann hello")
        with chat.database.writing() as session, session.begin():
            accounts.rename(session, people.find(session, "Ann"), "Susan")
        other = chat.add_user("Ann")
        page = await ada.ask("history", room=LOBBY, before=None)
        assert page["messages"][0]["text"] == "@Ann hello"
        assert told(page["messages"][0]) == [("Susan", "@Ann")]
        place = {"room": LOBBY, "number": said["number"]}
        changed = await ada.ask("edit", "message", **place, text="@Ann: hello", key="e")
        assert [one["user"]["id"] for one in changed["mentions"]] == [ann.id]
        again = await ada.say("@Ann @Susan")
        assert [one["user"]["id"] for one in again["mentions"]] == [other, ann.id]


@both_databases
async def test_who_is_removed_is_not_meant_any_more(chat: Chat) -> None:
    async with chat.visit("Ada") as ada:
        chat.add_user("Ann")
        await ada.say("@Ann hello")
        with chat.database.writing() as session, session.begin():
            accounts.remove(session, people.find(session, "Ann"))
        assert await names(ada, "@Ann @Removed account") == []
        page = await ada.ask("history", room=LOBBY, before=None)
        assert told(page["messages"][0]) == [("Removed account", "@Ann")]


@both_databases
async def test_unread_mentions_are_told_by_number(chat: Chat) -> None:
    """Those of others, until the messages are read; at most so many."""
    chat.add_user("Ann")
    async with chat.visit("Ada") as ada:
        numbers = [(await ada.say("@Ann @Ann"))["number"] for _ in range(2)]
        await ada.say("not you")
        async with chat.visit("Ann") as ann:
            assert mine(ann)["mentioned"] == numbers
            assert mine(ann)["unread"] == 3
            await ann.say("@Ann myself")
            await ann.ask("read", room=LOBBY, number=numbers[0])
        async with chat.visit("Ann") as ann:
            assert mine(ann)["mentioned"] == numbers[1:]
            assert mine(ada)["mentioned"] == []
            chat.add_messages(ada.id, MAX_TOLD + 5, text="@Ann")
        async with chat.visit("Ann") as ann:
            assert len(mine(ann)["mentioned"]) == MAX_TOLD
            assert mine(ann)["mentioned"][-1] == mine(ann)["version"]


@both_databases
async def test_the_list_has_what_one_may_see_the_newest_first(chat: Chat) -> None:
    async with chat.browser("Ann") as browser, chat.visit("Ada") as ada:
        with chat.database.session() as session:
            ann = people.find(session, "Ann").id
        room = make_room(chat, ada.id, ann, kind=PUBLIC)
        chat.live.membership_changed(room, ada.id)
        said = [
            await ada.say("@Ann one"),
            await ada.say("@Ann two, @Ann", room),
            await ada.say("@Ann three"),
        ]
        await ada.say("@Ada")
        assert (await browser.get("/mentions"))[1] == {"mentions": said[::-1], "more": False}
        # A room that she has left does not show; when she comes back, it does.
        assert (await browser.post(f"/rooms/{room}/leave"))[0] == 200
        assert (await browser.get("/mentions"))[1]["mentions"] == [said[2], said[0]]
        assert (await browser.post(f"/rooms/{room}/join"))[0] == 200
        assert (await browser.get("/mentions"))[1]["mentions"] == said[::-1]
        with chat.database.writing() as session, session.begin():
            moderation.remove_room(session, room, Identity(ada.id, "Ada", "", True))
        assert (await browser.get("/mentions"))[1]["mentions"] == [said[2], said[0]]
        await ada.ask("delete", "message", room=LOBBY, number=said[2]["number"], key="d")
        assert (await browser.get("/mentions"))[1]["mentions"] == [said[0]]


@both_databases
async def test_the_list_comes_page_by_page(chat: Chat) -> None:
    async with chat.browser("Ann") as browser, chat.visit("Ada") as ada:
        chat.add_messages(ada.id, 2 * PAGE + 1, text="@Ann")
        numbers, path, more = [], "/mentions", True
        while more:
            status, page = await browser.get(path)
            assert status == 200
            assert len(page["mentions"]) <= PAGE
            numbers += [message["number"] for message in page["mentions"]]
            path = f"/mentions?before={LOBBY}-{numbers[-1]}"
            more = page["more"]
        assert numbers == list(range(2 * PAGE + 1, 0, -1))
        assert (await browser.get("/mentions?before=7-7"))[1] == {"mentions": [], "more": False}
        for wrong in ("", "1", "1-2-3", "a-b", "1-1111111111", "-1-1"):
            assert (await browser.get(f"/mentions?before={wrong}"))[0] == 400
    async with chat.browser() as browser:
        assert (await browser.get("/mentions"))[0] in (302, 303, 401)
