"""A compiled wheel, installed by itself, serves sessions.

It is built in the copy that `make test-compiled` and the benchmark use, and only where a source has
changed since.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from buildtools import compiled

# The compiler of C has more than 100 000 lines.
pytestmark = pytest.mark.timeout(900)

TALK = """
import asyncio, json
import sockjs_bridge
from pyramid.config import Configurator
from sockjs_bridge.client import connect
from sockjs_bridge.core import session
from sockjs_bridge.server import fast
from sockjs_bridge.testing import serve


class Echo(sockjs_bridge.WebSocketSession):
    async def on_message(self, message):
        self.request.sockjs.broadcast(message)


async def talk(url):
    heard = []
    for options in ({"transport": "websocket"}, {"transport": "xhr-polling"}, {"resume": True}):
        async with asyncio.timeout(60), connect(url, **options) as connection:
            await connection.send("hello")
            heard.append(await connection.recv())
    return heard


with Configurator() as config:
    config.include("sockjs_bridge")
    config.add_sockjs_route("echo", "/echo")
    config.add_websocket_view(Echo, route_name="echo")
    with serve(config.make_wsgi_app()) as url:
        heard = asyncio.run(talk(f"{url}/echo"))
print(json.dumps([sockjs_bridge.compiled, heard, session.__file__, fast.__file__]))
"""


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compiled wheel."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    return compiled.build(compiled.copy())


def test_sessions_over_sockets(wheel: Path, tmp_path: Path) -> None:
    minor = f"cp3{sys.version_info.minor}"
    assert f"-{minor}-{minor}-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        libraries = {name.partition(".")[0] for name in archive.namelist() if name[-3:] == ".so"}
    names = {f"sockjs_bridge/{module}" for module in compiled.MODULES}
    assert libraries == {*names, "sockjs_bridge/_compiled__mypyc"}
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--quiet", wheel], check=True)
    # What it depends on is here already.
    here = sysconfig.get_path("purelib")
    there = sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)})
    (Path(there) / "dependencies.pth").write_text(f"{here}\n")
    ignored = ("-W", "ignore:pkg_resources is deprecated")
    talk = subprocess.run(
        [python, "-I", *ignored, "-c", TALK], cwd=tmp_path, capture_output=True, text=True
    )
    assert talk.returncode == 0, talk.stderr
    is_compiled, heard, *files = json.loads(talk.stdout)
    assert (is_compiled, heard) == (True, ["hello"] * 3)
    for file in files:
        assert file.startswith(there)
        assert file.endswith(".so")


def test_the_checkout_itself_stays_plain(wheel: Path) -> None:
    assert not [*compiled.libraries(compiled.ROOT)]


def test_the_compiler_is_asked_for_before_it_is_there() -> None:
    """With build isolation pip asks what a wheel needs, and installs that; only then it builds."""
    ask = "import sys; sys.modules['mypyc'] = None; from buildtools import compiled;"
    command = [sys.executable, "-c", f"{ask} assert compiled.extensions() == []"]
    environ = {**os.environ, compiled.WANTED: "1"}
    subprocess.run([*command, "egg_info"], cwd=compiled.ROOT, env=environ, check=True)
    assert subprocess.run(
        [*command, "bdist_wheel"], cwd=compiled.ROOT, env=environ, capture_output=True
    ).returncode
