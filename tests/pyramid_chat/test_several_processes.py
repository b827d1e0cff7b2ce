"""The chat in several processes: two servers with one PostgreSQL database and one Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from pyramid_chat import accounts, main, people, rooms
from pyramid_chat.models import Room, SignIn, User
from pyramid_chat.notices import Watch
from pyramid_chat.settings import CannotStart
from sockjs_bridge import ConnectionClosed, MembersGone, Notified, Presence
from sockjs_bridge.client import TRANSPORTS
from tests.cluster.redisserver import RedisServer
from tests.pyramid_chat.conftest import LOBBY, PATIENCE, Browser, Chat, Person, Start

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def chats(start: Start, redis: RedisServer) -> Iterator[list[Chat]]:
    """Two processes of a chat."""
    with ExitStack() as stack:
        # None of them dies, however long it stands still where other tests run beside.
        settings: dict[str, Any] = {"sockjs__cluster": redis.url, "sockjs__cluster_lease": 60}
        yield [stack.enter_context(start(**settings)) for _ in range(2)]


def elsewhere(browser: Browser, chat: Chat) -> Browser:
    """Return the same browser, whose next request another process gets, as a balancer chooses."""
    other = Browser(chat.url, browser.http)
    other.token = browser.token
    return other


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_is_said_in_one_process_is_heard_in_the_other(
    chats: list[Chat], transport: str
) -> None:
    one, other = chats
    async with one.visit("Ada", transport) as ada, other.visit("Grace", transport) as grace:
        for number in range(20):
            request = {"type": "message", "room": LOBBY, "text": f"message {number}"}
            await (ada, grace)[number % 2].tell({**request, "key": f"key-{transport}-{number}"})
            heard = [await person.hear("message") for person in (ada, grace)]
            assert heard[0] == heard[1]
            assert heard[0]["text"] == f"message {number}"


async def test_a_reply_answers_what_was_said_in_another_process(chats: list[Chat]) -> None:
    """And is refused for what was deleted there."""
    one, other = chats
    async with one.visit("Ada") as ada, other.visit("Grace") as grace:
        first = await ada.say("who?")
        assert await grace.hear("message") == first
        reply = await grace.say("me", reply_to=first["number"])
        assert reply["quote"]["text"] == "who?"
        assert await ada.hear("message") == reply
        place = {"room": LOBBY, "number": first["number"]}
        deleted = await ada.ask("delete", "message", key="delete", **place)
        assert deleted["deleted"]
        assert (await grace.say("me too", reply_to=first["number"]))["code"] == "no-message"


async def test_many_who_talk_at_once_miss_nothing(chats: list[Chat]) -> None:
    """Two processes may tell of changes in another order than they were made: pages ask then."""
    one, other = chats
    async with one.visit("Ada") as ada, other.visit("Grace") as grace:

        async def talk(person: Person) -> None:
            for number in range(30):
                event = await person.say(f"{person.id}: {number}")
                assert event["type"] == "message"

        await asyncio.gather(talk(ada), talk(grace))
        for person in (ada, grace):
            page = await person.ask("since", room=LOBBY, version=0)
            texts = [message["text"] for message in page["messages"]]
            if page["more"]:
                rest = await person.ask("since", room=LOBBY, version=page["version"])
                texts += [message["text"] for message in rest["messages"]]
            assert sorted(texts) == sorted(
                f"{who}: {number}"
                for who, number in itertools.product((ada.id, grace.id), range(30))
            )


async def test_reactions_are_the_same_everywhere(chats: list[Chat]) -> None:
    one, other = chats
    async with one.visit("Ada") as ada, other.visit("Grace") as grace:
        said = await ada.say("We ship today")
        place = {"room": LOBBY, "number": said["number"], "emoji": "\N{PARTY POPPER}"}
        for number in range(6):
            person = (ada, grace)[number % 2]
            request = {"type": "react", "key": f"key-{number}", "on": number < 5, **place}
            await person.tell(request)
            while (await person.hear("message")).get("request") != f"key-{number}":
                pass
        # Twice each was no change, and Grace took hers away.
        for person in (ada, grace):
            page = await person.ask("since", room=LOBBY, version=said["version"])
            (message,) = page["messages"]
            assert message["version"] == page["version"] == 4
            assert [kind["users"] for kind in message["reactions"]] == [[ada.id]]
        while (event := await ada.hear("message"))["version"] < 4:
            pass
        assert event["reactions"] == message["reactions"]


async def test_memberships_reach_all_tabs(chats: list[Chat]) -> None:
    one, other = chats
    async with (
        one.browser("Ada") as browser,
        browser.connect() as here,
        elsewhere(browser, other).connect() as there,
        other.visit("Grace") as grace,
    ):
        status, room = await browser.post("/rooms", name="Garden", kind="private")
        assert status == 201
        assert (await there.hear("room"))["room"] == room
        said = await here.say("first", room["id"])
        assert await there.hear("message") == said
        status, _ = await elsewhere(browser, other).post(
            f"/rooms/{room['id']}/invite", name="Grace"
        )
        assert status == 200
        assert (await grace.hear("room"))["room"]["id"] == room["id"]
        for tab in (here, there):
            while (await tab.hear("member"))["user"]["name"] != "Grace":
                pass
        said = await grace.say("here I am", room["id"])
        assert await here.hear("message") == said
        status, _ = await browser.post(f"/rooms/{room['id']}/leave")
        assert status == 200
        for tab in (here, there):
            assert await tab.hear("left") == {"type": "left", "room": room["id"]}
        await grace.say("alone", room["id"])
        for tab in (here, there):
            assert "alone" not in [event.get("text") for event in await tab.heard()]


async def test_mentions_and_muted_rooms_are_the_same_in_all_processes(chats: list[Chat]) -> None:
    one, other = chats
    async with (
        one.browser("Ada") as browser,
        browser.connect() as here,
        elsewhere(browser, other).connect() as there,
        other.visit("Grace") as grace,
    ):
        assert (await browser.post(f"/rooms/{LOBBY}/mute", muted="true"))[0] == 200
        for tab in (here, there):
            assert await tab.hear("muted") == {"type": "muted", "room": LOBBY, "muted": True}
        said = await grace.say("@Ada: hello")
        person = {"id": here.id, "name": "Ada"}
        assert said["mentions"] == [{"user": person, "start": 0, "length": 4}]
        for tab in (here, there):
            assert await tab.hear("message") == said
        for process in chats:
            status, page = await elsewhere(browser, process).get("/mentions")
            assert (status, page["mentions"]) == (200, [said])


async def test_a_changed_room_is_told_everywhere(chats: list[Chat]) -> None:
    one, other = chats
    async with one.browser("Ada") as browser, other.visit("Grace") as grace:
        status, _ = await browser.post(f"/rooms/{LOBBY}/edit", topic="News")
        assert status == 200
        assert (await grace.hear("room"))["room"]["topic"] == "News"


async def test_signing_out_ends_the_tabs_of_a_browser_everywhere(chats: list[Chat]) -> None:
    one, other = chats
    async with (
        one.browser("Ada") as browser,
        browser.connect() as here,
        elsewhere(browser, other).connect() as there,
        other.visit("Grace") as grace,
    ):
        status, _ = await browser.post("/sign-out")
        assert status == 303
        for tab in (here, there):
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await tab.hear()
            assert closed.value.code == 4401
        await grace.say("still here")


async def test_presence_counts_people_not_processes(chats: list[Chat]) -> None:
    one, other = chats
    async with one.visit("Ada") as ada:
        async with other.browser("Grace") as browser, browser.connect() as first:
            assert sorted(first.welcome["online"]) == [ada.id, first.id]
            come = {"type": "presence", "user": first.welcome["user"], "online": True}
            assert await ada.hear("presence") == come
            async with elsewhere(browser, one).connect() as second:
                assert sorted(second.welcome["online"]) == [ada.id, first.id]
                status, found = await elsewhere(browser, one).get("/people?q=ada")
                assert (status, found["people"][0]["online"]) == (200, True)
            assert not [e for e in await ada.heard() if e["type"] == "presence" and not e["online"]]
        assert await ada.hear("presence") == come | {"online": False}


async def test_what_is_told_late_of_who_is_here_is_so_by_then(chats: list[Chat]) -> None:
    """Somebody who has left one process, which tells so a second later, may be in another."""
    one, other = chats
    async with one.visit("Ada") as ada, one.browser("Grace") as browser:
        async with browser.connect() as grace:
            pass
        there = elsewhere(browser, other)
        async with there.connect():
            async with asyncio.timeout(PATIENCE):
                while one.live.coalescer._waiting or one.live.coalescer._thread is not None:
                    await asyncio.sleep(0.05)
            told = [event for event in await ada.heard() if event["type"] == "presence"]
            assert told[-1]["user"]["id"] == grace.id
            assert told[-1]["online"] is True


async def test_what_may_have_been_missed_is_looked_after(chats: list[Chat]) -> None:
    """Processes that were out of each other's reach look at what the database says."""
    _, chat = chats
    registry = chat.app.registry
    async with chat.visit("Ada") as ada, chat.visit("Bob") as bob:
        with chat.database.writing() as session, session.begin():
            room = Room(kind="public", name="Attic", unique_name="public:attic")
            session.add(room)
            session.flush()
            rooms.join(session, room.id, ada.id)
            session.execute(delete(SignIn).where(SignIn.user_id == bob.id))
        await asyncio.to_thread(chat.live.heard, Notified(None, None, registry))
        assert (await ada.hear("room"))["room"]["name"] == "Attic"
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await bob.hear()
        assert closed.value.code == 4401


