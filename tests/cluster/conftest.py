"""What the tests of several processes start: servers, balancers, Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import BALANCERS, Processes
from tests.cluster.redisserver import RedisServer
from tests.proxies.programs import Program


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    """Starts processes: `Processes` without its folder."""
    with ExitStack() as stack:

        def start(count: int = 2, **options: Any) -> Processes:
            folder = tmp_path / f"processes{len([*tmp_path.iterdir()])}"
            folder.mkdir()
            return stack.enter_context(Processes(folder, count, **options))

        yield start


@pytest.fixture
def balance(tmp_path: Path) -> Iterator[Callable[[Processes, str], Program]]:
    """Starts what distributes connections over processes: ``haproxy`` or ``nginx``."""
    with ExitStack() as stack:

        def start(processes: Processes, name: str = "haproxy") -> Program:
            folder = tmp_path / f"{name}{len([*tmp_path.iterdir()])}"
            folder.mkdir()
            return stack.enter_context(BALANCERS[name](folder, processes.listens))

        yield start


@pytest.fixture
def redis_program() -> str:
    """The program of `redis`; to be parametrised, by ``PROGRAMS`` of redisserver.py for example."""
    return "redis-server"


@pytest.fixture
def redis(tmp_path: Path, redis_program: str) -> Iterator[RedisServer]:
    """A Redis server, empty."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, redis_program)
    server.start()
    try:
        yield server
    finally:
        server.end()
        print(server.log)
