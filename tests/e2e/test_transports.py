"""Two people in two browsers, over every transport that the page's client has."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.conversation import assert_complete, converse, meet
from tests.e2e.firefox import Firefox
from tests.e2e.page import ChatPage
from tests.e2e.server import PATIENCE, PLENTY
from tests.selection import cases

NASTY = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> & "quoted"'

NO_WEBSOCKET = "delete window.WebSocket;"


@dataclass(frozen=True)
class Way:
    """How a page is led to a transport.

    Attributes:
        transport: that the page must then show.
        query: of the page's URL.
        settings: of the application.
        script: that changes the browser before the page loads.
        errors: that the console shows when the client tries what is off.
        leaves: whether it is waited for that one of them leaves, which takes seconds.
    """

    transport: str
    query: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    script: str = ""
    errors: str = ""
    leaves: bool = False


def asked(transport: str, *, leaves: bool = False) -> Way:
    return Way(transport, f"?transport={transport}", leaves=leaves)


#: Whichever of the two ways that it tries is refused first.
NOT_THERE = (
    r"/~r1/\S+ .*\b404\b|WebSocket connection to '\S+' failed:"
    r" (.* 404|WebSocket is closed before the connection is established)"
)


WAYS = {
    "as it comes": Way("websocket", leaves=True),
    "asked for xhr-streaming": asked("xhr-streaming", leaves=True),
    "asked for xhr-polling": asked("xhr-polling", leaves=True),
    "no session that survives": Way(
        "websocket", settings={"sockjs.resume_window": "0"}, errors=NOT_THERE, leaves=True
    ),
    "no session that survives, asked for xhr-streaming": Way(
        "xhr-streaming",
        "?transport=xhr-streaming",
        settings={"sockjs.resume_window": "0"},
        errors=NOT_THERE,
    ),
    "websocket off in the server": Way(
        "xhr-streaming",
        settings={"sockjs.transports": "xhr-streaming xhr-polling"},
        errors=NOT_THERE,
    ),
    "only polling on in the server": Way(
        "xhr-polling",
        settings={"sockjs.transports": "xhr-polling"},
        errors=NOT_THERE,
    ),
    "no websocket in the browser": Way("xhr-streaming", script=NO_WEBSOCKET),
    "no websocket in the browser, asked for polling": Way(
        "xhr-polling", query="?transport=websocket,xhr-polling", script=NO_WEBSOCKET
    ),
}


#: Whose every step another one of them takes, too.
FULL_ONLY = {
    "asked for xhr-streaming",
    "asked for xhr-polling",
    "no session that survives, asked for xhr-streaming",
    "only polling on in the server",
    "no websocket in the browser, asked for polling",
}


@pytest.mark.parametrize("way", cases(WAYS, FULL_ONLY))
def test_two_browsers_chat(browsers: list[ChatPage], serve: Serve, way: Way) -> None:
    """What one types appears in the other, in order, as text, without a reload."""
    server = serve({**PLENTY, **way.settings})
    room = server.room("Lobby")
    for page in browsers:
        if way.script:
            page.chromium.before_load(way.script)
        if way.errors:
            page.expect_errors(way.errors)
    history = server.messages(room)
    ada, grace = meet(browsers, f"{server.url}/rooms/{room}{way.query}", way.transport)
    for page in browsers:
        page.watch()
        page.until_said(*(text for _, _, text in history))
        page.script("window.loadedOnce = true")
        for owner in ("Ada", "Grace"):
            user = server.user(owner)
            page.until(lambda page=page, user=user: page.online(user), f"{owner} is here")
    ada.focus("#text")
    ada.driver.press("H")
    grace.until(lambda: "Ada" in grace.text("#typing"), "who is typing")
    ada.script("document.querySelector('#text').value = ''")
    ada.say(NASTY)
    grace.until_said(NASTY)
    grace.until(lambda: "Ada" not in grace.text("#typing"), "that nobody is typing")
    converse(browsers, server, room)
    for page in browsers:
        assert page.script("return [window.loadedOnce, window.hacked]") == [True, None]
        assert not page.has("#log script, #log img")
        assert page.transport == way.transport
        assert page.losses == 0
        assert all(message["time"] for message in page.messages())
    if way.leaves:
        grace.driver.get("about:blank")
        user = server.user("Grace")
        ada.until(lambda: ada.online(user) is False, "that Grace has left")


@pytest.mark.parametrize(
    "transport",
    ["websocket", pytest.param("xhr-streaming", marks=pytest.mark.full), "xhr-polling"],
)
def test_firefox_and_chromium_chat(
    browsers: list[ChatPage], firefox: Firefox, serve: Serve, transport: str
) -> None:
    """Ada has Firefox, Grace has Chromium."""
    server = serve(PLENTY)
    room = server.room("Lobby")
    ada = ChatPage(firefox, "Ada", PATIENCE)
    grace = browsers[1]
    pages = [ada, grace]
    meet(pages, f"{server.url}/rooms/{room}?transport={transport}", transport)
    for page in pages:
        for owner in ("Ada", "Grace"):
            user = server.user(owner)
            page.until(lambda page=page, user=user: page.online(user), f"{owner} is here")
    ada.focus("#text")
    ada.driver.press("H")
    grace.until(lambda: "Ada" in grace.text("#typing"), "who is typing")
    ada.script("document.querySelector('#text').value = ''")
    ada.say(NASTY, "emoji 👩\u200d🚀 and שלום")
    grace.until_said(NASTY, "emoji 👩\u200d🚀 and שלום")
    converse(pages, server, room)
    ada.driver.get(f"{server.url}/rooms/{room}?transport={transport}")
    ada.until_connected(transport)
    ada.until_said("Grace 9")
    assert_complete(pages, server, room)
    assert ada.errors() == []
