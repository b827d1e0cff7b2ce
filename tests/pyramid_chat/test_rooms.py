"""Rooms over HTTP, what others hear of it at once, and what nobody learns."""

from __future__ import annotations

import asyncio
import json

import pytest
from yarl import URL

from pyramid_chat.names import MAX_ROOM_NAME, MAX_TOPIC
from sockjs_bridge.client import TRANSPORTS
from tests.pyramid_chat.conftest import LOBBY, Browser, Chat, any_transport, either_database


async def private_room(browser: Browser, name: str = "Secret") -> int:
    status, room = await browser.post("/rooms", name=name, topic="Hush", kind="private")
    assert status == 201
    return room["id"]


@either_database
async def test_who_makes_a_room_owns_it_and_hears_of_it_in_all_tabs(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as browser,
        browser.connect() as one,
        browser.connect("xhr-polling") as two,
        chat.visit("Grace") as grace,
    ):
        status, room = await browser.post(
            "/rooms", name=" Garden \n party ", topic=" Sun,\nwe hope ", kind="public"
        )
        assert status == 201
        assert room == {
            "id": room["id"],
            "kind": "public",
            "name": "Garden party",
            "topic": "Sun, we hope",
            "version": 0,
            "member": True,
            "unread": 0,
            "mentioned": [],
            "muted": False,
            "read": 0,
            "can": ["post", "topic", "rename", "invite", "leave"],
        }
        for tab in (one, two):
            assert await tab.hear("room") == {"type": "room", "room": room}
        said = await one.say("first", room["id"])
        assert await two.hear("message") == said
        assert await grace.heard() == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({}, "name"),
        ({"name": "x" * (MAX_ROOM_NAME + 1)}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\u200d\u200d"}, "name"),
        ({"name": "\u3164"}, "name"),
        ({"name": "Room", "topic": "x" * (MAX_TOPIC + 1)}, "topic"),
        ({"name": "Room", "topic": "a\u202eb"}, "topic"),
        ({"name": "Room", "kind": "direct"}, "kind"),
        ({"name": "Room", "kind": "☃"}, "kind"),
        ({"name": "lobby"}, "name"),
        ({"name": "\uff2cOBBY"}, "name"),
    ],
    ids=ascii,
)
async def test_a_room_that_cannot_be_is_refused_with_the_field(
    chat: Chat, fields: dict[str, str], field: str
) -> None:
    async with chat.browser("Ada") as browser:
        status, answer = await browser.post("/rooms", **fields)
        assert (status, answer["field"]) == (400, field)
        assert answer["error"].endswith(".")
        assert len((await browser.get("/rooms"))[1]["rooms"]) == 1


@pytest.mark.parametrize("name", ["x" * MAX_ROOM_NAME, "سلمى", "❤️ & <b>", "नमस्ते"])
async def test_a_name_may_be_of_any_script(chat: Chat, name: str) -> None:
    async with chat.browser("Ada") as browser:
        status, room = await browser.post("/rooms", name=name, topic="x" * MAX_TOPIC)
        assert (status, room["name"]) == (201, name)


@either_database
async def test_public_rooms_are_listed_and_joined_and_left(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.browser("Grace") as at_grace,
        at_grace.connect() as grace,
    ):
        _, room = await at_ada.post("/rooms", name="Attic", topic="Old things", kind="public")
        attic = room["id"]
        assert (await ada.hear("member"))["user"] == ada.welcome["user"]
        await ada.say("dust", attic)
        _, listed = await at_grace.get("/rooms")
        lobby = {"id": LOBBY, "name": "Lobby", "topic": "", "members": 2, "member": True}
        attic_listed = {"id": attic, "name": "Attic", "topic": "Old things", "members": 1}
        assert listed == {"rooms": [lobby, attic_listed | {"member": False}], "more": False}
        for _ in range(2):
            # A second time does no harm.
            status, joined = await at_grace.post(f"/rooms/{attic}/join")
            assert (status, joined["member"], joined["unread"]) == (200, True, 0)
        assert await grace.hear("room") == {"type": "room", "room": joined}
        member = {"type": "member", "room": attic, "user": grace.welcome["user"], "joined": True}
        assert await ada.hear("member") == member
        said = await ada.say("hello", attic)
        assert await grace.hear("message") == said
        await grace.heard()
        status, _ = await at_grace.post(f"/rooms/{attic}/leave")
        assert status == 200
        assert await ada.hear("member") == member | {"joined": False}
        assert await grace.hear("left") == {"type": "left", "room": attic}
        await ada.say("gone?", attic)
        assert await grace.heard() == []
        assert (await at_grace.post(f"/rooms/{attic}/leave"))[0] == 403


