"""What people in the room hear, over each transport."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pyramid_chat.messages import MAX_NAME, MAX_TEXT
from pyramid_chat.models import HISTORY, HISTORY_SIZE, REPLACED
from sockjs_bridge.client import TRANSPORTS, ConnectionClosed
from tests.pyramid_chat.conftest import PATIENCE, Visit

TOKEN = "0123456789abcdef"

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@each_transport
async def test_a_message_reaches_everybody_with_its_author_and_time(
    visit: Visit, transport: str
) -> None:
    async with visit(transport) as ada, visit("websocket") as grace:
        assert (await ada.join("Ada"))["people"] == ["Ada"]
        assert (await grace.join("Grace"))["people"] == ["Ada", "Grace"]
        joined = await ada.hear()
        assert (joined["type"], joined["name"]) == ("joined", "Grace")
        await ada.say("Hello <script>alert(1)</script> & é 🎉", key="k1")
        for person in (ada, grace):
            event = await person.hear()
            assert event["type"] == "message"
            assert event["name"] == "Ada"
            assert event["text"] == "Hello <script>alert(1)</script> & é 🎉"
            assert event["key"] == "k1"
            age = datetime.now(UTC) - datetime.fromisoformat(event["time"])
            assert abs(age) < timedelta(minutes=1)
        assert ada.heard[-1] == grace.heard[-1]
        await grace.say("Hello Ada")
        assert (await ada.hear())["text"] == "Hello Ada"


@each_transport
async def test_those_who_stay_hear_who_left(visit: Visit, transport: str) -> None:
    async with visit() as ada:
        await ada.join("Ada")
        async with visit(transport) as grace:
            await grace.join("Grace")
            assert (await ada.hear())["type"] == "joined"
        left = await ada.hear()
        assert (left["type"], left["name"]) == ("left", "Grace")


@each_transport
async def test_everybody_hears_everything_in_the_same_order(visit: Visit, transport: str) -> None:
    async with visit(transport) as ada, visit(transport) as grace:
        await ada.join("Ada")
        await grace.join("Grace")
        await ada.hear()

        async def talk(person, name):
            for number in range(20):
                await person.say(f"{name} {number}")

        await asyncio.gather(talk(ada, "Ada"), talk(grace, "Grace"))
        heard = [[(await person.hear())["text"] for _ in range(40)] for person in (ada, grace)]
        assert heard[0] == heard[1]
        for name in ("Ada", "Grace"):
            assert [text for text in heard[0] if text.startswith(name)] == [
                f"{name} {number}" for number in range(20)
            ]


@each_transport
async def test_a_newcomer_is_told_the_last_messages(visit: Visit, transport: str) -> None:
    async with visit() as ada:
        await ada.join("Ada")
        for number in range(HISTORY + 5):
            await ada.say(f"message {number}")
        said = [await ada.hear() for _ in range(HISTORY + 5)]
        async with visit(transport) as grace:
            welcome = await grace.join("Grace")
    assert welcome["history"] == said[5:]


async def test_the_history_is_bounded_in_bytes_too(visit: Visit) -> None:
    """Fifty of the longest messages would be more than a newcomer's queue holds."""
    async with visit() as ada:
        await ada.join("Ada")
        for number in range(HISTORY):
            await ada.say(chr(0x1F600 + number) * MAX_TEXT)
            await ada.hear()
        async with visit() as grace:
            welcome = await grace.join("Grace")
    texts = [event["text"] for event in welcome["history"]]
    assert texts == [
        chr(0x1F600 + number) * MAX_TEXT for number in range(HISTORY - len(texts), HISTORY)
    ]
    # An emoji is 12 bytes of JSON.
    assert 0 < len(texts) * MAX_TEXT * 12 <= HISTORY_SIZE


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("hello", "bad-json"),
        ("", "bad-json"),
        ("[" * 10000, "bad-json"),
        ('"hello"', "bad-request"),
        ("[]", "bad-request"),
        ("null", "bad-request"),
        ({}, "bad-request"),
        ({"type": "shout", "text": "x"}, "bad-request"),
        ({"type": ["message"], "text": "x"}, "bad-request"),
        ({"type": "message"}, "bad-text"),
        ({"type": "message", "text": 7}, "bad-text"),
        ({"type": "message", "text": None}, "bad-text"),
        ({"type": "message", "text": ""}, "bad-text"),
        ({"type": "message", "text": " \n\t "}, "bad-text"),
        ({"type": "message", "text": "x" * (MAX_TEXT + 1)}, "bad-text"),
        ({"type": "message", "text": "x", "colour": "red"}, "bad-request"),
        ({"type": "message", "text": "x", "key": "a b"}, "bad-request"),
        ({"type": "message", "text": "x", "key": 1}, "bad-request"),
        ({"type": "message", "text": "x", "key": "k" * 65}, "bad-request"),
        ({"type": "join", "name": "Ada"}, "already-joined"),
        ({"type": "join", "name": "Ada", "token": "short"}, "bad-request"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_input_is_told_to_its_sender_only_and_the_session_goes_on(
    visit: Visit, request_: dict | str, code: str
) -> None:
    async with visit() as ada, visit() as grace:
        await ada.join("Ada")
        await grace.join("Grace")
        await ada.hear()
        await ada.tell(request_)
        error = await ada.hear()
        assert (error["type"], error["code"]) == ("error", code)
        assert error["text"]
        await ada.say("still here")
        assert (await ada.hear())["text"] == "still here"
        assert (await grace.hear())["text"] == "still here"


async def test_a_refused_message_is_named_by_its_key(visit: Visit) -> None:
    async with visit() as ada:
        await ada.say("too early", key="k1")
        error = await ada.hear()
        assert (error["code"], error["key"]) == ("not-joined", "k1")
        await ada.join("Ada")
        await ada.say(" ", key="k2")
        error = await ada.hear()
        assert (error["code"], error["key"]) == ("bad-text", "k2")


async def test_the_longest_message_and_a_lone_surrogate_arrive(visit: Visit) -> None:
    """A message has up to 4000 characters, and any of them."""
    async with visit() as ada, visit("raw-websocket") as grace:
        await ada.join("Ada")
        await grace.join("Grace")
        await ada.hear()
        for text in ("🎉" * MAX_TEXT, "a\ud800b"):
            await ada.say(text)
            assert (await grace.hear())["text"] == text


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "x" * (MAX_NAME + 1),
        7,
        None,
        "a\x00b",
        "a\u202eb",
        "\u200d",
        "\ud800",
    ],
    ids=ascii,
)
async def test_a_bad_name_is_refused_and_another_one_taken(visit: Visit, name: object) -> None:
    async with visit() as ada:
        await ada.tell({"type": "join", "name": name})
        error = await ada.hear()
        assert (error["type"], error["code"]) == ("error", "bad-name")
        await ada.join("Ada")


