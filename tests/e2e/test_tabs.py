"""Tabs that share one way to the server, where no WebSocket gets through, and what becomes of the one that leads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.chromium import Chromium
from tests.e2e.test_resuming_page import Browser, Site, browser, site, until
from tests.proxies.behaviour import Behaviour
from tests.proxies.middlebox import Middlebox
from tests.proxies.tcp import in_thread

__all__ = ["browser", "site"]

LIMIT = 10.0
"""Seconds until all go on without their leader, on a machine that does much else; alone it is 3."""

SILENT = 'addEventListener("freeze", (event) => event.stopImmediatePropagation(), true);'
"""Keeps a page from hearing that it is frozen."""


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
        self._count = count
        query = urlencode({"to": "/ledger", "with": json.dumps({"share": True, **options})})
        self.page = f"{box.url}/page?{query}"
        self.leader = browser.current_window_handle
        browser.get(self.page)
        until(browser, "return window.sock?.state === 'open' && window.sock.transport")
        self.opener = browser.open_tab()
        browser.get(f"{box.url}/elsewhere")
        opened = "window.tabs = Array.from({ length: arguments[1] }, () => window.open(arguments[0]))"
        browser.execute_script(f"{opened}; return true", self.page, count)
        self.until("sock?.state === 'open'")

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


@pytest.fixture
def box(browser: Browser, site: Site) -> Iterator[Middlebox]:
    """Lets no WebSocket through; the tabs that a test has opened are closed."""
    first = browser.current_window_handle
    site.start()
    with in_thread(Middlebox(site.url, Behaviour(upgrade="refused"), "/ledger")) as box:
        yield box
        browser.execute_script("for (const tab of window.tabs ?? []) tab.close(); return true")
        if browser.current_window_handle != first:
            browser.close_tab()
            browser.go_to_tab(first)
        browser.get("about:blank")


def expected(tabs: Tabs, *said: str) -> list[list[str]]:
    """What each follower has got, without what was said to all."""
    return [
        [text for text in texts if text not in said] for texts in tabs.messages()
    ]


@pytest.mark.parametrize("transport", ["xhr-streaming", "xhr-polling"])
def test_ten_tabs_talk(browser, site, box, transport: str) -> None:
    """More than a browser has connections; both ways, each with its own session."""
    ways = ["websocket", "xhr-polling", transport]
    tabs = Tabs(browser, box, 9, transports=ways)
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
