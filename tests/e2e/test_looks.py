"""The pages on every screen, in light and dark; their pictures are kept."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.conversation import meet
from tests.e2e.page import ChatPage
from tests.e2e.server import PLENTY, Server

SIZES = {"desktop": (1200, 800), "phone": (390, 844), "small": (320, 568)}
SCHEMES = ("light", "dark")
PICTURES = [(size, scheme) for size in SIZES for scheme in SCHEMES]

FITS = """
const page = document.documentElement, messages = document.querySelector("#scroller");
return [page.scrollWidth - page.clientWidth, page.scrollHeight - page.clientHeight,
        messages ? messages.scrollWidth - messages.clientWidth : 0];
"""
END_IN_VIEW = """
const last = document.querySelector("#log").lastElementChild?.getBoundingClientRect();
const view = document.querySelector("#scroller").getBoundingClientRect();
return !last || (last.top >= view.top && last.bottom <= view.bottom);
"""
IN_VIEW = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
return box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
"""


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


def picture(page: ChatPage, name: str) -> None:
    page.screenshot(SCREENSHOTS / f"{name}.png")


def show(page: ChatPage, size: str, scheme: str) -> None:
    """Give the page a size of screen and a scheme."""
    width, height = SIZES[size]
    page.chromium.emulate(width, height, dark=scheme == "dark", mobile=size != "desktop")
    page.until(lambda: page.script("return innerWidth") == width, "the new size")


def assert_in_view(page: ChatPage, *selectors: str) -> None:
    for selector in selectors:
        assert page.shows(selector), selector
        assert page.script(IN_VIEW, selector), selector


def test_the_chat(browsers: list[ChatPage], server: Server) -> None:
    """Only the messages scroll, up and down; what is needed, and the newest message, is in view."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    said = [
        "Good morning!",
        "A message that needs more than one line, wherever it is read: long, longer and longer.",
        "https://example.com/" + "an-address-without-any-break" * 5,
        "x" * 200,
    ]
    ada.say(*said)
    grace.until_said(*said)
    grace.say(*(f"answer {number}" for number in range(4)))
    ada.until_said("answer 3")
    for size, scheme in PICTURES:
        for page in browsers:
            show(page, size, scheme)
            page.until(lambda page=page: page.script(END_IN_VIEW), f"the end on a {size} screen")
            assert page.script(FITS) == [0, 0, 0]
            assert_in_view(page, "#text", "#send", "#status", "#room-name")
        picture(ada, f"chat-{size}-{scheme}")


def test_the_connection_panel(browsers: list[ChatPage], server: Server) -> None:
    """It fits, and shows transport, round-trip time and interruptions."""
    ada, _ = browsers
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected("websocket")
    ada.until(lambda: ada.text("#rtt").endswith(" ms"), "a round-trip time")
    ada.click("#connection")
    for size, scheme in PICTURES:
        show(ada, size, scheme)
        assert_in_view(ada, "#connection-panel", "#transport", "#rtt", "#force", "#force-apply")
        assert ada.script(FITS) == [0, 0, 0]
        picture(ada, f"connection-panel-{size}-{scheme}")


@pytest.mark.parametrize("path", ["sign-in", "register"])
def test_the_forms(browsers: list[ChatPage], server: Server, path: str) -> None:
    """They fit, with what is wrong in view."""
    ada, _ = browsers
    ada.expect_errors(rf"/{path} .* 400 ")
    ada.driver.get(f"{server.url}/{path}")
    for size, scheme in PICTURES:
        show(ada, size, scheme)
        assert_in_view(ada, "#name", "#password", f"#{path}-button")
        assert ada.script(FITS)[0] == 0
        if size != "small":
            picture(ada, f"{path}-{size}-{scheme}")
    show(ada, "desktop", "light")
    ada.write("#name", "Ada")
    ada.write("#password", "wrong password")
    if path == "register":
        ada.write("#password-again", "another password")
    ada.click(f"#{path}-button")
    ada.until(lambda: ada.has("#form-error"), "what is wrong")
    assert ada.text("#form-error")
    assert_in_view(ada, "#form-error")
    # What is to be written again.
    assert ada.script("return document.activeElement.id") == "password"
    picture(ada, f"{path}-wrong")


@pytest.mark.parametrize("opener", ["new-room", "browse-rooms", "new-direct"])
def test_the_dialogs(browsers: list[ChatPage], server: Server, opener: str) -> None:
    """They fit on a phone too, where the list of rooms has to be opened first."""
    ada, _ = browsers
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected()
    for size, scheme in (("desktop", "light"), ("phone", "dark"), ("small", "light")):
        show(ada, size, scheme)
        if not ada.shows(f"#{opener}") or not ada.script(IN_VIEW, f"#{opener}"):
            ada.click("#rooms-toggle")
            ada.until(lambda: ada.script(IN_VIEW, f"#{opener}"), "the list of rooms")
            if opener == "new-room":
                picture(ada, f"rooms-{size}-{scheme}")
        ada.click(f"#{opener}")
        ada.until(lambda: ada.shows("dialog[open]"), "the dialog")
        assert_in_view(ada, "dialog[open]")
        assert ada.script(FITS)[0] == 0
        picture(ada, f"{opener}-{size}-{scheme}")
        ada.click("dialog[open] .cancel")
        ada.until(lambda: not ada.has("dialog[open]"), "that the dialog is gone")


def test_people(browsers: list[ChatPage], server: Server) -> None:
    """Who is here, on a desktop and on a phone."""
    ada, _ = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    user = server.user("Grace")
    ada.until(lambda: ada.online(user), "that Grace is here")
    assert ada.text("#members-count") == "2"
    for size, scheme in (("desktop", "light"), ("phone", "dark")):
        show(ada, size, scheme)
        if not ada.shows("#members"):
            ada.click("#members-toggle")
        ada.until(lambda: ada.script(IN_VIEW, "#members"), "the people")
        picture(ada, f"people-{size}-{scheme}")


def test_the_keyboard_is_enough(browsers: list[ChatPage], server: Server) -> None:
    """From the address bar to a sent message by Tab and Enter, and the focus is to be seen."""
    ada, _ = browsers
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected()
    ada.script("document.activeElement.blur(); document.body.focus()")
    reached = set()
    for _ in range(40):
        ada.driver.press("\ue004")
        reached.add(
            ada.script("return document.activeElement.id || document.activeElement.className")
        )
        assert ada.script(
            "const s = getComputedStyle(document.activeElement);"
            "return s.outlineStyle !== 'none' || s.boxShadow !== 'none'"
            "  || document.activeElement === document.body"
        ), ada.script("return document.activeElement.outerHTML")
    assert {
        "text",
        "connection",
        "new-room",
        "browse-rooms",
        "sign-out",
        "members-toggle",
    } <= reached
