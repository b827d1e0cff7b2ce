"""A server whose log is a pipe that nobody reads."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.pserve import PATIENCE, PSERVE, ROOT, environment

pytestmark = pytest.mark.integration

F_SETPIPE_SZ = 1031
"""Of Linux (fcntl(2))."""
REQUEST = b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def demo_ini(folder: Path) -> Path:
    """Return the demo's ini, with its logging as it is, whose server listens in a folder."""
    text = (ROOT / "demo.ini").read_text(encoding="utf-8")
    text = re.sub(r"^listen = .*$", f"listen = unix:{folder}/socket", text, flags=re.MULTILINE)
    ini = folder / "demo.ini"
    ini.write_text(text, encoding="utf-8")
    return ini


def ask(folder: Path) -> bytes:
    """Return the first bytes of a page."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(folder / "socket"))
        sock.sendall(REQUEST)
        return sock.recv(15)


def test_it_goes_on(tmp_path: Path) -> None:
    """It answers many more requests than the pipe has room for lines."""
    unread, into = os.pipe()
    fcntl.fcntl(into, F_SETPIPE_SZ, 4096)
    command = [PSERVE, str(demo_ini(tmp_path))]
    env = {**environment(tmp_path), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, env=env, stdout=into, stderr=into, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while not (tmp_path / "socket").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert {ask(tmp_path) for _ in range(200)} == {b"HTTP/1.1 200 OK"}
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(unread)
        os.close(into)
