"""Messages with markup, and replies: as their readers see them, and what hostile ones come to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.chromium import Chromium
from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.conversation import meet
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, PLENTY, Server

SHOWN = (
    "**bold** *italic* ~~gone~~ `code` [a link](https://example.com/x)",
    "so:\n```\nconst long = 1; //" + " and on" * 100 + "\n```\n> quoted\n\n- one\n- two",
    "**שלום** עולם `code`\n- אחד\n- שתיים",
    "`" + "x" * 1000 + "`",
)
HOSTILE = (
    "**<script>window.hacked = 1</script>**",
    '*x* <img src=x onerror="window.hacked = 1">',
    "[x](javascript:window.hacked=1)",
    "[x](JAVASCRIPT:window.hacked=1)",
    "[x](&#106;avascript:window.hacked=1)",
    "[x](data:text/html,<script>parent.hacked=1</script>)",
    "[https://bank.example/](https://evil.example/)",
    "[\u202egnp.exe](https://evil.example/)",
    "![x](https://example.com/track.png)",
    '[x](https://example.com/"onclick="window.hacked=1)',
    "```\n</code></pre><script>window.hacked = 1</script>\n```",
    ">" * 4000,
    "[" * 4000,
)
HARM = """
return [
    window.hacked ?? null,
    document.querySelector("#log script, #log img, #log iframe, #log [onclick], #log [onerror]"),
    [...document.querySelectorAll("#log a:not(.quote)")].map((a) => a.href)
        .filter((href) => !/^(https?:|mailto:)/.test(href)),
    [...document.querySelectorAll("#log a:not(.quote)")]
        .filter((a) => a.href.includes("evil.") && a.textContent !== a.href).length,
];
"""
OVERFLOW = """
const s = document.querySelector("#scroller");
return [s.scrollWidth - s.clientWidth, document.documentElement.scrollWidth - innerWidth];
"""


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve(PLENTY)


@pytest.fixture
def pages(browsers: list[ChatPage], server: Server) -> tuple[ChatPage, ChatPage]:
    """Both in the lobby."""
    return meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")


def count(page: ChatPage, selector: str) -> int:
    """Return how many elements of the log match a selector."""
    found: int = page.script(
        "return document.querySelectorAll('#log ' + arguments[0]).length", selector
    )
    return found


def press(page: ChatPage, selector: str) -> None:
    """Press a button of the page, in any browser."""
    page.until(lambda: page.has(selector), selector)
    page.script("document.querySelector(arguments[0]).click()", selector)


def choose(page: ChatPage, button: str) -> None:
    """Press a button by the keyboard, as far as the browser takes that from its driver."""
    page.focus(button)
    if isinstance(page.driver, Chromium):
        page.driver.press(Keys.ENTER)
    else:
        # Without a screen its window is never the active one: keys press no buttons there.
        press(page, button)


def number_of(page: ChatPage, text: str) -> int:
    """Return the number of the message that has a text."""
    page.until_said(text)
    message = page.message(text)
    assert message
    number: int = message["number"]
    return number


def quote(page: ChatPage, text: str) -> str | None:
    """Return what the message that has a text shows of the one that it answers."""
    found: str | None = page.script(
        "return [...document.querySelectorAll('#log .message')]"
        ".find((row) => row.querySelector('.text').textContent === arguments[0])"
        "?.querySelector('.quote')?.textContent ?? null",
        text,
    )
    return found


def test_markup_is_shown_and_nothing_else(pages: tuple[ChatPage, ChatPage]) -> None:
    """The page's author and its reader see the same; what is hostile is text."""
    ada, grace = pages
    before = len(ada.messages())
    ada.post([*SHOWN, *HOSTILE], 30)
    for page in pages:
        page.until(
            lambda page=page: len(page.texts()) == before + len(SHOWN) + len(HOSTILE),
            "all of the messages",
        )
        page.until(lambda page=page: count(page, "strong"), "that markup can be read")
    inside = "return [...document.querySelectorAll('#log .text')].map((text) => text.outerHTML)"
    assert ada.script(inside) == grace.script(inside)
    assert count(grace, "em") >= 1 and count(grace, "s") == 1 and count(grace, "blockquote") == 1
    assert count(grace, "pre") == 2 and count(grace, "ul") == 2
    for page in pages:
        assert page.script(HARM) == [None, None, [], 0]
        for width in (1200, 360):
            page.chromium.emulate(width, 740, mobile=width < 500)
            assert page.script(OVERFLOW) == [0, 0]
            # What is long in a block of code scrolls in there.
            assert page.script(
                "const pre = document.querySelector('#log pre');"
                "return pre.scrollWidth > pre.clientWidth"
            )
            page.screenshot(SCREENSHOTS / f"markup-{page.owner}-{width}.png")
    ada.chromium.emulate(1200, 800)
    ada.script("window.copied = ''; document.addEventListener('copy', () => { copied = '1' })")
    ada.script(
        "Object.defineProperty(navigator, 'clipboard',"
        " { value: { writeText: async (text) => { window.copied = text; } } });"
    )
    press(ada, "#log .copy")
    ada.until(lambda: ada.text("#log .copy") == "Copied", "that it is copied")
    assert ada.script("return window.copied").startswith("const long")


