"""The README's example does what the README says."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from sockjs_bridge.client import connect
from sockjs_bridge.server import proxy
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the first block of code in a language."""
    match = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def hello(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "hello.py").write_text(block("python"))
    (tmp_path / "hello.ini").write_text(block("ini").replace("6543", str(port)))
    process = subprocess.Popen(
        [Path(sys.executable).with_name("pserve"), "hello.ini"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ".", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


async def test_example(hello: tuple[str, subprocess.Popen[str]]) -> None:
    """The views echo, the session class shouts, and Ctrl-C ends it with 0."""
    url, process = hello
    for transport in ("websocket", "xhr-polling"):
        async with connect(f"{url}/echo", transport=transport) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        async with connect(f"{url}/upper", transport=transport) as ws:
            await ws.send("quiet")
            assert await ws.recv() == "QUIET"
        async with connect(f"{url}/shout", transport=transport) as ws:
            assert await ws.recv() == "hello"
            await ws.send("quiet")
            assert await ws.recv() == "quiet!"
    process.send_signal(signal.SIGINT)
    output, _ = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 0, output
    assert "closed with" in output


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Settings of the endpoints", {item.name for item in fields(Settings)}),
        (
            "Settings of the server",
            {item.name for item in fields(ServerOptions)} - {"proxy"} | proxy.SETTINGS,
        ),
    ],
)
def test_tables_of_settings(heading: str, names: set[str]) -> None:
    """Every setting that there is stands in the README, and no other."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} - {
        "[server:main]"
    } == names


@pytest.mark.parametrize(
    ("heading", "defaults"),
    [("Settings of the endpoints", Settings()), ("Settings of the server", ServerOptions())],
)
def test_defaults_in_the_tables(heading: str, defaults: object) -> None:
    """The numbers that the README prints are those of the code."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    printed = re.findall(r"^\| `(\w+)` \| (\d+)", section, re.MULTILINE)
    assert len(printed) >= 5
    for name, number in printed:
        base = 8 if name == "unix_socket_perms" else 10
        assert getattr(defaults, name) == int(number, base), name
