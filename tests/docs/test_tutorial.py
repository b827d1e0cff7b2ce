"""The tutorial does what it says: its steps are taken in its order, on a new project."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from tests.docs.blocks import Block, collect
from tests.integration.pserve import python, running
from tests.integration.support import PATIENCE, connected

STARTER = Path(__file__).with_name("starter")
"""A project as the published template makes it."""

TESTED = "listen = 127.0.0.1:0\nshutdown_timeout = 1"
"""What the servers of the tests listen on; they wait less for clients that are between polls."""

STEPS = [block for block in collect() if block.page == "tutorial"]

Sight = Callable[[str], Coroutine[Any, Any, None]]


async def starter_page(url: str) -> None:
    assert "This is My project." in await page(url)


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200, await response.text()
        return await response.text()


async def echo(url: str) -> None:
    await check_page(f"{url}/rooms/lobby")
    for transport in ("websocket", "xhr-polling"):
        async with connected(f"{url}/rooms/lobby", transport) as ws:
            await ws.send("hello")
            assert await ws.recv() == "You said: hello"


async def check_page(url: str) -> None:
    """See that a room's page names its endpoint, and that its scripts are there."""
    html = await page(url)
    assert 'data-endpoint="/rooms/lobby"' in html
    scripts = re.findall(r'<script src="([^"]+)"', html)
    texts = [
        await page(urljoin(url, script)) for script in scripts if "_debug_toolbar" not in script
    ]
    assert len(texts) == 2
    assert "SockJS" in texts[0] and "new SockJS(" in texts[1]


async def chat(url: str) -> None:
    """Let two people talk, over different transports, and a third one in another room."""
    await check_page(f"{url}/rooms/lobby")
    async with (
        connected(f"{url}/rooms/lobby", "xhr-polling") as ann,
        connected(f"{url}/rooms/lobby", "websocket") as bob,
        connected(f"{url}/rooms/garden", "websocket") as eve,
    ):

        async def hear(connection: Any) -> dict[str, Any]:
            message: dict[str, Any] = json.loads(await connection.recv())
            return message

        await ann.send(" Ann ")
        assert await hear(ann) == {"type": "people", "names": ["Ann"]}
        await bob.send("Ann")
        assert await hear(bob) == {"type": "refused", "name": "Ann"}
        await bob.send("Bob")
        for connection in (ann, bob):
            assert await hear(connection) == {"type": "people", "names": ["Ann", "Bob"]}
        await eve.send("Bob")
        assert await hear(eve) == {"type": "people", "names": ["Bob"]}
        for speaker, name in ((ann, "Ann"), (bob, "Bob")):
            await speaker.send("hello")
            for connection in (ann, bob):
                assert await hear(connection) == {"type": "message", "name": name, "text": "hello"}
        await bob.close()
        assert await hear(ann) == {"type": "people", "names": ["Ann"]}
        await eve.send("anybody?")
        assert await hear(eve) == {"type": "message", "name": "Bob", "text": "anybody?"}


class Project:
    """What a reader of the tutorial makes.

    Args:
        folder: where the project will be.
        sights: what is to be seen each time the tutorial starts the server.
    """

    def __init__(self, folder: Path, *sights: Sight) -> None:
        self.folder = folder
        self.sights = iter(sights)

    def follow(self) -> None:
        """Take all steps."""
        for step in STEPS:
            match step.language:
                case "console":
                    for command in step.code.splitlines():
                        self.run(command.removeprefix("$ "))
                case "diff":
                    self.change(step)
                case "text":
                    assert step.code.startswith("myproject/\n")
                case _:
                    self.write(step)
        assert next(self.sights, None) is None

    def run(self, command: str) -> None:
        """Do what a command of the tutorial does. An unknown one is an error."""
        match command.split():
            case ["cookiecutter", "gh:Pylons/pyramid-cookiecutter-starter"]:
                shutil.copytree(STARTER, self.folder)
            case ["cd", "myproject"]:
                assert self.folder.is_dir()
            case ["python3", "-m", "venv", "env"]:
                # The tests' own environment holds what the project needs.
                pass
            case ["env/bin/pip", "install", "-e", '".[testing]"']:
                self.install()
            case ["env/bin/pytest"]:
                self.test()
            case ["env/bin/pserve", ini] | ["env/bin/pserve", ini, "--reload"]:
                self.serve(ini)
            case _:
                raise AssertionError(f"the test does not know how to run {command!r}")

    def python(self, *arguments: str) -> str:
        """Run Python in the project, with the project's modules and ours."""
        return python(self.folder, *arguments)

    def install(self) -> None:
        """Write the metadata that an editable installation leaves; the dependencies are there."""
        self.python("-W", "ignore", "-c", "import setuptools; setuptools.setup()", "-q", "egg_info")
        required = (self.folder / "myproject.egg-info" / "requires.txt").read_text().split()
        assert {"sockjs-bridge", "pytest-asyncio"} <= set(required)

    def test(self) -> None:
        """Run the project's tests; each step adds some."""
        assert " passed" in self.python("-m", "pytest", "-q", "-p", "no:cacheprovider")

    def serve(self, name: str) -> None:
        """Start the server on a free port, where it tells which, and look at what it serves."""
        text = (self.folder / name).read_text()
        assert "use = egg:sockjs-bridge" in text
        text, count = re.subn(r"^listen = .*:6543$", TESTED, text, flags=re.M)
        assert count == 1
        ini = self.folder / f"test-{name}"
        ini.write_text(text.replace("level = WARN", "level = INFO"))
        with running(ini, folder=self.folder) as process:
            (url,) = process.urls()
            asyncio.run(asyncio.wait_for(next(self.sights)(url), PATIENCE))
            assert not re.search("^(Traceback|WARNING|ERROR)", process.said, re.M), process.said

    def write(self, block: Block) -> None:
        """Write a whole file."""
        path = self.folder / block.caption
        assert path.parent.is_dir(), f"{block}: no such folder"
        path.write_text(block.code, encoding="utf-8")

    def change(self, block: Block) -> None:
        """Change a file as a block says."""
        path = self.folder / block.caption
        text = path.read_text(encoding="utf-8")
        for hunk in block.code.split("@@\n"):
            lines = hunk.splitlines()
            old, new = (
                "".join(f"{line[1:]}\n" for line in lines if not line.startswith(sign))
                for sign in "+-"
            )
            assert text.count(old) == 1, f"{block}: this is there {text.count(old)} times:\n{old}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


@pytest.mark.timeout(600)
def test_tutorial(tmp_path: Path) -> None:
    """Every step of the tutorial works, and at its end two clients chat."""
    Project(tmp_path / "myproject", starter_page, echo, chat, chat).follow()
