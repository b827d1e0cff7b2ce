"""The server of the benchmark that is one process of a cluster."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from bench.servers import SERVERS, running
from tests.proxies.programs import PATIENCE, free_port


@pytest.mark.parametrize("killed", [False, True])
def test_it_serves_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """Redis ends with it, and takes its socket away."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    port = free_port()
    with running(SERVERS["ours-cluster"].install(), port, tmp_path / "log") as process:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/echo/info", timeout=PATIENCE):
            assert [*folder.glob("sockjs-bench-*.sock")]
        if killed:
            process.kill()
    deadline = time.monotonic() + PATIENCE
    while [*folder.glob("sockjs-bench-*")]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
