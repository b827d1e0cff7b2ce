"""The compiled build: which modules mypyc makes machine code of, and where that is put.

There is one source. What is not compiled runs from it as ever, and so does all of it where no
compiler is::

    SOCKJS_BRIDGE_COMPILE=1 pip wheel .     a wheel of this platform and this Python
    python -m buildtools.compiled           in this checkout, beside the sources
    python -m buildtools.compiled --copy    in a copy, below build/compiled
    python -m buildtools.compiled --remove  removes what the second one has made

A module is not read where its library is beside it: whoever changes it builds again, or removes
the libraries.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Where the compiled copy is.
COPY = ROOT / "build" / "compiled"
#: Set to 1, a wheel is compiled.
WANTED = "SOCKJS_BRIDGE_COMPILE"
#: What a compiled build needs beside the others.
REQUIRED = "mypy>=2.4,<3"
#: The library that holds all of the machine code; that of a module only names it.
LIBRARY = "sockjs_bridge._compiled"

#: What is compiled, by the folder of ``sockjs_bridge``. A class that interpreted ones inherit from
#: is marked with ``mypyc_attr(allow_interpreted_subclasses=True)``. One that inherits from a class
#: of Python's, ``Generic`` too, must not be referred to weakly: mypyc 2.4 leaves such a reference
#: as it is when the object is gone. And no slice of bytes may end before it begins: that raises a
#: SystemError there. What is left out, and why:
#:
#: - core/joined, core/presences, core/monitor: classes of cluster/, ops/ and pyramid/, interpreted,
#:   inherit from theirs, and no message needs them.
#: - endpoint/outcomes: subclasses declare `Receiving.session` again, narrower: mypyc refuses that.
#: - the rest of endpoint/: called once for a connection, or less.
#: - server/reader: inherits from aiohttp's class, whose type is not known here.
#: - all that relays: its classes inherit from compiled ones, and are rarely used.
#: - native: has a branch that type checkers are not to see, and mypyc takes that for unreachable.
#: - core/settings, server/openings and workers, pyramid/hooks, handlers, threads, unit and attempt:
#:   mypyc takes them; not run yet.
_COMPILED = {
    "core": (
        "backlog basemanager broadcasts claim clock contracts credentials deadlines "
        "flusher frames history hub inbound manager outbound outbox presence protocol "
        "readiness repeats rooms session signals statemachine states transports"
    ),
    "resume": (
        "arrivals contracts deadlines found frames incoming kept lines link link_states "
        "manager mux outgoing probe run session shared states telling tombstones "
        "transports writing"
    ),
    "endpoint": ("actions cors endpoint endpoints lateanswer opening origins proofs resumable"),
    "server": (
        "activity connection fast flow framing http1 loop plain receivers routing states "
        "turns websocket"
    ),
}
#: The same, each below ``sockjs_bridge``.
MODULES = [f"{folder}/{name}" for folder, names in _COMPILED.items() for name in names.split()]

#: What a copy needs not have, or makes itself.
_LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".coverage*", ".hypothesis", "*.egg-info", "*.pyc", "*.so"),
    *("__pycache__", "build", "chat.secret", "chat.sqlite*", "dist", "htmlcov", "node_modules"),
)


def wanted() -> bool:
    """Tells whether the environment asks for a compiled build."""
    return os.environ.get(WANTED) == "1"


def extensions() -> list[Any]:
    """Returns what setuptools is to build: nothing, unless a compiled wheel is.

    It is asked what it needs, too, when the compiler is not there yet.
    """
    if not wanted() or "bdist_wheel" not in sys.argv:
        return []
    from mypyc.build import mypycify

    return mypycify(
        [
            # Types are checked by `make lint`. Here no library is known, so that a build does not
            # depend on what is installed beside it.
            *("--config-file=", "--no-site-packages", "--ignore-missing-imports"),
            "--follow-imports=silent",
            *(f"sockjs_bridge/{module}.py" for module in MODULES),
        ],
        group_name=LIBRARY,
        opt_level="2",
        debug_level="0",
    )


def build(folder: Path = ROOT) -> Path:
    """Builds a wheel, and puts its libraries beside the sources, unless that was done before.

    Args:
        folder: a checkout, or a copy of one.

    Returns:
        The wheel.

    Raises:
        SystemExit: the compiler failed; the text says why.
    """
    wheels, digest = folder / "build" / "wheel", _digest(folder)
    stamp = wheels / "made-of.txt"
    if not (stamp.is_file() and stamp.read_text() == digest and any(libraries(folder))):
        remove(folder)
        shutil.rmtree(wheels, ignore_errors=True)
        _make_wheel(folder, wheels)
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if name.endswith(".so")])
        stamp.write_text(digest)
    return next(wheels.glob("*.whl"))


def _make_wheel(folder: Path, wheels: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), "."),
    ]
    made = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, WANTED: "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if made.returncode:
        raise SystemExit(f"{made.stdout.strip()}\nerror: the compiled build failed")


def copy() -> Path:
    """Builds in a copy of this checkout, and returns where that is."""
    COPY.mkdir(parents=True, exist_ok=True)
    _mirror(ROOT, COPY)
    build(COPY)
    return COPY


def libraries(folder: Path) -> Iterator[Path]:
    """Yields what a build in place has made."""
    yield from (folder / "sockjs_bridge").rglob("*.so")


def remove(folder: Path = ROOT) -> None:
    """Removes what a build in place has made: the sources run again."""
    for library in libraries(folder):
        library.unlink()


def _digest(folder: Path) -> str:
    """Returns what stands for all that the libraries are made of."""
    whole = hashlib.sha256(f"{sys.version} {version('mypy')}".encode())
    for file in [Path(__file__), *sorted((folder / "sockjs_bridge").rglob("*.py"))]:
        whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _mirror(source: Path, target: Path) -> None:
    """Makes a folder like another one, apart from what is built in it."""
    here, there = os.listdir(source), os.listdir(target)
    kept = set(here) - _LEFT_OUT(str(source), here)
    for name in set(there) - kept - _LEFT_OUT(str(target), there):
        gone = target / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for name in kept:
        old, new = source / name, target / name
        if old.is_dir():
            new.mkdir(exist_ok=True)
            _mirror(old, new)
        elif not (new.is_file() and filecmp.cmp(old, new)):
            shutil.copy2(old, new)


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m buildtools.compiled")
    parser.add_argument("--copy", action="store_true", help="build in a copy: build/compiled")
    parser.add_argument("--remove", action="store_true", help="remove what was built in place")
    options = parser.parse_args()
    if options.remove:
        remove()
    elif options.copy:
        print(copy())
    else:
        build()


if __name__ == "__main__":
    main()
