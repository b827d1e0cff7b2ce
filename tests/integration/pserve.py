"""A real `pserve` process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forks import ForkedPserve

ROOT = Path(__file__).parents[2]
PSERVE = Path(sys.executable).with_name("pserve")

PATIENCE = 90.0
"""Seconds after which a wait for an event has failed; they hold the start of a process."""

INI = """
[app:main]
paste.app_factory = {factory}
{app}

[server:main]
use = egg:sockjs-bridge
{server}

[loggers]
keys = root, access

[handlers]
keys = console, plain

[formatters]
keys = generic, message

[logger_root]
level = {level}
handlers = console

[logger_access]
level = INFO
handlers = plain
qualname = sockjs_bridge.access
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic

[handler_plain]
class = StreamHandler
args = (sys.stdout,)
formatter = message

[formatter_generic]
format = %(levelname)s [%(name)s] %(message)s

[formatter_message]
format = %(message)s
"""


def write_ini(
    folder: Path,
    server: str = "listen = 127.0.0.1:0",
    app: str = "",
    level: str = "INFO",
    factory: str = "tests.pkgs.pserve_app:main",
) -> Path:
    """Write an ini file of an application, with further lines in its sections."""
    path = folder / "test.ini"
    path.write_text(INI.format(app=app, server=server, level=level, factory=factory))
    return path


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that finds modules of a folder, and ours."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys([folder, ROOT]))),
    }


def python(folder: Path, *arguments: str) -> str:
    """Run Python in a project's folder, and return what it says."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class ServerProcess:
    """A process that serves, and what it says.

    Args:
        command: by which it is started.
        folder: where it is started, and finds modules beside ours.
    """

    def __init__(self, command: list[str], folder: Path = ROOT) -> None:
        self.process = self._start(command, folder)
        self._changed = threading.Condition()
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=arguments, daemon=True)
            for arguments in (
                (self.process.stdout, self.out),
                (self.process.stderr, self.err),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _start(self, command: list[str], folder: Path) -> subprocess.Popen[str] | ForkedPserve:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={
                **environment(folder),
                "PYTHONUNBUFFERED": "1",
                "PYTHONWARNINGS": "ignore",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _read(self, pipe, lines: list[str]) -> None:
        for line in pipe:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        pipe.close()

    @property
    def said(self) -> str:
        """All that it said so far."""
        return "\n".join([*self.err, *self.out])

    def wait_for(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """Wait until lines match a pattern `count` times, and return the matches."""

        def found() -> list[re.Match[str]]:
            return [
                match for line in (*self.err, *self.out) for match in re.finditer(pattern, line)
            ]

        end = time.monotonic() + PATIENCE
        with self._changed:
            # One that has ended says no more.
            while len(found()) < count and self.process.poll() is None and time.monotonic() < end:
                self._changed.wait(0.1)
        if self.process.poll() is not None:
            for reader in self._readers:
                reader.join(PATIENCE)
        enough = len(found()) >= count
        assert enough, f"{pattern!r} is not there {count} times:\n{self.said}"
        return found()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, and to no child of it."""
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end; a process that ran is to leave within the bound."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def end(self) -> None:
        """End it, by the process group that it leads."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            end = time.monotonic() + 5
            while self.process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)


class Pserve(ServerProcess):
    """pserve.

    Args:
        ini: what it serves.
        arguments: of the command line.
        folder: as above.
    """

    def __init__(self, ini: Path, *arguments: str, folder: Path = ROOT) -> None:
        super().__init__([str(PSERVE), *arguments, str(ini)], folder)

    def urls(self, count: int = 1) -> list[str]:
        """Wait until it serves, and return where."""
        return [match[1] for match in self.wait_for(r"serving on (\S+)", count)]


class QuickPserve(Pserve):
    """The same without the start of an interpreter, see tests/forks.py."""

    def _start(self, command: list[str], folder: Path) -> ForkedPserve:
        return ForkedPserve(command[1:], folder, environment(folder))


@contextmanager
def running(
    ini: Path, *arguments: str, folder: Path = ROOT, interpreter: bool = False
) -> Iterator[Pserve]:
    """Run pserve, and end it.

    Args:
        ini: what it serves.
        arguments: of the command line.
        folder: where it is started, and finds modules beside ours.
        interpreter: it is started as by a shell; so it is for another folder, or with arguments.
    """
    as_by_a_shell = interpreter or arguments or folder != ROOT
    process = (Pserve if as_by_a_shell else QuickPserve)(ini, *arguments, folder=folder)
    try:
        yield process
    finally:
        process.end()
