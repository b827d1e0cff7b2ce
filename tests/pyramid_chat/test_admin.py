"""The page of administrators: who gets there, and what it does to a chat that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pyramid_chat import accounts, catalog, people, rooms
from pyramid_chat.models import PRIVATE, PUBLIC, Message
from pyramid_chat.moderation import MAX_SHOWN
from pyramid_chat.notices import Watch
from sockjs_bridge.client import ConnectionClosed
from tests.pyramid_chat.conftest import LOBBY, PASSWORD, Browser, Chat, Start, either_database


@pytest.fixture
def chat(start: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    with start() as chat:
        yield chat


def shown(page: str, part: str) -> list[str]:
    """Return the names in a list of the page."""
    section = re.search(rf'<ul id="{part}".*?</ul>', page, re.DOTALL)[0]
    return re.findall(r"<bdi>([^<]*)</bdi>", section)


async def test_nobody_else_gets_there(chat: Chat, admin: Browser) -> None:
    ada_id = chat.add_user("Ada")
    async with chat.browser("Ada") as ada:
        assert (await ada.get("/admin"))[0] == 403
        assert 'href="/admin"' not in (await ada.get("/account"))[1]
        for path in (f"people/{ada_id}/disable", "people/1/reset-link", f"rooms/{LOBBY}/remove"):
            assert (await ada.post(f"/admin/{path}"))[0] == 403
        assert 'href="/admin"' in (await admin.get("/account"))[1]
        assert (await admin.get("/admin"))[0] == 200
    with chat.database.writing() as session, session.begin():
        accounts.set_admin(session, people.find(session, "Root"), False)
    assert (await admin.get("/admin"))[0] == 403
    async with chat.browser() as stranger:
        assert (await stranger.get("/admin"))[0] == 303


@either_database
async def test_people_are_disabled_and_enabled(chat: Chat, admin: Browser, caplog) -> None:
    async with chat.browser("Ada") as browser:
        async with browser.connect() as ada:
            path = f"/admin/people/{ada.id}"
            assert (await admin.post(f"{path}/sign-out"))[0] == 303
            with pytest.raises(ConnectionClosed, match="4401"):
                await ada.hear("nothing")
        assert (await browser.sign_in("Ada")).status == 303
        assert (await admin.post(f"{path}/disable"))[0] == 303
        assert (await browser.get("/chat"))[0] == 303
        assert "Disabled." in (await admin.get("/admin?q=ada"))[1]
        assert (await admin.post(f"{path}/reset-link"))[0] == 409
        assert (await admin.post(f"{path}/enable"))[0] == 303
        assert (await browser.sign_in("Ada")).status == 303
    for words in ("signed out 'Ada'", "disabled 'Ada'", "enabled 'Ada'"):
        assert f"administrator 'Root' {words}" in caplog.text
    assert (await admin.post("/admin/people/1/disable"))[0] == 409
    for path in ("people/999/disable", "people/1/promote", "rooms/999/remove", "rooms/999/reopen"):
        assert (await admin.post(f"/admin/{path}"))[0] == 404


@either_database
async def test_a_link_for_a_new_password_is_shown_once(chat: Chat, admin: Browser) -> None:
    ada_id = chat.add_user("Ada")
    status, page = await admin.post(f"/admin/people/{ada_id}/reset-link")
    assert status == 200
    (link,) = re.findall(r'class="secret">([^<]+)<', page)
    assert link.startswith(f"{chat.url}/reset/")
    assert link not in (await admin.get("/admin"))[1]
    async with chat.browser() as browser:
        assert (await browser.get(link.removeprefix(chat.url)))[0] == 200


@either_database
async def test_a_room_is_removed_for_ever(chat: Chat, admin: Browser) -> None:
    grace_id = chat.add_user("Grace")
    with chat.database.writing() as session, session.begin():
        room = catalog.create(session, grace_id, PUBLIC, "Spam", "buy this")
    async with chat.visit("Grace") as grace, chat.visit("Ada") as ada:
        await grace.say("buy this", room)
        await ada.ask("open", "opened", room=room)
        assert shown((await admin.get("/admin?q=SPA"))[1], "rooms") == ["Spam"]
        assert (await admin.post(f"/admin/rooms/{room}/remove", q="spa"))[0] == 303
        for person in (grace, ada):
            left = await person.hear("left")
            assert (left["room"], left["removed_by"]["name"]) == (room, "Root")
            assert (await person.ask("open", "opened", room=room))["code"] == "bad-room"
        assert (await grace.say("again", room))["code"] == "bad-room"
        assert (await grace.say("elsewhere"))["type"] == "message"
    assert (await admin.post(f"/admin/rooms/{room}/remove"))[0] == 404
    page = (await admin.get("/admin"))[1]
    assert shown(page, "rooms") == ["Lobby"]
    assert "<bdi>Root</bdi> removed the room <bdi>Spam</bdi>" in page
    with chat.database.writing() as session, session.begin():
        assert session.query(Message).filter_by(room_id=room).count() == 0
        # The name is free; the number is not: pages may know the old room by it.
        assert catalog.create(session, grace_id, PUBLIC, "Spam", "") > room


@either_database
async def test_a_private_room_is_found_when_everybody_has_left(chat: Chat, admin: Browser) -> None:
    grace_id = chat.add_user("Grace")
    with chat.database.writing() as session, session.begin():
        room = catalog.create(session, grace_id, PRIVATE, "Plans", "")
    chat.add_messages(grace_id, 1, room, "the plan")
    assert shown((await admin.get("/admin"))[1], "rooms") == ["Lobby"]
    for action in ("reopen", "remove"):
        assert (await admin.post(f"/admin/rooms/{room}/{action}"))[0] == 404
    with chat.database.writing() as session, session.begin():
        rooms.leave(session, room, grace_id)
    assert shown((await admin.get("/admin"))[1], "rooms") == ["Lobby", "Plans"]
    async with admin.connect() as root:
        assert (await admin.post(f"/admin/rooms/{room}/reopen", name="root"))[0] == 303
        told = (await root.hear("room"))["room"]
        assert (told["id"], told["member"], "rename" in told["can"]) == (room, True, True)
        page = await root.ask("history", room=room, before=None)
        assert [message["text"] for message in page["messages"]] == ["the plan"]
    assert shown((await admin.get("/admin"))[1], "rooms") == ["Lobby"]


async def test_so_many_are_shown(chat: Chat, admin: Browser) -> None:
    with chat.database.writing() as session, session.begin():
        for number in range(MAX_SHOWN):
            people.add(session, f"Person {number:02}", PASSWORD)
    _, page = await admin.get("/admin")
    assert len(shown(page, "people")) == MAX_SHOWN and "There are more" in page
    _, page = await admin.get("/admin?q=son%207")
    assert shown(page, "people") == [] and "There are more" not in page
    _, page = await admin.get("/admin?q=SON%2007")
    assert shown(page, "people") == ["Person 07"]
    assert (await admin.get("/admin?q=%00"))[0] == 200
    assert (await admin.get("/admin?q=%25"))[1].count("Person") == 0
