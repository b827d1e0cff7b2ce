"""Two people in two browsers, over every transport that the browser's client has."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.page import ChatPage

NASTY = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> & "quoted"'

NO_WEBSOCKET = "delete window.WebSocket;"


@dataclass(frozen=True)
class Way:
    """How a page is led to a transport.

    Attributes:
        transport: that the page must then show.
        query: of the page's URL.
        settings: of the application.
        script: that changes the browser before the page loads.
        errors: that the console shows when the client tries what is off.
    """

    transport: str
    query: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    script: str = ""
    errors: str = ""


def asked(transport: str, **settings: str) -> Way:
    return Way(transport, query=f"?transport={transport}", settings=settings)


WAYS = {
    "as it comes": Way("websocket"),
    "asked for xhr-streaming": asked("xhr-streaming"),
    "asked for eventsource": asked("eventsource"),
    "asked for htmlfile": asked("htmlfile"),
    "asked for xhr-polling": asked("xhr-polling"),
    "asked for jsonp-polling": asked(
        "jsonp-polling", **{"sockjs.allowed_origins": "https://other.example"}
    ),
    "websocket off in the server": Way(
        "xhr-streaming", settings={"sockjs.transports": "xhr-streaming xhr-polling"}
    ),
    "only polling on in the server": Way(
        "xhr-polling",
        settings={"sockjs.transports": "xhr-polling"},
        errors=r"/(xhr_streaming|eventsource|htmlfile|iframe\.html)\b.* 404 ",
    ),
    "no websocket in the browser": Way("xhr-streaming", script=NO_WEBSOCKET),
    "no websocket in the browser, asked for polling": Way(
        "xhr-polling", query="?transport=websocket,xhr-polling", script=NO_WEBSOCKET
    ),
}


def meet(browsers: list[ChatPage], url: str, transport: str) -> tuple[ChatPage, ChatPage]:
    """Bring both into the room, Ada first."""
    ada, grace = browsers
    ada.open(url)
    ada.join("Ada")
    grace.open(url)
    grace.join("Grace")
    for page in browsers:
        page.until_connected(transport)
    return ada, grace


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_two_browsers_chat(browsers: list[ChatPage], serve: Serve, way: Way) -> None:
    """What one types appears in the other, in order, as text, without a reload."""
    server = serve(way.settings)
    for page in browsers:
        if way.script:
            page.before_load(way.script)
        if way.errors:
            page.expect_errors(way.errors)
    ada, grace = meet(browsers, server.url + way.query, way.transport)
    for page in browsers:
        page.driver.execute_script("window.loadedOnce = true")
    ada.until(lambda: "Grace joined" in ada.notes(), "who came")
    said = ["Hello Grace", NASTY, *(str(number) for number in range(20))]
    ada.say(*said)
    grace.until_texts(said)
    grace.say("Hello Ada")
    for page in browsers:
        page.until_texts([*said, "Hello Ada"])
        names = [message["name"] for message in page.messages()]
        assert names == ["Ada"] * len(said) + ["Grace"]
        assert all(message["time"] and message["shown"] for message in page.messages())
        assert page.driver.execute_script("return [window.loadedOnce, window.hacked]") == [
            True,
            None,
        ]
        assert not page.driver.find_elements(By.CSS_SELECTOR, "#log script, #log img")
        assert page.transport == way.transport
    grace.open("about:blank")
    ada.until(lambda: "Grace left" in ada.notes(), "who left")


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming", "xhr-polling"])
def test_after_a_restart_of_the_server_the_pages_go_on_by_themselves(
    browsers: list[ChatPage], serve: Serve, transport: str
) -> None:
    """SockJS never reconnects; the page does, and sends what was typed meanwhile."""
    server = serve()
    ada, grace = meet(browsers, f"{server.url}?transport={transport}", transport)
    ada.say("before")
    grace.until_texts(["before"])
    for page in browsers:
        page.expect_errors("ERR_CONNECTION_(REFUSED|RESET)|ERR_EMPTY_RESPONSE|/chat/info")
    server.stop()
    for page in browsers:
        page.until(lambda page=page: page.state == "lost", "that the connection is lost")
    ada.say("meanwhile")
    assert [message["state"] for message in ada.messages()] == ["", "pending"]
    ada.screenshot(SCREENSHOTS / f"reconnecting-{transport}.png")
    server.start()
    for page in browsers:
        page.until_connected(transport)
        page.until(lambda page=page: "meanwhile" in page.texts(), "what was typed meanwhile")
    grace.say("after")
    for page in browsers:
        page.until_texts(["before", "meanwhile", "after"])
        assert all(not message["state"] for message in page.messages())


def test_a_newcomer_sees_what_was_said_and_a_reload_loses_nothing(
    browsers: list[ChatPage], serve: Serve
) -> None:
    """The server tells the last messages; the tab remembers the nickname."""
    server = serve()
    ada, grace = browsers
    ada.open(server.url)
    ada.join("Ada")
    ada.say("one", "two")
    ada.until_texts(["one", "two"])
    grace.open(server.url)
    grace.join("Grace")
    grace.until_texts(["one", "two"])
    grace.driver.refresh()
    grace.until_texts(["one", "two"])
    assert not grace.element("enter").is_displayed()
    grace.say("three")
    for page in browsers:
        page.until_texts(["one", "two", "three"])


def test_the_form_says_what_is_wrong_with_a_nickname(
    browsers: list[ChatPage], serve: Serve
) -> None:
    """Nothing, and a name that is in use; afterwards a good one is taken."""
    server = serve()
    ada, grace = browsers
    ada.open(server.url)
    ada.join("Ada")
    grace.open(server.url)
    grace.until_connected("websocket")
    name, error = grace.element("name"), grace.element("name-error")
    assert grace.driver.switch_to.active_element == name
    name.send_keys("   ", Keys.ENTER)
    grace.until(lambda: error.text == "Please write a nickname.", "the complaint")
    name.clear()
    name.send_keys("ada", Keys.ENTER)
    grace.until(lambda: error.text == "Somebody here is called Ada.", "the complaint")
    assert name.get_attribute("aria-invalid") == "true"
    grace.screenshot(SCREENSHOTS / "nickname-taken.png")
    grace.join("Grace")
    grace.element("leave").click()
    ada.until(lambda: ada.notes() == ["Grace joined", "Grace left"], "that Grace left")
    grace.join("Grace Hopper")
    ada.until(lambda: "Grace Hopper joined" in ada.notes(), "who came")
    ada.element("people").click()
    names = ada.driver.find_elements(By.CSS_SELECTOR, "#names li")
    assert [item.text for item in names] == ["Ada (you)", "Grace Hopper"]


def test_a_second_tab_takes_over_and_the_first_one_can_take_back(
    browsers: list[ChatPage], serve: Serve
) -> None:
    """A duplicated tab has the same nickname and token: the two must not fight for the place."""
    server = serve()
    ada, grace = meet(browsers, server.url, "websocket")
    first = ada.driver.current_window_handle
    ada.driver.execute_script("window.open(location.href)")
    second = next(handle for handle in ada.driver.window_handles if handle != first)
    ada.driver.switch_to.window(second)
    try:
        ada.until(lambda: ada.element("text").is_displayed(), "the conversation")
        ada.driver.switch_to.window(first)
        ada.until(lambda: ada.state == "stopped", "that another tab went on")
        assert ada.element("status-text").text == "You went on in another tab."
        ada.element("again").click()
        ada.until_connected("websocket")
        ada.say("back")
        grace.until_texts(["back"])
        ada.driver.switch_to.window(second)
        ada.until(lambda: ada.state == "stopped", "that another tab went on")
    finally:
        ada.driver.switch_to.window(second)
        ada.driver.close()
        ada.driver.switch_to.window(first)
    assert grace.notes() == []


SIZES = {"desktop": (1200, 800), "phone": (390, 844), "small": (320, 568)}


def test_the_page_fits_every_screen_in_light_and_dark(
    browsers: list[ChatPage], serve: Serve
) -> None:
    """Nothing sticks out, whatever the size of the screen; the newest message is in view."""
    server = serve()
    ada, grace = browsers
    ada.open(server.url)
    ada.until_connected("websocket")
    try_screens([ada], "nickname")
    ada.join("Ada with quite a long nickname!!")
    grace.open(server.url)
    grace.join("Grace")
    said = [
        "Good morning!",
        "A message that needs more than one line, wherever it is read: long, longer and longer.",
        "https://example.com/" + "an-address-without-any-break" * 5,
        "x" * 200,
    ]
    ada.say(*said)
    grace.until_texts(said)
    grace.say(*(f"answer {number}" for number in range(8)))
    for page in browsers:
        page.until(lambda page=page: len(page.texts()) == len(said) + 8, "all messages")
    try_screens(browsers, "chat")


def try_screens(pages: list[ChatPage], name: str) -> None:
    """Check the pages on each size of screen, in light and dark, and keep pictures."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            for page in pages:
                page.emulate(width, height, dark=scheme == "dark", mobile=size != "desktop")
                page.until(lambda page=page: end_in_view(page), f"the end on a {size} screen")
                assert_fits(page)
                page.screenshot(SCREENSHOTS / f"{name}-{size}-{scheme}-{page.owner}.png")


def end_in_view(page: ChatPage) -> bool:
    """Tell whether the newest row, if there is any, is to be seen."""
    return page.driver.execute_script(
        """const last = document.querySelector("#log").lastElementChild?.getBoundingClientRect();
        const view = document.querySelector("#scroller").getBoundingClientRect();
        return !last || (last.top >= view.top && last.bottom <= view.bottom);"""
    )


def assert_fits(page: ChatPage) -> None:
    """Assert that only the messages scroll, up and down, and that what is needed is in view."""
    hidden = page.driver.execute_script(
        """const page = document.documentElement, messages = document.querySelector("#scroller");
        return [page.scrollWidth - page.clientWidth, page.scrollHeight - page.clientHeight,
                messages.scrollWidth - messages.clientWidth];"""
    )
    assert hidden == [0, 0, 0]
    for id_ in ("status", "text", "enter-button"):
        element = page.element(id_)
        if element.is_displayed():
            inside = page.driver.execute_script(
                """const box = arguments[0].getBoundingClientRect();
                return box.left >= 0 && box.top >= 0
                    && box.right <= innerWidth && box.bottom <= innerHeight;""",
                element,
            )
            assert inside, id_
