"""The blocks of code in the documentation."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_DIRECTIVE = re.compile(
    r"^(?P<indent> *)\.\. code-block:: *(?P<language>\S*)\n"
    r"(?P<options>(?:(?P=indent) +:[\w-]+:.*\n)*)"
    r"\n*"
    r"(?P<code>(?:(?P=indent)   +\S.*\n|[ ]*\n)*)",
    re.MULTILINE,
)
_CAPTION = re.compile(r":caption: *(.*)\n")

#: Other ways to write code, which the tests would not find. What docs/deploy has is run by
#: tests/proxies, tests/e2e and test_metrics.
OTHER_WAYS = re.compile(
    r"^(?! *\.\. ).*::$"
    r"|^ *\.\. (code|sourcecode|highlight|include)::"
    r"|^ *\.\. literalinclude::(?! ((\.\./)?deploy/|middleboxes-|capacity\.))",
    re.M,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    Attributes:
        page: its path below ``docs``, without the suffix.
        line: where it begins.
        language: of the code.
        caption: the name of the file that it is, or empty.
        code: the text.
    """

    page: str
    line: int
    language: str
    caption: str
    code: str

    @property
    def key(self) -> tuple[str, str]:
        """The page, and the caption or else the first line of the code."""
        return self.page, self.caption or self.code.partition("\n")[0]

    def __str__(self) -> str:
        return f"docs/{self.page}.rst:{self.line}"


def pages() -> Iterator[tuple[str, str]]:
    """Return the name and the text of each page."""
    for path in sorted(DOCS.rglob("*.rst")):
        yield path.relative_to(DOCS).with_suffix("").as_posix(), path.read_text(encoding="utf-8")


def collect() -> list[Block]:
    """Return all blocks, in the order of the pages."""
    blocks = []
    for page, text in pages():
        for match in _DIRECTIVE.finditer(text):
            caption = _CAPTION.search(match["options"])
            blocks.append(
                Block(
                    page,
                    text.count("\n", 0, match.start()) + 1,
                    match["language"],
                    caption[1] if caption else "",
                    textwrap.dedent(match["code"]).strip("\n") + "\n",
                )
            )
    return blocks


def check_javascript(code: str, folder: Path) -> None:
    """See that a script has no syntax error."""
    node = shutil.which("node")
    assert node, "node is not installed"
    path = folder / "script.mjs"
    path.write_text(code, encoding="utf-8")
    done = subprocess.run([node, "--check", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
