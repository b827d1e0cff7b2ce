"""`sockjs_bridge.endpoint.loglimit`: what strangers cause fills neither log nor memory."""

from __future__ import annotations

from sockjs_bridge.endpoint.loglimit import LogLimit


def test_each_thing_once_a_minute() -> None:
    limit = LogLimit()
    logged = [now for now in (0.0, 59.9, 60.0, 119.9, 121.0) if limit.allows("a", now)]
    assert logged == [0.0, 60.0, 121.0]
    assert limit.allows("b", 121.0)


def test_a_flood_of_things() -> None:
    limit = LogLimit()
    logged = [number for number in range(1000) if limit.allows(number, number / 1000)]
    assert logged == [*range(LogLimit.REMEMBERED)]
    assert len(limit) == LogLimit.REMEMBERED
    assert limit.allows("later", 61.0)
    assert len(limit) == 1
