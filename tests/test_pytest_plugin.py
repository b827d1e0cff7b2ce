"""The fixture for applications' tests, as pytest finds it in their environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

MODULE = """
from urllib.request import urlopen

from tests.pkgs import blocking_view_app

from sockjs_bridge.client import connect

urls = []


async def test_connection(sockjs_serve):
    urls.append(sockjs_serve(blocking_view_app.main(), shutdown_timeout=1))
    urls.append(sockjs_serve(blocking_view_app.main()))
    for url in urls:
        async with connect(f"{url}/websocket") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


def test_server_is_gone():
    for url in urls:
        try:
            urlopen(url, timeout=40)
        except OSError:
            continue
        raise AssertionError("it still serves")
"""


def test_fixture(tmp_path: Path) -> None:
    """Nothing has to be imported or configured for it; it stops its servers after each test."""
    (tmp_path / "test_app.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    options = ["-c", "/dev/null", "--rootdir", str(tmp_path), "-o", "asyncio_mode=auto"]
    done = subprocess.run(
        [*command, *options, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
