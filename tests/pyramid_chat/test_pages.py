"""The pages and forms: who gets in, by which cookies, and where to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from sqlalchemy.orm import Session
from yarl import URL

from pyramid_chat import accounts, passwords, people
from pyramid_chat.live import Live
from pyramid_chat.models import SignIn, User, now
from pyramid_chat.names import MAX_NAME
from sockjs_bridge.client import ConnectionClosed, HandshakeError, connect
from sockjs_bridge.testing import serve
from tests.pyramid_chat.conftest import PASSWORD, Chat, Start, either_database


async def page_of(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        return await response.text()


async def test_the_root_leads_to_the_chat(chat: Chat) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(chat.url, allow_redirects=False) as response,
    ):
        assert response.status == 303
        assert urljoin(chat.url, response.headers["Location"]) == f"{chat.url}/chat"


async def test_the_page_says_what_its_script_needs(chat: Chat) -> None:
    async with chat.browser("Ada & <b>") as browser:
        status, page = await browser.get("/chat")
        assert status == 200
        body = re.search(r"<body[^>]*>", page)[0]
        for item in ('endpoint="/chat?user=1"', 'root="/"', 'room=""', 'user-id="1"'):
            assert f"data-{item}" in body
        assert 'data-user-name="Ada &amp; &lt;b&gt;"' in body
        assert re.search(r'data-csrf="[0-9a-f]{20,}"', body)
        _, page = await browser.get("/rooms/1")
        assert 'data-room="1"' in page


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [("gzip, deflate, br", "gzip"), ("br", None), ("gzip;q=0", None), ("identity", None)],
)
async def test_the_page_is_compressed_for_who_takes_it(
    chat: Chat, accept: str, encoding: str | None
) -> None:
    async with chat.browser("Ada") as browser:
        headers = {"Accept-Encoding": accept}
        async with browser.http.get(f"{chat.url}/chat", headers=headers) as response:
            assert response.headers.get("Content-Encoding") == encoding
            assert response.headers["Vary"] == "Accept-Encoding"
            length, page = int(response.headers["Content-Length"]), await response.text()
    assert page.startswith("<!DOCTYPE html>")
    assert (length < len(page.encode()) / 3) == (encoding == "gzip")


async def test_the_page_loads_everything_from_the_application_itself(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        _, page = await browser.get("/chat")
        # The link that skips to the message field stays on the page.
        links = re.findall(r'(?:src|href)="([^"#]*)"', page)
        assert any(link.endswith(".js") for link in links)
        for link in links:
            if link.startswith("#"):
                continue
            assert link.startswith("/")
            async with browser.http.get(chat.url + link) as response:
                assert response.status == 200, link
                if "static" in link:
                    assert re.search(r"max-age=\d{7,}", response.headers["Cache-Control"]), link


@pytest.mark.parametrize("path", ["/chat", "/sign-in", "/register", "/nothing"])
async def test_every_page_runs_under_a_strict_content_security_policy(
    chat: Chat, path: str
) -> None:
    async with chat.browser("Ada" if path == "/chat" else None) as browser:
        async with browser.http.get(chat.url + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "no-store" not in response.headers["Cache-Control"]
            page = await response.text()
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert not re.search(r"\s(?:style|on\w+)=", page)


async def test_below_a_prefix_all_links_carry_it(chat: Chat) -> None:
    """A filter or a composite may mount the application anywhere."""

    def mounted(environ, start_response):
        environ["SCRIPT_NAME"] = "/apps/one"
        return chat.app(environ, start_response)

    with serve(mounted) as url:
        async with aiohttp.ClientSession() as http:
            page = await page_of(http, f"{url}/sign-in")
            async with http.get(f"{url}/chat", allow_redirects=False) as response:
                location = urlsplit(response.headers["Location"])
    links = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert links and all(link.startswith("/apps/one/") for link in links)
    assert (location.path, location.query) == ("/apps/one/sign-in", "next=%2Fapps%2Fone%2Fchat")


@pytest.mark.parametrize("path", ["/chat", "/rooms/1", "/rooms/99", "/rooms/1?a=b"])
async def test_who_is_not_signed_in_is_led_to_the_form_and_back(chat: Chat, path: str) -> None:
    chat.add_user("Ada")
    async with chat.browser() as browser:
        async with browser.http.get(chat.url + path) as response:
            assert response.url.path == "/sign-in"
        done = await browser.submit(
            f"/sign-in?{response.url.raw_query_string}",
            name="ada",
            password=PASSWORD,
            next=response.url.query["next"],
        )
        assert done.status == 303
        assert urljoin(chat.url, done.headers["Location"]) == chat.url + path
        # Signed in, the form has nothing to ask.
        status, _ = await browser.get("/sign-in")
        assert status == 303


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "/ok\\..\\..",
        "javascript:alert(1)",
        "evil.example",
        "/caf\u00e9",
        "/a\r\nSet-Cookie: x=y",
        "",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("form", ["/sign-in", "/register"])
async def test_nobody_is_led_elsewhere(chat: Chat, wanted: str, form: str) -> None:
    if form == "/sign-in":
        chat.add_user("Ada")
    async with chat.browser() as browser:
        done = await browser.submit(
            form, name="Ada", password=PASSWORD, password_again=PASSWORD, next=wanted
        )
        assert done.status == 303
        assert urljoin(chat.url, done.headers["Location"]) == f"{chat.url}/chat"


@pytest.mark.parametrize("secure", ["false", "true"])
async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    start: Start, secure: str
) -> None:
    with start(chat__secure_cookies=secure, chat__session_timeout="5000") as chat:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{chat.url}/sign-in") as response,
        ):
            (header,) = response.headers.getall("Set-Cookie")
    (cookie,) = SimpleCookie(header).values()
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert bool(cookie["secure"]) is (secure == "true")
    assert cookie["max-age"] == "5000"


async def test_signing_in_begins_a_new_session(chat: Chat) -> None:
    """Whoever slipped somebody a cookie before cannot go on with it afterwards."""
    chat.add_user("Ada")
    async with chat.browser() as browser:
        await browser.get("/sign-in")
        before = browser.cookie
        await browser.sign_in("Ada")
        async with aiohttp.ClientSession() as http:
            headers = {"Cookie": before}
            async with http.get(f"{chat.url}/session", headers=headers) as response:
                assert response.status == 401


@either_database
async def test_a_cookie_is_worth_nothing_after_signing_out(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        cookie = browser.cookie
        assert (await browser.get("/session"))[1] == {"user": {"id": 1, "name": "Ada"}}
        data = {"csrf_token": browser.token}
        url = f"{chat.url}/sign-out"
        async with browser.http.post(url, data=data, allow_redirects=False) as done:
            assert done.status == 303
            assert done.headers["Clear-Site-Data"] == '"storage"'
        for path in ("/session", "/mentions", "/search?q=a"):
            status, answer = await browser.get(path, headers={"Cookie": cookie})
            assert (status, answer) == (401, {"error": answer["error"]})
        # Out is out; a second time is nothing new, apart from the form's token.
        assert (await browser.post("/sign-out"))[0] == 400


async def test_signing_in_as_somebody_else_ends_the_first_sign_in(chat: Chat) -> None:
    chat.add_user("Grace")
    async with chat.browser("Ada") as browser, browser.connect() as ada:
        data = {"name": "Grace", "password": PASSWORD, "csrf_token": browser.token}
        async with browser.http.post(f"{chat.url}/sign-in", data=data) as response:
            assert response.status == 200
        with pytest.raises(ConnectionClosed) as closed:
            await ada.hear("nothing")
        assert closed.value.code == 4401
        assert (await browser.get("/session"))[1]["user"]["name"] == "Grace"


async def test_a_sign_in_that_was_not_used_for_long_is_forgotten(start: Start) -> None:
    with start(chat__session_timeout="3600") as chat:
        async with chat.browser("Ada") as browser:
            with chat.database.writing() as session, session.begin():
                (old,) = session.query(SignIn)
                old.seen = now().replace(year=2001)
            assert (await browser.get("/session"))[0] == 401
            await browser.sign_in("Ada")
            with chat.database.session() as session:
                (sign_in,) = session.query(SignIn)
                assert sign_in.seen.year > 2001


async def test_a_page_keeps_a_sign_in_fresh(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        with chat.database.writing() as session, session.begin():
            (sign_in,) = session.query(SignIn)
            sign_in.seen = old = now() - timedelta(days=2)
        await browser.get("/chat")
        with chat.database.session() as session:
            (sign_in,) = session.query(SignIn)
            assert sign_in.seen > old


@pytest.mark.parametrize(
    "path",
    [
        *("/sign-in", "/register", "/sign-out", "/rooms", "/direct"),
        *("/rooms/1/edit", "/rooms/1/join", "/rooms/1/leave", "/rooms/1/invite"),
    ],
)
@pytest.mark.parametrize("token", [None, "", "wrong"])
async def test_every_form_needs_its_token(chat: Chat, path: str, token: str | None) -> None:
    async with chat.browser("Ada") as browser:
        data = {"name": "x", "password": PASSWORD} | ({"csrf_token": token} if token else {})
        headers = {"X-CSRF-Token": token} if token else {}
        async with browser.http.post(chat.url + path, data=data, headers=headers) as response:
            assert response.status == 400
            text = await response.text()
            assert "out of date" in text
        assert (await browser.get("/session"))[0] == 200


async def test_a_header_carries_the_token_as_well(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        headers = {"X-CSRF-Token": browser.token}
        url = f"{chat.url}/rooms/1/leave"
        async with browser.http.post(url, headers=headers) as response:
            assert response.status == 200


@either_database
async def test_whoever_registers_is_signed_in_and_in_the_lobby(chat: Chat) -> None:
    async with chat.visit("Ada") as ada, chat.browser() as browser:
        done = await browser.submit(
            "/register", name=" Grace \n Hopper", password=PASSWORD, password_again=PASSWORD
        )
        assert done.status == 303
        member = await ada.hear("member")
        assert (member["user"]["name"], member["joined"]) == ("Grace Hopper", True)
        async with browser.connect() as grace:
            assert grace.welcome["user"] == member["user"]
            assert [room["name"] for room in grace.welcome["rooms"]] == ["Lobby"]
        with chat.database.session() as session:
            user = session.get_one(User, member["user"]["id"])
            assert user.password.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": ""}, "at least one character"),
        ({"name": "x" * (MAX_NAME + 1)}, f"at most {MAX_NAME}"),
        ({"name": "x" * 5000}, f"at most {MAX_NAME}"),
        ({"name": "a\u202eb"}, "invisible"),
        ({"name": "a\x00b"}, "invisible"),
        ({"name": "Ada\u3164"}, "invisible"),
        ({"name": "\ufe0f"}, "invisible"),
        ({"name": "ADA"}, "has that name"),
        ({"name": "A\u200dda"}, "has that name"),
        ({"name": "Ada\ufe0f"}, "has that name"),
        ({"name": "\uff21da"}, "has that name"),
        ({"name": "\u0430d\u0251"}, "looks like it"),
        ({"name": "\u0391da"}, "looks like it"),
        ({"name": "Ada\U0001d159"}, "invisible"),
        ({"name": "\u0301"}, "at least one character"),
        ({"name": "a" + "\u0301\u0316\u0302" * 2}, "only a few marks"),
        ({"password": "short", "password_again": "short"}, "at least 8"),
        ({"password": "x" * 201, "password_again": "x" * 201}, "at most 200"),
        ({"password_again": "another one"}, "not the same"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_an_account_that_cannot_be_is_refused_and_the_form_kept(
    chat: Chat, fields: dict[str, str], sentence: str
) -> None:
    chat.add_user("Ada")
    async with chat.browser() as browser:
        form = {"name": "Grace", "password": PASSWORD, "password_again": PASSWORD} | fields
        done = await browser.submit("/register", **form)
        page = await done.text()
        assert done.status == 400
        assert sentence in re.search(r'id="form-error"[^>]*>([^<]*)', page)[1]
        # The field that is to be written again has the focus, and says why.
        wrong = "name" if "name" in fields else "password"
        (field,) = re.findall(r"<input[^>]*\sautofocus=[^>]*>", page)
        assert f'id="{wrong}"' in field
        assert 'aria-invalid="true"' in field
        assert re.search(r'aria-describedby="form-error( name-help)?"', field)
        if "\x00" not in form["name"]:
            assert f'value="{form["name"]}"' in page
        assert (await browser.get("/session"))[0] == 401
        with chat.database.session() as session:
            assert session.query(User).count() == 1


async def test_a_name_with_markup_in_it_stays_text(chat: Chat) -> None:
    name = '<script>alert("1")</script>'
    async with chat.browser() as browser:
        done = await browser.submit(
            "/register", name=name, password=PASSWORD, password_again=PASSWORD
        )
        assert done.status == 303
        for path in ("/chat", "/rooms/1"):
            _, page = await browser.get(path)
            assert "<script>alert" not in page
    async with chat.browser() as browser:
        done = await browser.sign_in(name, "wrong password")
        assert "<script>alert" not in await done.text()


async def test_registration_can_be_turned_off(start: Start) -> None:
    with start(chat__registration="no") as chat:
        async with chat.browser() as browser:
            _, page = await browser.get("/sign-in")
            assert "/register" not in page
            assert (await browser.get("/register"))[0] == 404
            token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
            browser.token = token
            status, _ = await browser.post(
                "/register", name="x", password=PASSWORD, password_again=PASSWORD
            )
            assert status == 404


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("Ada", "wrong password"),
        ("Nobody", PASSWORD),
        ("", ""),
        ("Ada", PASSWORD.upper()),
        ("Ada", ""),
        ("Ada", "x" * 9000),
        ("\x00", "\x00"),
    ],
    ids=lambda value: ascii(value)[:20],
)
@either_database
async def test_wrong_is_wrong_whatever_is_wrong(chat: Chat, name: str, password: str) -> None:
    chat.add_user("Ada")
    async with chat.browser() as browser:
        done = await browser.sign_in(name, password)
        assert done.status == 400
        assert "The name or the password is wrong." in await done.text()
        assert (await browser.get("/session"))[0] == 401


@pytest.mark.parametrize("path", ["/sign-in", "/register", "/rooms", "/rooms/1/edit", "/chat"])
async def test_what_no_form_can_hold_is_not_read(chat: Chat, path: str) -> None:
    async with chat.browser("Ada") as browser:
        status, answer = await browser.post(path, name="x" * 12_000, password=PASSWORD)
        assert status == 413
        assert isinstance(answer, dict) is path.startswith("/rooms")


@pytest.mark.parametrize(
    ("path", "files", "size"),
    [
        ("/sign-in", "true", 20_000),
        ("/rooms", "true", 20_000),
        ("/no/such/page", "true", 20_000),
        ("/rooms/1/files/", "true", 20_000),
        ("/rooms/1/files", "true", 10 * 1024**2 + 1),
        ("/rooms/1/files", "false", 20_000),
    ],
)
async def test_what_is_far_too_much_does_not_reach_the_chat(
    start: Start, path: str, files: str, size: int
) -> None:
    """The chat tells the server how much it takes where: more is neither asked for nor kept."""
    with start(chat__files=files) as chat:
        port = int(chat.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


@pytest.mark.parametrize("path", ["/sign-in", "/register", "/rooms", "/direct"])
async def test_a_file_in_place_of_a_field_is_refused(chat: Chat, path: str) -> None:
    async with chat.browser("Ada") as browser:
        data = aiohttp.FormData({"csrf_token": browser.token})
        data.add_field("name", b"Ada", filename="name.txt")
        async with browser.http.post(browser.url + path, data=data) as response:
            assert response.status == 415


async def test_a_form_that_is_no_utf8_breaks_nothing(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        data = b"csrf_token=" + browser.token.encode() + b"&name=%ff%fe"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for path in ("/rooms", "/direct", "/sign-in"):
            async with browser.http.post(chat.url + path, data=data, headers=headers) as response:
                assert response.status in (201, 400), path
        for path in ("/people?q=%ff", "/sign-in?next=%ff", "/%ff"):
            assert (await browser.get(URL(chat.url + path, encoded=True)))[0] == 400, path
        assert (await browser.get("/people?q=%00"))[1] == {"people": []}


@pytest.mark.parametrize("charset", ["utf-16", "UTF_32", "cp037", "no-such"])
async def test_a_form_in_another_encoding_is_refused(chat: Chat, charset: str) -> None:
    """Nothing of it is read, however it comes; UTF-8 may be named."""
    form = "application/x-www-form-urlencoded; charset="
    async with chat.browser("Ada") as browser:
        for path in ("/sign-in", "/rooms", "/register"):
            for body in (b"name=x", _chunks()):
                headers = {"Content-Type": form + charset}
                async with browser.http.post(chat.url + path, data=body, headers=headers) as done:
                    assert done.status == 400
                    assert "not UTF-8" in await done.text()
        headers = {"Content-Type": f"{form}UTF-8", "X-CSRF-Token": browser.token}
        data = b"name=caf%C3%A9&kind=public"
        async with browser.http.post(f"{chat.url}/rooms", data=data, headers=headers) as done:
            assert (done.status, (await done.json())["name"]) == (201, "caf\u00e9")


async def _chunks() -> AsyncIterator[bytes]:
    yield b"name=x"


async def test_another_keyboards_way_to_write_a_password_is_right(chat: Chat) -> None:
    with chat.database.writing() as session, session.begin():
        people.add(session, "Zoë", passwords.hashed("caf\u00e9 caf\u00e9"))
    async with chat.browser() as browser:
        assert (await browser.sign_in("ZOE\u0308", "cafe\u0301 cafe\u0301")).status == 303


async def test_an_old_hash_is_made_anew_at_the_next_sign_in(chat: Chat, monkeypatch) -> None:
    async with chat.browser("Ada"):
        pass
    monkeypatch.setattr(
        passwords, "_hasher", type(passwords._hasher)(time_cost=2, memory_cost=8, parallelism=1)
    )
    async with chat.browser("Ada"):
        with chat.database.session() as session:
            (user,) = session.query(User)
            assert ",t=2," in user.password
    async with chat.browser("Ada"):
        pass


@either_database
async def test_who_signs_in_while_the_password_is_changed_stays_out(
    chat: Chat, monkeypatch
) -> None:
    """Whoever sets another one, or disables somebody, signs out who has the one before."""
    ada_id = chat.add_user("Ada")
    verify = passwords.verify

    def change(session: Session) -> None:
        accounts.set_password(session, session.get_one(User, ada_id), "a hash")

    def disable(session: Session) -> None:
        accounts.disable(session, session.get_one(User, ada_id))

    for meanwhile in (disable, change):

        def slow(kept: str | None, password: str, meanwhile=meanwhile) -> bool:
            right = verify(kept, password)
            with chat.database.writing() as session, session.begin():
                meanwhile(session)
            return right

        async with chat.browser() as browser:
            with monkeypatch.context() as patch:
                patch.setattr(passwords, "verify", slow)
                assert (await browser.sign_in("Ada")).status == 400
        with chat.database.writing() as session, session.begin():
            assert session.query(SignIn).count() == 0
            accounts.enable(session, session.get_one(User, ada_id))
    with chat.database.session() as session:
        assert session.get_one(User, ada_id).password == "a hash"


async def test_who_guesses_has_to_wait_and_the_others_do_not(chat: Chat) -> None:
    chat.add_user("Ada")
    async with chat.browser() as browser:
        statuses = [(await browser.sign_in("Ada", f"guess {n}")).status for n in range(10)]
        assert statuses == [400] * 10
        refused = await browser.sign_in("ADA")
        assert refused.status == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 30
        assert "too often" in await refused.text()
        async with chat.browser("Grace"):
            pass


async def test_an_address_that_guesses_many_names_has_to_wait(chat: Chat) -> None:
    throttle = chat.app.registry.chat_throttle
    for _ in range(100):
        throttle.addresses.take("127.0.0.1")
    chat.add_user("Ada")
    async with chat.browser() as browser:
        assert (await browser.sign_in("Ada")).status == 429


async def test_accounts_are_not_made_by_the_hundred(chat: Chat) -> None:
    throttle = chat.app.registry.chat_throttle
    for _ in range(30):
        throttle.registrations.take("127.0.0.1")
    async with chat.browser() as browser:
        done = await browser.submit(
            "/register", name="One more", password=PASSWORD, password_again=PASSWORD
        )
        assert (done.status, "Too many accounts" in await done.text()) == (429, True)
        assert int(done.headers["Retry-After"]) > 0


async def test_whoever_guesses_elsewhere_keeps_nobody_out(chat: Chat) -> None:
    """Be it from so many addresses that the name has no tries left."""
    throttle = chat.app.registry.chat_throttle
    chat.add_user("Ada")
    for number in range(40):
        while not throttle.attempt("ada", f"192.0.2.{number}", None).wait:
            pass
    async with chat.browser("Ada"), chat.browser() as browser:
        guesses = 0
        while (await browser.sign_in("Ada", "a guess")).status == 400:
            guesses += 1
        # One, and more only where the machine is so slow that the name has tries again.
        assert 1 <= guesses < 10


async def test_a_browser_that_signed_in_before_is_known(chat: Chat) -> None:
    """Its cookie is signed, outlives the sign-in, and opens nothing but a bucket of its own."""
    throttle = chat.app.registry.chat_throttle
    async with chat.browser("Ada") as ada, chat.browser("Eve") as eve:
        for browser in (ada, eve):
            assert (await browser.post("/sign-out"))[0] == 303
        while not throttle.addresses.take("127.0.0.1"):
            pass
        assert (await ada.sign_in("Ada")).status == 303
        # Known, but not for Ada.
        assert (await eve.sign_in("Ada")).status == 429
        assert (await eve.sign_in("Eve")).status == 303
        assert (await eve.post("/sign-out"))[0] == 303
        (cookie,) = [each for each in eve.http.cookie_jar if each.key == "chat_device"]
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
        value = cookie.value
        forged = value[:10] + ("A" if value[10] != "A" else "B") + value[11:]
        eve.http.cookie_jar.update_cookies({"chat_device": forged}, URL(chat.url))
        assert (await eve.sign_in("Eve")).status == 429


async def test_a_browser_is_known_for_the_person_and_not_for_the_name(chat: Chat) -> None:
    """Else whoever had a name before could guess at, and lock out, whoever has it now."""
    throttle = chat.app.registry.chat_throttle
    async with chat.browser("Ada") as eve:
        with chat.database.writing() as session, session.begin():
            accounts.rename(session, people.find(session, "Ada"), "Eve")
        chat.add_user("Ada")
        assert (await eve.post("/sign-out"))[0] == 303
        while not throttle.addresses.take("127.0.0.1"):
            pass
        assert (await eve.sign_in("Ada")).status == 429
        assert (await eve.sign_in("Eve")).status == 303


async def test_a_browser_is_known_for_those_who_signed_in_last(chat: Chat) -> None:
    throttle = chat.app.registry.chat_throttle
    async with chat.browser("P0") as browser:
        for number in range(1, 11):
            chat.add_user(f"P{number}")
            assert (await browser.post("/sign-out"))[0] == 303
            assert (await browser.sign_in(f"P{number}")).status == 303
        assert (await browser.post("/sign-out"))[0] == 303
        while not throttle.addresses.take("127.0.0.1"):
            pass
        assert (await browser.sign_in("P0")).status == 429
        assert (await browser.sign_in("P1")).status == 303


async def test_too_many_hashes_are_told_as_what_they_are(chat: Chat, monkeypatch) -> None:
    """No form speaks of the database, and none of them was a guess."""
    chat.add_user("Ada")
    async with chat.browser() as browser:
        with monkeypatch.context() as full:
            full.setattr(passwords.Pool, "run", _no_room)
            for done in (
                *[await browser.sign_in("Ada") for _ in range(20)],
                await browser.submit(
                    "/register", name="Eve", password=PASSWORD, password_again=PASSWORD
                ),
            ):
                assert (done.status, done.headers["Retry-After"]) == (503, "2")
                assert "Too many people sign in" in await done.text()
        assert (await browser.sign_in("Ada")).status == 303
        with monkeypatch.context() as full:
            full.setattr(passwords.Pool, "run", _no_room)
            with chat.database.writing() as session, session.begin():
                token = accounts.make_reset_link(session, people.find(session, "Ada"))
            for path, fields in (
                ("/account/password", {"current": PASSWORD}),
                (f"/reset/{token}", {"password": PASSWORD, "password_again": PASSWORD}),
            ):
                status, page = await browser.post(path, **fields)
                assert (status, "Too many people sign in" in page) == (503, True), path


def _no_room(pool: passwords.Pool, function: object) -> None:
    raise passwords.PoolFull("too many passwords at once")


async def test_rooms_and_invitations_are_not_made_by_the_hundred(chat: Chat) -> None:
    # Whatever time a busy machine takes.
    chat.live.rooms.change(0.001, Live.ROOMS[1])
    async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
        for path, fields in (("/rooms", {"kind": "private"}), ("/direct", {"name": "Grace"})):
            for number in range(Live.ROOMS[1] + 1):
                status, answer = await ada.post(path, **{"name": f"Room {number}", **fields})
                if status == 429:
                    break
                assert status in (200, 201)
            assert status == 429, path
            assert "Go on in" in answer["error"]
            assert number >= 30 or path == "/direct"
        assert (await grace.post("/rooms", name="Mine"))[0] == 201


def test_a_password_is_looked_at_for_somebody_unknown_too(monkeypatch) -> None:
    """An answer that comes sooner would tell that there is nobody of that name."""
    looked: list[str] = []

    class Hasher:
        def verify(self, kept: str, password: bytes) -> bool:
            looked.append(kept.split("$")[1])
            return True

    kept = passwords.hashed(PASSWORD)
    monkeypatch.setattr(passwords, "_hasher", Hasher())
    assert passwords.verify(kept, "guess")
    assert not passwords.verify(None, "guess")
    assert looked == ["argon2id", "argon2id"]


def test_a_password_of_nobody_is_as_dear_as_a_new_one(monkeypatch) -> None:
    """By what argon2 recommends, which the other tests do without."""
    monkeypatch.undo()
    kept = passwords.hashed(PASSWORD)
    assert not passwords.is_outdated(kept)
    assert not passwords.is_outdated(passwords._NOBODY)
    assert passwords.verify(kept, PASSWORD)
    assert not passwords.verify(kept, "guess")


@pytest.mark.parametrize("cookie", ["", "chat_session=forged", "chat_session=" + "A" * 200])
async def test_who_may_not_view_gets_neither_page_nor_connection(chat: Chat, cookie: str) -> None:
    """The same permission guards the page and the handshake."""
    headers = {"Cookie": cookie} if cookie else {}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{chat.url}/chat", headers=headers, allow_redirects=False) as response:
            assert response.status == 303
        for path in ("/rooms", "/people", "/session"):
            async with http.get(chat.url + path, headers=headers) as response:
                assert response.status == 401
                assert (await response.json())["error"]
    with pytest.raises(HandshakeError) as refused:
        await connect(f"{chat.url}/chat", headers=headers)
    assert refused.value.status == 401
    async with connect(f"{chat.url}/chat", transport="xhr-polling", headers=headers) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
    assert closed.value.code == 4401


async def test_a_session_that_holds_nonsense_is_nobodys(chat: Chat, monkeypatch) -> None:
    monkeypatch.setattr("pyramid_chat.people.sign_in", lambda *arguments: ["no", "string"])
    chat.add_user("Ada")
    async with chat.browser() as browser:
        data = {"name": "Ada", "password": PASSWORD}
        _, page = await browser.get("/sign-in")
        data["csrf_token"] = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        async with browser.http.post(
            f"{chat.url}/sign-in", data=data, allow_redirects=False
        ) as response:
            assert response.status == 303
        assert (await browser.get("/session"))[0] == 401


@pytest.mark.parametrize("path", ["/nothing", "/rooms/abc", "/rooms/1/shout", "/rooms/-1"])
async def test_a_page_that_is_not_there_is_not_found(chat: Chat, path: str) -> None:
    async with chat.browser("Ada") as browser:
        status, page = await browser.get(path)
        assert status == 404
        assert "There is no such page" in page


async def test_the_chat_answers_no_other_method_as_the_page_does(chat: Chat) -> None:
    async with chat.browser("Ada") as browser:
        assert (await browser.post("/chat"))[0] in (404, 405)


async def test_people_are_found_by_a_part_of_their_names(chat: Chat) -> None:
    for name in ("Grace", "Großmutter", "100%", "a_b"):
        chat.add_user(name)
    async with chat.browser("Ada") as browser:
        for words, names in (
            ("gr", ["Grace", "Großmutter"]),
            ("GROSS", ["Großmutter"]),
            ("%", ["100%"]),
            ("_", ["a_b"]),
            ("zzz", []),
        ):
            _, found = await browser.get("/people", params={"q": words})
            assert [person["name"] for person in found["people"]] == names
            assert not any(person["online"] for person in found["people"])
        _, everybody = await browser.get("/people")
        assert len(everybody["people"]) == 5


async def test_requests_of_one_person_are_limited(start: Start, monkeypatch) -> None:
    monkeypatch.setattr(Live, "REQUESTS", (1, 1))
    with start() as chat:
        async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
            assert (await ada.get("/rooms"))[0] == 200
            for status, answer in (await ada.get("/people"), await ada.post("/rooms", name="x")):
                assert (status, "too much" in answer["error"]) == (429, True)
            assert (await grace.get("/rooms"))[0] == 200


async def test_changes_that_others_hear_are_limited_as_messages_are(start: Start) -> None:
    with start(chat__messages_per_minute="1", chat__message_burst="3") as chat:
        async with chat.browser("Ada") as ada, chat.browser("Grace") as grace:
            _, room = await grace.post("/rooms", name="Attic")
            path = f"/rooms/{room['id']}"
            for action, fields in (("join", {}), ("edit", {"topic": "x"}), ("leave", {})):
                assert (await ada.post(f"{path}/{action}", **fields))[0] == 200
            status, answer = await ada.post(f"{path}/join")
            assert (status, "too much" in answer["error"]) == (429, True)
            assert (await grace.post(f"{path}/edit", topic="y"))[0] == 200


async def test_connections_of_one_person_are_limited(start: Start, monkeypatch) -> None:
    """Its page comes back; nobody else notices."""
    monkeypatch.setattr(Live, "CONNECTIONS", (1, 2))
    with start() as chat:
        async with chat.browser("Ada") as ada, chat.visit("Grace") as grace:
            for _ in range(2):
                async with ada.connect():
                    pass
            headers = {"Cookie": ada.cookie}
            async with connect(f"{chat.url}/chat", headers=headers) as refused:
                with pytest.raises(ConnectionClosed) as closed:
                    await refused.recv()
            assert closed.value.code == 4503
            assert (await grace.say("on"))["type"] == "message"
