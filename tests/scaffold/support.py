"""A project that ``sockjs-bridge init`` has written, as `pip install -e` leaves it."""

from __future__ import annotations

from pathlib import Path

from sockjs_bridge import scaffold
from tests.integration.pserve import python


def make(folder: Path) -> None:
    """Writes it, and the metadata of an editable installation; the dependencies are there."""
    assert scaffold.main(["init", str(folder)]) == 0
    python(folder, "-W", "ignore", "-c", "import setuptools; setuptools.setup()", "-q", "egg_info")
    (metadata,) = folder.glob("*.egg-info")
    required = (metadata / "requires.txt").read_text().split()
    assert {"sockjs-bridge", "pyramid_jinja2", "pytest"} <= set(required)


def listening(folder: Path, old: str = "listen = localhost:6543") -> Path:
    """Returns a copy of its ini that listens on a free port."""
    text = (folder / "development.ini").read_text()
    assert text.count(old) == 1
    ini = folder / "test.ini"
    ini.write_text(text.replace(old, "listen = 127.0.0.1:0\nshutdown_timeout = 1"))
    return ini
