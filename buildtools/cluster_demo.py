"""``make demo-cluster``: the chat in three processes, behind HAProxy, on Redis and PostgreSQL.

It starts all of them, and ends all of them at Ctrl-C; nothing that was said is kept. An address
that somebody has already, or a program that is not installed, is told in one sentence.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
PROCESSES = 3
#: Seconds in which each part must have started, and has for its end.
PATIENCE = 60

_INI = """\
[app:main]
use = config:{demo}
sqlalchemy.url = postgresql://postgres@/chat?host={sockets}
chat.secret_file = {sockets}/chat.secret
chat.files_folder = {sockets}/files
sockjs.cluster = unix://{sockets}/redis.sock

[server:main]
use = egg:sockjs-bridge
listen = unix:{sockets}/chat{number}.sock
trusted_proxy = unix
trusted_proxy_headers = x-forwarded-for x-forwarded-proto

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARNING
handlers = console

[handler_console]
class = sockjs_bridge.logs.BoundedStreamHandler
args = (sys.stderr,)
formatter = generic

[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [process {number}] %(message)s
"""

_HAPROXY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    option redispatch 1
    option http-no-delay
    option abortonclose

frontend public
    bind {host}:{port}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-For %[src]
    default_backend chat

backend chat
    balance roundrobin
{servers}
"""


class CannotStart(Exception):
    """A part cannot be started; the text says which, and why."""


def find(program: str, package: str) -> str:
    """Returns the path of a program.

    Args:
        program: its name.
        package: of Debian, that has it.

    Raises:
        CannotStart: it is not installed.
    """
    places = [
        shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"),
        *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))),
    ]
    found = next(filter(None, places), None)
    if found is None:
        raise CannotStart(f"{program} is not installed: on Debian, apt-get install {package}")
    return found


def wait(what: str, there: Callable[[], bool], alive: Callable[[], bool] = lambda: True) -> None:
    """Waits until something is there.

    Raises:
        CannotStart: it does not come.
    """
    end = time.monotonic() + PATIENCE
    while not there():
        if not alive() or time.monotonic() > end:
            raise CannotStart(f"{what} did not start: look above, or into its log")
        time.sleep(0.05)


def answers(path: Path) -> bool:
    """Tells whether somebody accepts connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def serves(path: Path) -> bool:
    """Tells whether a page is served on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /sign-in HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


@contextmanager
def started(
    name: str, command: list[str], log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program; at the end it is asked to end, and killed where it does not.

    A terminal sends Ctrl-C to all programs in the foreground: these are in a group of their own,
    so that they end in order.
    """
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log is not None else None
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                print(f"{name} had to be killed", flush=True)


@contextmanager
def postgresql(folder: Path, sockets: Path) -> Iterator[None]:
    """Starts PostgreSQL, which listens on a Unix socket alone, with a database for the chat."""
    data, log = sockets / "postgresql", folder / "postgresql.log"
    # It refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(sockets, "postgres")
        sockets.chmod(0o755)

    def run(*command: str) -> None:
        done = subprocess.run(
            [*as_user, *command], cwd="/", capture_output=True, text=True, timeout=PATIENCE
        )
        if done.returncode:
            raise CannotStart(f"PostgreSQL cannot be used: {done.stderr.strip()}")

    server = find("postgres", "postgresql")
    data.mkdir(mode=0o700)
    if as_user:
        shutil.chown(data, "postgres", "postgres")
    initdb = find("initdb", "postgresql")
    run(initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    command = [*as_user, server, "-D", str(data), "-k", str(sockets), "-c", "listen_addresses="]
    with started("PostgreSQL", command, log) as process:
        ready = sockets / ".s.PGSQL.5432"
        wait("PostgreSQL", lambda: answers(ready), lambda: process.poll() is None)
        psql = [find("psql", "postgresql"), "-h", str(sockets), "-U", "postgres", "-tAc"]

        def create() -> bool:
            made = subprocess.run(
                [*psql, "CREATE DATABASE chat"], capture_output=True, timeout=PATIENCE
            )
            return made.returncode == 0

        # Its socket is there before it takes commands.
        wait("PostgreSQL", create, lambda: process.poll() is None)
        yield


@contextmanager
def redis(folder: Path, sockets: Path) -> Iterator[None]:
    """Starts Redis, which listens on a Unix socket alone and writes nothing to disk."""
    path = sockets / "redis.sock"
    command = [
        *(find("redis-server", "redis-server"), "--port", "0", "--unixsocket", str(path)),
        *("--save", "", "--appendonly", "no", "--dir", str(sockets)),
    ]
    with started("Redis", command, folder / "redis.log") as process:
        wait("Redis", lambda: answers(path), lambda: process.poll() is None)
        yield


@contextmanager
def chat(sockets: Path, number: int) -> Iterator[None]:
    """Starts one process of the chat."""
    ini = sockets / f"chat{number}.ini"
    ini.write_text(
        _INI.format(demo=ROOT / "demo.ini", sockets=sockets, number=number),
        encoding="utf-8",
    )
    path = sockets / f"chat{number}.sock"
    warnings = ["-W", "ignore:pkg_resources is deprecated"]
    command = [sys.executable, *warnings, "-m", "pyramid.scripts.pserve", str(ini)]
    with started(f"process {number}", command) as process:
        wait(f"process {number}", lambda: serves(path), lambda: process.poll() is None)
        yield


@contextmanager
def haproxy(folder: Path, sockets: Path, port: int) -> Iterator[None]:
    """Starts HAProxy, which gives each request to the next process."""
    file = sockets / "haproxy.cfg"
    servers = "\n".join(
        f"    server chat{number} unix@{sockets}/chat{number}.sock"
        for number in range(1, PROCESSES + 1)
    )
    file.write_text(_HAPROXY.format(host=HOST, port=port, servers=servers), encoding="utf-8")
    command = [find("haproxy", "haproxy"), "-db", "-f", str(file)]
    with started("HAProxy", command, folder / "haproxy.log") as process:

        def listens() -> bool:
            try:
                socket.create_connection((HOST, port), 1).close()
            except OSError:
                return False
            return True

        wait("HAProxy", listens, lambda: process.poll() is None)
        yield


def check_port(port: int) -> None:
    """Looks whether the address is free.

    Raises:
        CannotStart: it is not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CannotStart(f"http://{HOST}:{port} cannot be had: {error.strerror}") from None


def main() -> int:
    """Starts everything, waits for Ctrl-C, ends everything."""
    parser = argparse.ArgumentParser(prog="make demo-cluster", description=__doc__)
    parser.add_argument("--port", type=int, default=6543)
    # What its programs log.
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo-cluster")
    options = parser.parse_args()
    folder: Path = options.folder
    url = f"http://{HOST}:{options.port}"
    folder.mkdir(parents=True, exist_ok=True)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        with ExitStack() as stack:
            check_port(options.port)
            # The path of a socket has 107 bytes at most (unix(7)).
            sockets = Path(tempfile.mkdtemp(prefix="sockjs-"))
            stack.callback(shutil.rmtree, sockets, ignore_errors=True)
            stack.enter_context(postgresql(folder, sockets))
            stack.enter_context(redis(folder, sockets))
            for number in range(1, PROCESSES + 1):
                stack.enter_context(chat(sockets, number))
            stack.enter_context(haproxy(folder, sockets, options.port))
            print(
                f"The chat, in {PROCESSES} processes: {url}\n"
                f"Which process serves what:  {url}/processes\n"
                "Sign in as ada or grace, password demo-demo. Ctrl-C ends all of it.",
                flush=True,
            )
            signal.pause()
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
