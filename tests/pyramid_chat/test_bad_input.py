"""What a connection is told when it asks for what it cannot have, and that it may go on."""

from __future__ import annotations

import asyncio

import pytest

from pyramid_chat.live import Live
from pyramid_chat.messages import MAX_TEXT
from sockjs_bridge.client import TRANSPORTS
from tests.pyramid_chat.conftest import LOBBY, Chat, Start, any_transport, either_database


def post(**fields: object) -> dict:
    return {"type": "message", "room": LOBBY, "key": "k", "text": "x"} | fields


BAD = [
    ("hello", "bad-json"),
    ("", "bad-json"),
    ("[" * 10000, "bad-json"),
    ("9" * 5000, "bad-json"),
    ('{"type":"message"', "bad-json"),
    ('"hello"', "bad-request"),
    ("[]", "bad-request"),
    ("null", "bad-request"),
    ("NaN", "bad-request"),
    ({}, "bad-request"),
    ({"type": "shout"}, "bad-request"),
    ({"type": ["message"]}, "bad-request"),
    ({"type": "\x00"}, "bad-request"),
    ({"type": "open"}, "bad-request"),
    ({"type": "open", "room": "1"}, "bad-request"),
    ({"type": "open", "room": True}, "bad-request"),
    ({"type": "open", "room": 1.0}, "bad-request"),
    ({"type": "open", "room": 0}, "bad-request"),
    ({"type": "open", "room": -1}, "bad-request"),
    ({"type": "open", "room": 2**31}, "bad-request"),
    ({"type": "open", "room": 10**300}, "bad-request"),
    ({"type": "open", "room": {"id": 1}}, "bad-request"),
    ({"type": "open", "room": LOBBY, "colour": "red"}, "bad-request"),
    ({"type": "open", "room": LOBBY, "\ud800": "red"}, "bad-request"),
    ({"type": "open", "room": 2**31 - 1}, "bad-room"),
    ({"type": "history", "room": LOBBY, "before": 0}, "bad-request"),
    ({"type": "history", "room": LOBBY, "before": "1"}, "bad-request"),
    ({"type": "history", "room": LOBBY, "before": 10**30}, "bad-request"),
    ({"type": "since", "room": LOBBY}, "bad-request"),
    ({"type": "since", "room": LOBBY, "version": -1}, "bad-request"),
    ({"type": "since", "room": LOBBY, "version": 2**63}, "bad-request"),
    ({"type": "read", "room": LOBBY, "number": 0}, "bad-request"),
    ({"type": "read", "room": LOBBY, "number": 99}, "bad-request"),
    ({"type": "ping", "n": "x"}, "bad-request"),
    ({"type": "ping", "n": 2**53 + 1}, "bad-request"),
    ({"type": "ping"}, "bad-request"),
    ({"type": "edit", "room": LOBBY, "number": 1, "text": "x"}, "bad-request"),
    ({"type": "edit", "room": LOBBY, "number": 5, "key": "k", "text": "x"}, "no-message"),
    ({"type": "delete", "room": LOBBY, "number": 0, "key": "k"}, "bad-request"),
    (post(text=None), "bad-text"),
    (post(text=7), "bad-text"),
    (post(text=""), "bad-text"),
    (post(text=" \n\t "), "bad-text"),
    (post(text="x" * (MAX_TEXT + 1)), "bad-text"),
    (post(text="x" * 60000), "bad-text"),
    (post(colour="red"), "bad-request"),
    (post(author=1), "bad-request"),
    (post(key="a b"), "bad-request"),
    (post(key=""), "bad-request"),
    (post(key=1), "bad-request"),
    (post(key="k" * 65), "bad-request"),
    (post(key="k\n"), "bad-request"),
    (post(key="\ud800"), "bad-request"),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_bad_input_is_told_to_its_sender_only_and_the_session_goes_on(
    chat: Chat, transport: str
) -> None:
    async with chat.visit("Ada", transport) as ada, chat.visit("Grace") as grace:
        for number, (request, code) in enumerate(BAD):
            await ada.tell(request)
            error = await ada.hear("error")
            assert error["code"] == code, request
            assert error["text"]
            if isinstance(request, dict) and request.get("room") is LOBBY:
                assert error["room"] == LOBBY
            assert ("key" in error) == (isinstance(request, dict) and request.get("key") == "k"), (
                request
            )
            if number % 10 == 0:
                said = await ada.say("still here")
                assert await grace.hear("message") == said
        assert await grace.heard() == []
        assert (await ada.ask("history", room=LOBBY))["version"] == len(BAD) // 10 + 1


@either_database
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("a\u202eb\u2066c", "a\u202eb\u2066c"),
        ("a\x00b", "a\ufffdb"),
        ("\x00", "\ufffd"),
        ("a\ud800b\udc00", "a\ufffdb\ufffd"),
        ("🎉" * MAX_TEXT, "🎉" * MAX_TEXT),
        (" \n two\n  lines \t", "two\n  lines"),
        ("'; DROP TABLE message; --", "'; DROP TABLE message; --"),
        ("${1+1} %s {0} \\", "${1+1} %s {0} \\"),
    ],
    ids=lambda value: ascii(value)[:20],
)
async def test_a_text_is_kept_as_it_is(chat: Chat, text: str, kept: str) -> None:
    async with chat.visit("Ada") as ada, chat.visit("Grace", "xhr-polling") as grace:
        said = await ada.say(text)
        assert said["text"] == kept
        assert await grace.hear("message") == said
        assert (await grace.ask("history", room=LOBBY))["messages"] == [said]
        edited = await ada.ask(
            "edit", "message", room=LOBBY, number=1, key="e", text=text[:-1] + "!"
        )
        assert (await grace.hear("message")) == edited


