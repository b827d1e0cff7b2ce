"""What axe finds in the states of the pages: nothing (WCAG 2.2 A and AA, and best practices)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.conversation import meet
from tests.e2e.page import ChatPage
from tests.e2e.server import PLENTY, Server
from tests.e2e.test_looks import show

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"

# What moves is looked at when it stands: colours are mixed meanwhile.
STILL = "return document.getAnimations().every((one) => one.playState !== 'running')"
RUN = """
window.axeFound = null;
axe.run(document, { resultTypes: ["violations"] }).then(
    ({ violations }) => { window.axeFound = violations; },
    (error) => { window.axeFound = [{ id: String(error), nodes: [] }]; });
"""
FOUND = """
const told = ({ target, failureSummary }) => `${target} ${failureSummary}`;
return window.axeFound && window.axeFound.map(
    ({ id, nodes }) => `${id}: ${nodes.map(told).join("; ")}`);
"""

SAID = (
    "**Bold**, `code` and a [link](https://example.com/)",
    "- a list\n- of two\n\n> and what somebody said\n\n```\nprint('hello')\n```",
)
OPENERS = ["search", "mentions", "format-help", "new-room", "browse-rooms", "new-direct"]
SCREENS = [("desktop", "light"), ("phone", "dark")]


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


def assert_accessible(page: ChatPage, state: str) -> None:
    """Assert that axe finds nothing in what the page shows."""
    if not page.script("return 'axe' in window"):
        page.script(AXE.read_text(encoding="utf-8"))
    page.until(lambda: page.script(STILL), f"that nothing moves: {state}")
    page.script(RUN)
    page.until(lambda: page.script(FOUND) is not None, f"what axe finds: {state}")
    assert page.script(FOUND) == [], state


def everywhere(page: ChatPage, state: str) -> None:
    for size, scheme in SCREENS:
        show(page, size, scheme)
        assert_accessible(page, f"{state}, {size}, {scheme}")


def opened(page: ChatPage, opener: str, shown: str = "dialog[open]") -> None:
    page.script("document.getElementById(arguments[0]).click()", opener)
    page.until(lambda: page.has(shown), f"what {opener} shows")


@pytest.mark.parametrize("path", ["sign-in", "register"])
def test_the_forms(browsers: list[ChatPage], server: Server, path: str) -> None:
    ada, _ = browsers
    ada.expect_errors(rf"/{path} .* 400 ")
    ada.driver.get(f"{server.url}/{path}")
    everywhere(ada, path)
    ada.write("#name", "Ada")
    ada.write("#password", "wrong password")
    if path == "register":
        ada.write("#password-again", "another password")
    ada.click(f"#{path}-button")
    ada.until(lambda: ada.has("#form-error"), "what is wrong")
    everywhere(ada, f"{path}, refused")


def test_the_conversation(browsers: list[ChatPage], server: Server) -> None:
    """With markup, a reply, a reaction, a mention, and what opens above it."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.post(SAID)
    for page in (ada, grace):
        page.until(lambda page=page: page.has(".code .copy"), "markup")
    grace.script("document.querySelector('#log .message:last-child .reply').click()")
    grace.say("@Ada, an answer")
    ada.until_said("@Ada, an answer")
    ada.script("document.querySelector('#log .message:last-child .react').click()")
    ada.until(lambda: ada.has("dialog[open]"), "the emoji")
    everywhere(ada, "the emoji")
    ada.script("document.querySelector('#react-choices button').click()")
    ada.until(lambda: ada.has(".reactions button"), "the reaction")
    everywhere(ada, "the conversation")
    ada.script("document.querySelector('#room-menu').open = true")
    everywhere(ada, "the menu of the room")
    opened(ada, "room-invitations")
    everywhere(ada, "the invitations")
    ada.script("document.querySelector('dialog[open]').close()")
    opened(ada, "connection", "#connection-panel:not([hidden])")
    everywhere(ada, "the connection panel")


@pytest.mark.parametrize("opener", OPENERS)
def test_the_dialogs(browsers: list[ChatPage], server: Server, opener: str) -> None:
    ada, _ = browsers
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected()
    opened(ada, opener)
    everywhere(ada, opener)


@pytest.mark.parametrize("path", ["account", "nowhere"])
def test_other_pages(browsers: list[ChatPage], server: Server, path: str) -> None:
    ada, _ = browsers
    ada.expect_errors(r"/nowhere .* 404 ")
    ada.driver.get(f"{server.url}/{path}")
    everywhere(ada, path)


def test_that_it_finds_something(browsers: list[ChatPage], server: Server) -> None:
    """Else the tests above could not fail."""
    ada, _ = browsers
    ada.driver.get(f"{server.url}/sign-in")
    ada.script("document.querySelector('#name').removeAttribute('id')")
    with pytest.raises(AssertionError, match="label"):
        assert_accessible(ada, "a field without a label")
