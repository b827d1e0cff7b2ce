"""A server that is killed, and a database that is away: the pages recover by themselves."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.conversation import LONG, assert_complete, meet
from tests.e2e.page import ChatPage
from tests.e2e.server import PLENTY

GONE = r"net::ERR_|WebSocket connection to '\S+' failed|/chat/|/session"

WATCH_ROWS = """
window.removed = 0;
new MutationObserver((records) => {
    for (const { removedNodes } of records) window.removed += removedNodes.length;
}).observe(document.querySelector("#log"), { childList: true, subtree: true });
"""


@pytest.mark.parametrize(
    "transport",
    ["websocket", pytest.param("xhr-streaming", marks=pytest.mark.full), "xhr-polling"],
)
def test_killed_in_the_middle_of_a_conversation(
    browsers: list[ChatPage], serve: Serve, transport: str
) -> None:
    """Nothing that was confirmed is lost, and what was on its way goes out once."""
    server = serve(PLENTY)
    room = server.room("Lobby")
    ada, grace = meet(browsers, f"{server.url}/rooms/{room}?transport={transport}", transport)
    said = {page.owner: [f"{page.owner} {number}" for number in range(20)] for page in browsers}
    for page in browsers:
        page.expect_errors(GONE)
        page.post(said[page.owner], 100)
    grace.until_said("Ada 4")
    confirmed = [
        message["text"]
        for page in browsers
        for message in page.messages()
        if message["number"] and message["name"] == page.owner
    ]
    server.kill()
    for page in browsers:
        page.until(lambda page=page: page.state == "lost", "that the connection is lost")
    assert {text for _, _, text in server.messages(room)} >= set(confirmed)
    ada.until(lambda: ada.script("return !window.posting"), "the end of its post")
    ada.say("Ada, typed meanwhile")
    ada.until(lambda: ada.state_of("Ada, typed meanwhile") == "waiting", "that it waits")
    if transport == "websocket":
        ada.screenshot(SCREENSHOTS / "reconnecting.png")
    server.start()
    for page in browsers:
        page.until_connected(transport, LONG)
    everything = [*said["Ada"], "Ada, typed meanwhile", *said["Grace"]]
    for page in browsers:
        page.until_said(*everything, patience=LONG)
        page.until(lambda page=page: all(m["number"] for m in page.messages()), "confirmed")
    assert_complete(browsers, server, room)
    stored = [(name, text) for _, name, text in server.messages(room)]
    for name in ("Ada", "Grace"):
        texts = [text for author, text in stored if author == name and text in everything]
        assert texts == [text for text in everything if text.startswith(name)]


def test_a_locked_database_is_waited_for(browsers: list[ChatPage], serve: Serve) -> None:
    """What is said meanwhile is refused for now, and goes out once when the lock is off."""
    server = serve(PLENTY)
    room = server.room("Lobby")
    ada, grace = meet(browsers, f"{server.url}/rooms/{room}")
    ada.say("before")
    grace.until_said("before")
    with closing(sqlite3.connect(server.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        ada.say("said while it is locked")
        ada.until(lambda: ada.state_of("said while it is locked") == "waiting", "that it waits")
        assert ada.message("said while it is locked")["reason"]
        ada.screenshot(SCREENSHOTS / "database-locked.png")
        # As long as the promise says; the page tries again meanwhile.
        ada.until(lambda: time.monotonic() - began > 10, "the end of ten seconds")
        assert ada.state_of("said while it is locked") in ("waiting", "sending")
        assert ada.state == grace.state == "open"
        other.execute("ROLLBACK")
    for page in browsers:
        page.until_said("said while it is locked")
    grace.say("after")
    ada.until_said("after")
    grace.until(lambda: grace.message("after")["number"], "that it is confirmed")
    assert_complete(browsers, server, room)
    stored = [text for _, _, text in server.messages(room)]
    assert stored[-3:] == ["before", "said while it is locked", "after"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_leaves_the_conversation_as_it_is(
    browsers: list[ChatPage], serve: Serve, end: str
) -> None:
    """No row goes, comes or is drawn anew but for what is said afterwards."""
    server = serve(PLENTY)
    room = server.room("Lobby")
    ada, grace = meet(browsers, f"{server.url}/rooms/{room}")
    ada.say("before")
    for page in browsers:
        page.expect_errors(GONE)
        page.until_said("before")
        page.script(WATCH_ROWS)
        page.script("window.rows = document.querySelector('#log').children.length")
    getattr(server, end)()
    for page in browsers:
        page.until(lambda page=page: page.state == "lost", "that the session is over")
    server.start()
    for page in browsers:
        page.until_connected(patience=LONG)
    grace.say("after")
    ada.until_said("after")
    assert ada.script("return window.removed") == 0
    assert ada.script("return document.querySelector('#log').children.length - rows") == 1
    assert_complete([ada], server, room)
