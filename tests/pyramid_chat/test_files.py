"""Pictures and files: who may send and see them, what becomes of them, and when they go."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image
from sqlalchemy import select, update

from pyramid_chat import accounts, catalog, files, moderation, people, rooms
from pyramid_chat.models import PRIVATE, File, now
from pyramid_chat.notices import Watch
from pyramid_chat.pictures import AT_ONCE, OF_ONE, WAITING, PoolFull
from pyramid_chat.uploads import Uploads
from tests.pyramid_chat.conftest import (
    LOBBY,
    PATIENCE,
    Browser,
    Chat,
    Person,
    Start,
    both_databases,
)
from tests.pyramid_chat.conftest import _body as body_of
from tests.pyramid_chat.pictures import SECRET, gif, jpeg, png


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def chat(start: Start, folder: Path) -> Iterator[Chat]:
    with start(chat__files_folder=folder) as chat:
        yield chat


def uploads(chat: Chat) -> Uploads:
    return chat.app.registry.chat_uploads


async def upload(
    browser: Browser, content: bytes, name: str = "notes.txt", room: int = LOBBY, **headers: str
) -> tuple[int, Any]:
    """Return status and body of the answer to an upload, as the page makes it."""
    sent = {
        "X-CSRF-Token": browser.token,
        "Content-Type": "application/octet-stream",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    url = f"{browser.url}/rooms/{room}/files"
    async with browser.http.post(
        url, params={"name": name}, data=io.BytesIO(content), headers=sent, allow_redirects=False
    ) as answer:
        return answer.status, await body_of(answer)


async def send(person: Person, *ids: str, text: str = "", room: int = LOBBY) -> dict[str, Any]:
    """Send a message with files, and return what comes of it."""
    key = f"with-{'-'.join(ids)[:50]}"
    return await person.ask("message", room=room, key=key, text=text, files=list(ids))


async def get(browser: Browser, path: str, **headers: str) -> tuple[int, Any, bytes]:
    """Return status, headers and body of what is at a path."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    async with browser.http.get(
        browser.url + path, headers=named, allow_redirects=False
    ) as response:
        return response.status, response.headers, await response.read()


def address(file_id: str, room: int = LOBBY, more: str = "") -> str:
    return f"/rooms/{room}/files/{file_id}{more}"


