"""Reactions below messages, and links that invite to a room, as people use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.chromium import Chromium
from tests.e2e.conftest import Serve
from tests.e2e.conversation import meet
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, PLENTY, Server
from tests.e2e.test_looks import (
    END_IN_VIEW,
    FITS,
    PICTURES,
    assert_in_view,
    picture,
    show,
)
from tests.e2e.test_messages import row

THUMB, PARTY, CRAB = "\N{THUMBS UP SIGN}", "\N{PARTY POPPER}", "\N{CRAB}"

REACTIONS = """
return [...document.querySelectorAll(arguments[0] + " .reaction")].map((button) => [
    button.querySelector(".emoji").textContent, Number(button.querySelector(".count").textContent),
    button.getAttribute("aria-pressed") === "true", button.title,
]);
"""
CHOOSE = "#react-choices button[title='%s']"


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


@pytest.fixture
def alone(browser: Chromium | Firefox, server: Server) -> Iterator[ChatPage]:
    """Ada's page, in Chromium or Firefox."""
    browser.errors()
    page = ChatPage(browser, "Ada", PATIENCE)
    page.open(f"{server.url}/rooms/{server.room('Lobby')}")
    page.until_connected()
    yield page
    assert not page.errors()
    browser.delete_all_cookies()


def reactions(page: ChatPage, message: str) -> list[tuple[str, int, bool, str]]:
    """Return what stands below a message: emoji, count, whether one's own is there, whose."""
    return [tuple(reaction) for reaction in page.script(REACTIONS, message)]


def until_reacted(page: ChatPage, message: str, *wanted: tuple[str, int, bool, str]) -> None:
    """Wait until these stand below a message, and nothing else."""
    page.until(lambda: reactions(page, message) == list(wanted), f"{wanted}")


def press(page: ChatPage, selector: str) -> None:
    """Press a button that is there, be it in view or not, in any browser."""
    page.script("document.querySelector(arguments[0]).click()", selector)


def pictures(page: ChatPage, name: str, *selectors: str) -> None:
    """Assert that the page fits on every screen, in light and dark, and keep pictures of it."""
    for size, scheme in PICTURES:
        show(page, size, scheme)
        page.until(lambda: page.script(FITS)[0] == 0, f"that it fits on a {size} screen")
        assert_in_view(page, *selectors)
        picture(page, f"{name}-{size}-{scheme}")
    show(page, "desktop", "light")


def test_two_people_react(browsers: list[ChatPage], server: Server) -> None:
    """Both see the same at once, offline and after a reload; nobody's log jumps."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.say(*(f"line {number}" for number in range(30)), "We ship today")
    grace.until_said("We ship today")
    message = row(grace, "We ship today")
    grace.click(f"{message} .react")
    assert grace.script("return document.activeElement.closest('dialog')?.id") == "react-dialog"
    grace.click(CHOOSE % "Thumbs up")
    until_reacted(grace, message, (THUMB, 1, True, "You"))
    until_reacted(ada, message, (THUMB, 1, False, "Grace"))
    # The end stays in view where the reader is there.
    for page in browsers:
        page.until(lambda page=page: page.script(END_IN_VIEW), "the end")
    # By the keyboard alone: Tab stops at the newest message, and any emoji can be written.
    ada.focus(f"{message} .reaction")
    ada.driver.press(Keys.ENTER)
    until_reacted(ada, message, (THUMB, 2, True, "You and Grace"))
    ada.focus(f"{message} .react")
    ada.driver.press(Keys.ENTER)
    ada.until(lambda: ada.shows("#react-dialog"), "the dialog")
    # ChromeDriver types no character beyond the first plane.
    ada.script("document.querySelector('#react-emoji').value = arguments[0]", CRAB)
    ada.focus("#react-emoji")
    ada.driver.press(Keys.ENTER)
    until_reacted(ada, message, (THUMB, 2, True, "You and Grace"), (CRAB, 1, True, "You"))
    assert ada.script("return document.activeElement.closest('.message') !== null")
    # A reader further up stays where they are.
    first = row(grace, "line 0")
    for page in browsers:
        page.until(lambda page=page: page.has(f"{first} .bubble"), "the first line")
    ada.script("document.querySelector('#scroller').scrollTop = 0")
    place = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    before = ada.script(place, first)
    press(grace, f"{message} .react")
    grace.click(CHOOSE % "Party")
    both = [(THUMB, 2, True, "You and Ada"), (CRAB, 1, False, "Ada"), (PARTY, 1, True, "You")]
    until_reacted(grace, message, *both)
    ada.until(lambda: len(reactions(ada, message)) == 3, "the third one")
    assert ada.script(place, first) == before
    # Offline: what was toggled last is sent once, when the connection is back.
    grace.chromium.go_offline()
    party = f"{message} .reaction[data-emoji='{PARTY}']"
    press(grace, party)
    until_reacted(grace, message, *both[:2])
    press(grace, f"{message} .react")
    grace.click(CHOOSE % "Party")
    until_reacted(grace, message, *both)
    press(grace, party)
    until_reacted(grace, message, *both[:2])
    grace.chromium.go_offline(False)
    grace.until_connected()
    until_reacted(ada, message, (THUMB, 2, True, "You and Grace"), (CRAB, 1, True, "You"))
    assert server.query("SELECT count(*) FROM reaction") == [(3,)]
    for page in browsers:
        page.driver.get(f"{server.url}/rooms/{server.room('Lobby')}")
        page.until_connected()
        page.until_said("We ship today")
    until_reacted(grace, message, *both[:2])
    until_reacted(ada, message, (THUMB, 2, True, "You and Grace"), (CRAB, 1, True, "You"))
    press(grace, f"{message} .react")
    pictures(grace, "react", "#react-dialog", "#react-emoji")
    grace.driver.press(Keys.ESCAPE)
    pictures(grace, "reactions", "#text")
    # With the message they go.
    ada.click(f"{message} .delete")
    ada.click("#delete-ok")
    for page in browsers:
        until_reacted(page, message)
    assert server.query("SELECT count(*) FROM reaction") == [(0,)]


def test_somebody_joins_by_a_link(browsers: list[ChatPage], server: Server) -> None:
    """It is made in the room's menu, opened by somebody else, and ended."""
    server.change("UPDATE users SET admin = 1 WHERE name = 'Ada'")
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.click("#new-room")
    ada.write("#room-dialog-name", "Plans")
    ada.click("#room-dialog-private")
    ada.click("#room-dialog-ok")
    ada.until(lambda: ada.text("#room-name") == "Plans", "the room")
    ada.click("#room-menu summary")
    ada.click("#room-invitations")
    ada.until(lambda: ada.shows("#invitations-admits"), "what administrators may")
    ada.write("#invitations-uses", "many", Keys.ENTER)
    ada.until(lambda: "from 1 to 1000" in ada.text("#invitations-error"), "what is wrong")
    ada.expect_errors("400")
    ada.write("#invitations-uses", "5", Keys.ENTER)
    ada.until(lambda: ada.shows("#invitations-url"), "the link")
    ada.until(lambda: "used by 0 of 5" in ada.text("#invitations-list"), "the link in the list")
    ada.click("#invitations-copy")
    ada.until(lambda: ada.text("#invitations-note") != "The link is made.", "that it is copied")
    pictures(ada, "invitations", "#invitations-dialog", "#invitations-url", "#invitations-copy")
    url = ada.script("return document.querySelector('#invitations-url').value")
    assert url.startswith(f"{server.url}/invitation/")
    # Somebody who is signed out signs in on the way.
    grace.driver.delete_all_cookies()
    grace.driver.get(url)
    grace.until(lambda: grace.has("#to-sign-in"), "the invitation")
    pictures(grace, "invitation-signed-out", "#to-sign-in", "#to-register")
    grace.click("#to-sign-in")
    grace.until(lambda: grace.has("#sign-in"), "the form")
    grace.sign_in()
    grace.until(lambda: grace.has("#join"), "the invitation")
    assert "Ada invites you to the room Plans" in grace.text("#invitation")
    pictures(grace, "invitation", "#join")
    grace.click("#join")
    grace.until_connected()
    assert grace.text("#room-name") == "Plans"
    grace.say("Here I am")
    ada.driver.press(Keys.ESCAPE)
    ada.until_said("Here I am")
    ada.click("#room-menu summary")
    ada.click("#room-invitations")
    ada.until(lambda: "used by 1 of 5" in ada.text("#invitations-list"), "that it was used")
    ada.click("#invitations-list button")
    ada.until(lambda: not ada.has("#invitations-list li"), "that it is ended")
    grace.click("#room-menu summary")
    grace.click("#leave-room")
    grace.click("#leave-ok")
    grace.until(lambda: grace.text("#room-name") != "Plans", "another room")
    grace.expect_errors("404")
    grace.driver.get(url)
    grace.until(lambda: "is not valid" in grace.text("main"), "that it leads nowhere")
    assert "Plans" not in grace.script("return document.body.textContent")
    pictures(grace, "invitation-over", "main a.primary")


def test_both_in_each_browser(alone: ChatPage, server: Server) -> None:
    """Chosen, toggled and kept; a link is made and leads to the room."""
    alone.say("Hello")
    alone.until_said("Hello")
    message = row(alone, "Hello")
    press(alone, f"{message} .react")
    alone.until(lambda: alone.shows("#react-dialog"), "the dialog")
    alone.script("document.querySelector('#react-emoji').value = 'ab'")
    alone.focus("#react-emoji")
    alone.driver.press(Keys.ENTER)
    alone.until(lambda: alone.text("#react-error") == "A reaction is one emoji.", "what is wrong")
    alone.script("document.querySelector('#react-emoji').value = arguments[0]", CRAB)
    alone.focus("#react-emoji")
    alone.driver.press(Keys.ENTER)
    until_reacted(alone, message, (CRAB, 1, True, "You"))
    alone.until(lambda: server.query("SELECT emoji FROM reaction") == [(CRAB,)], "it is kept")
    press(alone, f"{message} .reaction")
    until_reacted(alone, message)
    alone.until(lambda: server.query("SELECT emoji FROM reaction") == [], "it is gone")
    press(alone, "#room-invitations")
    alone.until(lambda: alone.shows("#invitations-dialog"), "the dialog")
    press(alone, "#invitations-make")
    alone.until(lambda: alone.shows("#invitations-url"), "the link")
    alone.driver.get(alone.script("return document.querySelector('#invitations-url').value"))
    alone.until_connected()
    assert alone.room == server.room("Lobby")
