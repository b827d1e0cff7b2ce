"""The chat as docs/deploy has it: on PostgreSQL behind a proxy, in one process or several; and in a
container.
"""

from __future__ import annotations

import configparser
import json
import re
import secrets
import shlex
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest

from sockjs_bridge.client import connect
from tests.cluster.processes import HAProxyInTurn, NginxInTurn
from tests.cluster.redisserver import RedisServer
from tests.proxies import image
from tests.proxies.programs import DEPLOY, PATIENCE, Nginx, TLSProgram, adapted, free_port
from tests.pyramid_chat.postgresql import Cluster

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SITE = "nginx-websocket.conf"
SCRIPT = "from pyramid_chat.scripts import main; raise SystemExit(main())"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database in a PostgreSQL of its own, with tables and an account.

    The commands are those of the unit.
    """
    cluster = Cluster()
    try:
        url = cluster.url(cluster.create())
        ini = production(url, tmp_path_factory.mktemp("commands"), free_port())
        upgrade = unit()["ExecStartPre"]
        run(upgrade, ini)
        run(
            upgrade.replace(" upgrade ", " add-user "),
            *(ini, "Ada", "--password-stdin"),
            text="a good password\n",
        )
        yield url
    finally:
        cluster.destroy()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own, to be started."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    yield server
    server.end()


def unit(name: str = "pyramid-chat.service") -> dict[str, str]:
    """Return the commands of a systemd unit."""
    file = configparser.RawConfigParser(strict=False)
    file.optionxform = str  # type: ignore[assignment]
    file.read(DEPLOY / name, encoding="utf-8")
    # A line may go on behind a backslash (systemd.syntax(7)).
    return {key: text.replace("\\\n", " ") for key, text in file["Service"].items()}


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


def until_it_answers(where: int | Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with closing(connected(where)) as connection:
                connection.sendall(b"GET /sign-in HTTP/1.0\r\nHost: chat\r\n\r\n")
                if connection.recv(65536).startswith(b"HTTP/1.0 200 "):
                    return
        except OSError:
            pass
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def connected(where: int | Path) -> socket.socket:
    """Connect to a port of 127.0.0.1, or to a Unix socket."""
    if isinstance(where, int):
        return socket.create_connection(("127.0.0.1", where), PATIENCE)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(str(where))
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def served(command: str, where: int | Path, log: Path, **changes: str) -> Iterator[Path]:
    """Run the command of a unit, which must end well at SIGTERM.

    Args:
        command: as the unit has it.
        where: it serves then: a port of 127.0.0.1, or a Unix socket.
        log: for what it says.
        changes: of its words.
    """
    program, *words = shlex.split(command)
    folder, _, name = program.rpartition("/")
    assert folder in ("", "/opt/pyramid-chat/bin")
    for old, new in changes.items():
        assert old in words
        words = [new if word == old else word for word in words]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name(name), *words], stdout=output, stderr=output
        )
    try:
        until_it_answers(where, process, log)
        yield log
    finally:
        process.terminate()
        status = process.wait(PATIENCE)
    assert status == 0


def test_container(tmp_path: Path) -> None:
    """What the image starts serves the chat, and keeps all that lasts in the volume."""
    lines = dict(image.instructions((DEPLOY / "Dockerfile").read_text()))
    python = lines["FROM"].removeprefix("python:").removesuffix("-slim")
    assert f"Programming Language :: Python :: {python}\n" in (ROOT / "setup.cfg").read_text()
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
    with served(f"{program} {ini}", port, tmp_path / "log"):
        pass
    assert {path.name for path in volume.iterdir()} >= LASTING


LASTING = {"chat.sqlite", "chat.secret"}


@pytest.mark.skipif(not image.can_build(), reason="only root may make a root directory of its own")
def test_image(tmp_path: Path) -> None:
    """Each step of the Dockerfile runs, and its user may do what the chat needs."""
    port = free_port()
    (tmp_path / "container.ini").write_text(
        adapted("container.ini", {"*:6543": f"127.0.0.1:{port}"})
    )
    log = tmp_path / "log"
    process = image.start((DEPLOY / "Dockerfile").read_text(), tmp_path, log)
    inside = Path(f"/proc/{process.pid}")
    try:
        until_it_answers(port, process, log)
        assert {path.name for path in (inside / "root/data").iterdir()} >= LASTING
        assert inside.stat().st_uid != 0
    finally:
        process.terminate()
        status = process.wait(PATIENCE)
    assert status == 0
    # pip says so where the package has no such extra.
    assert "WARNING" not in log.read_text()


INI = "/etc/pyramid-chat/production.ini"


def production(database: str, folder: Path, port: int) -> Path:
    """Write production.ini."""
    ini = folder / "production.ini"
    ini.write_text(
        adapted(
            "production.ini",
            {
                "postgresql:///pyramid_chat": database,
                "/var/lib/pyramid-chat/": f"{folder}/",
                "127.0.0.1:6543": f"127.0.0.1:{port}",
            },
        )
    )
    return ini


def judge(log: Path) -> None:
    """See that all went well, and that requests of the client are in the log."""
    assert "Traceback" not in log.read_text()
    assert re.search(r"^127\.0\.0\.1 .*POST /sign-in", log.read_text(), re.MULTILINE)


async def test_production(database: str, tmp_path: Path) -> None:
    """The unit's commands make the tables and start the chat, where somebody signs in and talks."""
    port = free_port()
    ini = production(database, tmp_path, port)
    with (
        served(unit()["ExecStart"], port, tmp_path / "log", **{INI: str(ini)}) as log,
        Nginx(tmp_path, f"http://127.0.0.1:{port}", SITE) as proxy,
    ):
        await sign_in_and_talk(proxy)
    assert (tmp_path / "chat.secret").stat().st_mode & 0o777 == 0o600
    judge(log)


