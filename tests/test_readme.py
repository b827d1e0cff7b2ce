"""The README's example does what the README says."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from pyramid_chat.settings import Settings as ChatSettings
from sockjs_bridge.client import connect
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import NAMES
from sockjs_bridge.server import proxy
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.proxy import TrustedProxy

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.rst").read_text(encoding="utf-8")


Table = Callable[[str], list[tuple[list[str], str]]]


def in_readme(heading: str) -> list[tuple[list[str], str]]:
    """Return the names and the default in each row of a table of the README."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \| `?([^|]*?)`? \|", section, re.MULTILINE)
    return [(re.findall(r"`([^`]+)`", names), default) for names, default in rows]


def in_docs(heading: str) -> list[tuple[list[str], str]]:
    """Return the same of a table of docs/settings.rst."""
    section = SETTINGS.partition(f"\n{heading}\n")[2].partition("\n====")[0]
    rows = re.findall(r"^   \* - (``.*)\n     - (?:``)?(.*?)(?:``)?$", section, re.MULTILINE)
    return [(re.findall(r"``([^`]+)``", names), default) for names, default in rows]


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


ENDPOINTS = "Settings of the endpoints"
SERVER = "Settings of the server"
TABLES = pytest.mark.parametrize("table", [in_readme, in_docs])

#: The defaults that are no numbers.
WORDS = {
    "127.0.0.1:6543": ("127.0.0.1:6543",),
    "all": NAMES,
    "false": False,
    "http": "http",
    "no subprotocol": (),
    "none": TrustedProxy(),
    "off": False,
    "on": True,
    "the same origin": (),
    "the server's": None,
    "true": True,
}


WORDS_OF_FLAGS = ("true", "false")


@TABLES
@pytest.mark.parametrize(
    ("heading", "names"),
    [
        (ENDPOINTS, {item.name for item in fields(Settings)}),
        (SERVER, {item.name for item in fields(ServerOptions)} - {"proxy"} | proxy.SETTINGS),
    ],
)
def test_tables_of_settings(table: Table, heading: str, names: set[str]) -> None:
    """Every setting that there is stands in the table, and no other."""
    assert {name for keys, _ in table(heading) for name in keys} == names


@TABLES
@pytest.mark.parametrize(
    ("heading", "defaults"), [(ENDPOINTS, Settings()), (SERVER, ServerOptions())]
)
def test_defaults_in_the_tables(table: Table, heading: str, defaults: object) -> None:
    """The defaults that are printed are those of the code."""
    for keys, printed in table(heading):
        number = re.fullmatch(r"(\d+)( \w+)?", printed)
        base = 8 if keys == ["unix_socket_perms"] else 10
        expected = int(number[1], base) if number else WORDS[printed]
        name = "proxy" if proxy.SETTINGS.issuperset(keys) else keys[0]
        assert getattr(defaults, name) == expected, name


def test_table_of_the_chat() -> None:
    """It holds every setting of the chat, with the defaults of the code."""
    table = {keys[0].removeprefix("chat."): default for keys, default in in_readme("The chat")}
    assert set(table) == {item.name for item in fields(ChatSettings)} - {"url"} | {"sqlalchemy.url"}
    defaults = {item.name: item.default for item in fields(ChatSettings)}
    for name, printed in table.items():
        if name not in ("sqlalchemy.url", "secret_file"):
            number = printed.split()[0]
            assert defaults[name] == (number == "true" if number in WORDS_OF_FLAGS else int(number))
