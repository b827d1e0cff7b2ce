"""Tabs that share one way to the server, where no WebSocket gets through.

And what becomes of them without the one that leads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.chromium import Chromium
from tests.e2e.reconnecting import Browser, until
from tests.e2e.test_resuming_page import Site, site
from tests.proxies.behaviour import Behaviour
from tests.proxies.middlebox import Middlebox
from tests.proxies.tcp import in_thread

__all__ = ["site"]

LIMIT = 10.0
"""Seconds until all go on without their leader, on a machine that does much else; alone it is 3."""

HANG = """
new BroadcastChannel("hang").onmessage = () => {
  const end = performance.now() + 8000;
  while (performance.now() < end);
  window.told.push(["hung", null]);
};
return true
"""
"""A page's scripts take so long from a message on."""


class Tabs:
    """A tab that leads, and others that follow, all of which one more tab has opened and looks at.

    Nobody turns to a follower: that alone would have it connect anew.

    Args:
        browser: that they are in.
        box: what keeps WebSockets from getting through.
        count: of the followers.
        options: of the clients.
    """

    def __init__(self, browser: Browser, box: Middlebox, count: int, **options: Any) -> None:
        self.browser = browser
        self.sent = 0
        query = urlencode({"to": "/ledger", "with": json.dumps({"share": True, **options})})
        self.page = f"{box.url}/page?{query}"
        self._first = browser.current_window_handle
        self.leader: str | None = browser.open_tab()
        browser.get(self.page)
        until(browser, "return window.sock?.state === 'open' && window.sock.transport")
        self.opener = browser.open_tab()
        browser.get(f"{box.url}/elsewhere")
        # The first one in a window of its own, where it is visible.
        script = """
        const [page, length] = arguments;
        window.tabs = Array.from({ length }, (_, tab) => window.open(page, "", tab ? "" : "popup"));
        return true
        """
        browser.execute_script(script, self.page, count)
        self.until("sock?.state === 'open'")

    def close_leader(self) -> None:
        """Close the tab that leads."""
        if self.leader is not None:
            self.browser.go_to_tab(self.leader)
            self.browser.close_tab()
            self.browser.go_to_tab(self.opener)
        self.leader = None

    def close(self) -> None:
        """Close what was opened."""
        self.close_leader()
        self.browser.execute_script("for (const tab of window.tabs) tab.close(); return true")
        self.browser.close_tab()
        self.browser.go_to_tab(self._first)

    def until(self, what: str) -> None:
        """Wait until something is true of each follower."""
        until(self.browser, f"return window.tabs.every((tab) => tab.{what})")

    def send(self, count: int = 5) -> None:
        """Have each follower send some texts."""
        script = """
        const [first, count] = arguments;
        window.tabs.forEach(({ sock }, tab) => {
          for (let n = first; n < first + count; n++) sock.send(`${tab} ${n}`);
        });
        return true
        """
        self.browser.execute_script(script, self.sent, count)
        self.sent += count

    def until_all_came(self) -> None:
        """Wait until all that was sent was handled, and has come back."""
        self.until("sock.outbox.length === 0")
        came = f"told.filter(([type]) => type === 'message').length >= {self.sent}"
        self.until(came)

    def messages(self) -> list[list[str]]:
        """Return what came to each."""
        texts = "told.filter(([type]) => type === 'message').map(([, text]) => text)"
        found: list[list[str]] = self.browser.execute_script(
            f"return window.tabs.map(({{ told }}) => {texts})"
        )
        return found

    def ask_all(self, site: Site, text: str) -> float:
        """Have the server say something to all; return how many seconds it took to the last one."""
        begun = time.monotonic()
        site.ask("say", text=text)
        self.until(f"told.some(([, detail]) => detail === '{text}')")
        return time.monotonic() - begun


OpenTabs = Callable[..., Tabs]


@pytest.fixture(scope="module", autouse=True)
def box() -> Iterator[Middlebox]:
    """What lets no WebSocket through; it outlives the browsers, whose last words it passes on."""
    nowhere = "http://127.0.0.1:1"
    with in_thread(Middlebox(nowhere, Behaviour(upgrade="refused"), "/ledger")) as box:
        yield box


@pytest.fixture
def open_tabs(browser: Browser, site: Site, box: Middlebox) -> Iterator[OpenTabs]:
    """Opens tabs, to which no WebSocket gets through."""
    opened: list[Tabs] = []
    site.start()
    box.lead_to(site.url)

    def open_tabs(count: int, **options: Any) -> Tabs:
        opened.append(Tabs(browser, box, count, **options))
        return opened[-1]

    yield open_tabs
    for tabs in opened:
        tabs.close()


