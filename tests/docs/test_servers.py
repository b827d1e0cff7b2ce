"""The examples that are whole servers are started by pserve."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from sockjs_bridge.client import HandshakeError
from tests.docs.blocks import check_javascript, collect
from tests.integration.pserve import ROOT, Pserve, running
from tests.integration.support import connected

BLOCKS = {block.key: block for block in collect()}

#: The blocks that are run here.
RUN = {
    ("installation", "hello.py"),
    ("installation", "client.py"),
    ("howto/sending", "notify.py"),
    ("howto/lose-nothing", "sales.py"),
    ("howto/lose-nothing", "sale.py"),
}

APPLICATION = """

from pyramid.config import Configurator


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("{name}", "/{name}")
        config.scan()
        return config.make_wsgi_app()
"""
FRONT = """
from pyramid.config import Configurator
from pyramid.response import Response


def main(global_config, **settings):
    config = Configurator(settings=settings)
    config.add_view(lambda request: Response("the front"))
    return config.make_wsgi_app()
"""

LOGGING = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = INFO
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(message)s
"""


def put(folder: Path, *key: str) -> Path:
    """Write a block into a folder, under its name."""
    block = BLOCKS[key[0], key[1]]
    path = folder / block.caption
    path.write_text(block.code, encoding="utf-8")
    return path


def put_application(path: Path, page: str, caption: str) -> None:
    """Write a block of views with an application around it."""
    code = BLOCKS[page, caption].code
    path.write_text(code + APPLICATION.format(name=caption.removesuffix(".py")), encoding="utf-8")


@contextmanager
def served(ini: Path) -> Iterator[tuple[str, Pserve]]:
    """Start pserve in the folder of an ini file, on a free port."""
    text, count = re.subn(
        r"^listen = .*:6543$", "listen = 127.0.0.1:0", ini.read_text(), flags=re.M
    )
    assert count == 1
    if "[loggers]" not in text:
        text += LOGGING
    ini.write_text(text)
    with running(ini, folder=ini.parent) as process:
        (url,) = process.urls()
        yield url, process


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        return await response.text()


def program(path: Path, *arguments: str) -> str:
    """Run a program of the documentation to its end, and return what it says."""
    done = subprocess.run(
        [sys.executable, path, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=20,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


async def test_first_application(tmp_path: Path) -> None:
    """The page is there with its client, its script parses, and both kinds of clients connect."""
    put(tmp_path, "installation", "hello.py")
    with served(put(tmp_path, "installation", "hello.ini")) as (url, _):
        page = await get(f"{url}/echo")
        (client,) = re.findall(r'<script src="(.*?)">', page)
        assert "SockJS" in await get(url + client)
        (script,) = re.findall(r"<script>\n(.*?)</script>", page, re.DOTALL)
        assert 'new SockJS("/echo")' in script
        check_javascript(script, tmp_path)
        for transport in ("websocket", "xhr-polling"):
            async with connected(f"{url}/echo", transport) as ws:
                await ws.send("hello")
                assert await ws.recv() == f"You said hello over {transport}."
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/echo") as raw:
            await raw.send_str("hello")
            assert await raw.receive_str() == "You said hello over raw-websocket."
        said = await asyncio.to_thread(
            program, put(tmp_path, "installation", "client.py"), f"{url}/echo"
        )
        assert said == "You said hello over xhr-polling.\n"


async def test_production(tmp_path: Path) -> None:
    """The ini file for production: allowed pages connect, others do not, and all is logged."""
    put_application(tmp_path / "myproject.py", "index", "echo.py")
    with served(put(tmp_path, "howto/deployment", "production.ini")) as (url, process):
        origin = {"Origin": "https://app.example.com"}
        async with connected(f"{url}/echo", "websocket", headers=origin) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        with pytest.raises(HandshakeError, match="403"):
            async with connected(
                f"{url}/echo", "websocket", headers={"Origin": "https://evil.example.com"}
            ):
                pass
        headers = {"X-Forwarded-For": "192.0.2.7", **origin}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url}/x", headers=headers) as nothing,
        ):
            assert nothing.status == 404
        await asyncio.to_thread(process.wait_for, r"^192\.0\.2\.7 .*GET /x")
        await asyncio.to_thread(process.wait_for, r"\[sockjs_bridge\.session\]")


async def test_below_a_prefix(tmp_path: Path) -> None:
    """An application that a composite mounts below a prefix is connected to there."""
    (tmp_path / "front.py").write_text(FRONT)
    put_application(tmp_path / "talk.py", "index", "echo.py")
    with served(put(tmp_path, "howto/deployment", "site.ini")) as (url, _):
        assert await get(url) == "the front"
        for transport in ("websocket", "xhr-polling"):
            async with connected(f"{url}/talk/echo", transport) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"


async def test_program_that_notifies(tmp_path: Path) -> None:
    """A program of its own sends something to those who are in a room."""
    put_application(tmp_path / "talk.py", "howto/rooms", "lobby.py")
    ini = tmp_path / "talk.ini"
    ini.write_text(put(tmp_path, "installation", "hello.ini").read_text().replace("hello", "talk"))
    with served(ini) as (url, _):
        async with connected(f"{url}/lobby", "websocket") as ws:
            notify = put(tmp_path, "howto/sending", "notify.py")
            await asyncio.to_thread(program, notify, f"{url}/lobby", "The printer is on fire.")
            assert await ws.recv() == "The printer is on fire."


async def test_sessions_that_survive(tmp_path: Path) -> None:
    """Both programs have their sales stored, each once."""
    put(tmp_path, "howto/lose-nothing", "till.py")
    with served(put(tmp_path, "howto/lose-nothing", "till.ini")) as (url, _):
        for name, expected in (
            ("sales.py", ["all are stored", "1 sales", "2 sales", "3 sales"]),
            ("sale.py", ["4 sales"]),
        ):
            path = put(tmp_path, "howto/lose-nothing", name)
            said = await asyncio.to_thread(program, path, f"{url}/till")
            assert [line for line in said.splitlines() if not line.startswith("session ")] == (
                expected
            )
