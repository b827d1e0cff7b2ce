"""What the commands for accounts do to a chat that runs."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from pyramid_chat import accounts, catalog, people, rooms
from pyramid_chat.models import PRIVATE, Room, SignIn
from pyramid_chat.notices import Watch
from pyramid_chat.scripts import main
from sockjs_bridge.client import ConnectionClosed, HandshakeError
from tests.pyramid_chat.conftest import (
    PASSWORD,
    PATIENCE,
    Browser,
    Chat,
    Person,
    Start,
    either_database,
)

NAMED = (
    *("add-user", "set-password", "reset-link", "rename", "disable", "enable", "remove"),
    *("sign-out", "make-admin"),
)
"""The commands that take a name."""
OTHER_PASSWORD = "another good password"


class Finished(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Awaitable[Finished]]


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "EVERY", 0.05)


@pytest.fixture
def chat(start: Start) -> Iterator[Chat]:
    """A chat with a person; the command finds it by an ini."""
    with start() as chat:
        chat.add_user("Ada")
        yield chat


@pytest.fixture
def command(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``pyramid-chat COMMAND INI …``, in this process or as one of its own."""
    ini = tmp_path / "chat.ini"
    ini.write_text(
        "[app:main]\nuse = egg:sockjs-bridge#chat\n"
        f"sqlalchemy.url = {database_url}\nchat.public_url = https://chat.example.com/talk/\n"
    )
    program = Path(sys.executable).with_name("pyramid-chat")

    def run_process(*arguments: str) -> Finished:
        finished = subprocess.run(
            [sys.executable, "-W", "ignore", program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        return Finished(finished.returncode, finished.stdout, finished.stderr)

    async def run(name: str, *arguments: str, text: str = "", process: bool = False) -> Finished:
        words = (name, str(ini), *arguments)
        if process:
            return await asyncio.to_thread(run_process, *words)
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr("sys.stdin", io.StringIO(text))
            status = await asyncio.to_thread(main, words)
        return Finished(status, out.getvalue(), err.getvalue())

    return run


async def done(run: Awaitable[Finished]) -> str:
    """Return what a command says that must succeed."""
    finished = await run
    assert (finished.status, finished.err) == (0, "")
    return finished.out


async def closed(person: Person) -> int:
    """Wait until a connection is closed; return the code."""
    with pytest.raises(ConnectionClosed) as error:
        while True:
            await person.hear()
    return error.value.code


async def refused(browser: Browser, name: str, password: str) -> tuple[int, str]:
    """Try to sign in; return status and what is said."""
    response = await browser.sign_in(name, password)
    (sentence,) = re.findall(r'role="alert">([^<]+)<', await response.text())
    return response.status, sentence


@either_database
async def test_who_is_disabled_is_out_at_once_until_enabled(chat: Chat, command: Run) -> None:
    async with chat.visit("Grace") as grace, chat.browser("Ada") as browser:
        async with browser.connect() as ada:
            assert await done(command("disable", "ada")) == "Ada is disabled.\n"
            assert await closed(ada) == 4401
        assert (await browser.get("/chat"))[0] == 303
        wrong = "The name or the password is wrong."
        assert await refused(browser, "Ada", "wrong password") == (400, wrong)
        status, sentence = await refused(browser, "Ada", PASSWORD)
        assert status == 403 and "disabled" in sentence
        assert await done(command("disable", "Ada")) == "Ada is disabled already.\n"
        assert await done(command("enable", "Ada")) == "Ada can sign in again.\n"
        assert await done(command("enable", "Ada")) == "Ada can sign in already.\n"
        # What was ended stays so.
        assert (await browser.get("/chat"))[0] == 303
        assert (await browser.sign_in("Ada")).status == 303
        assert (await grace.say("still here"))["type"] == "message"


@either_database
async def test_who_is_signed_out_may_sign_in_again(chat: Chat, command: Run) -> None:
    async with chat.browser("Ada") as one, chat.browser("Ada") as two:
        async with one.connect() as here, two.connect("xhr-polling") as there:
            assert await done(command("sign-out", "Ada")) == "Ada is signed out of 2 browsers.\n"
            assert [await closed(here), await closed(there)] == [4401, 4401]
        assert (await one.sign_in("Ada")).status == 303
    async with chat.browser("Ada"):
        await done(command("sign-out", "Ada"))
    assert await done(command("sign-out", "Ada")) == "Ada is signed out already.\n"


@either_database
async def test_another_password_ends_what_the_old_one_began(chat: Chat, command: Run) -> None:
    async with chat.browser("Ada") as browser:
        async with browser.connect() as ada:
            text = f"{OTHER_PASSWORD}\n"
            said = await done(command("set-password", "Ada", "--password-stdin", text=text))
            assert said == "Ada has another password, and is signed out everywhere.\n"
            assert await closed(ada) == 4401
        assert (await refused(browser, "Ada", PASSWORD))[0] == 400
        assert (await browser.sign_in("Ada", OTHER_PASSWORD)).status == 303
        bad = await command("set-password", "Ada", "--password-stdin", text="short\n")
        assert bad.status == 1 and "at least 8" in bad.err


@either_database
async def test_a_new_name_shows_at_once(chat: Chat, command: Run) -> None:
    async with chat.visit("Grace") as grace, chat.browser("Ada") as browser:
        async with browser.connect() as ada:
            await ada.say("before")
            assert (
                await done(command("rename", "ada", " Lady  Ada"))
                == "Ada is called Lady Ada now.\n"
            )
            person = {"id": ada.id, "name": "Lady Ada"}
            for one in (ada, grace):
                assert await one.hear("person") == {"type": "person", "user": person}
            assert (await ada.say("after"))["author"] == person
            page = await grace.ask("history", room=1, before=None)
            assert [message["author"] for message in page["messages"]] == [person, person]
        assert await done(command("rename", "Lady Ada", "Lady Ada")) == (
            "Lady Ada is called so already.\n"
        )
        assert await done(command("rename", "Lady Ada", "lady ada")) == (
            "Lady Ada is called lady ada now.\n"
        )
        taken = await command("rename", "lady ada", "GRACE")
        assert taken.status == 1 and "has that name" in taken.err
        async with browser.connect() as ada:
            assert ada.welcome["user"]["name"] == "lady ada"


@either_database
async def test_what_a_removed_account_said_stays(chat: Chat, command: Run) -> None:
    ada_id = chat.add_user("Ada L")
    async with chat.visit("Grace") as grace:
        with chat.database.writing() as session, session.begin():
            room = catalog.create(session, ada_id, PRIVATE, "Plans", "")
            rooms.join(session, room, grace.id)
            direct, _ = rooms.direct(session, ada_id, grace.id)
    async with chat.browser("Ada L") as browser, chat.visit("Grace") as grace:
        async with browser.connect() as ada:
            await ada.say("in the room", room)
            await ada.say("between us", direct)
            await done(command("make-admin", "Ada L"))
            assert await done(command("remove", "Ada L")) == "The account of Ada L is removed.\n"
            assert await closed(ada) == 4401
        person = {"id": ada_id, "name": accounts.REMOVED_NAME}
        gone = [await grace.hear("member") for _ in range(2)]
        assert [(event["room"], event["joined"]) for event in gone] == [(1, False), (room, False)]
        assert (await grace.hear("person"))["user"] == person
        page = await grace.ask("history", room=room, before=None)
        assert [(said["author"], said["text"]) for said in page["messages"]] == [
            (person, "in the room")
        ]
        opened = await grace.ask("open", "opened", room=direct)
        assert opened["room"]["name"] == accounts.REMOVED_NAME
        opened = await grace.ask("open", "opened", room=room)
        assert [member["name"] for member in opened["members"]] == ["Grace"]
        with chat.database.session() as session:
            assert session.get_one(Room, room).owner_id == grace.id
        assert (await refused(browser, "Ada L", PASSWORD))[0] == 400
        assert "Ada L" not in await done(command("list"))
        again = await command("remove", "Ada L")
        assert again == (3, "", "pyramid-chat: there is nobody called 'Ada L'\n")
        # The name is free, and nobody finds the old account by the one that it has.
        assert chat.add_user("Ada L") != ada_id
        assert (await command("remove", f" removed {ada_id}")).status == 3


@either_database
async def test_accounts_are_removed_at_once(chat: Chat) -> None:
    """Both are in the same rooms, of which each was made by the other one's owner first."""
    names = [f"Person {number}" for number in range(8)]
    ids = [chat.add_user(name) for name in names]
    with chat.database.writing() as session, session.begin():
        for one in ids:
            room = catalog.create(session, one, PRIVATE, "Plans", "")
            for other in ids:
                rooms.join(session, room, other)

    def remove(name: str) -> None:
        with chat.database.writing() as session, session.begin():
            user = people.find(session, name)
            assert user is not None
            accounts.remove(session, user)

    await asyncio.gather(*(asyncio.to_thread(remove, name) for name in names))
    with chat.database.session() as session:
        assert people.search(session, "Person") == []


async def test_administrators_are_made_and_listed(chat: Chat, command: Run) -> None:
    async with chat.browser("Grace"):
        assert await done(command("make-admin", "Ada")) == "Ada is an administrator now.\n"
        assert await done(command("make-admin", "Ada")) == "Ada is an administrator already.\n"
        await done(command("disable", "Grace"))
        chat.add_user("Mary")
        rows = [line.split("\t") for line in (await done(command("list"))).splitlines()]
        assert [row[2:4] for row in rows] == [
            ["Ada", "admin"],
            ["Grace", "disabled"],
            ["Mary", "-"],
        ]
        assert (
            await done(command("make-admin", "Ada", "--undo")) == "Ada is no administrator now.\n"
        )
    async with chat.browser("Mary"):
        rows = [line.split("\t") for line in (await done(command("list"))).splitlines()]
        assert [row[4] == "-" for row in rows] == [True, True, False]


@pytest.mark.parametrize(
    "arguments",
    [
        ("set-password", "Nobody", "--password-stdin"),
        ("reset-link", "Nobody"),
        ("rename", "Nobody", "Somebody"),
        *((name, "Nobody") for name in ("disable", "enable", "remove", "sign-out", "make-admin")),
    ],
    ids=lambda arguments: arguments[0],
)
async def test_a_name_that_is_not_there_has_a_word_and_a_status_of_its_own(
    chat: Chat, command: Run, arguments: tuple[str, ...]
) -> None:
    finished = await command(*arguments, text=f"{PASSWORD}\n")
    assert finished == (3, "", "pyramid-chat: there is nobody called 'Nobody'\n")


@either_database
async def test_a_command_is_another_process(chat: Chat, command: Run) -> None:
    async with chat.visit("Ada") as ada:
        said = await done(command("rename", "Ada", "Lady Ada", process=True))
        assert said == "Ada is called Lady Ada now.\n"
        assert (await ada.hear("person"))["user"]["name"] == "Lady Ada"
        said = await done(command("disable", "Lady Ada", process=True))
        assert said == "Lady Ada is disabled.\n"
        assert await closed(ada) == 4401
    nobody = await command("disable", "Ada", process=True)
    assert nobody == (3, "", "pyramid-chat: there is nobody called 'Ada'\n")
    assert (await command("disable", process=True)).status == 2


@pytest.mark.parametrize("name", ["list", *NAMED, "upgrade", "demo", "init"])
def test_help_says_what_a_command_does(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert len(re.split(r"\n\n", shown)[1]) > 20
    assert ("NAME" in shown) == (name in NAMED)


@either_database
async def test_who_signs_in_while_being_disabled_is_not_in(chat: Chat) -> None:
    """The sign-in was allowed before, and is written after."""
    async with chat.browser("Ada") as browser:
        with chat.database.writing() as session, session.begin():
            sign_in = session.query(SignIn).one()
            kept = sign_in.id, sign_in.user_id
            accounts.disable(session, people.find(session, "Ada"))
            session.add(SignIn(id=kept[0], user_id=kept[1]))
        assert (await browser.get("/chat"))[0] == 303
        with pytest.raises(HandshakeError, match="401"):
            async with browser.connect():
                pass
