"""What people hear of each other, over each transport and on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pyramid_chat.conversation import PAGE, PAGE_SIZE
from pyramid_chat.messages import MAX_TEXT
from pyramid_chat.realtime import MAX_PREVIEWS
from sockjs_bridge.client import TRANSPORTS, ConnectionClosed
from tests.pyramid_chat.conftest import (
    LOBBY,
    PATIENCE,
    Chat,
    Start,
    any_transport,
    each_transport,
    either_database,
)


@each_transport
async def test_a_message_reaches_everybody_as_it_was_sent(chat: Chat, transport: str) -> None:
    text = "Hello <script>alert(1)</script> & é \u202e🎉"
    async with chat.visit("Ada", transport) as ada, chat.visit("Grace") as grace:
        assert ada.welcome["user"] == {"id": ada.id, "name": "Ada"}
        said = await ada.say(text, key="k1")
        assert said == {
            "type": "message",
            "room": LOBBY,
            "number": 1,
            "version": 1,
            "key": "k1",
            "author": {"id": ada.id, "name": "Ada"},
            "text": text,
            "time": said["time"],
            "edited": None,
            "deleted": False,
            "removed_by": None,
            "quote": None,
            "reactions": [],
        }
        assert abs(datetime.now(UTC) - datetime.fromisoformat(said["time"])) < timedelta(minutes=1)
        assert await grace.hear("message") == said
        answer = await grace.say("Hello Ada")
        assert await ada.hear("message") == answer
        assert answer["version"] == 2


@any_transport
async def test_history_loads_backwards_page_by_page(chat: Chat, transport: str) -> None:
    async with chat.visit("Ada", transport) as ada:
        chat.add_messages(ada.id, 2 * PAGE + 3)
        numbers, before, pages = [], None, 0
        while True:
            page = await ada.ask("history", room=LOBBY, before=before)
            assert (page["before"], page["version"]) == (before, 2 * PAGE + 3)
            numbers = [message["number"] for message in page["messages"]] + numbers
            pages += 1
            if not page["more"]:
                break
            assert len(page["messages"]) == PAGE
            before = numbers[0]
        assert pages == 3
        assert numbers == list(range(1, 2 * PAGE + 4))


@any_transport
async def test_since_tells_what_was_missed_by_version(chat: Chat, transport: str) -> None:
    async with chat.visit("Ada", transport) as ada:
        chat.add_messages(ada.id, PAGE + 10)
        await ada.ask("edit", "message", room=LOBBY, number=1, text="new", key="e")
        await ada.ask("delete", "message", room=LOBBY, number=60, key="d")
        missed, version = [], 3
        while True:
            page = await ada.ask("since", room=LOBBY, version=version)
            assert page["from"] == version
            missed += page["messages"]
            version = page["version"]
            if not page["more"]:
                break
        assert version == PAGE + 12
        assert [message["version"] for message in missed] == [*range(4, PAGE + 10), 61, 62]
        assert [message["number"] for message in missed[-2:]] == [1, 60]
        assert missed[-2]["text"] == "new" and missed[-1]["deleted"]


async def test_a_page_of_long_messages_is_bounded_in_bytes(chat: Chat) -> None:
    async with chat.visit("Ada") as ada:
        chat.add_messages(ada.id, 10, text="🎉" * MAX_TEXT)
        for kind, fields in (("history", {"before": None}), ("since", {"version": 0})):
            page = await ada.ask(kind, room=LOBBY, **fields)
            assert page["more"]
            # An emoji is 12 bytes of JSON.
            assert len(page["messages"]) == PAGE_SIZE // (MAX_TEXT * 12)
        assert page["version"] == len(page["messages"])


@either_database
async def test_many_who_talk_at_once_are_heard_in_one_order_without_gaps(chat: Chat) -> None:
    people, each = 20, 5
    transports = [TRANSPORTS[index % len(TRANSPORTS)] for index in range(people)]
    async with asyncio.timeout(50), _crowd(chat, transports) as crowd:
        await asyncio.gather(
            *(_talk(person, [f"{index} {n}" for n in range(each)]) for index, person in crowd)
        )
        heard = []
        for _, person in crowd:
            events = {e["version"]: e for e in person.said}
            events |= {e["version"]: e for e in await person.heard() if e["type"] == "message"}
            heard.append([events[version]["key"] for version in sorted(events)])
            assert sorted(events) == list(range(1, people * each + 1))
            order = [event["version"] for event in person.order]
            assert order == sorted(order)
        assert all(keys == heard[0] for keys in heard)


class _crowd:
    """People who come at once."""

    def __init__(self, chat: Chat, transports: list[str]) -> None:
        self._visits = [
            chat.visit(f"Person {index}", transport) for index, transport in enumerate(transports)
        ]

    async def __aenter__(self):
        return list(enumerate(await asyncio.gather(*(v.__aenter__() for v in self._visits))))

    async def __aexit__(self, *exc) -> None:
        await asyncio.gather(*(visit.__aexit__(*exc) for visit in self._visits))


async def _talk(person, texts: list[str]) -> None:
    person.said, person.order = [], []
    for text in texts:
        key = text.replace(" ", "-")
        await person.tell({"type": "message", "room": LOBBY, "key": key, "text": text})
        while True:
            event = await person.hear("message", "error")
            if event["type"] == "error" and event["code"] == "unavailable":
                # All want one room: on a busy machine, later. A page asks again as well.
                await person.tell({"type": "message", "room": LOBBY, "key": key, "text": text})
                continue
            assert event["type"] == "message", event
            person.said.append(event)
            person.order.append(event)
            if event["key"] == key:
                break


@either_database
async def test_a_message_that_is_sent_again_is_there_once(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        said = await ada.say("once", key="k1")
        assert await ada.say("once", key="k1") == said
        assert await ada.say("something else", key="k1") == said
        assert await grace.hear("message") == said
        # A key is its author's.
        other = await grace.say("another", key="k1")
        assert (other["number"], other["version"]) == (2, 2)
        assert [e for e in await grace.heard() if e["type"] == "message"] == []


@either_database
async def test_two_tabs_that_send_the_same_message_at_once_make_one(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as browser,
        browser.connect() as one,
        browser.connect("xhr-streaming") as two,
    ):
        for number in range(1, 11):
            answers = await asyncio.gather(*(tab.say("x", key=f"k{number}") for tab in (one, two)))
            assert answers[0] == answers[1]
            assert answers[0]["version"] == number


@either_database
async def test_a_key_of_another_room_is_refused_even_at_once(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, browser.connect() as one, browser.connect() as two:
        _, room = await browser.post("/rooms", name="Other", topic="", kind="public")
        for number in range(1, 6):
            answers = await asyncio.gather(
                one.say("x", LOBBY, f"k{number}"), two.say("x", room["id"], f"k{number}")
            )
            kinds = sorted(answer.get("code", "message") for answer in answers)
            assert kinds == ["key-used", "message"]
        page = [await one.ask("history", room=id_) for id_ in (LOBBY, room["id"])]
        assert sum(p["version"] for p in page) == 5


@either_database
async def test_its_author_edits_and_deletes_a_message(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        await ada.say("helo")
        await grace.hear("message")
        edited = await ada.ask("edit", "message", room=LOBBY, number=1, text="hello", key="e1")
        assert (edited["text"], edited["version"], edited["number"]) == ("hello", 2, 1)
        assert edited["edited"] is not None
        assert await grace.hear("message") == edited
        # The same again changes nothing, and is answered all the same.
        assert edited == await ada.ask(
            "edit", "message", room=LOBBY, number=1, text="hello", key="e1"
        )
        deleted = await ada.ask("delete", "message", room=LOBBY, number=1, key="d1")
        assert (deleted["text"], deleted["deleted"], deleted["version"]) == ("", True, 3)
        assert await grace.hear("message") == deleted
        again = await ada.ask("delete", "message", room=LOBBY, number=1, key="d2")
        assert (deleted["request"], again) == ("d1", deleted | {"request": "d2"})
        refused = await ada.ask("edit", "message", room=LOBBY, number=1, text="x", key="e2")
        assert (refused["code"], refused["key"], refused["room"]) == ("no-message", "e2", LOBBY)
        assert [event for event in await grace.heard() if event["type"] == "message"] == []
        # The request is named in its answer only.
        del deleted["request"]
        assert (await ada.ask("history", room=LOBBY))["messages"] == [deleted]


async def test_nobody_changes_what_others_have_said_or_what_there_is_not(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Mallory") as mallory:
        said = await ada.say("mine")
        for number, code in ((1, "not-author"), (2, "no-message"), (2**31 - 1, "no-message")):
            for kind, fields in (("edit", {"text": "x"}), ("delete", {})):
                answer = await mallory.ask(kind, room=LOBBY, number=number, key="k", **fields)
                assert (answer["code"], answer["key"]) == (code, "k")
        assert (await mallory.ask("history", room=LOBBY))["messages"] == [said]


@any_transport
async def test_presence_counts_people_not_tabs(chat: Chat, transport: str) -> None:
    async with chat.visit("Ada") as ada:
        assert ada.welcome["online"] == [ada.id]
        async with chat.browser("Grace") as browser, browser.connect(transport) as first:
            assert sorted(first.welcome["online"]) == [ada.id, first.id]
            grace = first.welcome["user"]
            come = {"type": "presence", "user": grace, "online": True}
            assert await ada.hear("presence") == come
            async with browser.connect():
                status, found = await browser.get("/people?q=rac")
                assert (status, found) == (200, {"people": [grace | {"online": True}]})
            assert [e for e in await ada.heard() if e["type"] == "presence"] == []
        assert await ada.hear("presence") == come | {"online": False}


async def test_presence_is_right_after_a_storm_of_tabs(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.browser("Grace") as browser:

        async def tab() -> None:
            async with browser.connect() as person:
                await person.heard()

        await asyncio.gather(*(tab() for _ in range(20)))
        # The last of them may be noticed late.
        while (event := await ada.hear("presence"))["online"] or (
            event["user"]["id"] in chat.live.presence.online()
        ):
            pass
        events = [e for e in await ada.heard() if e["type"] == "presence"]
        assert all(event["online"] is (index % 2 == 0) for index, event in enumerate(events))


@any_transport
async def test_others_in_the_room_hear_who_is_typing(chat: Chat, transport: str) -> None:
    async with (
        chat.visit("Ada", transport) as ada,
        chat.browser("Grace") as browser,
        browser.connect() as grace,
        browser.connect() as second_tab,
    ):
        for _ in range(3):
            await grace.tell({"type": "typing", "room": LOBBY})
        await grace.heard()
        assert await ada.hear("typing") == {
            "type": "typing",
            "room": LOBBY,
            "user": grace.welcome["user"],
        }
        # Once is enough for a while, and one's own tabs need not know.
        for person in (ada, grace, second_tab):
            assert "typing" not in [event["type"] for event in await person.heard()]


@either_database
async def test_unread_messages_are_counted_until_they_are_read(chat: Chat) -> None:
    chat.add_user("Grace")
    async with chat.visit("Ada") as ada:
        for number in range(4):
            await ada.say(f"{number}")
        await ada.ask("delete", "message", room=LOBBY, number=2, key="d")
    async with (
        chat.browser("Grace") as browser,
        browser.connect() as grace,
        browser.connect() as second_tab,
    ):
        (lobby,) = grace.welcome["rooms"]
        assert (lobby["unread"], lobby["read"], lobby["version"]) == (3, 0, 5)
        await grace.say("I am here")
        read = await grace.ask("read", room=LOBBY, number=3)
        assert read == {"type": "read", "room": LOBBY, "number": 3}
        assert await second_tab.hear("read") == read
        # Nobody un-reads.
        await grace.tell({"type": "read", "room": LOBBY, "number": 1})
        assert "read" not in [event["type"] for event in await grace.heard()]
        beyond = await grace.ask("read", room=LOBBY, number=100)
        assert (beyond["code"], beyond["room"]) == ("bad-request", LOBBY)
        opened = await grace.ask("open", "opened", room=LOBBY)
        # The own message does not count.
        assert (opened["room"]["unread"], opened["room"]["read"]) == (1, 3)


async def test_no_more_unread_messages_are_counted_than_matter(chat: Chat, monkeypatch) -> None:
    monkeypatch.setattr("pyramid_chat.rooms.MAX_UNREAD", 5)
    chat.add_user("Grace")
    chat.add_messages(chat.add_user("Ada"), 8)
    async with chat.visit("Grace") as grace:
        assert grace.welcome["rooms"][0]["unread"] == 5


@either_database
async def test_after_a_restart_everything_is_there(start: Start) -> None:
    with start() as chat:
        async with chat.browser("Ada") as browser, browser.connect() as ada:
            said = [await ada.say(f"message {number}") for number in range(3)]
            cookie = browser.cookie
    with start() as chat:
        async with chat.browser() as browser:
            # The sign-in too.
            status, page = await browser.get("/chat", headers={"Cookie": cookie})
            assert status == 200 and 'data-user-name="Ada"' in page
        async with chat.visit("Ada") as ada:
            assert (await ada.ask("history", room=LOBBY))["messages"] == said
            assert (await ada.say("and on"))["version"] == 4


@any_transport
async def test_a_public_room_can_be_looked_at_before_one_joins(chat: Chat, transport: str) -> None:
    async with (
        chat.browser("Ada") as at_ada,
        at_ada.connect() as ada,
        chat.browser("Grace") as at_grace,
        at_grace.connect(transport) as grace,
    ):
        _, room = await at_ada.post("/rooms", name="Garden", topic="Plants", kind="public")
        garden = room["id"]
        await ada.say("before", garden)
        opened = await grace.ask("open", "opened", room=garden)
        assert opened["members"] == [{"id": ada.id, "name": "Ada"}]
        assert opened["room"] | {"can": ["join"], "member": False, "unread": 0} == opened["room"]
        said = await ada.say("during", garden)
        assert await grace.hear("message") == said
        refused = await grace.say("me too", garden)
        assert refused["code"] == "not-member"
        for kind, fields in (("typing", {}), ("read", {"number": 1})):
            assert (await grace.ask(kind, room=garden, **fields))["code"] == "not-member"
        await grace.tell({"type": "close", "room": garden})
        await grace.heard()
        await ada.say("behind her back", garden)
        assert [e for e in await grace.heard() if e["type"] == "message"] == []


async def test_a_room_one_is_in_cannot_be_closed(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        await grace.tell({"type": "close", "room": LOBBY})
        await grace.heard()
        await ada.say("still there?")
        assert (await grace.hear("message"))["text"] == "still there?"


async def test_only_so_many_rooms_are_looked_at_at_once(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, chat.visit("Grace") as grace:
        ids = []
        for number in range(MAX_PREVIEWS + 1):
            _, room = await browser.post("/rooms", name=f"Room {number}", kind="public")
            ids.append(room["id"])
        for id_ in ids[:-1]:
            assert (await grace.ask("open", "opened", room=id_))["type"] == "opened"
            # Again is no more.
            assert (await grace.ask("open", "opened", room=id_))["type"] == "opened"
        refused = await grace.ask("open", room=ids[-1])
        assert (refused["code"], refused["room"]) == ("too-many", ids[-1])
        await grace.tell({"type": "close", "room": ids[0]})
        assert (await grace.ask("open", "opened", room=ids[-1]))["type"] == "opened"


@any_transport
async def test_signing_out_closes_the_connections_of_that_browser(
    chat: Chat, transport: str
) -> None:
    async with chat.browser("Ada") as one, chat.browser("Ada") as other:
        async with one.connect(transport) as here, other.connect() as there:
            status, _ = await one.post("/sign-out")
            assert status == 303
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(PATIENCE):
                    while True:
                        await here.connection.recv()
            assert (closed.value.code, closed.value.reason) == (4401, "Signed out")
            assert (await there.say("still here"))["text"] == "still here"
        assert (await one.get("/session"))[0] == 401
        assert (await other.get("/session"))[0] == 200
