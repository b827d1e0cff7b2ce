"""Fetch the pinned SockJS browser client from npm.

The lock file in ``js/`` names the release and its checksums; git holds no copy of the client.
Needs the standard library only, so that ``make`` can run it before anything is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "js" / "package-lock.json"
PACKAGE = ROOT / "js" / "node_modules" / "sockjs-client"
STATIC = ROOT / "sockjs_bridge" / "static"
CLIENT = STATIC / "sockjs.min.js"

# Where a file of the npm package goes. The script names its source map by a relative URL.
FILES = {
    "LICENSE": STATIC / "sockjs.LICENSE",
    "dist/sockjs.min.js.map": STATIC / "sockjs.min.js.map",
    "dist/sockjs.min.js": CLIENT,
}


class FetchError(Exception):
    """The client could not be fetched; the text is meant for the user."""


def locked_version() -> str:
    """Return the release of sockjs-client that the lock file pins."""
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    return str(lock["packages"]["node_modules/sockjs-client"]["version"])


def is_current(version: str) -> bool:
    """Tell whether the files are in place and the script's banner names ``version``."""
    if not all(target.is_file() for target in FILES.values()):
        return False
    with CLIENT.open(encoding="utf-8") as script:
        return f"sockjs-client v{version} " in script.readline()


def fetch() -> None:
    """Put the pinned client into ``sockjs_bridge/static``, unless it is there already.

    Raises:
        FetchError: npm is missing or failed.
    """
    version = locked_version()
    if is_current(version):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            f"A checkout needs npm (Node 20 or later) to fetch sockjs-client {version}: "
            "install npm, or install sockjs-bridge from a wheel or an sdist, which contain it."
        )
    # The packages are only copied from or run by the tests: their install scripts have no use.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    # npm's output goes to stderr: under a PEP 517 frontend stdout belongs to the backend.
    result = subprocess.run(
        command,
        cwd=LOCK.parent,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode:
        raise FetchError(
            f"npm could not fetch sockjs-client {version} (npm ci in js/ ended with status "
            f"{result.returncode}):\n{result.stdout.strip()}"
        )
    STATIC.mkdir(exist_ok=True)
    for source, target in FILES.items():
        shutil.copyfile(PACKAGE / source, target)


def fetch_or_exit() -> None:
    """Do as ``fetch``, and end the process with the error's text, without a traceback.

    Raises:
        SystemExit: npm is missing or failed.
    """
    try:
        fetch()
    except FetchError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    fetch_or_exit()
