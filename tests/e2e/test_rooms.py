"""Rooms: made, named, joined, left; private ones and conversations of two."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.e2e.conftest import SCREENSHOTS, Serve
from tests.e2e.conversation import meet
from tests.e2e.page import ChatPage
from tests.e2e.server import Server

# A dot is full where all of it has the colour of its edge.
FULL_DOT = """
const face = document.querySelector("#direct-people [data-name=Grace] .face-holder");
const dot = face && getComputedStyle(face, "::after");
return dot?.backgroundColor === dot?.borderTopColor && dot !== null;
"""


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()


@pytest.fixture
def pages(browsers: list[ChatPage], server: Server) -> tuple[ChatPage, ChatPage]:
    """Both in the lobby."""
    return meet(browsers, f"{server.url}/rooms/{server.room('Lobby')}")


def make_room(page: ChatPage, server: Server, name: str, topic: str, *, private: bool) -> int:
    """Make a room by the dialog; returns its id."""
    page.click("#new-room")
    page.write("#room-dialog-name", name)
    page.write("#room-dialog-topic", topic)
    if private:
        page.click("#room-dialog-private")
    page.click("#room-dialog-ok")
    page.until(lambda: page.text("#room-name") == name, "the new room")
    room = server.room(name)
    assert page.room == room
    return room


def unread(page: ChatPage, room: int) -> int | None:
    """Return the unread count of a room of the list, None where the list has no such room."""
    return next((found["unread"] for found in page.rooms() if found["id"] == room), None)


def test_a_public_room(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """One makes it, the other finds it, looks, joins, talks and leaves."""
    ada, grace = pages
    room = make_room(ada, server, "Gardening", "Tomatoes", private=False)
    ada.say("Who waters them?")
    assert unread(grace, room) is None
    grace.click("#browse-rooms")
    grace.until(lambda: grace.has(f"#browse-dialog li[data-room='{room}']"), "the room")
    grace.screenshot(SCREENSHOTS / "browse-rooms.png")
    grace.driver.get(f"{server.url}/rooms/{room}")
    grace.until_said("Who waters them?")
    assert not grace.shows("#say")
    grace.click("#join-room")
    grace.until(lambda: grace.shows("#say"), "the field to write")
    assert grace.text("#room-topic") == "Tomatoes"
    grace.say("I do.")
    ada.until_said("I do.")
    user = server.user("Grace")
    ada.until(lambda: ada.online(user), "that Grace is in the room")
    grace.click("#room-menu summary")
    grace.click("#leave-room")
    grace.click("#leave-ok")
    ada.until(lambda: ada.online(user) is None, "that Grace is not in the room any more")
    grace.until(lambda: unread(grace, room) is None, "that the list has it no more")


def test_joining_from_the_list(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """By the button in the dialog."""
    ada, grace = pages
    room = make_room(ada, server, "Gardening", "", private=False)
    grace.click("#browse-rooms")
    grace.click(f"#browse-dialog li[data-room='{room}'] .join")
    grace.until(lambda: unread(grace, room) is not None, "the room in the list")
    user = server.user("Grace")
    ada.until(lambda: ada.online(user), "that Grace is in the room")


def test_name_and_topic(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """The owner changes both, and everybody sees it at once."""
    ada, grace = pages
    room = make_room(ada, server, "Gardening", "Tomatoes", private=False)
    grace.driver.get(f"{server.url}/rooms/{room}")
    grace.click("#join-room")
    grace.until(lambda: grace.shows("#say"), "the field to write")
    ada.click("#room-menu summary")
    ada.click("#edit-room")
    ada.write("#edit-room-name", "The garden")
    ada.write("#edit-room-topic", "Cucumbers")
    ada.click("#edit-room-ok")
    for page in pages:
        page.until(
            lambda page=page: (
                (page.text("#room-name"), page.text("#room-topic")) == ("The garden", "Cucumbers")
            ),
            "the new name and topic",
        )
        assert page.room_named("The garden")["id"] == room
        assert page.room_named("Gardening") is None


def test_a_private_room(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """Nobody knows of it but those who are invited."""
    ada, grace = pages
    room = make_room(ada, server, "Surprise", "", private=True)
    ada.say("It is Grace's birthday.")
    grace.expect_errors(r"/rooms/\d+ .* 404 ")
    grace.driver.get(f"{server.url}/rooms/{room}")
    assert not grace.has("#say")
    assert not grace.script("return document.body.textContent.includes('Surprise')")
    grace.screenshot(SCREENSHOTS / "not-found.png")
    grace.driver.get(f"{server.url}/chat")
    grace.until_connected()
    grace.click("#browse-rooms")
    grace.until(lambda: grace.shows("#browse-dialog"), "the public rooms")
    assert not grace.has(f"#browse-dialog li[data-room='{room}']")
    grace.driver.press(Keys.ESCAPE)
    ada.click("#room-menu summary")
    ada.click("#invite")
    ada.write("#invite-name", "grace")
    # Suggestions must not be in the way of the button.
    ada.until(lambda: ada.shows("#invite-people [role=option]"), "a suggestion")
    ada.click("#invite-ok")
    grace.until(lambda: unread(grace, room) is not None, "the room in the list")
    grace.choose_room(room)
    grace.until_said("It is Grace's birthday.")
    grace.say("Oh!")
    ada.until_said("Oh!")


def test_a_conversation_of_two(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """It has the other's name on each side, and counts what is unread."""
    ada, grace = pages
    ada.click("#new-direct")
    ada.write("#direct-name", "gr")
    ada.until(lambda: ada.script(FULL_DOT), "the full dot of who is here")
    ada.screenshot(SCREENSHOTS / "suggestions.png")
    ada.click("#direct-people [role=option][data-name=Grace]")
    ada.click("#direct-ok")
    ada.until(lambda: ada.text("#room-name") == "Grace", "the conversation")
    room = ada.room
    assert room is not None
    before = unread(grace, room) or 0
    ada.say("psst")
    grace.until(lambda: unread(grace, room) == before + 1, "an unread message")
    assert grace.room_named("Ada")["id"] == room
    grace.until(lambda: f"({before + 1})" in grace.script("return document.title"), "its count")
    grace.choose_room(room)
    grace.until_said("psst")
    grace.until(lambda: unread(grace, room) == 0, "that all is read")
    grace.say("what?")
    ada.until_said("what?")


