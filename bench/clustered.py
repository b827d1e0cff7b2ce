"""What processes of a cluster share in the benchmark: a Redis, and what a message takes there."""

from __future__ import annotations

import ctypes
import os
import secrets
import selectors
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from bench.servers import Lacking, find_program
from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.redisstore.keys import Keys, add_arguments
from sockjs_bridge.cluster.redisstore.scripts import ADD
from sockjs_bridge.cluster.store import Entry

_PR_SET_PDEATHSIG = 1
"""prctl(2)."""
_START_TIME = 10.0

MESSAGES = 40_000
"""That are published to find out what one takes."""
PIPELINE = 200
"""Of them in one write: a process sends what a tick of its loop has brought."""
LISTENERS = (2, 42)
"""Processes that hear them, in two measurements: the difference is what each takes."""


@dataclass(frozen=True, slots=True)
class Redis:
    """A Redis that keeps nothing and listens on a Unix socket.

    Attributes:
        path: of the socket.
        pid: of the process.
    """

    path: Path
    pid: int


@contextmanager
def running_redis(avoided: int | None = None) -> Iterator[Redis]:
    """Runs a Redis until the end of the block, or of this process.

    Args:
        avoided: the CPU that it leaves to others, if there is one.

    Raises:
        Lacking: it is not installed, or does not start.
    """
    program = find_program("redis-server", "on Debian: apt-get install redis-server")
    libc = ctypes.CDLL(None)
    cpus = set(range(os.cpu_count() or 1)) - {avoided}

    def prepare() -> None:
        # By this it removes its socket.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if cpus:
            os.sched_setaffinity(0, cpus)

    path = Path(tempfile.gettempdir()) / f"sockjs-bench-{secrets.token_hex(8)}.sock"
    command = (program, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no")
    process = subprocess.Popen(
        command, cwd=path.parent, stdout=subprocess.DEVNULL, preexec_fn=prepare
    )
    try:
        end = time.monotonic() + _START_TIME
        while not _answers(path):
            if process.poll() is not None or time.monotonic() > end:
                raise Lacking("redis-server did not start")
            time.sleep(0.01)
        yield Redis(path, process.pid)
    finally:
        process.terminate()
        process.wait()


def _answers(path: Path) -> bool:
    try:
        _connect(path).close()
    except OSError:
        return False
    return True


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


# What a message takes


class RedisCost(TypedDict):
    """What a message of a room with history takes of Redis, in microseconds of CPU time.

    Attributes:
        publish: to keep it, whoever hears it.
        push: for each process that hears it.
    """

    publish: float
    push: float


def redis_cost(messages: int = MESSAGES) -> RedisCost:
    """Measures what a message takes of Redis: by the library's script, as processes send it.

    Args:
        messages: how many are published with each number of listeners.

    Raises:
        Lacking: there is no Redis.
    """
    few, many = LISTENERS
    one, other = (_microseconds(listeners, messages) for listeners in LISTENERS)
    push = max(0.0, other - one) / (many - few)
    return RedisCost(publish=max(0.0, one - few * push), push=push)


def _microseconds(listeners: int, messages: int) -> float:
    with running_redis() as redis, _listening(redis, listeners), _connect(redis.path) as sender:
        _ask(sender, _command("SCRIPT", "LOAD", ADD.text))
        # The first message begins an epoch, which processes know from then on.
        epoch = int(_ask(sender, _publishing(0)).split(b"\r\n")[1].partition(b"-")[0])
        pipeline = _publishing(epoch) * PIPELINE
        _ask(sender, pipeline, PIPELINE)
        before = _cpu_time(redis.pid)
        for _ in range(messages // PIPELINE):
            _ask(sender, pipeline, PIPELINE)
        return (_cpu_time(redis.pid) - before) * 1e6 / (messages // PIPELINE * PIPELINE)


def _publishing(epoch: int) -> bytes:
    """Returns the command that publishes a message to the room that is heard."""
    entry, keys = Entry("x" * 64, "sockjsbench/1"), Keys("default")
    arguments = add_arguments(
        keys, "room", entry, Bounds(100, 300.0), epoch=epoch, floor=0, renew=False
    )
    return _command("EVALSHA", ADD.sha, 1, keys.stream("room"), *arguments)


def _ask(connection: socket.socket, commands: bytes, count: int = 1) -> bytes:
    """Sends commands, and returns what they are answered with: each with a text.

    Raises:
        Lacking: Redis refuses one.
    """
    connection.sendall(commands)
    answers = b""
    while answers.count(b"\r\n") < 2 * count:
        data = connection.recv(1 << 16)
        answers += data
        if not data or answers.startswith(b"-"):
            raise Lacking(f"Redis does not do what was asked: {answers[:200]!r}")
    return answers


@contextmanager
def _listening(redis: Redis, count: int) -> Iterator[None]:
    """Hears a room over so many connections, until the end of the block."""
    channel = Keys("default").channel("room")
    selector = selectors.DefaultSelector()
    ended, end = socket.socketpair()
    selector.register(ended, selectors.EVENT_READ)
    connections = [_connect(redis.path) for _ in range(count)]
    for connection in connections:
        connection.sendall(_command("SUBSCRIBE", channel))
        connection.recv(200)
        selector.register(connection, selectors.EVENT_READ)

    def hear() -> None:
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is ended:
                    return
                key.fileobj.recv(1 << 20)

    thread = threading.Thread(target=hear)
    thread.start()
    try:
        yield
    finally:
        end.close()
        thread.join()
        selector.close()
        for each in (ended, *connections):
            each.close()


def _command(*words: bytes | str | int) -> bytes:
    """Returns a command as the protocol of Redis has it (RESP2)."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(
        b"$%d\r\n%s\r\n" % (len(each), each) for each in parts
    )


def _cpu_time(pid: int) -> float:
    """Returns the seconds of CPU time that a process has had: proc(5), schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