@either_database
async def test_a_room_whose_owner_leaves_goes_to_who_is_in_it_longest(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as ada,
        chat.browser("Grace") as grace,
        chat.browser("Mary") as mary,
    ):
        _, room = await ada.post("/rooms", name="Attic", kind="public")
        for one in (grace, mary):
            await one.post(f"/rooms/{room['id']}/join")
        assert (await grace.post(f"/rooms/{room['id']}/edit", name="Mine"))[0] == 403
        await ada.post(f"/rooms/{room['id']}/leave")
        status, renamed = await grace.post(f"/rooms/{room['id']}/edit", name="Mine")
        assert (status, renamed["name"]) == (200, "Mine")
        for one in (grace, mary):
            await one.post(f"/rooms/{room['id']}/leave")
        # It belongs to nobody: who comes first has it.
        _, again = await mary.post(f"/rooms/{room['id']}/join")
        assert "rename" in again["can"]


@any_transport
async def test_all_who_hear_a_room_are_told_its_new_name(chat: Chat, transport: str) -> None:
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.visit("Grace", transport) as grace,
        chat.visit("Mary") as mary,
    ):
        _, room = await at_ada.post("/rooms", name="Attic", kind="public")
        await at_ada.post(f"/rooms/{room['id']}/invite", name="Grace")
        assert (await grace.hear("room"))["room"]["name"] == "Attic"
        await mary.ask("open", "opened", room=room["id"])
        await ada.say("unread", room["id"])
        status, _ = await at_ada.post(f"/rooms/{room['id']}/edit", name="Loft", topic="Up")
        assert status == 200
        told = (await grace.hear("room"))["room"]
        assert (told["name"], told["topic"], told["unread"], told["member"]) == (
            *("Loft", "Up"),
            *(1, True),
        )
        preview = (await mary.hear("room"))["room"]
        assert (preview["name"], preview["member"], preview["can"]) == ("Loft", False, ["join"])


