"""The applications of these tests in three processes, behind a balancer."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests.cluster.processes import BALANCERS, Processes
from tests.cluster.redisserver import RedisServer

PROCESSES = 3


class Balanced:
    """Starts what is asked for when it is first asked for, and ends all of it.

    Args:
        folder: for its files.
        stack: ends it.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.url = cache(self._url)
        self._processes = cache(self._start)

    def _url(self, package: str, balancer: str) -> str:
        """Return the URL of an application, of a package below ``tests.pkgs``."""
        processes = self._processes(package)
        made = BALANCERS[balancer](self._new(f"{package}-{balancer}"), processes.listens)
        return self._stack.enter_context(made).url

    def _start(self, package: str) -> Processes:
        redis = RedisServer(self._new(f"{package}-redis"))
        self._stack.callback(redis.end)
        redis.start()
        settings = {
            "sockjs.cluster": redis.url,
            # None of them dies, however long it stands still where other tests run beside.
            "sockjs.cluster_lease": 60,
            "sockjs.allowed_origins": "*",
            "sockjs.disconnect_delay": 20,
            "conformance.shared": self._new(f"{package}-events"),
        }
        factory = f"tests.pkgs.{package}:main"
        made = Processes(
            self._new(package),
            PROCESSES,
            settings=settings,
            # Nobody waits for what tests have left open.
            server={"shutdown_timeout": 1},
            factory=factory,
        )
        return self._stack.enter_context(made)

    def _new(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder
