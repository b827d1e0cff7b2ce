"""The chat on a phone: how the page comes, what it takes, and its keyboard."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.page import ChatPage
from tests.e2e.server import Server

SIZE = (390, 844)
COLD = 50_000
"""Bytes of bodies that a first visit may take."""

# Of all layout shifts, how much moved how far (https://web.dev/articles/cls).
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
LOADED = """
return ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
    .filter(({ transferSize }) => transferSize > 0)
    .map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize]);
"""
FILLS = """
const box = document.querySelector("main").getBoundingClientRect();
return [box.left, box.top, box.width, box.height];
"""


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
def phone(browsers: list[ChatPage], server: Server) -> ChatPage:
    """A phone whose owner is signed in."""
    ada, _ = browsers
    ada.chromium.emulate(*SIZE, mobile=True)
    ada.chromium.touch()
    ada.open(f"{server.url}/chat")
    ada.until_connected()
    return ada


def test_the_conversation_fills_the_screen_before_the_script_runs(phone: ChatPage) -> None:
    phone.chromium.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*.js"]})
    phone.expect_errors(r"\.js .*ERR_BLOCKED_BY_CLIENT")
    phone.driver.get(phone.script("return location.href"))
    assert phone.state == "connecting"
    assert not phone.shows("#sidebar")
    assert phone.script(FILLS) == [0, 0, *SIZE]
    phone.screenshot(SCREENSHOTS / "phone-before-the-script.png")
    phone.chromium.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})


def test_hardly_anything_moves_while_the_page_comes(phone: ChatPage) -> None:
    phone.chromium.before_load(SHIFTS)
    phone.driver.get(phone.script("return location.href"))
    phone.until_connected()
    phone.until(lambda: phone.shows("#room-menu"), "the room")
    assert phone.script("return window.shifts") < 0.1


def test_a_first_visit_takes_little(phone: ChatPage) -> None:
    """Chromium takes brotli from this host."""
    phone.chromium.execute_cdp_cmd("Network.clearBrowserCache", {})
    phone.driver.get(phone.script("return location.href"))
    phone.until_connected()
    loaded: list[tuple[str, int]] = phone.script(LOADED)
    assert len(loaded) >= 4
    assert sum(size for _, size in loaded) < COLD, loaded


def test_enter_makes_a_line_and_the_button_sends(phone: ChatPage) -> None:
    phone.focus("#text")
    phone.driver.press("one", Keys.ENTER, "two")
    assert phone.script("return document.activeElement.enterKeyHint") == "enter"
    assert phone.script("return document.activeElement.value") == "one\ntwo"
    phone.screenshot(SCREENSHOTS / "phone-two-lines.png")
    phone.click("#send")
    phone.until_said("one\ntwo")


def test_enter_sends_where_nothing_is_touched(phone: ChatPage) -> None:
    phone.chromium.touch(False)
    hint = "return document.querySelector('#text').enterKeyHint"
    phone.until(lambda: phone.script(hint) == "send", "that nothing is touched any more")
    phone.say("one")
    phone.until_said("one")
