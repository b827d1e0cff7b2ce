"""The compiled build: which modules mypyc makes machine code of, and where that is put.

There is one source. What is not compiled, or where no compiler is, runs from it as ever::

    SOCKJS_BRIDGE_COMPILE=1 pip wheel .     a wheel of this platform and this Python
    python -m buildtools.compiled           in this checkout, beside the sources
    python -m buildtools.compiled --copy    in a copy, below build/compiled
    python -m buildtools.compiled --remove  removes what the second one has made

A module beside its library is not read: whoever changes it builds again, or removes the library.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
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
#: The library that holds all of the machine code; each module's own only names it.
LIBRARY = "sockjs_bridge._compiled"

#: What is compiled, below ``sockjs_bridge``.
MODULES = (
    "core/backlog",
    "core/basemanager",
    "core/broadcasts",
    "core/claim",
    "core/clock",
    "core/contracts",
    "core/credentials",
    "core/deadlines",
    "core/flusher",
    "core/frames",
    "core/history",
    "core/hub",
    "core/inbound",
    "core/joined",
    "core/manager",
    "core/outbound",
    "core/outbox",
    "core/presence",
    "core/presences",
    "core/protocol",
    "core/readiness",
    "core/repeats",
    "core/rooms",
    "core/session",
    "core/signals",
    "core/statemachine",
    "core/states",
    "core/transports",
    "resume/arrivals",
    "resume/contracts",
    "resume/deadlines",
    "resume/found",
    "resume/frames",
    "resume/incoming",
    "resume/kept",
    "resume/lines",
    "resume/link",
    "resume/link_states",
    "resume/manager",
    "resume/mux",
    "resume/outgoing",
    "resume/probe",
    "resume/run",
    "resume/session",
    "resume/shared",
    "resume/states",
    "resume/telling",
    "resume/tombstones",
    "resume/transports",
    "resume/writing",
    "endpoint/actions",
    "endpoint/cors",
    "endpoint/endpoint",
    "endpoint/endpoints",
    "endpoint/lateanswer",
    "endpoint/opening",
    "endpoint/origins",
    "endpoint/proofs",
    "endpoint/resumable",
    "server/activity",
    "server/connection",
    "server/fast",
    "server/flow",
    "server/framing",
    "server/http1",
    "server/loop",
    "server/plain",
    "server/receivers",
    "server/routing",
    "server/states",
    "server/turns",
    "server/websocket",
)

#: What a copy needs not have, or makes itself.
_LEFT_OUT = shutil.ignore_patterns(
    *(".*", "*.egg-info", "*.pyc", "*.so", "__pycache__", "build", "dist", "htmlcov"),
    *("node_modules", "chat.sqlite*", "chat.secret"),
)
_STAMP = ".compiled"


def wanted() -> bool:
    """Tells whether the environment asks for a compiled build."""
    return os.environ.get(WANTED) == "1"


def extensions() -> list[Any]:
    """Returns what setuptools is to build: nothing, where no compiled build is asked for."""
    if not wanted():
        return []
    from mypyc.build import mypycify

    return mypycify(
        [
            # What is strict is checked by `make lint`. Libraries count as unknown, so that a build
            # does not depend on what is installed beside it.
            *("--config-file=", "--no-site-packages", "--ignore-missing-imports"),
            *("--follow-imports=silent", "--no-warn-unused-ignores"),
            *(f"sockjs_bridge/{module}.py" for module in MODULES),
        ],
        group_name=LIBRARY,
        opt_level=os.environ.get("SOCKJS_BRIDGE_OPTIMIZE", "3"),
        debug_level="0",
    )


def build(folder: Path, optimize: int = 3) -> None:
    """Builds in a checkout or a copy, unless what is there was made of these sources.

    Args:
        folder: the one.
        optimize: as the compiler of C has it; the tests need no quick code, but soon.

    Raises:
        SystemExit: the compiler failed; it has said why.
    """
    stamp, digest = folder / _STAMP, _digest(folder, optimize)
    if stamp.is_file() and stamp.read_text() == digest and any(libraries(folder)):
        return
    stamp.unlink(missing_ok=True)
    remove(folder)
    environment = {**os.environ, WANTED: "1", "SOCKJS_BRIDGE_OPTIMIZE": str(optimize)}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    built = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if built.returncode:
        raise SystemExit(f"{built.stdout.strip()}\nerror: mypyc or the compiler of C failed")
    stamp.write_text(digest)


def copy(optimize: int = 1) -> Path:
    """Builds in a copy of this checkout, and returns where that is.

    What has not changed is not copied again, so that little is compiled again.
    """
    COPY.mkdir(parents=True, exist_ok=True)
    _mirror(ROOT, COPY)
    build(COPY, optimize)
    return COPY


def libraries(folder: Path) -> Iterator[Path]:
    """Yields what a build in place has made."""
    yield from (folder / "sockjs_bridge").rglob("*.so")


def remove(folder: Path = ROOT) -> None:
    """Removes what a build in place has made: the sources run again."""
    for library in libraries(folder):
        library.unlink()


def _digest(folder: Path, optimize: int) -> str:
    """Returns what stands for all that a build is made of."""
    whole = hashlib.sha256(f"{sys.version} {version('mypy')} {optimize}".encode())
    for file in [*sorted((folder / "sockjs_bridge").rglob("*.py")), Path(__file__)]:
        whole.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _mirror(source: Path, target: Path) -> None:
    """Makes a folder like another one, apart from what is built in it."""
    here = sorted(os.listdir(source))
    left_out = _LEFT_OUT(str(source), here)
    wanted = {name for name in here if name not in left_out}
    there = set(os.listdir(target))
    for name in there - wanted - _LEFT_OUT(str(target), sorted(there)):
        gone = target / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for name in wanted:
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
        build(ROOT)


if __name__ == "__main__":
    main()