async def test_who_went_with_a_process_is_told(chats: list[Chat]) -> None:
    one, other = chats
    async with one.visit("Ada") as ada, other.visit("Grace") as grace:
        await ada.hear("presence")
        gone = [
            ("online", Presence("dead/1", "77", 0.0, {"name": "Somebody"})),
            ("online", Presence("dead/2", str(grace.id), 0.0, {"name": "Grace"})),
            ("room-1", Presence("dead/3", "78", 0.0, {})),
        ]
        event = MembersGone(gone, one.app.registry)
        await asyncio.to_thread(one.live.members_gone, event)
        # Who is connected to another process is here.
        assert await ada.hear("presence") == {
            "type": "presence",
            "user": {"id": 77, "name": "Somebody"},
            "online": False,
        }


async def test_limits_are_one_persons_not_one_processs(start: Start, redis: RedisServer) -> None:
    settings: dict[str, Any] = {
        "sockjs__cluster": redis.url,
        "chat__messages_per_minute": "1",
        "chat__message_burst": "4",
    }
    with start(**settings) as one, start(**settings) as other:
        async with (
            one.browser("Ada") as browser,
            browser.connect() as here,
            elsewhere(browser, other).connect() as there,
        ):
            kinds = [(await tab.say("hello"))["type"] for tab in (here, there, here, there)]
            assert kinds == ["message"] * 4
            for tab in (here, there):
                event = await tab.say("too much")
                assert (event["type"], event["code"]) == ("error", "rate-limited")


