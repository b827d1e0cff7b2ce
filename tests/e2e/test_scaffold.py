"""The page of the project that ``sockjs-bridge init`` writes, in two windows."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.chromium import Chromium
from tests.e2e.server import PATIENCE
from tests.integration.pserve import running
from tests.scaffold.support import listening, make


def sees(driver: Chromium, selector: str, text: str) -> None:
    def shown(_: object) -> bool:
        return text in driver.find_element(By.CSS_SELECTOR, selector).text.splitlines()

    WebDriverWait(driver, PATIENCE).until(shown)


def say(driver: Chromium, text: str) -> None:
    driver.find_element(By.NAME, "text").send_keys(text)
    driver.find_element(By.TAG_NAME, "button").click()


def test_two_windows_talk(tmp_path: Path, drivers: list[Chromium]) -> None:
    """Also over a restart of the server, as ``--reload`` makes with each change."""
    folder = tmp_path / "notes"
    make(folder)
    ann, bob = drivers
    ini = listening(folder)
    try:
        with running(ini, folder=folder) as process:
            (url,) = process.urls()
            ini.write_text(ini.read_text().replace("127.0.0.1:0", url.removeprefix("http://")))
            for driver in drivers:
                driver.get(url)
                sees(driver, "#state", "connected")
            say(ann, "<b>hello</b>")
            for driver in drivers:
                sees(driver, "#messages", "<b>hello</b>")
        sees(ann, "#state", "the server starts anew: what you send waits")
        say(ann, "in the meantime")
        with running(ini, folder=folder) as process:
            process.urls()
            sees(ann, "#messages", "in the meantime")
            say(bob, "back again")
            for driver in drivers:
                sees(driver, "#state", "connected")
                sees(driver, "#messages", "back again")
            assert "Traceback" not in process.said
    finally:
        for driver in drivers:
            driver.get("about:blank")
            # What a page asked for while no server was there is no error of the next test.
            driver.get_log("browser")