def stored(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def rows(chat: Chat) -> list[File]:
    with chat.database.session() as session:
        return list(session.scalars(select(File)))


def name_of(headers: Any) -> str:
    """The name that a browser takes."""
    return unquote(re.search(r"filename\*=UTF-8''(\S+)$", headers["Content-Disposition"])[1])


@both_databases
async def test_a_file_is_sent_and_comes_back_as_it_was(chat: Chat, folder: Path) -> None:
    content = b"\x00\xff<script>alert(1)</script>" * 5000
    async with chat.browser("Ada") as ada, ada.connect() as writer, chat.visit("Grace") as reader:
        status, told = await upload(ada, content, "Überblick 2026.html")
        assert status == 201
        assert told == {"id": told["id"], "name": "Überblick 2026.html", "size": len(content)}
        assert stored(folder) == {told["id"]}
        assert (folder / told["id"]).stat().st_mode & 0o777 == 0o600
        said = await send(writer, told["id"], text="here it is")
        assert said["files"] == [told]
        while "files" not in (heard := await reader.hear("message")):
            pass
        assert heard == said
        page = await reader.ask("history", room=LOBBY, before=None)
        assert page["messages"][-1] == said
        missed = await reader.ask("since", room=LOBBY, version=said["version"] - 1)
        assert missed["messages"] == [said]
        async with chat.browser("Grace") as grace:
            status, headers, body = await get(grace, address(told["id"]))
        assert (status, body) == (200, content)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == (
            'attachment; filename="Uberblick 2026.html"; '
            "filename*=UTF-8''%C3%9Cberblick%202026.html"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert headers["Cache-Control"] == "private, no-cache"
        # It has no thumbnail.
        assert (await get(ada, address(told["id"], more="/thumbnail")))[0] == 404


@both_databases
async def test_a_picture_is_made_anew_without_where_it_was_taken(chat: Chat, folder: Path) -> None:
    async with chat.browser("Ada") as ada, ada.connect() as person:
        # A camera that was held upright.
        status, told = await upload(ada, jpeg(800, 600, orientation=6), "holiday.JPG")
        assert (status, told["name"]) == (201, "holiday.JPG")
        assert (told["width"], told["height"]) == (600, 800)
        assert (await send(person, told["id"]))["files"] == [told]
        status, headers, body = await get(ada, address(told["id"]))
        assert headers["Content-Type"] == "image/jpeg"
        assert headers["Content-Disposition"].startswith("inline; ")
        assert SECRET not in body
        picture = Image.open(io.BytesIO(body))
        assert (picture.format, picture.size, dict(picture.getexif())) == ("JPEG", (600, 800), {})
        # What was at its top left is at its top right now.
        assert picture.getpixel((590, 10))[0] > 200 and picture.getpixel((10, 790))[2] > 200
        status, headers, small = await get(ada, address(told["id"], more="/thumbnail"))
        assert headers["Content-Type"] == "image/webp"
        assert Image.open(io.BytesIO(small)).size == (360, 480)
        assert told["size"] == len(body) + len(small)
        assert stored(folder) == {told["id"], f"{told['id']}.thumbnail"}


async def test_the_content_decides_the_type(chat: Chat, folder: Path) -> None:
    """Whatever the name says."""
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    async with chat.browser("Ada") as ada:
        for content, name, named, media_type in (
            (page, "cat.jpg", "cat.jpg", "application/octet-stream"),
            (svg, "cat.svg", "cat.svg", "application/octet-stream"),
            (gif(2), "cat.gif", "cat.gif", "application/octet-stream"),
            (gif(1), "cat.gif", "cat.png", "image/png"),
            (png(30, 20, mode="P"), "cat.exe", "cat.png", "image/png"),
            (png(30, 20, mode="LA"), "cat", "cat.png", "image/png"),
            (png(30, 20, mode="I;16"), "cat.png", "cat.png", "image/png"),
            (jpeg(30, 20, mode="CMYK") + page, "cat.pdf", "cat.jpg", "image/jpeg"),
            (png(1, 3000), "line.webp", "line.png", "image/png"),
        ):
            status, told = await upload(ada, content, name)
            assert (status, told["name"]) == (201, named)
            status, headers, body = await get(ada, address(told["id"]))
            assert (status, headers["Content-Type"]) == (200, media_type)
            # A picture is never what was sent, and has nothing behind it.
            assert (body == content) == (media_type == "application/octet-stream")
            assert media_type != "image/jpeg" or page not in body


async def test_what_is_no_good_leaves_nothing_behind(chat: Chat, folder: Path) -> None:
    async with chat.browser("Ada") as ada:
        for content, status, words in (
            (b"", 400, "empty"),
            (jpeg(300, 200)[:2000], 415, "damaged"),
            # 60 million pixels in a few kilobytes.
            (png(10_000, 6_000, mode="1"), 415, "at most 50 million pixels"),
            (png(40_000, 30_000, mode="1"), 415, "at most 50 million pixels"),
        ):
            answer = await upload(ada, content, "cat.png")
            assert answer[0] == status
            assert words in answer[1]["error"]
        assert stored(folder) == set()
        assert rows(chat) == []


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\plan.doc", "plan.doc"),
        (".bashrc", "bashrc"),
        ("..", "file"),
        ("", "file"),
        ("a\r\nSet-Cookie: b=c.txt", "a Set-Cookie_ b=c.txt"),
        # What would be shown as "invoice exe.pdf".
        ("invoice \u202efdp.exe", "invoice fdp.exe"),
        ("nul\x00byte.txt", "nulbyte.txt"),
        ('quo"te;%41.txt', "quo_te;%41.txt"),
        ("👩‍💻 日本.txt", "👩‍💻 日本.txt"),
        ("x" * 300 + ".tar", "x" * 116 + ".tar"),
    ],
)
async def test_names_are_cleaned(chat: Chat, folder: Path, name: str, kept: str) -> None:
    async with chat.browser("Ada") as ada:
        status, told = await upload(ada, b"content", name)
        assert (status, told["name"]) == (201, kept)
        _, headers, _ = await get(ada, address(told["id"]))
        assert name_of(headers) == kept
        assert headers["Content-Disposition"].isascii() and "Set-Cookie" not in headers
        assert stored(folder) == {told["id"]}


