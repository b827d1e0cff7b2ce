"""The command ``sockjs-bridge``: it writes a small project that runs at once."""

from __future__ import annotations

import argparse
import keyword
import os
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Final

#: Where each file of `project` goes, as templates of `string.Template` with the project's ``name``.
FILES: Final = {
    "pyproject.toml.txt": "pyproject.toml",
    "development.ini.txt": "development.ini",
    "application.py.txt": "$name/__init__.py",
    "page.jinja2.txt": "$name/page.jinja2",
    "test_application.py.txt": "tests/test_$name.py",
}

_NEXT: Final = Template("""\
$folder is a project of five files. Install it, and start it:

  pip install -e "$folder[testing]"
  pserve $folder/development.ini --reload

Open http://localhost:6543 in two windows, and type. This runs its test: pytest $folder
""")


class CannotInit(Exception):
    """A project cannot be written; the message is one sentence for who asked for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: its arguments; None takes the program's.

    Returns:
        The exit status. What cannot be done is said in one sentence, on standard error.
    """
    parser = argparse.ArgumentParser(
        prog="sockjs-bridge", description="Real-time connections for Pyramid."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="write a small project that runs at once")
    init.add_argument("folder", metavar="DIR", help="a new folder; its name is the project's")
    arguments = parser.parse_args(argv)
    try:
        write(Path(arguments.folder))
    except CannotInit as error:
        print(f"sockjs-bridge: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"sockjs-bridge: the project cannot be written: {error}", file=sys.stderr)
        return 1
    print(_NEXT.substitute(folder=os.path.normpath(arguments.folder)), end="")
    return 0


def write(folder: Path) -> None:
    """Writes a project of five files.

    Args:
        folder: where; its last part is the project's name, with ``_`` for ``-`` that of its
            package.

    Raises:
        CannotInit: a package cannot have that name, or files are there already.
        OSError: the files cannot be written.
    """
    name = _package(folder.resolve().name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotInit(f"{folder} is there already; name a new folder")
    for source, target in FILES.items():
        text = files(__name__).joinpath("project", source).read_text(encoding="utf-8")
        path = folder / Template(target).substitute(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(name=name), encoding="utf-8")


def _package(project: str) -> str:
    name = project.replace("-", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise CannotInit(
            f"{project!r} cannot be the name of a Python package: use letters, digits, - and _,"
            " and begin with a letter"
        )
    if name == "tests" or find_spec(name) is not None:
        raise CannotInit(f"there is a Python package {name} already; choose another name")
    return name
