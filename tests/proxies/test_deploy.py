"""The chat as docs/deploy has it: on PostgreSQL behind nginx, and as a container starts it."""

from __future__ import annotations

import configparser
import http.client
import json
import re
import shlex
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest

from sockjs_bridge.client import connect
from tests.proxies.programs import DEPLOY, PATIENCE, Nginx, adapted, free_port
from tests.pyramid_chat.postgresql import Cluster

pytestmark = pytest.mark.integration

SITE = "nginx-websocket.conf"
SCRIPT = "from pyramid_chat.scripts import main; raise SystemExit(main())"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of its own."""
    cluster = Cluster()
    yield cluster
    cluster.destroy()


def unit() -> dict[str, str]:
    """Return the commands of the systemd unit."""
    file = configparser.RawConfigParser(strict=False)
    file.optionxform = str  # type: ignore[assignment]
    file.read(DEPLOY / "pyramid-chat.service", encoding="utf-8")
    return {key: file["Service"][key] for key in ("ExecStartPre", "ExecStart")}


def run(command: str, ini: Path, *arguments: str, text: str = "") -> str:
    """Run a command of the unit, or one like it, with the programs of these tests."""
    program, *words = shlex.split(command.replace("/etc/pyramid-chat/production.ini", str(ini)))
    assert program == "/opt/pyramid-chat/bin/pyramid-chat"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/sign-in")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def served(ini: Path, port: int) -> Iterator[Path]:
    """Run pserve, which must end well at SIGTERM; the file is its log."""
    log = ini.with_name("pserve.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("pserve"), ini], stdout=output, stderr=output
        )
    try:
        until_it_answers(port, process, log)
        yield log
    finally:
        process.terminate()
        status = process.wait(PATIENCE)
    assert status == 0


def test_container(tmp_path: Path) -> None:
    """What the image starts serves the chat, and keeps all that lasts in the volume.

    The image itself is not built: its base would have to be fetched.
    """
    lines = dict(
        line.split(" ", 1) for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line
    )
    copied, folder = lines["COPY"].split()
    program, name = json.loads(lines["CMD"])
    assert (program, name) == ("pserve", folder + copied)
    port = free_port()
    assert lines["EXPOSE"] == "6543"
    volume = tmp_path / "volume"
    volume.mkdir()
    ini = tmp_path / copied
    ini.write_text(
        adapted(copied, {f"{lines['VOLUME']}/": f"{volume}/", "*:6543": f"127.0.0.1:{port}"})
    )
    with served(ini, port):
        pass
    assert {path.name for path in volume.iterdir()} >= {"chat.sqlite", "chat.secret"}


async def test_production(cluster: Cluster, tmp_path: Path) -> None:
    """The unit's commands make the tables and start the chat, where somebody signs in and talks."""
    port = free_port()
    ini = tmp_path / "production.ini"
    ini.write_text(
        adapted(
            "production.ini",
            {
                "postgresql:///pyramid_chat": cluster.url(cluster.create()),
                "/var/lib/pyramid-chat/": f"{tmp_path}/",
                "127.0.0.1:6543": f"127.0.0.1:{port}",
            },
        )
    )
    commands = unit()
    run(commands["ExecStartPre"], ini)
    add = commands["ExecStartPre"].replace(" upgrade ", " add-user ")
    run(add, ini, "Ada", "--password-stdin", text="a good password\n")
    pserve = shlex.split(commands["ExecStart"])[0]
    assert pserve == "/opt/pyramid-chat/bin/pserve"
    with served(ini, port) as log, Nginx(tmp_path, f"http://127.0.0.1:{port}", SITE) as proxy:
        await sign_in_and_talk(proxy)
    assert (tmp_path / "chat.secret").stat().st_mode & 0o777 == 0o600
    assert "Traceback" not in log.read_text()
    assert re.search(r"^127\.0\.0\.1 .*POST /sign-in", log.read_text(), re.MULTILINE)


async def sign_in_and_talk(proxy: Nginx) -> None:
    context = ssl.create_default_context(cafile=str(proxy.certificate))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as http:
        async with http.get(f"{proxy.url}/register") as closed:
            assert closed.status == 404
        async with http.get(f"{proxy.url}/sign-in") as page:
            (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', await page.text())
        form = {"csrf_token": token, "name": "ada", "password": "a good password"}
        async with http.post(
            f"{proxy.url}/sign-in",
            data=urlencode(form),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": proxy.url,
                "Referer": f"{proxy.url}/sign-in",
            },
            allow_redirects=False,
        ) as done:
            assert done.status == 303, await done.text()
            assert urlsplit(done.headers["Location"]).path == "/chat"
            cookie = done.headers["Set-Cookie"].lower()
            assert {"secure", "httponly", "samesite=lax"} <= set(re.split(r";\s*", cookie))
        async with connect(f"{proxy.url}/chat", session=http, headers={"Origin": proxy.url}) as ws:
            welcome = json.loads(await ws.recv())
            assert welcome["user"]["name"] == "Ada"
            (room,) = welcome["rooms"]
            message = {"type": "message", "room": room["id"], "key": "first", "text": "hello"}
            await ws.send(json.dumps({"type": "open", "room": room["id"]}))
            await ws.send(json.dumps(message))
            async for text in ws:
                if (heard := json.loads(text))["type"] == "message":
                    assert heard["text"] == "hello"
                    break
