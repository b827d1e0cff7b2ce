"""Makes of the README what package indexes show of it: they have none of the files beside it.

Needs the standard library only, as the build does.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What ``setup.cfg`` names.
OUTPUT = ROOT / "build" / "long_description.md"

_PICTURE = re.compile(r"!\[([^]]*)\]\((?!https://)([^)]+)\)")


def standing_alone(readme: str, source: str) -> str:
    """Returns a text without links to files beside it.

    Args:
        readme: Markdown.
        source: the address of the repository, by which pictures are found, as GitHub has them.
            Where it is empty, a picture's description stands in its place.
    """
    there = rf"![\1]({source}/raw/HEAD/\2)" if source else r"*\1*"
    return _PICTURE.sub(there, readme)


def write() -> None:
    """Writes the file, by the address ``Source`` of ``project_urls``."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    urls = config["metadata"].get("project_urls", "")
    found = re.search(r"^Source *= *(\S+?)/?$", urls, re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(standing_alone(readme, found[1] if found else ""), encoding="utf-8")
