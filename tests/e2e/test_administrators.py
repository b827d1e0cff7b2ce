"""What administrators do from the page, and at /admin, and what others see of it at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver.common.keys import Keys

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


def pictures(page: ChatPage, name: str, *selectors: str) -> None:
    """Assert that the page fits on every screen, in light and dark, and keep pictures of it."""
    for size, scheme in PICTURES:
        show(page, size, scheme)
        assert page.script(FITS)[0] == 0
        assert_in_view(page, *selectors)
        if size != "small":
            picture(page, f"{name}-{size}-{scheme}")
    show(page, "desktop", "light")


def go_to_admin(page: ChatPage) -> None:
    """By links alone."""
    page.click("#account")
    page.until(lambda: page.has("#admin"), "the account's page")
    page.click("#admin")
    page.until(lambda: page.has("#entries-heading"), "the administrators' page")


def deed(page: ChatPage, words: str) -> Callable[[], bool]:
    """Return what tells whether the page lists something as done."""
    return lambda: page.has("#entries") and words in page.text("#entries")


def test_a_message_is_removed(browsers: list[ChatPage], server: Server) -> None:
    """Its author, and everybody else, sees by whom; a member who is none has no button for it."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.say("Good morning!")
    grace.say("Buy this.")
    for page in browsers:
        page.until_said("Good morning!", "Buy this.")
    number = ada.message("Buy this.")["number"]
    row = f"#log .message[data-number='{number}']"
    assert not grace.has("#log .message:not(.own) .delete")
    assert not ada.has(f"{row} .edit")
    # The button stands behind the message, which it does not move.
    edges = ada.script(
        "const edge = (part, side) => document.querySelector(arguments[0] + part)"
        ".getBoundingClientRect()[side];"
        "return [edge(' > .face', 'left') - edge('', 'left'),"
        " edge(' .actions', 'left') - edge(' .bubble', 'right')]",
        row,
    )
    assert edges[0] == 0 and edges[1] > 0
    ada.click(f"{row} .delete")
    ada.until(lambda: ada.shows("#delete-dialog"), "the question")
    assert ada.text("#delete-title") == "Remove this message of Grace?"
    pictures(ada, "remove-message", "#delete-dialog", "#delete-ok")
    ada.click("#delete-ok")
    for page in browsers:
        page.until(
            lambda page=page: page.message("This message was removed by Ada.") is not None,
            "by whom it was removed",
        )
    ((text,),) = server.query("SELECT text FROM message WHERE number = ? AND room_id = ?", number,
                              server.room("Lobby"))  # fmt: skip
    assert text == ""
    pictures(grace, "removed-message", "#text")
    # It is so after the page was loaded again, and the administrators' page has it.
    grace.driver.get(f"{server.url}/rooms/{server.room('Lobby')}")
    grace.until(lambda: grace.message("This message was removed by Ada."), "the same")
    go_to_admin(ada)
    assert "Ada removed a message of Grace in Lobby" in ada.text("#entries")