@pytest.mark.turns("browser")
@pytest.mark.parametrize("transport", ["xhr-streaming", "xhr-polling"])
def test_ten_tabs_talk(site, open_tabs: OpenTabs, transport: str) -> None:
    """More than a browser has connections; both ways, each with its own session."""
    ways = ["websocket", "xhr-polling", transport]
    tabs = open_tabs(9, transports=ways)
    tabs.until(f"sock.transport === '{transport}'")
    for _ in range(4):
        tabs.send()
        tabs.until_all_came()
    assert tabs.ask_all(site, "to all") < LIMIT
    for tab, texts in enumerate(tabs.messages()):
        assert texts == [*(f"{tab} {number}" for number in range(tabs.sent)), "to all"]
    rows = [text for _, text in site.ledger.rows("entries")]
    assert sorted(rows) == sorted(f"{tab} {n}" for tab in range(9) for n in range(tabs.sent))
    assert site.ledger.rows("lives") == [("open",)] * 10


def test_the_server_is_killed(site, open_tabs: OpenTabs) -> None:
    """All hear so, and go on together."""
    tabs = open_tabs(3)
    tabs.until("sock.transport === 'xhr-streaming'")
    tabs.send()
    tabs.until_all_came()
    site.kill()
    tabs.until("told.some(([type]) => type === 'suspended')")
    site.start()
    tabs.until("told.some(([type]) => type === 'lost')")
    tabs.until("sock.transport === 'xhr-streaming'")
    tabs.send()
    tabs.until_all_came()


def close(tabs: Tabs) -> None:
    """The leader is closed."""
    tabs.close_leader()


def leave(tabs: Tabs) -> None:
    """The leader goes to another page, and in Chromium into the back/forward cache."""
    tabs.browser.execute_script("location.href = '/elsewhere'; return true")
    until(tabs.browser, "return document.title === 'Elsewhere'")


def freeze(tabs: Tabs) -> None:
    """The leader is frozen."""
    assert isinstance(tabs.browser, Chromium)
    tabs.browser.freeze()


def hang(tabs: Tabs) -> None:
    """The leader's scripts take some seconds: it keeps its lock, and says nothing."""
    tabs.browser.execute_script(HANG)
    tabs.browser.go_to_tab(tabs.opener)
    begin = "new BroadcastChannel('hang').postMessage('begin'); return true"
    tabs.browser.execute_script(begin)


#: It takes a core for as long, so each test has it in one of the browsers.
HANGS = pytest.param(hang, marks=pytest.mark.turns("browser"))


@pytest.mark.parametrize("away", [close, leave, freeze, HANGS])
def test_leader_is_away(browser, site, open_tabs: OpenTabs, away: Callable[[Tabs], None]) -> None:
    """The others go on, and nothing is lost or comes twice."""
    if away is freeze and not isinstance(browser, Chromium):
        pytest.skip("Firefox has no such switch")
    tabs = open_tabs(5)
    tabs.until("sock.transport === 'xhr-streaming'")
    tabs.send()
    tabs.until_all_came()
    tabs.send()
    browser.go_to_tab(tabs.leader)
    away(tabs)
    browser.go_to_tab(tabs.opener)
    seconds = tabs.ask_all(site, "to all")
    print(f"{away.__name__}: all go on after {seconds:.2f} s")
    assert seconds < LIMIT
    tabs.send()
    tabs.until_all_came()
    for tab, texts in enumerate(tabs.messages()):
        own = [text for text in texts if text != "to all"]
        assert own == [f"{tab} {number}" for number in range(tabs.sent)]
        assert len(texts) == len(own) + 1
    arrivals = site.ledger.rows("arrivals")
    assert len({known for known, _ in arrivals}) == len(arrivals) == 5 * tabs.sent


@pytest.mark.parametrize("away", [leave, freeze, HANGS])
def test_leader_is_back(browser, site, open_tabs: OpenTabs, away: Callable[[Tabs], None]) -> None:
    """It follows the one that leads now, and has all that was said meanwhile."""
    if away is not hang and not isinstance(browser, Chromium):
        pytest.skip("Firefox has no such switch, and keeps no page that WebDriver drives")
    tabs = open_tabs(2)
    tabs.until("sock.transport === 'xhr-streaming'")
    browser.go_to_tab(tabs.leader)
    away(tabs)
    browser.go_to_tab(tabs.opener)
    tabs.ask_all(site, "to all")
    browser.go_to_tab(tabs.leader)
    if away is freeze:
        browser.freeze(False)
    elif away is leave:
        browser.execute_script("history.back(); return true")
        until(browser, "return window.told?.some(([type, kept]) => type === 'pageshow' && kept)")
    else:
        until(browser, "return window.told?.some(([type]) => type === 'hung')")
    until(browser, "return window.told.some(([, detail]) => detail === 'to all')")
    browser.execute_script("window.sock.send('back'); return true")
    until(browser, "return window.told.some(([, detail]) => detail === 'back')")
    told = browser.execute_script("return window.told")
    assert [detail for type, detail in told if type == "message"] == ["to all", "back"]
    assert "lost" not in [type for type, _ in told]
    browser.go_to_tab(tabs.opener)
    tabs.send()
    tabs.until_all_came()
