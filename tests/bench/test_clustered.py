"""The Redis of a cluster, what a message takes there, and what is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from bench import clustered
from bench.servers import SERVERS, Lacking, running
from tests.proxies.programs import PATIENCE, free_port

ROOT = Path(__file__).parents[2]


def test_servers_share_it(tmp_path: Path) -> None:
    """With the block it ends, and its socket is gone."""
    installed = SERVERS["ours-cluster"].install()
    with clustered.running_redis() as redis:
        path, port = redis.path, free_port()
        url = f"http://127.0.0.1:{port}/echo/info"
        with running(installed, port, tmp_path / "log", redis=path):
            urllib.request.urlopen(url, timeout=PATIENCE).close()
    assert not path.exists()


def test_it_ends_with_who_has_started_it() -> None:
    """Also where that is killed: it takes its socket away."""
    script = (
        "from bench.clustered import running_redis\n"
        "with running_redis() as redis:\n"
        "    print(redis.path, flush=True)\n"
        "    input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    assert path.exists()
    process.kill()
    process.communicate()
    deadline = time.monotonic() + PATIENCE
    while path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_message_takes() -> None:
    """Each one is published, and heard by all; no figure is checked."""
    cost = clustered.redis_cost(messages=4 * clustered.PIPELINE)
    assert cost["publish"] > 0
    assert cost["push"] >= 0


def test_a_redis_that_refuses() -> None:
    with (
        clustered.running_redis() as redis,
        clustered._connect(redis.path) as connection,
        pytest.raises(Lacking, match=r"Redis does not do what was asked: .*unknown command"),
    ):
        clustered._ask(connection, clustered._command("NONSENSE"))


def test_no_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(Lacking, match="there is no redis-server here"),
        clustered.running_redis(),
    ):
        raise AssertionError
