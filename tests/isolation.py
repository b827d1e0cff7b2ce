"""A guard: a test that needs no server opens no socket and starts no process.

`make check` runs the tests that `tests.selection` takes for such ones; the guard keeps that true.
"""

from __future__ import annotations

import functools
import os
import platform
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

#: What opens sockets and starts processes: where it is, and what it is called. Pairs of sockets,
#: which loops wake themselves with, need none of it; libuv does it unseen by Python. An audit hook
#: would see more, but where threads are traced, as for coverage, some would not begin: Python 3.11
#: lets one begin while the hook hears that another is to be traced, and refuses to trace it then.
CALLS: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (socket.socket, "socket.{}", ("bind", "connect", "connect_ex", "sendto")),
    (subprocess.Popen, "subprocess.Popen", ("__init__",)),
    (os, "os.{}", ("execv", "execve", "fork", "forkpty", "posix_spawn", "posix_spawnp", "system")),
    (
        uvloop.Loop,
        "uvloop's {}",
        (
            *("create_server", "create_connection", "create_datagram_endpoint"),
            *("create_unix_server", "create_unix_connection", "subprocess_exec"),
            "subprocess_shell",
        ),
    ),
)


class Forbidden(BaseException):
    """A test that needs no server did what only those may do that need one.

    No `Exception`: what a test runs may swallow those.
    """


class Guard:
    """Forbids sockets and processes for a while, in all threads."""

    def __init__(self) -> None:
        self._broken: list[str] | None = None
        # Python starts a program to learn this, once; whoever asks for the platform does.
        platform.processor()
        for owner, said, names in CALLS:
            for name in names:
                setattr(owner, name, self._watched(said.format(name), getattr(owner, name)))

    @contextmanager
    def closed(self) -> Iterator[list[str]]:
        """Forbids them; yields what was tried nevertheless, which is added as it happens."""
        self._broken = broken = []
        try:
            yield broken
        finally:
            self._broken = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Allows them again, within what forbids them."""
        broken, self._broken = self._broken, None
        try:
            yield
        finally:
            self._broken = broken

    def _watched(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def watched(*arguments: Any, **options: Any) -> Any:
            if self._broken is not None:
                self._broken.append(what)
                raise Forbidden(
                    f"{what}: tests/selection.py takes this test for one without server"
                )
            return call(*arguments, **options)

        return watched


GUARD = Guard()
