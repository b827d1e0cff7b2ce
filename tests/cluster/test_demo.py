"""``make demo-cluster``: one command starts all of it, and ends all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.pserve import PATIENCE
from tests.proxies.programs import free_port

pytestmark = pytest.mark.skipif(
    os.environ.get("SOCKJS_SKIP_POSTGRESQL") == "1", reason="SOCKJS_SKIP_POSTGRESQL is set"
)

Demo = Callable[[int], subprocess.Popen[str]]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Starts it on a port."""
    with ExitStack() as stack:

        def start(port: int) -> subprocess.Popen[str]:
            options = [f"--port={port}", f"--folder={tmp_path / 'demo'}"]
            process = subprocess.Popen(
                [sys.executable, "-m", "buildtools.cluster_demo", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(process.wait, PATIENCE)
            stack.callback(process.terminate)
            return process

        yield start


def test_one_command_starts_and_ends_all_of_it(demo: Demo) -> None:
    port = free_port()
    process = demo(port)
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    url = f"http://127.0.0.1:{port}"
    for _ in range(6):
        with urllib.request.urlopen(f"{url}/sign-in", timeout=PATIENCE) as response:
            assert response.status == 200
    refused = demo(port)
    assert (
        refused.communicate(timeout=PATIENCE)[0] == f"{url} cannot be had: Address already in use\n"
    )
    assert refused.returncode == 1
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert said.endswith("ended\n")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/sign-in", timeout=PATIENCE)
