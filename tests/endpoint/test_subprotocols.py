"""`sockjs_bridge.endpoint.subprotocols`: what a raw WebSocket speaks (RFC 6455, 4.2.2)."""

from __future__ import annotations

import pytest

from sockjs_bridge.endpoint.subprotocols import choose, offered


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([], []),
        (["v12.stomp"], ["v12.stomp"]),
        (["v10.stomp, v12.stomp"], ["v10.stomp", "v12.stomp"]),
        (["v10.stomp ,\tv12.stomp,"], ["v10.stomp", "v12.stomp"]),
        # Several headers are one list (RFC 9110, 5.3).
        (["v10.stomp", "v12.stomp"], ["v10.stomp", "v12.stomp"]),
        (["", ","], []),
        (["two words, ok"], ["ok"]),
        (["\u00e9, ok"], ["ok"]),
    ],
)
def test_offered(values: list[str], names: list[str]) -> None:
    assert offered(values) == names


@pytest.mark.parametrize(
    ("offers", "wanted", "chosen"),
    [
        ("a b", "b a", "b"),
        ("a b", "c a", "a"),
        ("a b", "c", None),
        ("a b", "", None),
        ("", "a", None),
        ("a", "A", None),
    ],
)
def test_choose(offers: str, wanted: str, chosen: str | None) -> None:
    """The order is the application's; names are compared as they are written."""
    assert choose(offers.split(), wanted.split()) == chosen