def test_unread_counts_survive(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """They are the same after a reload, and what is read stays read."""
    ada, grace = pages
    lobby = server.room("Lobby")
    room = make_room(ada, server, "Gardening", "", private=False)
    for number in range(3):
        grace.say(f"message {number}")
    ada.until(lambda: unread(ada, lobby) == 3, "three unread messages")
    ada.driver.refresh()
    ada.until_connected()
    assert ada.room == room
    ada.until(lambda: unread(ada, lobby) == 3, "three unread messages")
    ada.choose_room(lobby)
    ada.until(lambda: unread(ada, lobby) == 0, "that all is read")
    ada.choose_room(room)
    ada.driver.refresh()
    ada.until_connected()
    ada.until(lambda: unread(ada, lobby) == 0, "that all is read")


def test_a_name_that_is_taken(pages: tuple[ChatPage, ChatPage], server: Server) -> None:
    """The dialog says so, and keeps what was written."""
    ada, _ = pages
    ada.expect_errors(r"/rooms .* (400|409) ")
    ada.click("#new-room")
    ada.write("#room-dialog-name", "lobby")
    ada.click("#room-dialog-ok")
    ada.until(lambda: ada.text("#room-dialog-error"), "what is wrong")
    ada.screenshot(SCREENSHOTS / "room-name-taken.png")
    assert ada.shows("#room-dialog")
    assert ada.script("return document.querySelector('#room-dialog-name').value") == "lobby"
