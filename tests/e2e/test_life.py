"""What browsers and their users do to a page: reload it, leave it, put it to sleep, sign out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.conversation import assert_complete, meet
from tests.e2e.page import ChatPage
from tests.e2e.server import PLENTY, Server
from tests.selection import FULL

LOST = r"net::ERR_|WebSocket connection to '\S+' failed"


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


def lobby(server: Server) -> str:
    return f"{server.url}/rooms/{server.room('Lobby')}"


def add_messages(server: Server, room: int, count: int) -> list[str]:
    """Write messages of Grace into the database, and return all texts of the room."""
    ((version,),) = server.query("SELECT version FROM room WHERE id = ?", room)
    grace = server.user("Grace")
    for number in range(version + 1, version + count + 1):
        server.change(
            "INSERT INTO message (room_id, number, version, author_id, key, text, created, deleted)"
            " VALUES (?, ?, ?, ?, ?, ?, '2026-01-02 03:04:05.000000', 0)",
            *(room, number, number, grace, f"added-{number}", f"old message {number}"),
        )
    server.change("UPDATE room SET version = version + ? WHERE id = ?", count, room)
    return [text for _, _, text in server.messages(room)]


def test_history_loads_backwards(browsers: list[ChatPage], server: Server) -> None:
    """Page by page as one scrolls up, to the very first message, none missing and none twice."""
    ada, _ = browsers
    texts = add_messages(server, server.room("Lobby"), 180)
    ada.open(lobby(server))
    ada.until_said(texts[-1])
    while len(ada.texts()) < len(texts):
        before = len(ada.texts())
        assert ada.texts() == texts[-before:]
        ada.script("document.querySelector('#scroller').scrollTop = 0")
        ada.until(lambda before=before: len(ada.texts()) > before, "earlier messages")
    assert ada.texts() == texts
    ada.until(lambda: ada.shows("#beginning"), "that this is the beginning")


def test_reload(browsers: list[ChatPage], server: Server) -> None:
    """A reload in the middle of a conversation loses nothing; the draft is still there."""
    ada, grace = meet(browsers, lobby(server))
    grace.post([f"Grace {number}" for number in range(30)], 50)
    ada.until_said("Grace 5")
    ada.post([f"Ada {number}" for number in range(10)], 0)
    ada.until(lambda: ada.script("return !window.posting"), "the end of its post")
    ada.focus("#text")
    ada.driver.press("a draft")
    ada.driver.refresh()
    ada.until_connected()
    for page in browsers:
        page.until_said("Grace 29", "Ada 9")
    for page in browsers:
        page.until(lambda page=page: all(m["number"] for m in page.messages()), "confirmed")
    assert_complete(browsers, server, server.room("Lobby"))
    mine = [text for _, name, text in server.messages(server.room("Lobby")) if name == "Ada"]
    assert mine[-10:] == [f"Ada {number}" for number in range(10)]
    assert ada.script("return document.querySelector('#text').value") == "a draft"


def test_back_forward_cache(browsers: list[ChatPage], server: Server) -> None:
    """The page gives its connection up when it is left, and goes on when it comes back."""
    ada, grace = meet(browsers, lobby(server))
    ada.script(
        "window.persisted = [];"
        "addEventListener('pageshow', (event) => window.persisted.push(event.persisted));"
    )
    ada.say("before")
    grace.until_said("before")
    ada.driver.get("about:blank")
    user = server.user("Ada")
    grace.until(lambda: grace.online(user) is False, "that Ada has left")
    grace.say("meanwhile")
    grace.until(lambda: grace.message("meanwhile")["number"], "that it is confirmed")
    ada.chromium.back()
    ada.until(lambda: ada.script("return window.persisted ?? null") == [True], "the same page")
    ada.until_connected()
    ada.until_said("meanwhile")
    ada.say("after")
    grace.until_said("after")
    assert_complete(browsers, server, server.room("Lobby"))
    grace.until(lambda: grace.online(user), "that Ada is back")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "transport", ["xhr-streaming", pytest.param("websocket", marks=pytest.mark.full)]
)
def test_a_laptop_sleeps(browsers: list[ChatPage], serve: Serve, transport: str) -> None:
    """Offline: the page says so, keeps what is typed, and catches up when the network is back.

    It sleeps until the others see so; in the full run for a minute.
    """
    server = serve({**PLENTY, "sockjs.heartbeat_delay": "5" if FULL else "1"})
    ada, grace = meet(browsers, f"{lobby(server)}?transport={transport}", transport)
    ada.say("before")
    grace.until_said("before")
    ada.expect_errors(LOST)
    ada.chromium.go_offline()
    began = time.monotonic()
    ada.until(lambda: ada.state == "offline", "that it is offline")
    ada.say("typed while offline")
    ada.until(lambda: ada.state_of("typed while offline") == "waiting", "that it waits")
    assert ada.asks_before_leaving
    ada.screenshot(SCREENSHOTS / "offline.png")
    user = server.user("Ada")
    grace.until(lambda: grace.online(user) is False, "that Ada has gone", 60)
    grace.post([f"meanwhile {number}" for number in range(60)])
    grace.until_said("meanwhile 59")
    if FULL:
        time.sleep(max(began + 60 - time.monotonic(), 0))
    assert "typed while offline" not in [text for _, _, text in server.messages(1)]
    ada.chromium.go_offline(False)
    ada.until_connected()
    for page in browsers:
        page.until_said("typed while offline", "meanwhile 0", "meanwhile 59")
    ada.until(lambda: all(m["number"] for m in ada.messages()), "confirmed")
    assert not ada.asks_before_leaving
    assert_complete(browsers, server, server.room("Lobby"))
    stored = [text for _, _, text in server.messages(server.room("Lobby"))]
    assert stored.count("typed while offline") == 1


@contextmanager
def second_tab(page: ChatPage, url: str) -> Iterator[tuple[str, str]]:
    """Open a tab of the same person; gives the handles of both."""
    driver = page.chromium
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    second = driver.current_window_handle
    page.open(url)
    page.until_connected()
    yield first, second
    driver.switch_to.window(second)
    driver.close()
    driver.switch_to.window(first)


def unread(page: ChatPage, room: int) -> int:
    found: int = next(listed for listed in page.rooms() if listed["id"] == room)["unread"]
    return found


def test_two_tabs_of_one_person(browsers: list[ChatPage], server: Server) -> None:
    """One presence, the same messages and the same unread counts in both."""
    ada, grace = browsers
    other = server.query(
        "SELECT room_id FROM membership JOIN room ON room.id = room_id"
        " WHERE user_id = ? AND kind = 'private'",
        server.user("Ada"),
    )[0][0]
    grace.open(lobby(server))
    grace.until_connected()
    user = server.user("Ada")
    grace.until(lambda: grace.online(user) is False, "that Ada is not here")
    ada.open(lobby(server))
    ada.until_connected()
    grace.until(lambda: grace.online(user), "that Ada is here")
    with second_tab(ada, lobby(server)) as (first, second):
        switch = ada.chromium.switch_to.window
        ada.say("from the second tab")
        grace.until_said("from the second tab")
        switch(first)
        ada.until_said("from the second tab")
        grace.choose_room(other)
        grace.say("one", "two")
        for handle in (first, second):
            switch(handle)
            ada.until(lambda: unread(ada, other) == 2, "two unread messages")
        ada.choose_room(other)
        ada.until_said("one", "two")
        for handle in (second, first):
            switch(handle)
            ada.until(lambda: unread(ada, other) == 0, "that all is read")
        grace.choose_room(server.room("Lobby"))
        switch(second)
    # One tab of the two is closed: she is still here.
    ada.say("still here")
    grace.until_said("still here")
    assert grace.online(user) is True
    ada.driver.get("about:blank")
    grace.until(lambda: grace.online(user) is False, "that Ada has left")


@pytest.mark.parametrize(
    "transport", ["websocket", pytest.param("xhr-polling", marks=pytest.mark.full)]
)
def test_cookies_cleared_in_mid_session(
    browsers: list[ChatPage], server: Server, transport: str
) -> None:
    """The page says that one is signed out, keeps what is typed, and a new sign-in goes on."""
    ada, grace = browsers
    url = f"{lobby(server)}?transport={transport}"
    ada.open(url)
    ada.until_connected(transport)
    grace.open(lobby(server))
    grace.until_connected()
    ada.focus("#text")
    ada.driver.press("half a sentence")
    ada.expect_errors(rf"{LOST}|40[13] \(")
    ada.chromium.forget_cookies()
    # The cookies are asked for when a connection is made.
    ada.chromium.go_offline()
    ada.until(lambda: ada.state != "open", "that the connection is lost")
    ada.chromium.go_offline(False)
    ada.until(lambda: ada.state == "stopped", "that it is given up")
    ada.until(lambda: ada.shows("#sign-in-again"), "a link to sign in")
    assert "signed out" in ada.text("#status-text")
    ada.screenshot(SCREENSHOTS / "signed-out.png")
    assert ada.script("return document.querySelector('#text').value") == "half a sentence"
    ada.click("#sign-in-again")
    ada.sign_in()
    ada.until(lambda: ada.has("#say"), "the chat")
    ada.until_connected()
    assert ada.room == server.room("Lobby")
    assert ada.script("return document.querySelector('#text').value") == "half a sentence"
    ada.say(" and the rest of it")
    grace.until_said("half a sentence and the rest of it")


def test_signing_out_ends_all_tabs(browsers: list[ChatPage], server: Server) -> None:
    """The other tabs say so, and the way back asks for the password."""
    ada, grace = browsers
    ada.open(lobby(server))
    ada.until_connected()
    grace.open(lobby(server))
    grace.until_connected()
    user = server.user("Ada")
    grace.until(lambda: grace.online(user), "that Ada is here")
    with second_tab(ada, lobby(server)) as (first, second):
        ada.click("#sign-out")
        ada.until(lambda: ada.has("#sign-in"), "the form to sign in")
        ada.chromium.switch_to.window(first)
        ada.until(lambda: ada.state == "stopped", "that it is given up")
        assert "signed out" in ada.text("#status-text")
        ada.chromium.switch_to.window(second)
        ada.driver.get(lobby(server))
        ada.until(lambda: ada.has("#sign-in"), "the form to sign in")
    grace.until(lambda: grace.online(user) is False, "that Ada has left")


def test_back_after_signing_out_shows_nothing(browsers: list[ChatPage], server: Server) -> None:
    """Neither the conversation nor what was typed is left for who comes next."""
    ada = browsers[0]
    ada.open(lobby(server))
    ada.until_connected()
    ada.focus("#text")
    ada.driver.press("not for everybody")
    ada.until(lambda: "not for" in ada.script("return JSON.stringify(sessionStorage)"), "a draft")
    # Who is back on the page by the browser's memory tries to connect, by either way.
    ada.expect_errors(r"401 \(|HTTP Authentication failed")
    ada.click("#sign-out")
    ada.until(lambda: ada.has("#sign-in"), "the form to sign in")
    assert ada.script("return sessionStorage.length") == 0
    ada.script("window.before = true")
    ada.chromium.back()
    ada.until(lambda: not ada.script("return window.before"), "another page")
    ada.until(lambda: ada.has("#sign-in"), "the form again")


def test_another_transport_is_forced(browsers: list[ChatPage], server: Server) -> None:
    """By the panel, which shows it with its round-trip time; the tab remembers it."""
    ada, grace = meet(browsers, lobby(server), "websocket")
    for transport in ("xhr-polling", "xhr-streaming"):
        ada.force(transport)
        ada.until_connected(transport)
        ada.until(lambda: ada.text("#rtt").endswith(" ms"), "a round-trip time")
        ada.say(f"over {transport}")
        grace.until_said(f"over {transport}")
    ada.driver.refresh()
    ada.until_connected("xhr-streaming")
    ada.force("")
    ada.until_connected("websocket")
    assert_complete([ada], server, server.room("Lobby"))
