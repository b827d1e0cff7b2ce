"""What administrators do to messages and rooms, and what others see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pyramid_chat import accounts, audit, catalog, people, rooms
from pyramid_chat.models import PRIVATE, PUBLIC, AuditEntry, Room, now
from pyramid_chat.moderation import find_rooms
from pyramid_chat.notices import Watch
from tests.pyramid_chat.conftest import LOBBY, Browser, Chat, Person, Start, either_database


@pytest.fixture
def chat(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    with start() as chat:
        yield chat


def set_admin(chat: Chat, name: str, admin: bool) -> None:
    """Do what ``pyramid-chat make-admin`` does."""
    with chat.database.writing() as session, session.begin():
        user = people.find(session, name)
        assert user is not None
        accounts.set_admin(session, user, admin)


@pytest.fixture
async def admin(chat: Chat) -> AsyncIterator[Browser]:
    """The browser of an administrator."""
    chat.add_user("Root")
    set_admin(chat, "Root", True)
    async with chat.browser("Root") as browser:
        yield browser


def make_room(chat: Chat, owner: int, kind: str = PRIVATE, *others: int) -> int:
    """Make a room called Plans, with members."""
    with chat.database.writing() as session, session.begin():
        room = catalog.create(session, owner, kind, "Plans", "")
        for other in others:
            rooms.join(session, room, other)
    return room


async def remove(person: Person, message: dict[str, Any], key: str = "remove") -> dict[str, Any]:
    """Ask for a message to be removed, and return the answer."""
    place = {name: message[name] for name in ("room", "number")}
    await person.tell({"type": "delete", "key": key, **place})
    while True:
        event = await person.hear("message", "error")
        if key in (event.get("request"), event.get("key")):
            return event


def done(chat: Chat) -> list[tuple[str, str, str | None, str]]:
    """Return what administrators did, in order."""
    with chat.database.session() as session:
        entries = audit.newest(session)[::-1]
        return [(one["admin"], one["did"], one["person"], one["about"]) for one in entries]


@either_database
async def test_a_message_is_removed_and_everybody_sees_by_whom(chat: Chat, admin: Browser) -> None:
    async with admin.connect() as root, chat.visit("Grace") as grace, chat.visit("Ada") as ada:
        said = await grace.say("buy this")
        answer = await remove(root, said)
        assert (answer["deleted"], answer["text"]) == (True, "")
        assert answer["removed_by"] == {"id": root.id, "name": "Root"}
        for person in (grace, ada):
            while (event := await person.hear("message"))["version"] == said["version"]:
                pass
            assert event == answer
        page = await ada.ask("history", room=LOBBY, before=None)
        assert page["messages"][-1]["removed_by"]["name"] == "Root"
        # Once is enough, and what its author took back was nobody else's deed.
        assert (await remove(root, said, "again"))["version"] == answer["version"]
        own = await grace.say("my mistake")
        assert (await remove(grace, own, "own"))["removed_by"] is None
        assert (await remove(root, own, "late"))["removed_by"] is None
    assert done(chat) == [("Root", "removed a message of", "Grace", "Lobby")]
    page = (await admin.get("/admin"))[1]
    assert "removed a message of <bdi>Grace</bdi> in <bdi>Lobby</bdi>" in page


async def test_who_looks_at_a_public_room_can_remove_there(chat: Chat, admin: Browser) -> None:
    """An administrator need not join it, and may not write either."""
    room = make_room(chat, chat.add_user("Grace"), PUBLIC)
    async with chat.visit("Grace") as grace, admin.connect() as root:
        said = await grace.say("buy this", room)
        opened = await root.ask("open", "opened", room=room)
        assert opened["room"]["can"] == ["join", "moderate"]
        assert (await remove(root, said))["removed_by"]["name"] == "Root"
        assert (await root.say("hello", room))["code"] == "not-member"
        number = said["number"]
        for event in (
            await root.ask("edit", "message", room=room, number=number, key="e", text="mine"),
            await remove(root, {"room": room, "number": 999}, "none"),
        ):
            assert event["type"] == "error"
        # Who hears of a change of the room knows it still.
        with chat.database.writing() as session, session.begin():
            catalog.change(session, room, None, "News")
        chat.live.room_changed(room)
        assert "moderate" in (await root.hear("room"))["room"]["can"]


async def test_private_rooms_are_out_of_reach_and_not_named(chat: Chat, admin: Browser) -> None:
    room = make_room(chat, chat.add_user("Grace"), PRIVATE, chat.add_user("Ada"))
    async with admin.connect() as root, chat.visit("Grace") as grace:
        said = await grace.say("the plan", room)
        assert (await remove(root, said))["code"] == "bad-room"
        with chat.database.writing() as session, session.begin():
            rooms.join(session, room, root.id)
        await asyncio.to_thread(chat.live.membership_changed, room, root.id)
        assert "moderate" in (await root.hear("room"))["room"]["can"]
        assert (await remove(root, said, "member"))["removed_by"]["name"] == "Root"
        # What two people say to each other is their own business.
        status, direct = await admin.post("/direct", name="Grace")
        assert (status, "moderate" in direct["can"]) == (200, False)
        await grace.hear("room")
        said = await grace.say("hello", direct["id"])
        assert (await remove(root, said, "direct"))["code"] == "not-author"
    assert done(chat) == [("Root", "removed a message of", "Grace", "a private room")]


@either_database
async def test_who_becomes_an_administrator_can_remove_at_once(chat: Chat) -> None:
    """And no more when that is taken back; an open page hears of both."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said = [await grace.say(text) for text in ("one", "two")]
        assert (await remove(ada, said[0]))["code"] == "not-author"
        set_admin(chat, "Ada", True)
        assert "moderate" in (await ada.hear("room"))["room"]["can"]
        assert (await remove(ada, said[0], "now"))["removed_by"]["name"] == "Ada"
        set_admin(chat, "Ada", False)
        assert "moderate" not in (await ada.hear("room"))["room"]["can"]
        assert (await remove(ada, said[1], "late"))["code"] == "not-author"