@both_databases
async def test_only_who_is_in_a_private_room_sees_its_files(chat: Chat) -> None:
    async with (
        chat.browser("Ada") as ada,
        chat.browser("Grace") as grace,
        chat.browser() as nobody,
        ada.connect() as person,
    ):
        with chat.database.writing() as session, session.begin():
            room = catalog.create(session, person.id, PRIVATE, "Plans", "")
        await asyncio.to_thread(chat.live.membership_changed, room, person.id)
        _, told = await upload(ada, png(30, 20), "plan.png", room)
        _, other = await upload(ada, b"other", "other.txt")
        paths = [address(told["id"], room, more) for more in ("", "/thumbnail")]
        assert [(await get(ada, path))[0] for path in paths] == [200, 200]
        # Not sent yet, it is its owner's alone; sent, it is the room's.
        assert (await get(grace, address(other["id"])))[0] == 404
        assert "files" in await send(person, told["id"], room=room)
        for path in paths:
            assert (await get(grace, path))[0] == 404
            assert (await get(nobody, path))[0] == 303
        # An id of another room is none of this one.
        assert (await get(ada, address(told["id"])))[0] == 404
        assert (await upload(grace, b"mine", room=room))[0] == 404
        assert (await upload(nobody, b"mine"))[0] == 401
        with chat.database.writing() as session, session.begin():
            rooms.join(session, room, people.find(session, "Grace").id)
        assert (await get(grace, paths[0]))[0] == 200


async def test_a_message_takes_its_authors_files_of_its_room_once(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, ada.connect() as person, chat.visit("Grace") as grace:
        _, first = await upload(ada, b"first", "1.txt")
        _, second = await upload(ada, b"second", "2.txt")
        assert (await send(grace, first["id"]))["code"] == "no-file"
        assert (await send(person, first["id"], "0" * 32))["code"] == "no-file"
        assert (await send(person, first["id"], first["id"]))["code"] == "no-file"
        # In the order that was asked for; and said again, it is the same message.
        said = await send(person, second["id"], first["id"])
        assert said["files"] == [second, first]
        assert await send(person, second["id"], first["id"]) == said
        assert (await send(person, first["id"], text="again"))["code"] == "no-file"
        for wrong in ("x", [7], ["../x"], ["a"] * 11, {}):
            request = {"room": LOBBY, "key": "wrong", "text": "x", "files": wrong}
            assert (await person.ask("message", **request))["code"] == "bad-request"
        nothing = await person.ask("message", room=LOBBY, key="k", text=" ", files=[])
        assert nothing["code"] == "bad-text"
        # What was discarded is gone, and what was sent cannot be.
        _, third = await upload(ada, b"third")
        for file, gone in ((third, True), (first, False)):
            answer = await ada.post(address(file["id"], more="/discard"))
            assert answer == (200, {"discarded": gone})
        assert (await send(person, third["id"]))["code"] == "no-file"


async def test_it_is_asked_for_in_parts_and_only_where_it_is_new(chat: Chat) -> None:
    content = bytes(range(256)) * 1000
    async with chat.browser("Ada") as ada:
        _, told = await upload(ada, content)
        path = address(told["id"])
        _, headers, _ = await get(ada, path)
        tag = headers["ETag"]
        assert headers["Accept-Ranges"] == "bytes"
        assert (await get(ada, path, If_None_Match=tag))[::2] == (304, b"")
        for asked, start, stop in (
            ("bytes=0-9", 0, 10),
            ("bytes=250000-", 250000, 256000),
            ("bytes=-100", 255900, 256000),
        ):
            status, headers, body = await get(ada, path, Range=asked, If_Range=tag)
            assert (status, body) == (206, content[start:stop])
            assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/256000"
        status, headers, _ = await get(ada, path, Range="bytes=256000-")
        assert (status, headers["Content-Range"]) == (416, "bytes */256000")
        assert (await get(ada, path, Range="bytes=0-9", If_Range='"old"'))[0] == 200
        async with ada.http.head(ada.url + path) as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "256000")


async def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    start: Start, folder: Path
) -> None:
    with start(chat__files_folder=folder, chat__max_file_size="20000") as chat:
        async with chat.browser("Ada") as ada:
            assert (await upload(ada, b"x" * 20_000))[0] == 201
            reader, writer = await asyncio.open_connection(*chat.url[7:].split(":"))
            writer.write(
                f"POST /rooms/1/files HTTP/1.1\r\nHost: chat\r\nCookie: {ada.cookie}\r\n"
                "Content-Type: application/octet-stream\r\nContent-Length: 20001\r\n\r\n".encode()
            )
            async with asyncio.timeout(PATIENCE):
                assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
            writer.close()
            # Forms are no larger than before.
            assert (await ada.post("/rooms", name="x" * 11_000))[0] == 413
        assert len(stored(folder)) == 1


