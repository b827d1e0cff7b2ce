"""/info (InfoTest)."""

from __future__ import annotations

import json
import random

import pytest

from tests.conformance.wire import (
    Client,
    assert_content_type,
    assert_cors,
    assert_not_cached,
)


def test_basic(client: Client) -> None:
    """InfoTest: type, no cookie, no caching, CORS, and the four fields."""
    answer = client.get("/echo/info")
    assert answer.status == 200
    assert_content_type(answer, "application/json;charset=UTF-8")
    assert_not_cached(answer)
    assert_cors(answer)
    assert answer.all("Set-Cookie") == []
    info = json.loads(answer.body)
    assert info["websocket"] is True
    assert info["cookie_needed"] is False
    assert info["origins"] == ["*:*"]
    assert type(info["entropy"]) is int


def test_entropy_is_fresh_and_in_range(client: Client) -> None:
    """InfoTest: entropy is an int in 0..2^32-1, another one each time."""
    found = [json.loads(client.get("/echo/info").body)["entropy"] for _ in range(8)]
    assert len(set(found)) == len(found)
    assert all(0 <= entropy <= 2**32 - 1 for entropy in found)


@pytest.mark.ours
def test_entropy_comes_from_a_cryptographic_generator(client: Client) -> None:
    """Entropy is from a CSPRNG: seeding the module `random` must not repeat it."""
    found = []
    for _ in range(2):
        random.seed(1)
        found.append(json.loads(client.get("/echo/info").body)["entropy"])
    assert found[0] != found[1]


def test_disabled_websocket(client: Client) -> None:
    """InfoTest: an endpoint without WebSocket says so."""
    info = json.loads(client.get("/disabled_websocket_echo/info").body)
    assert info["websocket"] is False


def test_cookie_needed(client: Client) -> None:
    """JsessionidCookie: an endpoint with the cookie says so, yet sets none on /info."""
    answer = client.get("/cookie_needed_echo/info")
    assert json.loads(answer.body)["cookie_needed"] is True
    assert answer.all("Set-Cookie") == []


@pytest.mark.ours
def test_info_is_answered_while_the_application_is_busy(client: Client) -> None:
    """The client derives its time-outs from /info: no application thread may delay it."""
    session = client.session("/async_script", query="tag=busy-info").open()
    session.run(["hold"])
    try:
        assert client.get("/async_script/info").status == 200
    finally:
        client.release("busy-info")