def test_who_becomes_an_administrator_sees_the_buttons_at_once(
    browsers: list[ChatPage], server: Server
) -> None:
    """By the keyboard, a message of somebody else is removed."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    ada.say("Hello.")
    grace.until_said("Hello.")
    assert not grace.has("#log .message:not(.own) .delete")
    server.change("UPDATE users SET admin = 1 WHERE name = 'Grace'")
    server.change(
        "INSERT INTO notice (topic, user_id, created) VALUES ('admin', ?, '2099-01-01 00:00:00')",
        server.user("Grace"),
    )
    button = "#log .message:last-child .delete"
    grace.until(lambda: grace.has(button), "the button")
    grace.focus(button)
    grace.driver.press(Keys.ENTER)
    grace.until(lambda: grace.shows("#delete-dialog"), "the question")
    grace.focus("#delete-ok")
    grace.driver.press(Keys.ENTER)
    ada.until(lambda: ada.message("This message was removed by Grace."), "that it is removed")


def test_an_archived_room_is_opened_again_and_a_room_is_removed(
    browsers: list[ChatPage], server: Server
) -> None:
    """Its last member is told what leaving means; others' pages follow at once."""
    ada, grace = meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")
    grace.click("#new-room")
    grace.write("#room-dialog-name", "Plans")
    grace.click("#room-dialog-private")
    grace.click("#room-dialog-ok")
    grace.until(lambda: grace.text("#room-name") == "Plans", "the new room")
    grace.until(lambda: grace.text("#members-count") == "1", "who is there")
    grace.say("The plan.")
    grace.until_said("The plan.")
    grace.click("#room-menu summary")
    grace.click("#leave-room")
    grace.until(lambda: grace.shows("#leave-dialog"), "the question")
    assert "Nobody else is in Plans" in grace.text("#leave-text")
    grace.click("#leave-ok")
    grace.until(lambda: grace.room_named("Plans") is None, "that the room is gone")
    go_to_admin(ada)
    plans = server.room("Plans")
    summary = f"#rooms li:has(#to-{plans}) summary"
    ada.click(summary)
    ada.write(f"#to-{plans}", "Nobody", Keys.ENTER)
    ada.expect_errors(r"/admin/rooms/\d+/reopen .* 400 ")
    ada.until(lambda: ada.has("#error"), "what is wrong")
    assert ada.text("#error") == "There is nobody of that name."
    ada.click(summary)
    pictures(ada, "admin-archived", "#error")
    ada.write(f"#to-{plans}", "Grace", Keys.ENTER)
    ada.until(deed(ada, "Ada let Grace into the room Plans"), "that it is done")
    grace.until(lambda: grace.room_named("Plans"), "the room")
    grace.choose_room(plans)
    grace.until_said("The plan.")
    lobby = server.room("Lobby")
    grace.choose_room(lobby)
    ada.click(f"#rooms li:has(form[action='/admin/rooms/{lobby}/remove']) summary")
    ada.click(f"form[action='/admin/rooms/{lobby}/remove'] button")
    ada.until(deed(ada, "Ada removed the room Lobby"), "that it is removed")
    grace.until(lambda: grace.shows("#refused"), "that it is gone")
    assert grace.text("#refused-text") == "Ada has removed Lobby."
    pictures(grace, "removed-room", "#refused")
    grace.until(lambda: grace.room_named("Lobby") is None, "that it is in the list no more")


def test_registration_and_limits(browsers: list[ChatPage], server: Server) -> None:
    """The form for an account is there no more; what cannot be is refused in a sentence."""
    ada, grace = browsers
    ada.open(f"{server.url}/chat")
    ada.until_connected()
    go_to_admin(ada)
    ada.click("#registration button")
    ada.until(deed(ada, "Ada closed the registration"), "that it is closed")
    grace.driver.get(f"{server.url}/sign-in")
    assert not grace.has("a[href^='/register']")
    grace.expect_errors(r"/register .* 404 ")
    grace.driver.get(f"{server.url}/register")
    assert "Ask who looks after this chat" in grace.script("return document.body.textContent")
    ada.expect_errors(r"/admin/options/limits .* 400 ")
    ada.write("#message_burst", "many", Keys.ENTER)
    ada.until(lambda: ada.has("#error"), "what is wrong")
    assert ada.text("#error") == "'many' is not a whole number from 1 to 100000."
    ada.write("#messages_per_minute", "90")
    ada.write("#message_burst", "30", Keys.ENTER)
    ada.until(deed(ada, "Ada limited messages to 90 a minute, 30 at once"), "the limits")
    for heading in ("#registration-heading", "#entries-heading"):
        for size, scheme in PICTURES:
            show(ada, size, scheme)
            assert ada.script(FITS)[0] == 0
            ada.script("document.querySelector(arguments[0]).scrollIntoView()", heading)
            assert_in_view(ada, heading)
            if size != "small":
                picture(ada, f"admin{heading[1:].removesuffix('heading')}{size}-{scheme}")