async def test_gunicorn(database: str, redis: RedisServer, tmp_path: Path) -> None:
    """The same by gunicorn, whose workers are a cluster; all that is said goes to one log."""
    port = free_port()
    ini = production(database, tmp_path, port)
    commands = unit("pyramid-chat-gunicorn.service")
    assert commands["ExecStartPre"] == unit()["ExecStartPre"]
    redis.start()
    own = tmp_path / "gunicorn.ini"
    own.write_text(adapted(own.name, {"unix:///run/redis/redis-server.sock": redis.url}))
    changes = {
        INI: str(ini),
        f"/etc/pyramid-chat/{own.name}": str(own),
        "127.0.0.1:6543": f"127.0.0.1:{port}",
    }
    with (
        served(commands["ExecStart"], port, tmp_path / "log", **changes) as log,
        Nginx(tmp_path, f"http://127.0.0.1:{port}", SITE) as proxy,
    ):
        await sign_in_and_talk(proxy)
    judge(log)


@pytest.mark.turns("balancer")
@pytest.mark.parametrize("balancer", [HAProxyInTurn, NginxInTurn])
async def test_instances(
    database: str,
    redis: RedisServer,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    balancer: type[HAProxyInTurn | NginxInTurn],
) -> None:
    """Several instances behind a proxy that takes them in turn; one of them may be gone."""
    production(database, tmp_path, free_port())
    redis.start()
    sockets = tmp_path_factory.mktemp("s")
    ini = tmp_path / "instance.ini"
    changed = {
        "/run/pyramid-chat/": f"{sockets}/",
        "unix:///run/redis/redis-server.sock": redis.url,
    }
    ini.write_text(adapted(ini.name, changed))
    command = unit("pyramid-chat@.service")["ExecStart"]
    changes = {"/etc/pyramid-chat/instance.ini": str(ini)}

    def instance(number: int) -> AbstractContextManager[Path]:
        path = sockets / str(number) / "chat.sock"
        path.parent.mkdir()
        log = tmp_path / f"log{number}"
        return served(command.replace("%i", str(number)), path, log, **changes)

    listens = [f"unix:{sockets}/{number}/chat.sock" for number in (1, 2, 3)]
    with balancer(tmp_path, listens, tls=True) as proxy, instance(1) as log:
        with instance(2), instance(3):
            assert (sockets / "1" / "chat.sock").stat().st_mode & 0o777 == 0o660
            await sign_in_and_talk(proxy)
        await sign_in_and_talk(proxy)
    judge(log)


async def sign_in_and_talk(proxy: TLSProgram) -> None:
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
            # The tests share a database, in which a key stands for one message.
            message = {
                "type": "message", "room": room["id"], "key": secrets.token_hex(8), "text": "hello",
            }  # fmt: skip
            await ws.send(json.dumps({"type": "open", "room": room["id"]}))
            await ws.send(json.dumps(message))
            async for text in ws:
                if (heard := json.loads(text))["type"] == "message":
                    assert heard["text"] == "hello"
                    break