@pytest.mark.parametrize(
    ("name", "taken"),
    [("  Ada \n Lovelace ", "Ada Lovelace"), ("x" * MAX_NAME, "x" * MAX_NAME), ("سلمى", "سلمى")],
)
async def test_the_welcome_tells_the_name_that_was_taken(
    visit: Visit, name: str, taken: str
) -> None:
    async with visit() as ada:
        assert (await ada.join(name))["name"] == taken


@pytest.mark.parametrize("name", ["Ada", "ADA", "\uff21da", "A\u200dda"], ids=ascii)
async def test_nobody_takes_a_name_that_is_in_use(visit: Visit, name: str) -> None:
    async with visit() as ada, visit() as mallory:
        await ada.join("Ada", token=TOKEN)
        for fields in ({}, {"token": TOKEN[::-1]}):
            await mallory.tell({"type": "join", "name": name, **fields})
            assert (await mallory.hear())["code"] == "name-taken"
        await mallory.join("Mallory")


async def test_a_name_without_a_token_cannot_be_taken_by_another_without(visit: Visit) -> None:
    async with visit() as ada, visit() as mallory:
        await ada.join("Ada")
        await mallory.tell({"type": "join", "name": "Ada", "token": ""})
        assert (await mallory.hear())["code"] == "name-taken"


async def test_a_name_is_free_again_when_its_owner_left(visit: Visit) -> None:
    async with visit() as grace:
        await grace.join("Grace")
        async with visit() as ada:
            await ada.join("Ada")
            await grace.hear()
        assert (await grace.hear())["type"] == "left"
        async with visit() as other:
            assert (await other.join("Ada"))["people"] == ["Grace", "Ada"]


@each_transport
async def test_who_reconnects_takes_the_former_place_unnoticed(
    visit: Visit, transport: str
) -> None:
    """The server may learn late that a connection is lost; its owner does not wait for that."""
    async with visit() as grace, visit(transport) as before, visit(transport) as after:
        await grace.join("Grace")
        await before.join("Ada", token=TOKEN)
        await grace.hear()
        welcome = await after.join("ada", token=TOKEN)
        assert welcome["name"] == "Ada"
        assert welcome["people"] == ["Grace", "Ada"]
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(PATIENCE):
                await before.connection.recv()
        assert (closed.value.code, closed.value.reason) == REPLACED
        await after.say("back")
        assert (await grace.hear())["text"] == "back"


async def test_a_full_room_refuses_newcomers(visit: Visit, monkeypatch) -> None:
    monkeypatch.setattr("pyramid_chat.models.MAX_PEOPLE", 1)
    async with visit() as ada, visit() as grace:
        await ada.join("Ada")
        await grace.tell({"type": "join", "name": "Grace"})
        assert (await grace.hear())["code"] == "room-full"