async def test_a_request_that_is_no_upload_is_refused(chat: Chat, folder: Path) -> None:
    async with chat.browser("Ada") as ada:
        assert (await upload(ada, b"x", X_CSRF_Token="forged"))[0] == 400
        for kind in ("text/plain", "multipart/form-data; boundary=x"):
            assert (await upload(ada, b"x", Content_Type=kind))[0] == 415
        assert (await get(ada, address("0" * 32)))[0] == 404
        assert (await get(ada, address("..%2f..%2fchat.secret")))[0] == 404
        assert stored(folder) == set()


@both_databases
async def test_there_is_room_for_so_much(start: Start, folder: Path) -> None:
    """One person has a part of it, and all have the whole; what was removed makes room."""
    limits = {"chat__max_files_per_person": 3000, "chat__max_files_total": 5000}
    with start(chat__files_folder=folder, **limits) as chat:
        async with chat.browser("Ada") as ada, chat.browser("Grace") as grace, ada.connect() as one:
            status, first = await upload(ada, b"x" * 2000)
            assert status == 201
            status, answer = await upload(ada, b"x" * 2000)
            assert (status, answer["field"]) == (409, "file")
            assert (await upload(grace, b"x" * 2000))[0] == 201
            async with chat.browser("Alan") as alan:
                assert (await upload(alan, b"x" * 2000))[0] == 503
            assert len(stored(folder)) == len(rows(chat)) == 2
            said = await send(one, first["id"])
            await one.ask("delete", "message", room=LOBBY, number=said["number"], key="d")
            assert uploads(chat).remove_due() == 1
            assert (await upload(ada, b"x" * 3000))[0] == 201


