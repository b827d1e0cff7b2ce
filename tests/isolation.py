"""A guard: a test that needs no server opens no socket and starts no process.

`make check` runs the tests that `tests.selection` takes for such ones; the guard keeps that true.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

#: Audit events of Python and of asyncio's own loop. Pairs of sockets, which loops wake themselves
#: with, raise none of them.
EVENTS = {
    *("socket.bind", "socket.connect", "socket.sendto"),
    *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"),
}
#: libuv opens its sockets and starts its processes unseen by Python.
UVLOOP_METHODS = (
    *("create_server", "create_connection", "create_datagram_endpoint"),
    *("create_unix_server", "create_unix_connection", "subprocess_exec", "subprocess_shell"),
)


class Forbidden(BaseException):
    """A test that needs no server did what only those may do that need one.

    No `Exception`: what a test runs may swallow those.
    """


class Guard:
    """Forbids sockets and processes for a while, in all threads."""

    def __init__(self) -> None:
        self._broken: list[str] | None = None
        sys.addaudithook(self._audit)
        for name in UVLOOP_METHODS:
            setattr(uvloop.Loop, name, self._watched(name, getattr(uvloop.Loop, name)))

    @contextmanager
    def closed(self) -> Iterator[list[str]]:
        """Forbids them; yields what was tried nevertheless, which is added as it happens."""
        self._broken = broken = []
        try:
            yield broken
        finally:
            self._broken = None

    def _forbid(self, what: str) -> None:
        if self._broken is not None:
            self._broken.append(what)
            raise Forbidden(f"{what}: tests/selection.py takes this test for one without server")

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS:
            self._forbid(event)

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def watched(loop: uvloop.Loop, *arguments: Any, **options: Any) -> Any:
            self._forbid(f"uvloop's {name}")
            return method(loop, *arguments, **options)

        return watched


GUARD = Guard()