@any_transport
async def test_a_flood_of_one_person_does_not_disturb_the_others(
    start: Start, transport: str
) -> None:
    """The limit is the person's, whatever the number of tabs."""
    with start(chat__messages_per_minute="60", chat__message_burst="10") as chat:
        async with (
            chat.browser("Mallory") as browser,
            browser.connect(transport) as one,
            browser.connect() as two,
            chat.visit("Ada") as ada,
        ):

            async def flood(tab, name: str) -> list[dict]:
                keys = [f"{name}-{number}" for number in range(40)]
                for key in keys:
                    await tab.tell(post(key=key, text=key))
                answers = []
                while len(answers) < len(keys):
                    event = await tab.hear("message", "error")
                    if event["key"] in keys:
                        answers.append(event)
                return answers

            flooding = asyncio.gather(flood(one, "one"), flood(two, "two"))
            for number in range(5):
                said = await ada.say(f"undisturbed {number}")
                assert said["text"] == f"undisturbed {number}"
            answers = [answer for tab in await flooding for answer in tab]
            passed = [answer for answer in answers if answer["type"] == "message"]
            # One comes back each second.
            assert 10 <= len(passed) <= 25
            refused = [answer for answer in answers if answer["type"] == "error"]
            assert {error["code"] for error in refused} == {"rate-limited"}
            assert all(0 < error["retry_after"] <= 1 for error in refused)
            assert "Go on in 1 s" in refused[0]["text"]
            # What was refused is accepted later, and is there once.
            again = refused[0]
            await asyncio.sleep(again["retry_after"])
            while (answer := await one.say("later", key=again["key"]))["type"] == "error":
                await asyncio.sleep(answer["retry_after"])
            assert answer["text"] == "later"


async def test_a_flood_of_rubbish_is_limited_too(start: Start, monkeypatch) -> None:
    monkeypatch.setattr(Live, "REQUESTS", (1, 2))
    with start() as chat:
        await flood_of_rubbish(chat)


async def flood_of_rubbish(chat: Chat) -> None:
    async with chat.visit("Mallory") as mallory, chat.visit("Ada") as ada:
        for _ in range(2):
            await mallory.tell("rubbish")
            assert (await mallory.hear("error"))["code"] == "bad-json"
        for request in ("rubbish", {"type": "ping", "n": 1}, {"type": "history", "room": LOBBY}):
            await mallory.tell(request)
            assert (await mallory.hear("error"))["code"] == "rate-limited"
        assert (await ada.ask("ping", "pong", n=-7)) == {"type": "pong", "n": -7}
        # Messages have a limit of their own.
        assert (await mallory.say("and yet"))["type"] == "message"


async def test_a_request_of_64_kib_is_the_last_of_its_connection_only(chat: Chat) -> None:
    """What is larger than ``sockjs.max_message_size`` is the bridge's to refuse."""
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        with pytest.raises(Exception, match="1009"):
            await ada.tell(post(text="x" * 65536))
            await ada.hear("message", "error")
        async with browser.connect("xhr-polling") as again:
            assert (await again.ask("history", room=LOBBY))["version"] == 0


async def test_an_error_of_the_program_is_told_and_the_connection_goes_on(
    chat: Chat, monkeypatch
) -> None:
    """A message that cannot be dealt with must not come again and again."""
    async with chat.visit("Ada") as ada, chat.visit("Grace") as grace:
        with monkeypatch.context() as patch:

            def broken(*arguments: object) -> None:
                raise ZeroDivisionError

            patch.setattr("pyramid_chat.conversation.told", broken)
            refused = await ada.say("x", key="k")
        assert (refused["code"], refused["key"]) == ("unavailable", "k")
        assert "retry_after" not in refused
        said = await ada.say("x", key="k")
        assert (said["type"], said["version"]) == ("message", 1)
        assert await grace.hear("message") == said
