"""Links that invite to a room: who makes them, who gets in, and when they are worth nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, update
from yarl import URL

from pyramid_chat import accounts, audit, invitations, moderation, people
from pyramid_chat.models import Invitation, Membership, User, now
from tests.pyramid_chat.conftest import LOBBY, PASSWORD, Browser, Chat, Start, both_databases

WORTHLESS = "This invitation is not valid"


async def make_room(browser: Browser, kind: str = "private") -> int:
    """Make a room called Plans."""
    status, room = await browser.post("/rooms", name="Plans", kind=kind)
    assert status == 201
    return room["id"]


async def make(browser: Browser, room: int, **fields: str) -> dict[str, Any]:
    """Make a link to a room."""
    status, made = await browser.post(f"/rooms/{room}/invitations", **fields)
    assert status == 201, made
    return made


def place(response: aiohttp.ClientResponse) -> str:
    """Return the path to which an answer leads."""
    return URL(response.headers["Location"]).path


async def join(browser: Browser, path: str) -> tuple[int, str]:
    """Press the button of the page; returns the status, and where it leads."""
    response = await browser.submit(path)
    return response.status, place(response)


async def worthless(browser: Browser, path: str) -> bool:
    """Tell whether a link leads nowhere, and says nothing of the room."""
    status, page = await browser.get(path)
    assert status in (200, 303, 404)
    if status == 404:
        assert WORTHLESS in page and "Plans" not in page and "Ada" not in page
        assert (await browser.post(path))[0] == 404
    return status == 404


def members(chat: Chat, room: int) -> list[str]:
    """Return who is in a room."""
    with chat.database.session() as session:
        query = select(User.name).join(Membership, Membership.user_id == User.id)
        return sorted(session.scalars(query.where(Membership.room_id == room)))


def change(chat: Chat, **values: Any) -> None:
    """Change all links."""
    with chat.database.writing() as session, session.begin():
        session.execute(update(Invitation).values(**values))


@both_databases
async def test_who_has_the_link_joins_by_a_button(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace, ada.connect() as page:
        room = await make_room(ada)
        made = await make(ada, room)
        assert made["maker"]["name"] == "Ada"
        assert (made["uses"], made["used"], made["admits"]) == (None, 0, False)
        # To look at it joins nobody, however often, and says what it is.
        for _ in range(2):
            status, text = await grace.get(made["path"])
            assert status == 200
            assert "<bdi>Ada</bdi> invites you to the room <strong><bdi>Plans</bdi>" in text
        assert members(chat, room) == ["Ada"]
        # Nor does a form of another site.
        async with grace.http.post(grace.url + made["path"], data={}) as response:
            assert response.status == 400
        assert members(chat, room) == ["Ada"]
        assert await join(grace, made["path"]) == (303, f"/rooms/{room}")
        assert members(chat, room) == ["Ada", "Grace"]
        while (event := await page.hear("member"))["user"]["name"] != "Grace":
            pass
        assert (event["room"], event["joined"]) == (room, True)
        # Who is in it goes there.
        async with grace.http.get(grace.url + made["path"], allow_redirects=False) as response:
            assert (response.status, place(response)) == (303, f"/rooms/{room}")
        status, listed = await ada.get(f"/rooms/{room}/invitations")
        assert listed == {
            "invitations": [
                {name: value for name, value in made.items() if name != "path"} | {"used": 1}
            ],
            "may_admit": False,
        }


@both_databases
async def test_only_a_hash_of_the_token_is_kept(chat: Chat) -> None:
    async with chat.browser("Ada") as ada:
        made = await make(ada, LOBBY)
        token = made["path"].rpartition("/")[2]
        with chat.database.session() as session:
            kept = session.scalars(select(Invitation)).one()
        assert kept.digest == accounts.digest(token)
        assert token not in str(vars(kept))
        expires = kept.expires - now()
        assert timedelta(days=6, hours=23) < expires <= timedelta(days=7)


@both_databases
async def test_so_many_may_join_by_it(chat: Chat) -> None:
    async with chat.browser("Ada") as ada:
        room = await make_room(ada)
        made = await make(ada, room, uses="2")
        for name in ("Grace", "Eve"):
            async with chat.browser(name) as browser:
                assert (await join(browser, made["path"]))[0] == 303
                # Who is there already uses up nothing.
                assert (await browser.post(made["path"]))[0] in (303, 404)
        async with chat.browser("Mallory") as mallory:
            assert await worthless(mallory, made["path"])
        assert members(chat, room) == ["Ada", "Eve", "Grace"]
        assert (await ada.get(f"/rooms/{room}/invitations"))[1]["invitations"] == []


@both_databases
async def test_the_last_use_is_had_by_one_of_many(chat: Chat) -> None:
    names = [f"Guest {number}" for number in range(6)]
    async with chat.browser("Ada") as ada:
        room = await make_room(ada)
        made = await make(ada, room, uses="1")

        async def try_it(name: str) -> int:
            async with chat.browser(name) as browser:
                assert (await browser.get("/chat"))[0] == 200
                return (await browser.post(made["path"]))[0]

        found = await asyncio.gather(*(try_it(name) for name in names))
        assert sorted(found) == [303, *[404] * 5]
        assert len(members(chat, room)) == 2


@both_databases
async def test_it_is_worthless_in_these_cases(chat: Chat, admin: Browser) -> None:
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        room = await make_room(ada)
        path = (await make(ada, room))["path"]
        assert not await worthless(grace, path)
        # Its maker cannot sign in,
        for able in (False, True):
            change_user = accounts.enable if able else accounts.disable
            with chat.database.writing() as session, session.begin():
                change_user(session, people.find(session, "Ada"))
            assert await worthless(grace, path) != able
        await ada.sign_in("Ada")
        # it has run out,
        soon = now() + timedelta(days=1)
        change(chat, expires=now() - timedelta(seconds=1))
        assert await worthless(grace, path)
        change(chat, expires=soon)
        assert not await worthless(grace, path)
        # it is used up,
        change(chat, uses=3, used=3)
        assert await worthless(grace, path)
        change(chat, uses=None, used=3)
        # its maker has left the room, which is archived,
        assert (await ada.post(f"/rooms/{room}/leave"))[0] == 200
        assert await worthless(grace, path)
        status, _ = await admin.post(f"/admin/rooms/{room}/reopen", name="Grace")
        assert status == 303
        async with chat.browser("Eve") as eve:
            assert await worthless(eve, path)
        # somebody has ended it,
        path, number = ((made := await make(grace, room))["path"], made["id"])
        assert not await worthless(ada, path)
        assert (await grace.post(f"/rooms/{LOBBY}/invitations/{number}/revoke"))[0] == 200
        assert not await worthless(ada, path)
        for _ in range(2):
            assert (await grace.post(f"/rooms/{room}/invitations/{number}/revoke"))[0] == 200
            assert await worthless(ada, path)
        # or the room is gone. What never was a link looks the same.
        path = (await make(grace, LOBBY))["path"]
        with chat.database.writing() as session, session.begin():
            root = people.Identity(1, "Root", "")
            assert moderation.remove_room(session, LOBBY, root) is not None
            assert session.scalars(select(Invitation.room_id)).all() == [room]
        assert await worthless(ada, path)
        assert await worthless(ada, f"/invitation/{'x' * 43}")


@both_databases
async def test_who_is_not_signed_in_comes_back_to_it(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser() as guest:
        room = await make_room(ada)
        path = (await make(ada, room))["path"]
        status, page = await guest.get(path)
        assert (status, "Plans" in page, 'id="join"' in page) == (200, True, False)
        assert (await guest.post(path))[0] == 400
        for link in ("to-sign-in", "to-register"):
            target = re.search(rf'id="{link}"[^>]*href="([^"]+)"', page)[1]
            _, form = await guest.get(target)
            assert f'name="next" value="{path}"' in form
        response = await guest.submit(
            target, name="Newcomer", password=PASSWORD, password_again=PASSWORD, next=path
        )
        assert (response.status, place(response)) == (303, path)
        assert await join(guest, path) == (303, f"/rooms/{room}")
        assert members(chat, room) == ["Ada", "Newcomer"]


@both_databases
async def test_who_may_make_and_end_them(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        for kind, status in (("private", 404), ("public", 403)):
            _, room = await ada.post("/rooms", name=f"Room {kind}", kind=kind)
            path = f"/rooms/{room['id']}/invitations"
            made = await make(ada, room["id"])
            assert (await grace.get(path))[0] == status
            assert (await grace.post(path))[0] == status
            assert (await grace.post(f"{path}/{made['id']}/revoke"))[0] == status
            assert not await worthless(grace, made["path"])
            # Members end each other's.
            await join(grace, made["path"])
            assert (await grace.post(f"{path}/{made['id']}/revoke"))[0] == 200
            assert (await ada.get(path))[1]["invitations"] == []
        # Nobody is invited to what two people say to each other.
        _, direct = await ada.post("/direct", name="Grace")
        assert (await ada.post(f"/rooms/{direct['id']}/invitations"))[0] == 403
        async with chat.browser() as guest:
            assert (await guest.get(f"/rooms/{LOBBY}/invitations"))[0] == 401


async def test_what_is_asked_for_is_checked(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAX_INVITATIONS", 2)
    async with chat.browser("Ada") as ada:
        path = f"/rooms/{LOBBY}/invitations"
        for uses in ("0", "-1", "1001", "many", "1.5", "9" * 5000, "\u0664"):
            status, answer = await ada.post(path, uses=uses)
            assert (status, answer["field"]) == (400, "uses")
        status, answer = await ada.post(path, admits="true")
        assert (status, "administrators" in answer["error"]) == (403, True)
        await make(ada, LOBBY, uses=" 1000 ")
        last = await make(ada, LOBBY, uses="")
        status, answer = await ada.post(path)
        assert (status, "at most 2" in answer["error"]) == (409, True)
        await ada.post(f"{path}/{last['id']}/revoke")
        await make(ada, LOBBY)
        # What has run out does not count.
        change(chat, expires=now() - timedelta(seconds=1))
        assert (await ada.get(path))[1]["invitations"] == []
        await make(ada, LOBBY)


@both_databases
async def test_a_link_of_an_administrator_may_admit_to_a_closed_chat(
    start: Start, database_url: str
) -> None:
    with start(chat__registration="false", chat__invitation_lifetime="60") as chat:
        root_id = chat.add_user("Root")
        with chat.database.writing() as session, session.begin():
            accounts.set_admin(session, session.get_one(User, root_id), True)
        async with chat.browser("Root") as root:
            _, listed = await root.get(f"/rooms/{LOBBY}/invitations")
            assert listed["may_admit"] is True
            room = await make_room(root)
            plain = (await make(root, room))["path"]
            # The room in which everybody is at first counts, too.
            paths = [
                (await make(root, where, admits="true", uses="1"))["path"]
                for where in (room, LOBBY)
            ]
            fields = {"name": "Newcomer", "password": PASSWORD, "password_again": PASSWORD}
            async with chat.browser() as guest:
                for path in ("/chat", plain, plain[:-1] + "!", "/invitation/"):
                    for form in ("/register", "/sign-in"):
                        status, page = await guest.get(form, params={"next": path})
                        assert (status, "register" in page) == (
                            (404, False) if form == "/register" else (200, False)
                        )
                _, page = await guest.get(plain)
                assert "to-register" not in page
            for path, where in zip(paths, (room, LOBBY), strict=True):
                async with chat.browser() as guest:
                    _, page = await guest.get(path)
                    target = re.search(r'id="to-register"[^>]*href="([^"]+)"', page)[1]
                    assert "Make an account" in (await guest.get(f"/sign-in?next={path}"))[1]
                    wrong = fields | {"password_again": "another one", "next": path}
                    assert (await guest.submit(target, **wrong)).status == 400
                    name = f"Newcomer {where}"
                    response = await guest.submit(target, **fields | {"name": name, "next": path})
                    assert place(response) == f"/rooms/{where}"
                    assert name in members(chat, where)
                async with chat.browser() as guest:
                    assert (await guest.get(target))[0] == 404
            # It admits nobody any more when its maker looks after the chat no more.
            path = (await make(root, room, admits="true"))["path"]
            async with chat.browser() as guest:
                assert "to-register" in (await guest.get(path))[1]
                with chat.database.writing() as session, session.begin():
                    accounts.set_admin(session, session.get_one(User, root_id), False)
                    done = [(one["did"], one["about"]) for one in audit.newest(session)]
                assert "to-register" not in (await guest.get(path))[1]
            said = "made a link for new accounts, to"
            assert done == [(said, "a private room"), (said, "Lobby"), (said, "a private room")]


async def test_who_guesses_has_to_wait(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        path = (await make(ada, LOBBY))["path"]
        guess = f"/invitation/{'g' * 43}"
        found = [(await grace.get(guess))[0] for _ in range(110)]
        assert found.count(404) >= 100
        assert found[-1] == 429
        # From there nobody learns whether a link is good.
        assert (await grace.get(path))[0] == 429
        async with grace.http.get(grace.url + guess) as response:
            assert int(response.headers["Retry-After"]) > 0


async def test_good_links_are_no_guesses(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser() as guest:
        path = (await make(ada, LOBBY))["path"]
        assert {(await guest.get(path))[0] for _ in range(110)} == {200}


async def test_joining_is_limited(start: Start) -> None:
    with start(chat__messages_per_minute="1", chat__message_burst="2") as chat:
        async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
            path = (await make(ada, LOBBY))["path"]
            found = [(await grace.post(path))[0] for _ in range(3)]
            assert found == [303, 303, 429]
