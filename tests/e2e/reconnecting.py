"""A page with `ReconnectingSockJS`, as a test drives it: that of tests/pkgs/page_app."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.chromium import Chromium
from tests.e2e.firefox import Firefox
from tests.e2e.server import PATIENCE

Browser = Chromium | Firefox


def visit(browser: Browser, url: str, to: str = "/ledger", **options: Any) -> None:
    """Load the page, and wait until its session is open, or will never be."""
    browser.get(f"{url}/page?{urlencode({'to': to, 'with': json.dumps(options)})}")
    until(browser, "return ['open', 'stopped'].includes(window.sock?.state)")


def until(browser: Browser, script: str) -> Any:
    """Wait until a script of the page returns something true, and return it."""
    end = time.monotonic() + PATIENCE
    pause = 0.02
    while not (value := browser.execute_script(script)):
        if time.monotonic() > end:
            pytest.fail(f"{script}: {browser.execute_script('return window.told')}")
        time.sleep(pause)
        pause = min(1.2 * pause, 0.2)
    return value


def until_told(browser: Browser, event: str) -> Any:
    """Wait until the page was told of an event, and return its detail, or true."""
    script = f"return window.told.filter(([type]) => type === '{event}').at(-1)"
    return until(browser, script)[1]


def until_handled(browser: Browser) -> None:
    """Wait until all that the page sent is handled."""
    until(browser, "return window.sock.outbox.length === 0")


def send(browser: Browser, texts: list[str], then: str = "") -> list[str]:
    """Send texts, do something in the same breath, and return the texts' ids."""
    script = f"""
    const receipts = arguments[0].map((text) => window.sock.send(text));
    window.sure = [];
    for (const {{ handled }} of receipts) handled.then((sure) => window.sure.push(sure));
    {then};
    return receipts.map(({{ id }}) => id)
    """
    ids: list[str] = browser.execute_script(script, texts)
    return ids


def messages(browser: Browser) -> list[str]:
    """Return what came."""
    told = browser.execute_script("return window.told")
    return [detail for event, detail in told if event == "message"]


def events(browser: Browser) -> list[str]:
    """Return the names of what else was told, in order."""
    told = browser.execute_script("return window.told")
    passing = ("message", "transport", "rtt", "pageshow")
    return [event for event, _ in told if event not in passing]
