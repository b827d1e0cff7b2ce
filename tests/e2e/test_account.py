"""One's own account, and the page of administrators: they fit, and what they do is seen at once."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.conftest import Serve
from tests.e2e.conversation import meet
from tests.e2e.page import ChatPage
from tests.e2e.server import Server
from tests.e2e.test_looks import FITS, PICTURES, assert_in_view, picture, show


@pytest.fixture
def server(serve: Serve) -> Server:
    server = serve()
    server.change("UPDATE users SET admin = 1 WHERE name = 'Ada'")
    return server


def test_a_new_name_is_seen_at_once(browsers: list[ChatPage], server: Server) -> None:
    """By keyboard and links alone; the other one's page is not loaded again."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.say("It is me.")
    grace.until_said("It is me.")
    ada.click("#account")
    ada.until(lambda: ada.has("#name-form"), "the account's page")
    ada.driver.find_element(By.CSS_SELECTOR, "#name").clear()
    ada.write("#name", "Lady Ada")
    ada.click("#name-button")
    ada.until(lambda: ada.has("#done"), "that it is done")
    grace.until(
        lambda: grace.script(
            "const names = [...document.querySelectorAll('#log .message:not(.own) .name')];"
            "return names.length > 0 && names.every((one) => one.textContent === 'Lady Ada')"
        ),
        "the new name at old messages",
    )
    ada.driver.get(f"{server.url}/chat")
    ada.until_connected()
    assert ada.text("#me").endswith("Lady Ada")


def test_who_is_disabled_is_told_so(browsers: list[ChatPage], server: Server) -> None:
    """An administrator's button closes the other one's connection."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.click("#account")
    ada.until(lambda: ada.has("#admin"), "the account's page")
    ada.click("#admin")
    ada.until(lambda: ada.has("#people"), "the administrators' page")
    grace_id = server.query("SELECT id FROM users WHERE name = 'Grace'")[0][0]
    ada.click(f'form[action="/admin/people/{grace_id}/disable"] button')
    grace.until(lambda: grace.shows("#sign-in-again"), "that she is signed out")


@pytest.mark.parametrize("path", ["account", "admin"])
def test_they_fit(browsers: list[ChatPage], server: Server, path: str) -> None:
    ada, _ = browsers
    ada.open(f"{server.url}/rooms/{server.room('Lobby')}")
    ada.until_connected()
    ada.driver.get(f"{server.url}/{path}")
    for size, scheme in PICTURES:
        show(ada, size, scheme)
        assert ada.script(FITS)[0] == 0
        assert_in_view(ada, "h1")
        if size != "small":
            picture(ada, f"{path}-{size}-{scheme}")
