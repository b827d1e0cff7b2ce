"""The chat's page as a user sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

MESSAGES = """
return [...document.querySelectorAll("#log .message")].map((row) => ({
    name: row.querySelector(".name").textContent,
    text: row.querySelector(".text").textContent,
    time: row.querySelector("time")?.dateTime ?? null,
    shown: row.querySelector(".time").textContent,
    state: ["pending", "failed"].find((state) => row.classList.contains(state)) ?? "",
}));
"""

NOTES = """
return [...document.querySelectorAll("#log .note")].map((row) =>
    [...row.childNodes].filter((node) => node.nodeName !== "TIME")
        .map((node) => node.textContent).join("").trim());
"""


class ChatPage:
    """One browser with the chat in it.

    Args:
        driver: the browser's.
        owner: whose browser it is; names the pictures.
        patience: seconds to wait for what must happen.
    """

    def __init__(self, driver: Chrome, owner: str, patience: float) -> None:
        self.driver = driver
        self.owner = owner
        self._wait = WebDriverWait(driver, patience, poll_frequency=0.05)
        self._scripts: list[str] = []
        self._expected: list[str] = []

    def open(self, url: str) -> None:
        """Go to the page, which then connects."""
        self.driver.get(url)

    def join(self, name: str) -> None:
        """Fill in the nickname form and send it by the keyboard."""
        self.until(lambda: self.element("enter").is_displayed(), "the nickname form")
        field = self.element("name")
        field.clear()
        field.send_keys(name, Keys.ENTER)
        self.until(lambda: self.element("text").is_displayed(), "the conversation")

    def say(self, *texts: str) -> None:
        """Type messages, with Enter after each."""
        self.element("text").send_keys(*(key for text in texts for key in (text, Keys.ENTER)))

    def element(self, id_: str) -> WebElement:
        """Return an element by its id."""
        return self.driver.find_element(By.ID, id_)

    @property
    def state(self) -> str:
        """The state of the connection."""
        return self.element("status").get_attribute("data-state")

    @property
    def transport(self) -> str:
        """The transport that the status line shows."""
        return self.element("transport").text

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that are shown, from top to bottom."""
        found: list[dict[str, Any]] = self.driver.execute_script(MESSAGES)
        return found

    def texts(self) -> list[str]:
        """Return the texts of the messages that the server told, from top to bottom."""
        return [message["text"] for message in self.messages() if not message["state"]]

    def notes(self) -> list[str]:
        """Return who came and left, without the times."""
        found: list[str] = self.driver.execute_script(NOTES)
        return found

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds."""
        self._wait.until(lambda driver: condition(), f"{self.owner} never saw: {what}")

    def until_connected(self, transport: str) -> None:
        """Wait until the status line shows a connection over a transport."""
        self.until(lambda: self.state == "open" and self.transport == transport, transport)

    def until_texts(self, texts: list[str]) -> None:
        """Wait until there are as many messages, which must then be these in this order."""
        self.until(lambda: len(self.texts()) >= len(texts), f"{len(texts)} messages")
        assert self.texts() == texts

    def before_load(self, script: str) -> None:
        """Have a script run in every page before the page's own."""
        added = self.driver.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument", {"source": script}
        )
        self._scripts.append(added["identifier"])

    def emulate(self, width: int, height: int, *, dark: bool = False, mobile: bool = False) -> None:
        """Give the page another size and colour scheme."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def expect_errors(self, pattern: str) -> None:
        """Have console errors left out that a test provokes: those that a pattern matches."""
        self._expected.append(pattern)

    def errors(self) -> list[str]:
        """Return and forget the unexpected errors that the console shows."""
        return [
            f"{self.owner}: {entry['message']}"
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
            and not any(re.search(pattern, entry["message"]) for pattern in self._expected)
        ]

    def screenshot(self, file: Path) -> None:
        """Keep a picture of the page."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(file))

    def reset(self) -> None:
        """Forget everything that a test did."""
        for identifier in self._scripts:
            self.driver.execute_cdp_cmd(
                "Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier}
            )
        self._scripts.clear()
        self._expected.clear()
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        if self.driver.current_url.startswith("http"):
            self.driver.execute_script("localStorage.clear(); sessionStorage.clear();")
        self.driver.get("about:blank")
