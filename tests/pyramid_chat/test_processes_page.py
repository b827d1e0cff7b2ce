"""The page that shows which process serves what."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cluster.redisserver import RedisServer
from tests.pyramid_chat.conftest import Start


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_demo_of_several_shows_who_is_where(start: Start, redis: RedisServer) -> None:
    settings: dict[str, Any] = {"sockjs__cluster": redis.url, "chat__demo": "true"}
    with start(**settings) as one, start(**settings) as other:
        names = [each.app.registry.sockjs.processes()[0].name for each in (one, other)]
        async with one.browser("Ada B") as browser, other.visit("Grace B"), browser.connect():
            while True:
                status, page = await browser.get("/processes")
                assert status == 200
                rows = dict(re.findall(r"<code>(\w+)</code> serves</dt>\s*<dd>([^<]+)", page))
                # The first process hears of the second one, and of its connections, by its lease.
                if rows == {
                    names[0]: "1 connections: Ada B",
                    names[1]: "1 connections: Grace B",
                }:
                    break
            assert f'<code id="own">{names[0]}</code>' in page
            assert [(each.name, each.own) for each in one.app.registry.sockjs.processes()] == [
                (names[0], True),
                (names[1], False),
            ]


async def test_one_process_has_no_such_page(start: Start) -> None:
    with start(chat__demo="true") as chat:
        async with chat.browser("Ada B") as browser:
            assert (await browser.get("/processes"))[0] == 404
        (process,) = chat.app.registry.sockjs.processes()
        assert (process.name, process.own, process.leaving) == ("", True, False)
