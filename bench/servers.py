"""The servers that are measured: how each is installed below ``build/bench``, started and ended."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

BENCH = Path(__file__).parent
ROOT = BENCH.parent
PEERS = BENCH / "peers"
BUILD = ROOT / "build" / "bench"

START_TIME = 20.0
"""Seconds within which a server listens."""
STOP_TIME = 5.0
"""Seconds within which a server ends by itself."""

NO_COMPILER = "the generator is written in C; on Debian: apt-get install gcc libc6-dev"


class Lacking(Exception):
    """The benchmark cannot do that here; the text is meant for the user."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A server that can be started.

    Attributes:
        command: what starts it; ``{port}`` stands for the port, and ``{redis}`` for the socket of a
            Redis.
        versions: what it is made of.
        folder: where Python finds our packages.
    """

    command: list[str | Path]
    versions: dict[str, str]
    folder: Path = ROOT


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the benchmark.

    Attributes:
        name: in tables and on the command line.
        install: installs what is missing.
        echo: the path of its echo; ``/broadcast`` is where messages go to all.
        resumable: whether it is measured with the sessions of ``~r1`` too.
        clustered: whether it needs a Redis, and shares it with others.
    """

    name: str
    install: Callable[[], Installed]
    echo: str = "/echo"
    resumable: bool = False
    clustered: bool = False


def ours(app: str = "main") -> Installed:
    """Returns our server, with one of the applications in its ini file."""
    versions = {
        package: importlib.metadata.version(package)
        for package in ("sockjs-bridge", "pyramid", "aiohttp", "uvloop")
    }
    if shutil.which("git"):
        describe = ["git", "describe", "--always", "--dirty"]
        described = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True)
        # An unpacked sdist has none.
        if described.returncode == 0:
            versions["commit"] = described.stdout.strip()
    pserve = Path(sys.executable).with_name("pserve")
    return Installed(
        [pserve, f"--app-name={app}", BENCH / "ours.ini", "http_port={port}"], versions
    )


def _ours_compiled() -> Installed:
    """Returns our server from a compiled copy, which is built where a source has changed."""
    _run(ROOT, sys.executable, "-m", "buildtools.compiled", "--copy")
    return replace(ours(), folder=ROOT / "build" / "compiled")


def _ours_cluster() -> Installed:
    redis = find_program("redis-server", "on Debian: apt-get install redis-server")
    installed = ours("cluster")
    version = _output(redis, "--version").partition("v=")[2].partition(" ")[0]
    command = [*installed.command, "redis={redis}"]
    return Installed(command, {**installed.versions, "redis": version})


def _sockjs_node() -> Installed:
    node = find_program("node", "sockjs-node needs Node (20 or later)")
    npm = find_program("npm", "sockjs-node is installed by npm")
    source = PEERS / "sockjs_node"
    folder = _installed(
        "sockjs-node",
        "".join(file.read_text() for file in sorted(source.iterdir())),
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        source=source,
    )
    pinned: dict[str, str] = json.loads((source / "package.json").read_text())["dependencies"]
    versions = {**pinned, "node": _output(node, "--version")}
    return Installed([node, folder / "server.js", "{port}"], versions)


def _aio_libs() -> Installed:
    return _python_peer("aio_sockjs", "sockjs==0.13.0", "aiohttp==3.14.5", "uvloop==0.23.0")


def _tornado() -> Installed:
    return _python_peer("tornado_sockjs", "sockjs-tornado==1.0.7", "tornado==6.6.1")


def _python_peer(name: str, *requirements: str) -> Installed:
    folder = _installed(
        name,
        "\n".join([sys.version, *requirements]),
        [sys.executable, "-m", "venv", "."],
        ["bin/python", "-m", "pip", "--disable-pip-version-check", "install", *requirements],
    )
    return Installed(
        [folder / "bin" / "python", PEERS / f"{name}.py", "{port}"],
        dict(requirement.split("==") for requirement in requirements),
    )


def _limit() -> Installed:
    versions = {"compiled by": _output(find_program("cc", NO_COMPILER), "--version")}
    return Installed([compile_c(PEERS / "limit.c"), "{port}"], versions)


SERVERS = {
    server.name: server
    for server in (
        Server("ours", ours, resumable=True),
        Server("ours-compiled", _ours_compiled, resumable=True),
        Server("ours-reference", partial(ours, "reference")),
        Server("ours-tm", partial(ours, "tm")),
        Server("ours-cluster", _ours_cluster, resumable=True, clustered=True),
        Server("sockjs-node", _sockjs_node),
        Server("aio-libs", _aio_libs),
        Server("tornado", _tornado),
        Server("limit", _limit),
        # Ours in its other styles.
        Server("ours-view", ours, echo="/view"),
        Server("ours-coroutine", ours, echo="/coroutine"),
        Server("ours-plain", ours, echo="/plain"),
    )
}


def compile_c(source: Path, folder: Path = BUILD) -> Path:
    """Compiles a program of one file, unless it is newer than its source.

    Raises:
        Lacking: there is no compiler, or it failed.
    """
    program = folder / source.stem
    if not program.is_file() or program.stat().st_mtime < source.stat().st_mtime:
        cc = find_program("cc", NO_COMPILER)
        folder.mkdir(parents=True, exist_ok=True)
        _run(folder, cc, "-O2", "-o", program, source)
    return program


def find_program(name: str, why: str) -> str:
    """Returns where a program is.

    Args:
        name: of the program.
        why: it is needed, or how one gets it.

    Raises:
        Lacking: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise Lacking(f"there is no {name} here: {why}")
    return found


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.partition("\n")[0]


def _installed(name: str, what: str, *commands: list[str], source: Path | None = None) -> Path:
    """Returns a folder in which commands were run, once for everything that is in ``what``."""
    folder = BUILD / name
    stamp = folder / ".installed"
    if stamp.is_file() and stamp.read_text() == what:
        return folder
    print(f"installing {name} in {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    if source is None:
        folder.mkdir(parents=True)
    else:
        shutil.copytree(source, folder)
    for command in commands:
        _run(folder, *command)
    stamp.write_text(what)
    return folder


def _run(folder: Path, *command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise Lacking(f"{' '.join(map(str, command))} failed:\n{done.stdout.strip()}")


@contextmanager
def running(
    installed: Installed, port: int, log: Path, cpu: int | None = None, redis: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server in a process of its own until the end of the block.

    Args:
        installed: the server.
        port: where it shall listen.
        log: the file that gets what it says.
        cpu: the only CPU that it may use, if there is one.
        redis: the socket of the Redis that it uses, if it does.

    Raises:
        Lacking: it does not listen in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "NODE_ENV": "production",
        "PYTHONPATH": str(installed.folder),
        # Pyramid 2.1 imports pkg_resources, which says at every start that it is deprecated.
        "PYTHONWARNINGS": "ignore",
    }
    with log.open("wb") as output, pinned(cpu):
        process = subprocess.Popen(
            [str(part).format(port=port, redis=redis) for part in installed.command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Binds this thread to a CPU, and so every process that it starts in the block."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_TIME
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    said = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise Lacking(f"the server did not start: {said or 'it said nothing'}")


def free_port() -> int:
    """Returns a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
