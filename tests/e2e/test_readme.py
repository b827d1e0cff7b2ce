"""The page of the README's example works in a browser."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.chromium import Chromium
from tests.e2e.server import PATIENCE
from tests.test_readme import served


def say(window: Chromium, text: str) -> None:
    window.find_element(By.TAG_NAME, "input").send_keys(text, Keys.ENTER)


def see(window: Chromium, *texts: str) -> None:
    """Wait until these are the last that are listed."""

    def seen(_: Chromium) -> bool:
        items = [item.text for item in window.find_elements(By.TAG_NAME, "li")]
        return items[-len(texts) :] == [*texts]

    WebDriverWait(window, PATIENCE, poll_frequency=0.05).until(seen)


def test_two_windows(drivers: list[Chromium], tmp_path: Path) -> None:
    """What is said in one is seen in both, as text."""
    first, second = drivers
    for window in drivers:
        # What an earlier test's page had asked for is no error of this one.
        window.get("about:blank")
        window.errors()
    with served(tmp_path) as (url, _):
        try:
            for window in drivers:
                window.get(f"{url}/talk")
            # Whoever sees what it says is in the room.
            say(first, "I am first")
            see(first, "I am first")
            say(second, "<b>hello</b>")
            see(first, "I am first", "<b>hello</b>")
            say(first, "bye")
            see(first, "I am first", "<b>hello</b>", "bye")
            see(second, "<b>hello</b>", "bye")
            errors = [error for window in drivers for error in window.errors()]
            assert [error for error in errors if "favicon.ico" not in error] == []
        finally:
            for window in drivers:
                window.get("about:blank")
                window.errors()
