"""Two people talk, and what both see is compared with what the database has."""

from __future__ import annotations

from tests.e2e.page import ChatPage
from tests.e2e.server import Server

LONG = 60.0
"""Seconds that a long conversation may take behind a proxy that disturbs it."""


def meet(pages: list[ChatPage], url: str, transport: str = "") -> tuple[ChatPage, ChatPage]:
    """Bring both to a page of the chat, Ada first, and wait for their connections."""
    ada, grace = pages
    for page in pages:
        page.open(url)
    for page in pages:
        page.until_connected(transport)
    return ada, grace


def converse(pages: list[ChatPage], server: Server, room: int, count: int = 10) -> None:
    """Have both say many things at a time, and check that everything arrived.

    Args:
        pages: theirs, which show the room.
        server: whose database is read.
        room: the id of the room.
        count: of messages that each says.
    """
    said = {page.owner: [f"{page.owner} {number}" for number in range(count)] for page in pages}
    for page in pages:
        page.say(*said[page.owner][:2])
    for page in pages:
        page.post(said[page.owner][2:-2])
    for page in pages:
        page.until(lambda page=page: page.script("return !window.posting"), "the end of its post")
        page.say(*said[page.owner][-2:])
    everything = [text for texts in said.values() for text in texts]
    for page in pages:
        page.until_said(*everything, patience=LONG)
        page.until(
            lambda page=page: all(message["number"] for message in page.messages()),
            "that everything is confirmed",
        )
    assert_complete(pages, server, room)
    stored = server.messages(room)
    for author, texts in said.items():
        assert [text for _, name, text in stored if name == author and text in texts] == texts


def assert_complete(pages: list[ChatPage], server: Server, room: int) -> None:
    """Assert that the pages show the newest messages, none missing, twice or in another order."""
    stored = server.messages(room)
    for page in pages:
        shown = page.settled()
        assert shown == stored[-len(shown) :]
        assert page.messages()[-1]["number"] == stored[-1][0]