def test_a_reply_is_true_to_what_it_answers(
    pages: tuple[ChatPage, ChatPage], server: Server
) -> None:
    """Changed, deleted, loaded again, and said without a network: its quote is as things are."""
    ada, grace = pages
    grace.say("**Who** comes?")
    question = number_of(ada, "Who comes?")
    row = f"#log .message[data-number='{question}']"
    ada.click(row)
    ada.click(f"{row} .reply")
    ada.until(lambda: ada.shows("#replying"), "what is answered")
    assert "Grace Who comes?" in ada.text("#replying")
    ada.screenshot(SCREENSHOTS / "replying.png")
    ada.driver.press("I do", Keys.ENTER)
    for page in pages:
        page.until_said("I do")
        assert quote(page, "I do") == "In reply to Grace Who comes?"
    href = grace.script("return document.querySelector('#log a.quote').getAttribute('href')")
    assert href == f"/rooms/{server.room('Lobby')}?message={question}"
    assert not ada.shows("#replying")
    grace.click(f"{row} .edit")
    grace.write("#text", "Who comes _tomorrow_?", Keys.ENTER)
    for page in pages:
        page.until(
            lambda page=page: (
                quote(page, "I do") == "In reply to Grace Who comes tomorrow? (edited)"
            ),
            "the other text",
        )
    ada.chromium.go_offline()
    press(ada, f"{row} .reply")
    ada.driver.press("nobody else", Keys.ENTER)
    assert quote(ada, "nobody else") == "In reply to Grace Who comes tomorrow? (edited)"
    ada.chromium.go_offline(False)
    for page in pages:
        page.until_said("nobody else")
        assert quote(page, "nobody else") == "In reply to Grace Who comes tomorrow? (edited)"
    press(grace, f"{row} .delete")
    grace.click("#delete-ok")
    grace.driver.get(grace.script("return location.href"))
    for page in pages:
        page.until(
            lambda page=page: (
                quote(page, "nobody else") == "In reply to Grace This message was deleted."
            ),
            "that it is gone",
        )
    grace.until_connected()
    # The quote is no copy: of what was deleted the database has nothing.
    assert server.query("SELECT count(*) FROM message WHERE text LIKE '%tomorrow%'") == [(0,)]
    stored = server.query("SELECT reply_to FROM message WHERE text = 'nobody else'")
    assert stored == [(question,)]
    for page in pages:
        # Chromium's own note of what the network does not carry.
        page.expect_errors("net::ERR_INTERNET_DISCONNECTED")


@pytest.fixture
def page(browser: Chromium | Firefox, server: Server) -> Iterator[ChatPage]:
    """Ada's page in one of the browsers."""
    page = ChatPage(browser, "Ada", PATIENCE)
    page.open(f"{server.url}/rooms/{server.room('Lobby')}")
    page.until_connected()
    yield page
    assert page.errors() == []


def test_by_the_keyboard(page: ChatPage) -> None:
    """What is selected is marked by a key; a reply is begun, left and sent without a mouse."""
    page.write("#text", "say it")
    page.script(
        "const field = document.querySelector('#text'); field.setSelectionRange(4, 6);"
        "field.dispatchEvent(new KeyboardEvent('keydown',"
        " { key: 'b', ctrlKey: true, bubbles: true, cancelable: true }))"
    )
    assert page.script("return document.querySelector('#text').value") == "say **it**"
    page.driver.press(Keys.ENTER)
    page.until_said("say it")
    assert count(page, "strong") == 1
    # The Tab key stops at the newest message's buttons.
    assert count(page, ".reply[tabindex='0']") == 1
    choose(page, "#log .message:last-child .reply")
    page.until(lambda: page.shows("#replying"), "what is answered")
    assert page.script("return document.activeElement.id") == "text"
    page.driver.press(Keys.ESCAPE)
    page.until(lambda: not page.shows("#replying"), "that nothing is answered")
    choose(page, "#log .message:last-child .reply")
    page.until(lambda: page.shows("#replying"), "what is answered")
    page.driver.press("yes", Keys.ENTER)
    page.until_said("yes")
    assert quote(page, "yes") == "In reply to Ada say it"
    press(page, "#format-help")
    page.until(lambda: page.shows("#format-dialog"), "what can be written")
    page.driver.press(Keys.ESCAPE)
    page.until(lambda: not page.shows("#format-dialog"), "that it is closed")
    assert page.script(OVERFLOW) == [0, 0]
