"""The search: who finds what, on both databases."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from sqlalchemy import event, text
from yarl import URL

from pyramid_chat import conversation
from pyramid_chat.search import MAX_QUERY, PAGE, find
from pyramid_chat.words import parse
from tests.docs.blocks import collect
from tests.pyramid_chat.conftest import LOBBY, Browser, Chat, Start, both_databases
from tests.pyramid_chat.test_rooms import private_room

pytestmark = both_databases


async def ask(browser: Browser, words: str, **fields: Any) -> tuple[int, Any]:
    query = {"q": words} | {name: str(value) for name, value in fields.items()}
    return await browser.get(URL(browser.url + "/search").with_query(query))


async def numbers(browser: Browser, words: str, **fields: Any) -> list[int]:
    status, body = await ask(browser, words, **fields)
    assert status == 200, body
    return [hit["number"] for hit in body["hits"]]


async def test_words_are_found_in_any_case_with_and_without_accents(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        texts = [
            "Ein Überblick: über alles",
            "uberall",
            "Die Straße",
            "Ελλάδα ΕΛΛΆΔΑ",
            "東京都へ行く",
        ]
        for said in [*texts, "über den Blick"]:
            await ada.say(said)
        assert await numbers(browser, "uber") == [6, 2, 1]
        assert await numbers(browser, "ÜBER BLICK") == [6]
        assert await numbers(browser, "blick uber") == [6]
        assert await numbers(browser, '"uber"') == [6, 1]
        assert await numbers(browser, '"uber alles"') == [1]
        assert await numbers(browser, '"alles uber"') == []
        assert await numbers(browser, "alles uberb") == [1]
        assert await numbers(browser, '"den bl') == [6]
        assert await numbers(browser, "STRASSE") == [3]
        assert await numbers(browser, "ελλαδα") == [4]
        assert await numbers(browser, "京都") == [5]
        assert await numbers(browser, "都京") == []
        status, body = await ask(browser, "uber bl")
        assert (status, body["next"]) == (200, None)
        (hit,) = body["hits"]
        assert hit.pop("time")
        assert hit == {
            "room": {"id": LOBBY, "kind": "public", "name": "Lobby"},
            "number": 6,
            "author": {"id": ada.id, "name": "Ada"},
            "excerpt": ["", "über", " den ", "Blick", ""],
        }


async def test_only_who_may_see_a_room_finds_what_was_said_there(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as ada,
        chat.browser("Grace") as grace,
        chat.browser("Mary") as mary,
        ada.connect() as tab,
    ):
        secret = await private_room(ada)
        await tab.say("needle in private", secret)
        assert await numbers(ada, "needle") == [1]
        assert await numbers(grace, "needle") == []
        assert await numbers(grace, "needle", room=secret) == []
        assert (await ada.post(f"/rooms/{secret}/invite", name="Grace"))[0] == 200
        assert await numbers(grace, "needle", room=secret) == [1]
        _, direct = await ada.post("/direct", name="Grace")
        await tab.say("needle between two", direct["id"])
        for browser, other in ((ada, "Grace"), (grace, "Ada")):
            _, found = await ask(browser, "needle", room=direct["id"])
            assert [hit["room"]["name"] for hit in found["hits"]] == [other]
        assert await numbers(mary, "needle") == []
        # Everybody may look into a public room.
        _, public = await ada.post("/rooms", name="Garden", kind="public")
        await tab.say("needle in public", public["id"])
        assert [len(await numbers(browser, "needle")) for browser in (ada, grace, mary)] == [
            3,
            3,
            1,
        ]
        assert (await ada.post(f"/rooms/{secret}/leave"))[0] == 200
        assert await numbers(ada, "needle", room=secret) == []
        assert (await grace.post(f"/rooms/{secret}/leave"))[0] == 200
        assert await numbers(grace, "needle", room=secret) == []
        assert await numbers(ada, "needle", room=2**31 - 1) == []


async def test_an_administrator_finds_no_more_than_others(chat: Chat, admin: Browser) -> None:
    async with chat.browser("Ada") as ada, ada.connect() as tab:
        secret = await private_room(ada)
        await tab.say("needle", secret)
        assert await numbers(admin, "needle") == []
        # Left by all, it is archived, and found by nobody.
        await ada.post(f"/rooms/{secret}/leave")
        assert await numbers(admin, "needle") == []


async def test_the_index_follows_edits_deletions_and_removed_rooms(
    chat: Chat, admin: Browser
) -> None:
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        await ada.say("first thought")
        await ada.say("second thought")
        edit = {"room": LOBBY, "number": 1, "key": "edit"}
        await ada.ask("edit", "message", **edit, text="better idea")
        assert await numbers(browser, "first") == []
        assert await numbers(browser, "idea") == [1]
        await ada.ask("delete", "message", room=LOBBY, number=2, key="delete")
        assert await numbers(browser, "thought") == []
        async with admin.connect() as root:
            await root.ask("delete", "message", room=LOBBY, number=1, key="removal")
        assert await numbers(browser, "idea") == []
        await ada.say("third thought")
        _, room = await browser.post("/rooms", name="Garden", kind="public")
        await ada.say("a thought of flowers", room["id"])
        await browser.post(f"/rooms/{room['id']}/edit", name="Park")
        _, found = await ask(browser, "flowers")
        assert found["hits"][0]["room"]["name"] == "Park"
        assert (await admin.post(f"/admin/rooms/{room['id']}/remove"))[0] == 303
        assert await numbers(browser, "thought") == [6]
    with chat.database.session() as session:
        entries = session.execute(text("SELECT room_id, number, words FROM search_entry")).all()
        assert [tuple(entry) for entry in entries] == [(LOBBY, 6, "third thought")]
        if session.get_bind().dialect.name == "sqlite":
            # It compares the index with the words, and fails where they differ.
            session.execute(
                text("INSERT INTO search_index(search_index, rank) VALUES ('integrity-check', 1)")
            )


async def test_the_index_is_built_anew_as_the_docs_say(chat: Chat) -> None:
    block = next(
        block.code
        for block in collect()
        if (block.page, block.caption)
        == ("chat-administration", "build the index of the search anew")
    )
    sqlite, _, postgresql = (shlex.split(line, comments=True)[-1:] for line in block.splitlines())
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        await ada.say("needle")
        with chat.database.writing() as session, session.begin():
            if session.get_bind().dialect.name == "sqlite":
                wrong = "INSERT INTO search_index(search_index) VALUES ('delete-all')"
                session.execute(text(wrong))
                (statement,) = sqlite
            else:
                (statement,) = postgresql
            session.execute(text(statement))
        assert await numbers(browser, "needle") == [1]


async def test_what_is_undone_is_not_found(chat: Chat) -> None:
    ada = chat.add_user("Ada")
    with pytest.raises(ZeroDivisionError), chat.database.writing() as session, session.begin():
        version = conversation.next_version(session, LOBBY)
        conversation.add(session, LOBBY, version, ada, "k", "needle")
        raise ZeroDivisionError
    async with chat.browser("Ada") as browser:
        assert await numbers(browser, "needle") == []


async def test_a_page_ends_where_the_next_one_begins(chat: Chat) -> None:
    ada = chat.add_user("Ada")
    async with chat.browser("Ada") as browser, browser.connect() as tab:
        garden = await private_room(browser)
        for start in range(0, 2 * PAGE + 4, 2):
            chat.add_messages(ada, 2, LOBBY if start % 4 else garden, text="needle")
        seen: list[tuple[int, int]] = []
        before: dict[str, int] = {}
        sizes = []
        while True:
            _, body = await ask(browser, "needle", **before)
            seen += [(hit["room"]["id"], hit["number"]) for hit in body["hits"]]
            sizes.append(len(body["hits"]))
            # What comes in between is on none of the pages that follow.
            await tab.say("needle, the newest")
            if body["next"] is None:
                break
            before = {"before": body["next"]}
        assert sizes == [PAGE, PAGE, 4]
        assert len(set(seen)) == 2 * PAGE + 4
        for room in (LOBBY, garden):
            own = [number for id_, number in seen if id_ == room]
            assert own == sorted(own, reverse=True)
        assert set(await numbers(browser, "newest", room=garden)) == set()


SIGNS = [
    *(
        "",
        " ",
        '"',
        '""',
        "''",
        "'",
        "*",
        "a*",
        "^a",
        "-a",
        "+a",
        "(",
        ")",
        "a)",
        "a:b",
        "\\",
        "%",
    ),
    *("words:a", "words : a", "{words}:a", "NEAR(a b, 5)", "a AND", "OR", "NOT a", "AND AND"),
    *('"a" "', 'a " b', '"a" * "b"', "a | b", "a & !b", "a <-> b", "a:*", "!!", "& &", "<->"),
    *("a\x00b", "\x00", "\udfff".encode("utf-8", "replace").decode(), "\ufffd", "\u202e"),
    *("'; DROP TABLE message; --", "search_index", "rank", "rowid", "🎉", "\u0301", "a\n\tb"),
    *("é" * MAX_QUERY, "a " * (MAX_QUERY // 2), '"' * MAX_QUERY, "東" * MAX_QUERY),
]


async def test_no_sign_of_the_databases_has_a_meaning(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        await ada.say("or and near not words rank a b")
        chat.app.registry.chat_searches.change(60000, 1000)
        for query in SIGNS:
            status, body = await ask(browser, query)
            assert (status, set(body)) == (200, {"hits", "next"}), ascii(query)
        assert await numbers(browser, "near not") == [1]


async def test_operators_are_words(chat: Chat) -> None:
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        await ada.say("apples or pears")
        await ada.say("apples")
        assert await numbers(browser, "apples OR pears") == [1]
        assert await numbers(browser, "apples -pears") == [1]
        assert await numbers(browser, "app* apples") == []


async def test_bad_input_is_refused_in_words_of_the_chat(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        for fields in (
            {"room": "x"},
            {"room": "0"},
            {"room": "-1"},
            {"room": 2**31},
            {"room": "9" * 5000},
            {"before": "1.5"},
            {"before": "²"},
            {"before": 2**63},
        ):
            status, body = await ask(browser, "a", **fields)
            assert (status, body["error"]) == (400, "A room or a page is a number.")
            assert body["field"] in fields
        status, body = await ask(browser, "a" * (MAX_QUERY + 1))
        assert (status, body["field"]) == (400, "q")
        status, _ = await browser.get(URL(browser.url + "/search?q=%ff", encoded=True))
        assert status == 400
    async with chat.browser() as nobody:
        assert (await ask(nobody, "a"))[0] == 401


async def test_who_searches_too_often_waits(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyramid_chat.SEARCHES", (1, 3))
    with start() as chat:
        async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
            assert [(await ask(ada, "a"))[0] for _ in range(4)] == [200, 200, 200, 429]
            assert (await ask(grace, "a"))[0] == 200


async def test_the_messages_around_one(chat: Chat) -> None:
    ada = chat.add_user("Ada")
    chat.add_messages(ada, 130)
    half = conversation.PAGE // 2
    async with chat.visit("Grace") as grace:

        async def around(number: int, side: str = "both") -> tuple[int, int, Any, Any]:
            page = await grace.ask("around", room=LOBBY, number=number, side=side)
            told = [message["number"] for message in page["messages"]]
            assert told == list(range(told[0], told[-1] + 1)) if told else True
            assert (page["number"], page["side"], page["version"]) == (number, side, 130)
            return (told or [0])[0], (told or [0])[-1], page["earlier"], page["later"]

        assert await around(60) == (61 - half, 60 + half, True, True)
        assert await around(3) == (1, 3 + half, False, True)
        assert await around(129) == (130 - half, 130, True, False)
        assert await around(500) == (131 - half, 130, True, False)
        assert await around(60, "before") == (10, 59, True, None)
        assert await around(51, "before") == (1, 50, False, None)
        assert await around(60, "after") == (61, 110, None, True)
        assert await around(80, "after") == (81, 130, None, False)
        assert await around(130, "after") == (0, 0, None, False)
        for wrong in ({}, {"side": "up"}, {"side": ["both"]}, {"side": "both", "number": 0}):
            error = await grace.ask("around", **({"room": LOBBY, "number": 1} | wrong))
            assert (error["type"], error["code"]) == ("error", "bad-request")


async def test_nothing_is_told_around_a_message_of_a_room_of_others(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, ada.connect() as tab, chat.visit("Grace") as grace:
        secret = await private_room(ada)
        await tab.say("secret", secret)
        for room in (secret, 2**31 - 1):
            error = await grace.ask("around", room=room, number=1, side="both")
            assert (error["code"], error["text"]) == ("bad-room", "There is no such room.")


async def test_the_index_is_what_is_read_first(chat: Chat) -> None:
    """Whatever the rooms, SQLite's plan begins with the words, in the order of the answer."""
    with chat.database.session() as session:
        if session.get_bind().dialect.name != "sqlite":
            pytest.skip("PostgreSQL plans by what is in the tables")
        statements: list[tuple[str, Any]] = []

        def note(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
            statements.append((statement, values))

        event.listen(session.get_bind(), "before_cursor_execute", note)
        for options in ({}, {"room_id": LOBBY}, {"before": 100}):
            find(session, 1, parse("a needle"), **options)
            statement, values = statements.pop()
            assert "MATCH" in statement
            connection = session.connection()
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            steps = [step[3] for step in plan]
            index = next(
                at for at, step in enumerate(steps) if step.startswith("SCAN search_index")
            )
            entry = next(at for at, step in enumerate(steps) if "search_entry" in step)
            assert index < entry, steps
            assert not any("SCAN" in step for at, step in enumerate(steps) if at != index), steps
            assert not any("TEMP B-TREE" in step for step in steps), steps
