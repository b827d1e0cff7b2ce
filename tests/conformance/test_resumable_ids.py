"""``~r1``, "Message ids", in each style of application; ours only."""

from __future__ import annotations

import pytest

from tests.conformance.resumable import Resumable, texts, token
from tests.conformance.wire import Client

pytestmark = pytest.mark.ours


@pytest.fixture
def client(resumable_client: Client) -> Client:
    return resumable_client


@pytest.mark.parametrize("endpoint", ["/blocking", "/async"])
def test_views_get_all_ways(client: Client, endpoint: str) -> None:
    one = Resumable(client, endpoint).open()
    one.send(1, "a")
    link = one.link()
    one.hello(link, first=2, messages=["b"])
    link.say({"first": 3, "messages": ["c"]})
    assert texts(link.until(' c"')) == [f"None False {text}" for text in "abc"]


@pytest.mark.parametrize("endpoint", ["/blocking", "/async"])
@pytest.mark.parametrize("way", ["xhr", "websocket"])
def test_message_ids_in_views(client: Client, endpoint: str, way: str) -> None:
    one = Resumable(client, endpoint)
    page = token()
    terms = {"new": True, "client": page, "base": 41, "repeated": 2}
    if way == "xhr":
        one.poll(**terms)
        one.send(1, *"abc")
        stream = one.stream()
        lines = stream.until(' c"')
    else:
        link = one.link("new")
        one.hello(link, **terms)
        link.say(list("abc"))
        lines = link.until(' c"')
    assert texts(lines) == [f"{page}-41 True a", f"{page}-42 True b", f"{page}-43 False c"]


def test_message_ids_in_a_session_class(client: Client) -> None:
    one = Resumable(client, tag=token())
    page = token()
    one.poll(new=True, client=page, base=7, repeated=1, first=1, messages=["a", "b"])
    assert client.events(one.tag, 3)[1:] == [
        ["message", "a", f"{page}-7", True],
        ["message", "b", f"{page}-8", False],
    ]
    # What the first request said holds.
    one.poll(new=True, client=token(), base=99, repeated=99, received=0)
    one.send(3, "c")
    assert client.events(one.tag, 4)[3] == ["message", "c", f"{page}-9", False]
