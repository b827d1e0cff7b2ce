"""What the page on many processes tells to write."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockjs_bridge.cluster.store import Entry
from tests.cluster.redisserver import RedisServer
from tests.cluster.redisstore.support import raw, started
from tests.cluster.stores import Ear
from tests.docs.blocks import collect

BLOCKS = {block.key: block.code for block in collect() if block.page == "cluster"}
RUN = {("cluster", "users.acl"), ("cluster", "report.py")}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.end()


async def test_a_message_from_another_program_and_a_user_of_its_own(
    redis: RedisServer, tmp_path: Path
) -> None:
    """The user of users.acl may do all that a process does, and so does report.py."""
    _, user, *rules = BLOCKS["cluster", "users.acl"].split()
    async with started(redis.url, "other") as (store, _):
        await raw(store, "ACL", "SETUSER", user, *rules)
    url = f"redis://{user}:password@127.0.0.1:{redis.port}"
    report = BLOCKS["cluster", "report.py"]
    assert "redis://localhost" in report
    path = tmp_path / "report.py"
    path.write_text(report.replace("redis://localhost", url), encoding="utf-8")
    ear = Ear()
    async with started(url, "default", ear=ear) as (store, _):
        store.subscribe(["news"])
        await ear.hears("subscribed")
        subprocess.run([sys.executable, path], timeout=60, check=True)
        assert await ear.hears("heard") == [("news", None, Entry("The report is ready."))]
