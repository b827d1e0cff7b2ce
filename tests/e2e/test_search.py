"""The search, and what leads to one message: hits, addresses, links, in Chromium and Firefox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys
from sqlalchemy.engine import make_url

from pyramid_chat import conversation
from pyramid_chat.database import Database
from tests.e2e.chromium import Chromium
from tests.e2e.conftest import Serve
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, PLENTY, Server
from tests.e2e.test_looks import FITS, assert_in_view, picture

COUNT = 400
NEEDLE = "The Überraschung is <b>here</b>, be it ever so small"
PHONE = (360, 740)

CLICK = "document.querySelector(arguments[0]).click()"
SCROLL = """
const scroller = document.querySelector("#scroller");
scroller.scrollTop = arguments[0] ? scroller.scrollHeight : 0;
scroller.dispatchEvent(new Event("scroll"));
"""
IN_SIGHT = """
const row = document.querySelector(`#log [data-number="${arguments[0]}"]`)?.getBoundingClientRect();
const view = document.querySelector("#scroller").getBoundingClientRect();
return !!row && row.top >= view.top && row.bottom <= view.bottom;
"""
HITS = """
return [...document.querySelectorAll("#search-list a")].map((link) => ({
    room: link.querySelector(".room-name").textContent,
    author: link.querySelector(".author").textContent,
    text: link.querySelector(".excerpt").textContent,
    marks: [...link.querySelectorAll("mark")].map((mark) => mark.textContent),
}));
"""


def write(server: Server, room: str, author: str, texts: list[str]) -> list[int]:
    """Have somebody say much at once; returns the numbers of the messages."""
    database = Database(make_url(f"sqlite:///{server.database}"), PATIENCE)
    numbers = []
    with database.writing() as session, session.begin():
        for text in texts:
            version = conversation.next_version(session, server.room(room))
            assert version is not None
            key = f"e2e-{room.replace(' ', '-')}-{version}"
            conversation.add(session, server.room(room), version, server.user(author), key, text)
            numbers.append(version)
    database.engine.dispose()
    return numbers


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


@pytest.fixture
def numbers(server: Server) -> list[int]:
    """The numbers of many messages of the Lobby, the 41st of which is the needle."""
    texts = [f"message {number}" for number in range(COUNT)]
    texts[40] = NEEDLE
    return write(server, "Lobby", "Grace", texts)


@pytest.fixture
def ada(browser: Chromium | Firefox, server: Server, numbers: list[int]) -> Iterator[ChatPage]:
    """Her page in each of the browsers, which shows the Lobby."""
    page = ChatPage(browser, "Ada", PATIENCE)
    browser.errors()
    page.open(f"{server.url}/rooms/{server.room('Lobby')}")
    page.until_connected()
    yield page
    errors = page.errors()
    browser.get("about:blank")
    browser.delete_all_cookies() if isinstance(browser, Firefox) else browser.reset()
    assert not errors


def look_for(page: ChatPage, words: str) -> list[dict]:
    """Open the search by its key, and wait for what it finds."""
    page.script("document.activeElement.blur()")
    page.driver.press("/")
    page.until(lambda: page.shows("#search-dialog"), "the search")
    page.write("#search-field", words)
    page.until(lambda: page.text("#search-note"), "what is found")
    return page.script(HITS)


def address(page: ChatPage) -> str:
    return page.script("return location.pathname + location.search")


def until_at(page: ChatPage, number: int) -> None:
    """Wait until a message is in sight, and marked."""
    page.until(lambda: page.script(IN_SIGHT, number), f"message {number}")
    focused = "return Number(document.activeElement.dataset.number)"
    page.until(lambda: page.script(focused) == number, "that it has the focus")


def test_a_hit_is_shown_in_its_context(ada: ChatPage, server: Server, numbers: list[int]) -> None:
    """By keys alone, and from there on in both directions, to the beginning and to the newest."""
    write(server, "Surprise party", "Grace", ["Überraschung for Mary", "überraschend"])
    lobby, needle = server.room("Lobby"), numbers[40]
    hits = look_for(ada, "uberr")
    assert [(hit["room"], hit["author"]) for hit in hits] == [
        ("Surprise party", "Grace"),
        ("Surprise party", "Grace"),
        ("Lobby", "Grace"),
    ]
    assert (hits[-1]["text"], hits[-1]["marks"]) == (NEEDLE, ["Überraschung"])
    picture(ada, "search")
    ada.driver.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    until_at(ada, needle)
    assert not ada.has("dialog[open]")
    assert address(ada) == f"/rooms/{lobby}?message={needle}"
    assert ada.has(f"#log .target[data-number='{needle}']")
    assert ada.text("#newest") == "Back to the newest ↓"
    assert f"message {COUNT - 1}" not in ada.texts()
    picture(ada, "search-hit")

    def scrolled_to(number: int, down: bool) -> bool:
        ada.script(SCROLL, down)
        return f"message {number}" in ada.texts()

    ada.until(lambda: scrolled_to(0, False), "the beginning")
    ada.until(lambda: scrolled_to(COUNT - 1, True), "the newest message")
    shown = [message["number"] for message in ada.messages()]
    assert shown[-COUNT:] == numbers

    # The newest ones, at once.
    ada.driver.get(f"{server.url}/rooms/{lobby}?message={needle}")
    until_at(ada, needle)
    ada.script(CLICK, "#newest")
    ada.until(lambda: ada.script(IN_SIGHT, numbers[-1]), "the newest message")
    assert not ada.shows("#newest")
    assert address(ada) == f"/rooms/{lobby}"
    # What is said goes to the end too.
    ada.driver.get(f"{server.url}/rooms/{lobby}?message={needle}")
    until_at(ada, needle)
    ada.until_connected()
    ada.say("It is new.")
    ada.until_said(f"message {COUNT - 1}", "It is new.")


def test_an_address_leads_to_its_message(ada: ChatPage, server: Server, numbers: list[int]) -> None:
    """At the page's load, by a link in a text, and by the browser's way back."""
    lobby, needle = server.room("Lobby"), numbers[40]
    ada.script("window.same = true")
    ada.say(f"See {server.url}/rooms/{lobby}?message={needle}")
    link = "#log .own:last-child .text a"
    ada.until(lambda: ada.has(link), "the link")
    ada.script(CLICK, link)
    until_at(ada, needle)
    assert ada.script("return window.same")
    ada.script("history.back()")
    ada.until(lambda: ada.script(IN_SIGHT, numbers[-1]), "the newest message")
    # Its own button.
    row = f"#log [data-number='{numbers[-1]}']"
    ada.script(CLICK, f"{row} .permalink")
    ada.until(lambda: ada.text("#note"), "what became of it")
    assert ada.text("#note") in (
        "The link is copied.",
        f"{server.url}/rooms/{lobby}?message={numbers[-1]}",
    )
    # One that was taken back, and one that never was.
    ada.say("Never mind.")
    ada.until_said("Never mind.")
    taken = ada.message("Never mind.")["number"]
    ada.script(CLICK, "#log .own:last-child .delete")
    ada.until(lambda: ada.shows("#delete-dialog"), "the question")
    ada.script(CLICK, "#delete-ok")
    ada.until(lambda: ada.state_of("This message was deleted."), "that it is deleted")
    ada.driver.get(f"{server.url}/rooms/{lobby}?message={taken}")
    until_at(ada, taken)
    assert ada.text("#note") == "That message was deleted."
    ada.driver.get(f"{server.url}/rooms/{lobby}?message=99999")
    ada.until(lambda: ada.text("#note"), "that there is none")
    assert ada.text("#note") == "There is no such message in this room."
    assert ada.script(IN_SIGHT, taken)
    # A room of others is refused as ever.
    ada.expect_errors(r"/rooms/.* 404 |NOT_FOUND")
    ada.driver.get(f"{server.url}/rooms/4711?message=1")
    assert ada.has("h1") and not ada.has("#log")
    assert ada.script("return document.body.textContent").count("There is no such page")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_search_on_a_phone(
    browsers: list[ChatPage], server: Server, numbers: list[int], scheme: str
) -> None:
    """It is opened by its button; page after page fits, and a hit is gone to by a tap."""
    ada, _ = browsers
    ada.chromium.emulate(*PHONE, mobile=True, dark=scheme == "dark")
    ada.chromium.touch()
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected()
    assert ada.script(FITS) == [0, 0, 0]
    assert_in_view(ada, "#search", "#members-toggle", "#room-menu")
    ada.click("#search")
    ada.write("#search-field", "message")
    ada.until(lambda: ada.text("#search-note"), "what is found")
    assert_in_view(ada, "#search-dialog", "#search-field")
    assert ada.script(FITS)[0] == 0
    picture(ada, f"search-phone-{scheme}")
    first = ada.script(HITS)
    assert first[0]["text"] == f"message {COUNT - 1}"
    ada.script(CLICK, "#search-more")
    ada.until(lambda: len(ada.script(HITS)) == 2 * len(first), "the next page")
    ada.click("#search-here")
    ada.write("#search-field", "uberraschung")
    ada.until(lambda: [hit["room"] for hit in ada.script(HITS)] == ["Lobby"], "the needle")
    ada.click("#search-list a")
    until_at(ada, numbers[40])
    assert_in_view(ada, "#newest")
    assert ada.script(FITS) == [0, 0, 0]
    picture(ada, f"search-hit-phone-{scheme}")
