"""Somebody is mentioned while they look at another room, which they have muted or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.chromium import Chromium
from tests.e2e.conftest import Serve
from tests.e2e.conversation import meet
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, Server
from tests.e2e.test_looks import FITS, PICTURES, assert_in_view, picture, show

# Notifications that are allowed and wanted, in place of those of the browser.
NOTIFICATIONS = """
window.notified = [];
window.Notification = class extends EventTarget {
    static permission = "granted";
    constructor(title) { super(); window.notified.push(title); }
};
localStorage.setItem(`chat.${document.body.dataset.userId}.notify`, "true");
"""


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
def grace(
    browser: Chromium | Firefox, browsers: list[ChatPage], server: Server
) -> Iterator[ChatPage]:
    """Grace's page in one of the browsers; that Chromium itself is Ada's."""
    if isinstance(browser, Chromium):
        yield browsers[1]
        return
    browser.errors()
    page = ChatPage(browser, "Grace", PATIENCE)
    yield page
    assert not page.errors()
    browser.delete_all_cookies()


def press(page: ChatPage, selector: str) -> None:
    """Press a button, or follow a link, as soon as it is to be seen."""
    page.until(lambda: page.shows(selector), selector)
    page.script("document.querySelector(arguments[0]).click()", selector)


def listed(page: ChatPage, room: int) -> dict[str, bool | str]:
    """Return what the list of rooms shows of a room."""
    found: dict[str, bool | str] = page.script(
        "const link = document.querySelector(arguments[0]);"
        "const text = (part) => link.querySelector(part)?.firstChild.textContent ?? '';"
        "return { muted: link.querySelector('.muted-sign') !== null,"
        " mentions: text('.mention-count'),"
        " unread: link.querySelector('.unread').hidden ? '' : text('.unread') }",
        f"#rooms a.room[data-room='{room}']",
    )
    return found


def open_list(page: ChatPage) -> list[str]:
    """Open the list of mentions; returns what its entries say."""
    press(page, "#mentions")
    page.until(lambda: page.text("#mentions-note") != "Loading…", "the list of mentions")
    found: list[str] = page.script(
        "return [...document.querySelectorAll('#mentions-list a')].map((link) => link.textContent)"
    )
    return found


def test_a_mention_reaches_who_looks_elsewhere(
    browsers: list[ChatPage], grace: ChatPage, server: Server
) -> None:
    """Muted or not; what else is said in a muted room makes no noise, also after a reload."""
    ada, _ = browsers
    lobby = server.room("Lobby")
    elsewhere = next(
        room for (room,) in server.query("SELECT room_id FROM membership WHERE user_id = ?",
                                         server.user("Grace")) if room != lobby)  # fmt: skip
    for page in (ada, grace):
        page.open(f"{server.url}/rooms/{lobby}")
        page.until_connected()
    grace.script("document.querySelector('#room-menu').open = true")
    press(grace, "#mute-room")
    grace.until(lambda: grace.shows("#room-muted"), "that the room is muted")
    grace.driver.get(f"{server.url}/rooms/{elsewhere}")
    grace.until_connected()
    grace.until(lambda: listed(grace, lobby)["muted"], "that the room is muted still")
    grace.script(NOTIFICATIONS)

    ada.say("not of your concern")
    grace.until(lambda: listed(grace, lobby)["unread"] == "1", "one unread message")
    ada.focus("#text")
    ada.driver.press(*"hello @gra")
    ada.until(lambda: ada.shows("#mention-people [data-name=Grace]"), "Grace's name")
    ada.driver.press(Keys.ENTER)
    assert ada.script("return document.querySelector('#text').value") == "hello @Grace "
    ada.driver.press(*"look!", Keys.ENTER)
    grace.until(lambda: listed(grace, lobby)["mentions"] == "@1", "the mention")
    assert listed(grace, lobby) == {"muted": True, "mentions": "@1", "unread": "2"}
    assert grace.script("return window.notified") == ["Ada mentioned you in Lobby"]
    assert grace.script("return document.title").startswith("(1) ")
    assert "Ada mentioned you" in grace.text("#announcer")
    grace.script("document.querySelector('#room-menu').open = false")

    (entry,) = open_list(grace)
    assert "in Lobby" in entry and "hello @Grace look!" in entry and "not read yet" in entry
    press(grace, "#mentions-list a")
    grace.until(lambda: grace.has("#log .mentioned .mention.mine"), "the message, and its mark")
    assert "mentions you" in grace.text("#log .mentioned .foot")
    grace.until(lambda: listed(grace, lobby)["mentions"] == "", "that it is read")
    (entry,) = open_list(grace)
    assert "not read yet" not in entry
    press(grace, "#mentions-dialog .cancel")

    # Who wrote it sees whom it means, and takes it back.
    ada.until(lambda: ada.has("#log .own .mention"), "the mark")
    assert not ada.has("#log .mentioned")
    press(ada, "#log .own:last-child .edit")
    ada.until(lambda: ada.shows("#editing"), "the message in the field")
    ada.write("#text", "hello all", Keys.ENTER)
    grace.until_said("hello all")
    assert not grace.has("#log .mention")
    assert open_list(grace) == []


def test_how_it_looks(browsers: list[ChatPage], server: Server) -> None:
    """Marks, suggestions and the list of mentions fit on every screen, in light and dark."""
    lobby = server.room("Lobby")
    server.change("UPDATE membership SET muted = 1 WHERE room_id = ?", lobby)
    ada, grace = meet(browsers, f"{server.url}/rooms/{lobby}")
    said = ("@Ada, and nobody called @Adam", "word " * 80 + "@Ada")
    grace.say(*said)
    ada.until_said(*said)
    assert ada.has("#log .mention.mine")
    ada.focus("#text")
    ada.driver.press("@")
    ada.until(lambda: ada.shows("#mention-people"), "the people")
    for size, scheme in PICTURES:
        show(ada, size, scheme)
        assert ada.script(FITS) == [0, 0, 0]
        assert_in_view(ada, "#mention-people", "#text", "#room-muted")
        picture(ada, f"mentions-{size}-{scheme}")
    ada.driver.press(Keys.ESCAPE)
    show(ada, "desktop", "light")
    open_list(ada)
    ada.until(lambda: ada.has("#mentions-list a"), "the mentions")
    for size, scheme in PICTURES:
        show(ada, size, scheme)
        assert ada.script(FITS)[0] == 0
        assert_in_view(ada, "#mentions-dialog", "#mentions-dialog .cancel")
        picture(ada, f"mention-list-{size}-{scheme}")