async def test_members_change_the_topic_and_only_the_owner_the_name(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        _, room = await ada.post("/rooms", name="Attic", kind="public")
        edit = f"/rooms/{room['id']}/edit"
        assert (await grace.post(edit, topic="x"))[0] == 403
        await grace.post(f"/rooms/{room['id']}/join")
        assert (await grace.post(edit, topic="x"))[1]["topic"] == "x"
        # Both or nothing.
        assert (await grace.post(edit, topic="y", name="z"))[0] == 403
        assert (await ada.post(edit))[1] | {"topic": "x", "name": "Attic"} == (
            await ada.post(edit)
        )[1]
        status, answer = await ada.post(edit, name="LOBBY")
        assert (status, answer["field"]) == (400, "name")
        # The own name in other letters is free.
        assert (await ada.post(edit, name="ATTIC"))[1]["name"] == "ATTIC"


@either_database
async def test_a_private_room_is_heard_from_the_invitation_on(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.browser("Grace") as at_grace,
        at_grace.connect("xhr-streaming") as grace,
        chat.browser("Mallory") as at_mallory,
        at_mallory.connect() as mallory,
    ):
        secret = await private_room(at_ada)
        await ada.say("before", secret)
        status, invited = await at_ada.post(f"/rooms/{secret}/invite", name="GRACE")
        assert (status, invited) == (200, grace.welcome["user"])
        assert (await at_ada.post(f"/rooms/{secret}/invite", name="Grace"))[0] == 409
        assert (await grace.hear("room"))["room"]["id"] == secret
        said = await ada.say("after", secret)
        assert await grace.hear("message") == said
        assert len((await grace.ask("history", room=secret))["messages"]) == 2
        assert (await at_grace.post(f"/rooms/{secret}/leave"))[0] == 200
        await ada.say("she is gone", secret)
        assert [e["type"] for e in await grace.heard()] == ["member", "left"] or [
            e["type"] for e in await grace.heard()
        ] == []
        assert await mallory.heard() == []


@pytest.mark.parametrize(
    ("name", "status"), [("nobody at all", 400), ("", 400), ("ada", 400), ("\x00", 400)]
)
async def test_only_somebody_else_can_be_invited_or_written_to(
    chat: Chat, name: str, status: int
) -> None:
    async with chat.browser("Ada") as ada:
        for path in (f"/rooms/{LOBBY}/invite", "/direct"):
            answer = await ada.post(path, name=name)
            assert (answer[0], answer[1]["field"]) == (status, "name")


@either_database
async def test_two_people_have_one_direct_room(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.browser("Grace") as at_grace,
        at_grace.connect() as grace,
    ):
        answers = await asyncio.gather(
            at_ada.post("/direct", name="grace"), at_grace.post("/direct", name="Ada")
        )
        assert [status for status, _ in answers] == [200, 200]
        rooms = [room for _, room in answers]
        assert rooms[0]["id"] == rooms[1]["id"]
        assert [room["name"] for room in rooms] == ["Grace", "Ada"]
        assert rooms[0]["person"] == grace.welcome["user"]
        assert rooms[0]["can"] == ["post"]
        heard = await grace.hear("room")
        assert (heard["room"]["kind"], heard["room"]["name"]) == ("direct", "Ada")
        said = await ada.say("psst", rooms[0]["id"])
        assert await grace.hear("message") == said
        for action, fields in (
            ("leave", {}),
            ("join", {}),
            ("invite", {"name": "Ada"}),
            ("edit", {"topic": "x"}),
        ):
            status, _ = await at_grace.post(f"/rooms/{rooms[0]['id']}/{action}", **fields)
            assert status == 403


@any_transport
async def test_a_room_of_others_and_none_at_all_are_the_same(chat: Chat, transport: str) -> None:
    """Nothing that can be asked for tells them apart, or lets anything of the room through."""
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.browser("Mallory") as at_mallory,
        at_mallory.connect(transport) as mallory,
    ):
        secret, absent = await private_room(at_ada), 9999
        await ada.say("the treasure is under the oak", secret)

        async def everything(room: int) -> list:
            answers = []
            for kind, fields in (
                ("open", {}),
                ("message", {"key": "k", "text": "x"}),
                ("edit", {"key": "k", "number": 1, "text": "x"}),
                ("delete", {"key": "k", "number": 1}),
                ("history", {"before": None}),
                ("since", {"version": 0}),
                ("read", {"number": 1}),
                ("typing", {}),
            ):
                answer = await mallory.ask(kind, room=room, **fields)
                assert answer.pop("room") == room
                answers.append(answer)
            await mallory.tell({"type": "close", "room": room})
            answers.append(await at_mallory.get(f"/rooms/{room}"))
            for action in ("join", "leave", "edit", "invite"):
                answers.append(await at_mallory.post(f"/rooms/{room}/{action}", name="Mallory"))
            return answers

        answers = await everything(secret)
        assert answers == await everything(absent)
        assert {answer["code"] for answer in answers[:8]} == {"bad-room"}
        assert {answer[0] for answer in answers[8:]} == {404}
        assert "oak" not in json.dumps(answers)
        # Nor does it hear, or appear in a list.
        await ada.tell({"type": "typing", "room": secret})
        await ada.say("still under the oak", secret)
        await at_ada.post(f"/rooms/{secret}/edit", topic="Oaks")
        assert await mallory.heard() == []
        for path in ("/rooms", "/people", "/chat", "/session"):
            assert "Secret" not in json.dumps(await at_mallory.get(path))
        assert (await ada.ask("history", room=secret))["version"] == 2
        async with at_mallory.connect() as again:
            assert "Secret" not in json.dumps(again.welcome)


