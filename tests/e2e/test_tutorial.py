"""The page that the tutorial of the documentation makes works in browsers."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.docs.test_tutorial import Project
from tests.e2e.server import PATIENCE


def say(driver: Chrome, text: str) -> None:
    driver.find_element(By.ID, "text").send_keys(text, Keys.ENTER)


def see(driver: Chrome, id_: str, text: str) -> None:
    """Wait until an element of the page shows a text."""

    def shown(driver: Chrome) -> str:
        return driver.find_element(By.ID, id_).text

    WebDriverWait(driver, PATIENCE, poll_frequency=0.05).until(
        lambda driver: shown(driver) == text, f"{id_} never said {text!r}"
    )


class Site(Project):
    """The project, without its own tests: tests/docs runs them."""

    def test(self) -> None:
        """Leave them out."""


@pytest.mark.timeout(600)
def test_tutorial(drivers: list[Chrome], tmp_path: Path) -> None:
    """Two people get names, talk and leave, and a page whose server has gone says so."""
    ann, bob = drivers

    async def nothing(url: str) -> None:
        pass

    async def echo(url: str) -> None:
        ann.get(f"{url}/rooms/lobby")
        see(ann, "status", "Connected over websocket.")
        say(ann, "hello")
        see(ann, "messages", "You said: hello")

    async def chat(url: str) -> None:
        for driver in (ann, bob):
            driver.get(f"{url}/rooms/lobby")
            see(driver, "status", "What is your name?")
        say(ann, "Ann")
        see(ann, "status", "You are Ann.")
        say(bob, "Ann")
        see(bob, "status", "That name is taken. What is your name?")
        say(bob, "Bob")
        for driver in (ann, bob):
            see(driver, "people", "Ann, Bob")
        say(bob, "<b>hello</b>")
        for driver in (ann, bob):
            see(driver, "messages", "Bob: <b>hello</b>")
        bob.get("about:blank")
        see(ann, "people", "Ann")

    try:
        Site(tmp_path / "myproject", nothing, echo, chat, nothing).follow()
        see(ann, "status", "The connection was lost. Trying again …")
    finally:
        for driver in drivers:
            driver.get("about:blank")
            # What the page asked for while no server was there is no error of the next test.
            driver.get_log("browser")
