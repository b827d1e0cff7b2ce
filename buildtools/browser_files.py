"""Makes what browsers get: the pinned SockJS client, our own, the chat's page.

The lock file in ``js/`` names the packages and their checksums, ``js/build.mjs`` does the work; git
holds no outputs. Needs the standard library only, so that ``make`` can run it before anything is
installed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JS = ROOT / "js"
#: What the outputs are made from.
SOURCES = [
    *(JS / "package.json", JS / "package-lock.json"),
    *(JS / "build.mjs", JS / "client.mjs", JS / "compress.mjs", JS / "src"),
]
OUTPUTS = [ROOT / "sockjs_bridge" / "static", ROOT / "pyramid_chat" / "static" / "dist"]
#: The digest of the sources and of what was made from them. An sdist contains it.
STAMP = JS / ".built"
#: npm writes it last.
INSTALLED = JS / "node_modules" / ".package-lock.json"


class BuildError(Exception):
    """The files could not be built; the text is meant for the user."""


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file())


def digest() -> str:
    """Returns the digest of all sources and outputs, names and contents."""
    whole = hashlib.sha256()
    for file in _files([*SOURCES, *OUTPUTS]):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.relative_to(ROOT).as_posix()} {content}\n".encode())
    return whole.hexdigest()


def is_current() -> bool:
    """Tells whether the outputs are those of the last build, made from the sources as they are."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii").strip() == digest()


def build() -> None:
    """Builds the files, unless they are there already.

    Raises:
        BuildError: npm is missing or failed.
    """
    if is_current():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(
            "A checkout needs npm (Node 20 or later) to build the files for browsers: "
            "install npm, or install sockjs-bridge from a wheel or an sdist, which contain them."
        )
    if not _is_installed():
        # No package needs its install script here.
        _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        INSTALLED.touch()
    _run(npm, "run", "build")
    STAMP.write_text(f"{digest()}\n", encoding="ascii")


def _is_installed() -> bool:
    """Tells, as make does, whether the packages are newer than what names them."""
    if not INSTALLED.is_file():
        return False
    named = max(file.stat().st_mtime for file in _files(SOURCES[:2]))
    return INSTALLED.stat().st_mtime >= named


def _run(npm: str, *arguments: str) -> None:
    # npm's output goes to stderr: under a PEP 517 frontend stdout belongs to the backend.
    result = subprocess.run(
        [npm, *arguments],
        cwd=JS,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode:
        command = " ".join(["npm", *arguments[:2]])
        raise BuildError(
            f"{command} in js/ ended with status {result.returncode}:\n{result.stdout.strip()}"
        )


def build_or_exit() -> None:
    """Does as ``build``, and ends the process with the error's text, without a traceback.

    Raises:
        SystemExit: npm is missing or failed.
    """
    try:
        build()
    except BuildError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    build_or_exit()
