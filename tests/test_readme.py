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
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from pyramid_chat.settings import Settings as ChatSettings
from sockjs_bridge.client import connect
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import NAMES
from sockjs_bridge.server import proxy
from sockjs_bridge.server.options import ServerOptions
from sockjs_bridge.server.proxy import TrustedProxy
from tests.proxies.programs import PATIENCE, free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings(page: str, heading: str) -> list[tuple[list[str], str]]:
    """Return the names and the default of each setting below a heading of the documentation."""
    text = (ROOT / "docs" / f"{page}.rst").read_text(encoding="utf-8")
    section = text.partition(f"\n{heading}\n")[2].partition("\n====")[0]
    found = re.findall(
        r"^\.\. confval:: (.*(?:\n {13}.*)*)\n   :default: (.*)$", section, re.MULTILINE
    )
    return [(names.split(), default.replace("``", "")) for names, default in found]


def block(language: str) -> str:
    """Return the first block of code in a language."""
    match = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


def vars_of(settings: Any) -> dict[str, object]:
    """Return the values of the fields of a dataclass."""
    return {item.name: getattr(settings, item.name) for item in fields(settings)}


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serve the example by pserve; gives its URL and the process."""
    port = free_port()
    (folder / "talk.py").write_text(block("python"))
    (folder / "talk.ini").write_text(block("ini").replace("6543", str(port)))
    process = subprocess.Popen(
        [Path(sys.executable).with_name("pserve"), "talk.ini"],
        cwd=folder,
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


async def test_example(tmp_path: Path) -> None:
    """Everybody hears everybody, over whatever transport, and Ctrl-C ends it with 0."""
    with served(tmp_path) as (url, process):
        for options in ({"transport": "websocket"}, {"transport": "xhr-polling"}, {"resume": True}):
            async with (
                connect(f"{url}/talk", **options) as one,
                connect(f"{url}/talk", transport="xhr-streaming") as other,
            ):
                for ws in (one, other):
                    # Whoever hears itself is in the room.
                    await ws.send("ready")
                    await until_heard(ws, "ready")
                for speaker, said in ((one, "hello"), (other, "good morning")):
                    await speaker.send(said)
                    for ws in (one, other):
                        await until_heard(ws, said)
        process.send_signal(signal.SIGINT)
        output, _ = await asyncio.to_thread(process.communicate, timeout=20)
        assert process.returncode == 0, output


async def until_heard(ws: Any, said: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await ws.recv() != said:
            pass


def test_it_is_short_and_its_links_work_elsewhere() -> None:
    """Its links lead somewhere on PyPI too."""
    assert README.count("\n") <= 120
    targets = re.findall(r"\[[^]]*\]\(([^)]+)\)", README)
    assert targets
    # A build rewrites it: buildtools/long_description.py.
    assert [target for target in targets if not target.startswith("https://")] == [PICTURE]
    assert (ROOT / PICTURE).stat().st_size < 200_000
    for name in re.findall(r"`([A-Z]+\.md)`", README):
        assert (ROOT / name).is_file(), name


PICTURE = "docs/two-windows.png"
ENDPOINTS = ("settings", "Settings of the endpoints")
SERVER = ("settings", "Settings of the server")
CHAT = ("chat", "Settings of the chat")

#: The defaults that are no numbers.
WORDS = {
    "most of shutdown_timeout": None,
    "127.0.0.1:6543": ("127.0.0.1:6543",),
    "a unix socket": "",
    "/health": "/health",
    "/metrics": "/metrics",
    "all": NAMES,
    "any": frozenset(),
    "default": "default",
    "false": False,
    "http": "http",
    "no secret": "",
    "metrics": "metrics",
    "no subprotocol": (),
    "none": TrustedProxy(),
    "one process": "",
    "the same origin": (),
    "the server's": None,
    "true": True,
}

#: Their defaults are places beside the ini, or nowhere.
PLACES = {
    *("sqlalchemy.url", "chat.secret_file", "chat.public_url"),
    *("chat.files", "chat.files_folder"),
}


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (ENDPOINTS, {f"sockjs.{item.name}" for item in fields(Settings)}),
        (SERVER, {item.name for item in fields(ServerOptions)} - {"proxy"} | proxy.SETTINGS),
        (
            CHAT,
            {f"chat.{item.name}" for item in fields(ChatSettings)} - {"chat.url"}
            | {"sqlalchemy.url"},
        ),
    ],
)
def test_every_setting_is_documented(where: tuple[str, str], names: set[str]) -> None:
    """Every setting that there is has its paragraph, and no other."""
    found = [name for keys, _ in settings(*where) for name in keys]
    assert len(found) == len(names)
    assert {*found} == names


@pytest.mark.parametrize(
    ("where", "defaults"),
    [
        (ENDPOINTS, vars_of(Settings())),
        (SERVER, vars_of(ServerOptions())),
        (CHAT, {item.name: item.default for item in fields(ChatSettings)}),
    ],
)
def test_defaults_of_the_settings(where: tuple[str, str], defaults: dict[str, object]) -> None:
    """The defaults that are printed are those of the code."""
    checked = 0
    for keys, printed in settings(*where):
        if PLACES.isdisjoint(keys):
            number = re.fullmatch(r"(\d+)( \w+)?", printed)
            base = 8 if keys == ["unix_socket_perms"] else 10
            expected = int(number[1], base) if number else WORDS[printed]
            name = "proxy" if proxy.SETTINGS.issuperset(keys) else keys[0].rpartition(".")[2]
            assert defaults[name] == expected, name
            checked += 1
    assert checked >= 8