@either_database
async def test_a_private_room_is_archived_when_its_last_member_leaves(
    chat: Chat, admin: Browser
) -> None:
    ada_id = chat.add_user("Ada")
    room = make_room(chat, chat.add_user("Grace"), PRIVATE, ada_id)
    async with chat.browser("Grace") as browser, browser.connect() as grace:

        def archived() -> bool:
            with chat.database.session() as session:
                listed = [one["name"] for one in find_rooms(session, "") if one["archived"]]
                assert (session.get_one(Room, room).archived is not None) == bool(listed)
            return listed == ["Plans"]

        assert (await browser.post(f"/rooms/{room}/leave"))[0] == 200
        assert not archived()
        with chat.database.writing() as session, session.begin():
            accounts.remove(session, session.get_one(people.User, ada_id))
        assert archived()
        assert (await grace.ask("open", "opened", room=room))["code"] == "bad-room"
        assert (await browser.post(f"/rooms/{room}/join"))[0] == 404
        assert "archived since" in (await admin.get("/admin?q=plans"))[1]
        # A public room that everybody has left is there for all.
        assert (await browser.post(f"/rooms/{LOBBY}/leave"))[0] == 200
        assert archived()


@either_database
async def test_an_archived_room_is_opened_again_to_somebody(chat: Chat, admin: Browser) -> None:
    room = make_room(chat, chat.add_user("Grace"))
    async with chat.browser("Grace") as browser, browser.connect() as grace:
        await grace.say("the plan", room)
        await browser.post(f"/rooms/{room}/leave")
        path = f"/admin/rooms/{room}/reopen"
        chat.add_user("Eve")
        with chat.database.writing() as session, session.begin():
            accounts.disable(session, people.find(session, "Eve"))
        for name, problem in (
            ("", "nobody of that name"),
            ("Nobody", "nobody of that name"),
            ("\0", "nobody of that name"),
            ("eve", "Eve is disabled"),
        ):
            status, page = await admin.post(path, name=name)
            assert (status, problem in page) == (400, True)
        async with chat.visit("Ada") as ada:
            assert (await admin.post(path, name=" ADA "))[0] == 303
            told = (await ada.hear("room"))["room"]
            assert (told["id"], told["unread"]) == (room, 0)
            assert "rename" in told["can"]
            page = await ada.ask("history", room=room, before=None)
            assert [message["text"] for message in page["messages"]] == ["the plan"]
            # It is Ada's, and no administrator's any more.
            assert (await admin.post(path, name="Grace"))[0] == 404
            assert (await admin.post(f"/admin/rooms/{room}/remove"))[0] == 404
    assert done(chat) == [("Root", "let", "Ada", "Plans")]
    assert (await admin.post(f"/admin/rooms/{LOBBY}/reopen", name="Ada"))[0] == 404


async def test_what_administrators_did_is_kept_for_a_year(chat: Chat, admin: Browser) -> None:
    ada_id = chat.add_user("Ada")
    assert "Nothing yet" in (await admin.get("/admin"))[1]
    with chat.database.writing() as session, session.begin():
        root = people.find(session, "Root")
        assert root is not None
        old = now() - audit.KEPT
        session.add(AuditEntry(admin_id=root.id, action="enable", about="", created=old))
    assert (await admin.post(f"/admin/people/{ada_id}/disable"))[0] == 303
    assert done(chat) == [("Root", "disabled", "Ada", "")]
    # They are told by the names that people have now.
    with chat.database.writing() as session, session.begin():
        accounts.remove(session, session.get_one(people.User, ada_id))
    assert done(chat) == [("Root", "disabled", accounts.REMOVED_NAME, "")]