@pytest.mark.parametrize("number", ["0", "2147483647", "2147483648", "99999999999999999999"])
async def test_a_number_that_no_room_has_is_not_found(chat: Chat, number: str) -> None:
    async with chat.browser("Ada") as browser:
        assert (await browser.get(f"/rooms/{number}"))[0] == 404
        assert (await browser.post(f"/rooms/{number}/join"))[0] == 404


async def test_who_was_invited_while_away_finds_the_room(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        secret = await private_room(ada)
        await ada.post(f"/rooms/{secret}/invite", name="Grace")
        async with grace.connect() as person:
            assert [room["id"] for room in person.welcome["rooms"]] == [LOBBY, secret]
        status, page = await grace.get(f"/rooms/{secret}")
        assert status == 200 and f'data-room="{secret}"' in page


async def test_nobody_is_in_more_rooms_than_a_welcome_can_hold(chat: Chat, monkeypatch) -> None:
    monkeypatch.setattr("pyramid_chat.rooms.MAX_ROOMS", 2)
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        assert (await ada.post("/rooms", name="A"))[0] == 201
        status, answer = await ada.post("/rooms", name="B")
        assert (status, "2 rooms" in answer["error"]) == (409, True)
        # What others do takes nothing from that.
        _, room = await grace.post("/rooms", name="C")
        assert (await grace.post(f"/rooms/{room['id']}/invite", name="Ada"))[0] == 200
        assert len((await ada.get("/rooms"))[1]["rooms"]) == 3


@either_database
async def test_invitations_do_not_use_up_what_somebody_may_have(chat: Chat, monkeypatch) -> None:
    """Of one person's rooms only some wait for somebody, of all together so many."""
    monkeypatch.setattr("pyramid_chat.rooms.MAX_INVITED_BY_OWNER", 2)
    monkeypatch.setattr("pyramid_chat.rooms.MAX_INVITED", 3)
    async with (
        chat.browser("Ada") as ada,
        chat.browser("Eve") as eve,
        chat.browser("Mary") as mary,
    ):

        async def invite(inviter: Browser, name: str) -> tuple[int, int]:
            _, room = await inviter.post("/rooms", name=name, kind="private")
            status, answer = await inviter.post(f"/rooms/{room['id']}/invite", name="Ada")
            assert status == 200 or "earlier ones" in answer["error"]
            return room["id"], status

        rooms = [await invite(eve, f"Buy {number}") for number in range(4)]
        assert [status for _, status in rooms] == [200, 200, 409, 409]
        mine = await invite(mary, "Ours")
        assert (mine[1], (await invite(mary, "Ours too"))[1]) == (200, 409)
        for other in (eve, mary):
            assert (await other.post("/direct", name="Ada"))[0] == 200
        monkeypatch.setattr("pyramid_chat.rooms.MAX_ROOMS", 2)
        assert (await ada.post("/rooms", name="Mine"))[0] == 201
        # Whoever looks into a room is in it like anybody.
        async with mary.connect() as at_mary, ada.connect() as at_ada:
            await at_mary.say("hello", mine[0])
            assert (await at_ada.hear("message"))["room"] == mine[0]
            assert (await at_ada.ask("read", room=mine[0], number=1))["number"] == 1
        monkeypatch.setattr("pyramid_chat.rooms.MAX_ROOMS", 10)
        assert (await invite(mary, "And now"))[1] == 200
        assert (await eve.post(f"/rooms/{rooms[2][0]}/invite", name="Ada"))[0] == 409
        await ada.post(f"/rooms/{rooms[0][0]}/leave")
        assert (await eve.post(f"/rooms/{rooms[2][0]}/invite", name="Ada"))[0] == 200


@either_database
async def test_a_room_with_nothing_to_read_is_looked_into_too(chat: Chat, monkeypatch) -> None:
    """Who has opened all that they were invited to can be invited to more."""
    monkeypatch.setattr("pyramid_chat.rooms.MAX_INVITED_BY_OWNER", 1)
    async with chat.browser("Eve") as eve, chat.browser("Ada") as browser, browser.connect() as ada:
        for number in range(3):
            room = await private_room(eve, f"Room {number}")
            assert (await eve.post(f"/rooms/{room}/invite", name="Ada"))[0] == 200
            opened = await ada.ask("open", "opened", room=room)
            assert (opened["type"], opened["room"]["unread"]) == ("opened", 0)


@either_database
async def test_the_list_of_rooms_comes_in_pages_and_can_be_searched(
    chat: Chat, monkeypatch
) -> None:
    """One's own are the first, whoever makes how many others."""
    monkeypatch.setattr("pyramid_chat.catalog.MAX_LISTED", 3)
    async with chat.browser("Ada") as ada, chat.browser("Eve") as eve:
        await ada.post("/rooms", name="Zo\u00eb's", topic="For 100% fun")
        for number in range(5):
            await eve.post("/rooms", name=f"Buy {number}", topic="Now")
        pages = [(await ada.get(f"/rooms?page={page}"))[1] for page in range(4)]
        names = [[room["name"] for room in page["rooms"]] for page in pages]
        assert names == [
            ["Lobby", "Zo\u00eb's", "Buy 0"],
            ["Buy 1", "Buy 2", "Buy 3"],
            ["Buy 4"],
            [],
        ]
        assert [page["more"] for page in pages] == [True, True, False, False]
        for words, found in (
            ("ZOE\u0308", ["Zo\u00eb's"]),
            ("100%", ["Zo\u00eb's"]),
            ("uy 4", ["Buy 4"]),
            ("public", []),
            ("_", []),
            ("\x00", []),
        ):
            _, page = await ada.get(URL(f"{chat.url}/rooms").with_query(q=words))
            assert [room["name"] for room in page["rooms"]] == found, words
        for page in ("-1", "x", "9999999", "\u00b2"):
            assert (await ada.get(URL(f"{chat.url}/rooms").with_query(page=page)))[0] == 400


async def test_what_happens_while_a_connection_opens_is_not_missed(chat: Chat) -> None:
    """Messages, invitations and dismissals at every moment of the opening."""
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.browser("Grace") as at_grace,
    ):
        for number in range(len(TRANSPORTS) * 2):
            transport = TRANSPORTS[number % len(TRANSPORTS)]
            secret = await private_room(at_ada, f"Secret {number}")

            async def busy(secret: int = secret) -> None:
                await ada.say("one")
                await at_ada.post(f"/rooms/{secret}/invite", name="Grace")
                await ada.say("two", secret)
                await ada.say("three")

            talking = asyncio.create_task(busy())
            async with at_grace.connect(transport) as grace:
                await talking
                versions = {room["id"]: room["version"] for room in grace.welcome["rooms"]}
                for event in await grace.heard():
                    if event["type"] == "room":
                        room = event["room"]
                        versions[room["id"]] = max(versions.get(room["id"], 0), room["version"])
                    elif event["type"] == "message":
                        # That of a room that was not told yet is in what is told of the room.
                        version = versions.get(event["room"])
                        if version is not None and event["version"] > version:
                            assert event["version"] == version + 1
                            versions[event["room"]] += 1
                assert (versions[LOBBY], versions[secret]) == (2 * number + 2, 1)
            await at_grace.post(f"/rooms/{secret}/leave")


async def test_no_public_room_looks_like_another(chat: Chat) -> None:
    """Neither made nor renamed; a private one may: its members see that it is."""
    async with chat.browser("Ada") as ada:
        assert (await ada.post("/rooms", name="L\u043ebby"))[0] == 400
        assert (await ada.post("/rooms", name="L\u043ebby", kind="private"))[0] == 201
        status, room = await ada.post("/rooms", name="Kitchen")
        assert status == 201
        status, answer = await ada.post(f"/rooms/{room['id']}/edit", name="LOBBY")
        assert (status, "looks like it" in answer["error"]) == (400, True)
        status, room = await ada.post(f"/rooms/{room['id']}/edit", name="K\u0456tchen")
        assert (status, room["name"]) == (200, "K\u0456tchen")