def test_sqlite_is_for_one_process(tmp_path: Path, database_url: str) -> None:
    with pytest.raises(CannotStart, match=r"SQLite for one: set sqlalchemy\.url"):
        main({"here": str(tmp_path)}, **{"sockjs.cluster": "redis://127.0.0.1:1"})


async def test_what_the_operator_changes_is_heard_once_in_each(
    chats: list[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    one, other = chats
    async with one.browser("Ada") as browser, other.visit("Grace") as grace:
        there = elsewhere(browser, other)
        async with browser.connect() as here, there.connect() as ada, one.visit("Mary") as mary:
            with one.database.writing() as session, session.begin():
                user = people.find(session, "Ada")
                assert user is not None
                user_id = user.id
                accounts.rename(session, user, "Lady Ada")
            people_here = (here, ada, grace, mary)
            for person in people_here:
                assert (await person.hear("person"))["user"]["name"] == "Lady Ada"
            assert (await ada.say("hello"))["author"]["name"] == "Lady Ada"
            for person in people_here:
                assert "person" not in {event["type"] for event in await person.heard()}
            with one.database.writing() as session, session.begin():
                accounts.disable(session, session.get_one(User, user_id))
            for person in (here, ada):
                with pytest.raises(ConnectionClosed) as closed:
                    await person.hear("nothing")
                assert closed.value.code == 4401


async def test_what_administrators_do_holds_in_each(
    start: Start, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that was removed, registration, and limits."""
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    settings: dict[str, Any] = {
        "sockjs__cluster": redis.url,
        "chat__messages_per_minute": "1",
        "chat__message_burst": "2",
    }
    with start(**settings) as one, start(**settings) as other:
        one.add_user("Root")
        with one.database.writing() as session, session.begin():
            root = people.find(session, "Root")
            assert root is not None
            accounts.set_admin(session, root, True)
        async with one.browser("Root") as browser, other.visit("Grace") as grace:
            said = await grace.say("buy this")
            async with browser.connect() as admin:
                place = {name: said[name] for name in ("room", "number")}
                answer = await admin.ask("delete", "message", key="remove", **place)
            assert answer["removed_by"]["name"] == "Root"
            assert await grace.hear("message") == answer
            assert (await grace.say("hello"))["type"] == "message"
            # At the old rate the tokens that are gone would be back in two minutes.
            assert (await grace.say("hello"))["code"] == "rate-limited"
            values = {"messages_per_minute": "6000", "message_burst": "2"}
            assert (await browser.post("/admin/options/limits", **values))[0] == 303
            async with asyncio.timeout(PATIENCE):
                while other.live.messages._token != 60 / 6000:
                    await asyncio.sleep(0.02)
            assert (await grace.say("hello"))["type"] == "message"
            status, _ = await browser.post("/admin/options/registration", registration="no")
            assert status == 303
            assert (await elsewhere(browser, other).get("/register"))[0] == 404


async def test_a_file_is_sent_by_one_process_and_served_by_the_other(
    start: Start, redis: RedisServer, tmp_path: Path
) -> None:
    """They share the folder; which of them removes a file does not matter."""
    with ExitStack() as stack:
        settings = {"sockjs__cluster": redis.url, "chat__files_folder": tmp_path / "files"}
        one, other = (stack.enter_context(start(**settings)) for _ in range(2))
        async with one.browser("Ada") as ada, other.visit("Grace") as grace:
            headers = {"X-CSRF-Token": ada.token, "Content-Type": "application/octet-stream"}
            url = f"{other.url}/rooms/{LOBBY}/files?name=plan.txt"
            async with ada.http.post(url, data=b"the plan", headers=headers) as response:
                told = await response.json()
            async with ada.connect() as person:
                request = {"room": LOBBY, "key": "k", "text": "", "files": [told["id"]]}
                said = await person.ask("message", **request)
                assert said["files"] == [told]
                assert (await grace.hear("message"))["files"] == [told]
                path = f"/rooms/{LOBBY}/files/{told['id']}"
                assert (await ada.get(path))[1] == "the plan"
                await person.ask("delete", "message", room=LOBBY, number=said["number"], key="d")
            assert (await elsewhere(ada, other).get(path))[0] == 404
            assert other.app.registry.chat_uploads.remove_due() == 1
            assert one.app.registry.chat_uploads.remove_due() == 0
            assert list((tmp_path / "files").iterdir()) == []