async def test_a_full_disk_is_said_and_leaves_nothing(
    chat: Chat, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file system can be made small here, so a limit of the process stands for it."""
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with chat.browser("Ada") as ada:
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # Larger than what the database writes, in its files of some hundred KB.
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
        try:
            status, _ = await upload(ada, b"x" * 4_000_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        assert status == 503
        assert stored(folder) == set()
        assert rows(chat) == []
        assert (await upload(ada, b"x" * 4_000_000))[0] == 201


@both_databases
async def test_files_go_with_their_message_room_and_owner(chat: Chat, folder: Path) -> None:
    async with (
        chat.browser("Ada") as ada,
        ada.connect() as person,
        chat.browser("Grace") as grace,
        grace.connect() as other,
    ):
        with chat.database.writing() as session, session.begin():
            room = catalog.create(session, person.id, "public", "Plans", "")
        await asyncio.to_thread(chat.live.membership_changed, room, person.id)
        sent = {}
        for what, place in (("message", LOBBY), ("room", room), ("kept", LOBBY)):
            _, told = await upload(ada, png(30, 20), f"{what}.png", place)
            sent[what] = await send(person, told["id"], text=what, room=place)
        _, told = await upload(grace, b"mine", "grace.txt")
        await send(other, told["id"], text="owner")
        assert len(stored(folder)) == 7
        number = sent["message"]["number"]
        await person.tell({"type": "delete", "room": LOBBY, "number": number, "key": "d"})
        while (event := await person.hear("message")).get("request") != "d":
            pass
        assert "files" not in event
        assert (await get(ada, address(sent["message"]["files"][0]["id"])))[0] == 404
        with chat.database.writing() as session, session.begin():
            root = people.add(session, "Root", "hash")
            identity = people.Identity(root.id, "Root", "none", True)
            assert moderation.remove_room(session, room, identity) == "Plans"
            accounts.remove(session, people.find(session, "Grace"))
        # While somebody is here, the chat does so by itself, too.
        uploads(chat).remove_due()
        kept = sent["kept"]["files"][0]["id"]
        while stored(folder) != {kept, f"{kept}.thumbnail"}:
            await asyncio.sleep(0.05)
        assert uploads(chat).remove_due() == 0
        page = await person.ask("history", room=LOBBY, before=None)
        assert [one.get("files") for one in page["messages"]] == [None, sent["kept"]["files"], None]


async def test_what_nobody_sends_goes_after_an_hour(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, while somebody is here."""
    monkeypatch.setattr(Watch, "EVERY", 0.05)
    monkeypatch.setattr(Uploads, "SWEEP_EVERY", 0.05)
    with start(chat__files_folder=folder) as chat:
        async with chat.browser("Ada") as ada, ada.connect() as person:
            _, old = await upload(ada, b"old")
            _, used = await upload(ada, b"used")
            _, new = await upload(ada, b"new")
            await send(person, used["id"])
            with chat.database.writing() as session, session.begin():
                past = now() - files.UNUSED_LIFE - timedelta(seconds=1)
                aged = update(File).where(File.id.in_([old["id"], used["id"]]))
                session.execute(aged.values(created=past))
            async with asyncio.timeout(PATIENCE):
                while old["id"] in stored(folder) or len(rows(chat)) == 3:
                    await asyncio.sleep(0.02)
            assert stored(folder) == {used["id"], new["id"]}
            assert (await send(person, old["id"]))["code"] == "no-file"


async def test_an_upload_whose_message_comes_at_the_last_moment_stays(chat: Chat) -> None:
    async with chat.browser("Ada") as ada, ada.connect() as person:
        _, told = await upload(ada, b"late")
        with chat.database.writing() as session, session.begin():
            session.execute(update(File).values(created=now() - 2 * files.UNUSED_LIFE))
        with chat.database.session() as session:
            due = files.due(session)
        assert due == [told["id"]]
        assert "files" in await send(person, told["id"])
        with chat.database.writing() as session, session.begin():
            assert files.claim(session, due) == []


async def test_only_some_types_are_allowed(start: Start, folder: Path) -> None:
    with start(chat__files_folder=folder, chat__file_types="jpg, .PDF gif") as chat:
        async with chat.browser("Ada") as ada:
            for content, name, status in (
                (jpeg(30, 20), "cat.jpeg", 201),
                (jpeg(30, 20), "cat.txt", 201),
                (b"%PDF-1.4", "plan.pdf", 201),
                (gif(2), "cat.gif", 201),
                (png(30, 20), "cat.jpg", 415),
                (b"MZ", "cat.jpg", 415),
                (b"MZ", "tool.exe", 415),
                (b"MZ", "pdf", 415),
            ):
                assert (await upload(ada, content, name))[0] == status, name
        assert len(rows(chat)) == 4


async def test_where_files_are_off_there_are_none(start: Start, folder: Path) -> None:
    with start(chat__files="false", chat__files_folder=folder) as chat:
        async with chat.browser("Ada") as ada:
            # As anything that is no form.
            assert (await upload(ada, b"x"))[0] == 415
            assert (await get(ada, address("0" * 32)))[0] == 404
            page = (await ada.get("/chat"))[1]
            assert 'data-max-file=""' in page
        assert not folder.exists()


async def test_uploads_are_limited_as_messages_are(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Uploads, "SENT", (1, 2))
    with start(chat__files_folder=folder) as chat:
        async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
            assert [(await upload(ada, b"x"))[0] for _ in range(3)] == [201, 201, 429]
            assert (await upload(grace, b"x"))[0] == 201


async def test_pictures_of_one_do_not_keep_others_waiting(chat: Chat) -> None:
    """Of one person so many wait, and of all together."""
    pictures = uploads(chat)._pictures
    with pictures._place(101), pictures._place(101):
        assert OF_ONE == 2
        with pytest.raises(PoolFull), pictures._place(101):
            pass
        async with chat.browser("Ada") as ada:
            assert (await upload(ada, png(30, 20)))[0] == 201
    places = [pictures._place(101 + n) for n in range(AT_ONCE + WAITING)]
    for place in places:
        place.__enter__()
    async with chat.browser("Ada") as ada:
        assert (await upload(ada, png(30, 20)))[0] == 503
    for place in places:
        place.__exit__(None, None, None)
    assert not pictures._waiting
    assert len(rows(chat)) == 1


async def test_a_slow_reader_holds_no_thread(start: Start, folder: Path) -> None:
    """More of them than there are threads, and a page comes at once."""
    with start(chat__files_folder=folder, sockjs__page_threads="4") as chat:
        async with chat.browser("Ada") as ada:
            _, told = await upload(ada, b"x" * 8_000_000)
            readers = []
            for _ in range(20):
                reader, writer = await asyncio.open_connection(*chat.url[7:].split(":"), limit=1000)
                writer.write(
                    f"GET {address(told['id'])} HTTP/1.1\r\nHost: chat\r\n"
                    f"Cookie: {ada.cookie}\r\n\r\n".encode()
                )
                async with asyncio.timeout(PATIENCE):
                    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
                readers.append(writer)
            async with asyncio.timeout(PATIENCE):
                assert (await ada.get("/session"))[0] == 200
            for writer in readers:
                writer.transport.abort()
