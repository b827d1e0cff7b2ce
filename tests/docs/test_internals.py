"""The map of the code, docs/internals.rst, and CONTRIBUTING.md name what there is."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS
from tests.test_imports import FLOORS, modules, part

ROOT = DOCS.parent
PAGE = (DOCS / "internals.rst").read_text(encoding="utf-8")

#: Where each file has its line.
TOPS = ("sockjs_bridge", "pyramid_chat", "js/src", "tests", "bench", "buildtools")
#: What is built there.
BUILT = ("sockjs_bridge/static/", "pyramid_chat/static/dist/")

#: The modules and folders of the bridge, which names of Python begin with.
PARTS = sorted({part(module) for module in modules("sockjs_bridge")} - {""})
PYTHON = re.compile(rf"(?:{'|'.join(PARTS)}|pyramid_chat)(?:\.\w+)+(?<!\.py)")
JAVASCRIPT = re.compile(r"(js/src/[\w/-]+\.js): (#?\w+(?:\.#?\w+)?)")


def sections(text: str, underline: str) -> dict[str, str]:
    """Return the text below each heading of one level, up to the next of that level."""
    parts = re.split(rf"^(\S.*)\n{re.escape(underline)}{{3,}}\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


LEVEL = sections(PAGE.partition("\n\n")[2], "=")
WALKS = sections(LEVEL["The walks"], "-")
STEPS = {
    walk: re.findall(r"^#\. ``([^`]+)``: ", text, re.MULTILINE) for walk, text in WALKS.items()
}
LITERALS = set(re.findall(r"``([^`]+)``", PAGE))


def first_column(heading: str) -> list[str]:
    """Return the first cell of each row of the table in a section, without the table's head."""
    return re.findall(r"^   \* - (.*)$", LEVEL[heading], re.MULTILINE)[1:]


def resolve(name: str) -> object:
    """Return what a name of Python stands for.

    Raises:
        LookupError: nothing.
    """
    whole = name if name.startswith("pyramid_chat.") else f"sockjs_bridge.{name}"
    found, rest = import_module(whole.partition(".")[0]), whole.split(".")[1:]
    for index, attribute in enumerate(rest, 2):
        if not hasattr(found, attribute):
            try:
                import_module(".".join(whole.split(".")[:index]))
            except ImportError:
                raise LookupError(name) from None
        found = getattr(found, attribute)
    return found


def declares(source: str, name: str) -> bool:
    """Tell whether a file of JavaScript declares a function or class, or a method of one."""
    outer, _, inner = name.partition(".")
    declared = re.search(rf"^(?:export )?(?:class|function) {outer}\b", source, re.MULTILINE)
    if declared is None or not inner:
        return declared is not None
    method = rf"^ +(?:async |static |get |set )?{re.escape(inner)}\([^;]*\{{$"
    body = source[declared.end() :].partition("\n}\n")[0]
    return re.search(method, body, re.MULTILINE) is not None


def declared_in_page(name: str) -> bool:
    """Tell whether a name of JavaScript, with its file, is there."""
    match = JAVASCRIPT.fullmatch(name)
    assert match is not None
    return declares((ROOT / match[1]).read_text(encoding="utf-8"), match[2])


def tree() -> list[str]:
    """Return the files and folders of the tree; folders end with a slash."""
    return [
        f"{folder}/{name}"
        for folder, text in sections(LEVEL["The files"], "-").items()
        for name in re.findall(r"^\* ``([^`]+)``: ", text, re.MULTILINE)
    ]


def files(root: Path, folders: set[str]) -> Iterator[str]:
    """Yield all files below `TOPS` that hold something; the folder for those of given ones."""
    for path in sorted(path for top in TOPS for path in (root / top).rglob("*")):
        name = path.relative_to(root).as_posix()
        hidden = any(piece.startswith((".", "__pycache__")) for piece in name.split("/"))
        if hidden or name.startswith(BUILT) or not path.is_file() or not path.stat().st_size:
            continue
        yield next((folder for folder in folders if name.startswith(folder)), name)


def test_each_file_has_its_line() -> None:
    named = tree()
    folders = {name for name in named if name.endswith("/")}
    there = set(files(ROOT, folders))
    assert {"sockjs_bridge/core/session.py", "js/src/chat/main.js"} <= there
    assert {"without a line": there - {*named}, "not there": {*named} - there} == {
        "without a line": set(),
        "not there": set(),
    }
    assert len(named) == len(set(named))


def test_a_file_without_a_line_is_noticed(tmp_path: Path) -> None:
    """What is built, hidden or empty has none; what lies in a folder that is named has that."""
    for name in (
        *("bench/a.py", "bench/empty.py", "bench/.hidden", "bench/__pycache__/a.pyc"),
        *("sockjs_bridge/static/built.js", "tests/pkgs/app/__init__.py", "tests/pkgs/app/page.pt"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if "empty" in name else "x")
    assert set(files(tmp_path, {"tests/pkgs/app/"})) == {"bench/a.py", "tests/pkgs/app/"}


def test_names_of_python_exist() -> None:
    """Functions, classes, modules and tables, wherever the page names one."""
    names = {name for name in LITERALS if PYTHON.fullmatch(name)}
    assert len(names) > 100
    for name in sorted(names):
        assert resolve(name) is not None, name


def test_names_of_javascript_exist() -> None:
    names = {name for name in LITERALS if JAVASCRIPT.match(name)}
    assert len(names) > 10
    assert [name for name in sorted(names) if not declared_in_page(name)] == []


def test_paths_exist() -> None:
    """Whatever looks like a file of the project is one."""
    paths = {name for name in LITERALS if re.fullmatch(r"(?:js|tests|docs|server|core)/\S+", name)}
    assert paths
    missing = {path for path in paths if not any((ROOT / at / path).exists() for at in HOMES)}
    assert missing == set()


#: What paths are written from.
HOMES = ("", "sockjs_bridge")


@pytest.mark.parametrize("walk", STEPS)
def test_each_step_of_a_walk_is_a_function(walk: str) -> None:
    steps = STEPS[walk]
    assert len(steps) >= 15
    assert len(steps) == len(re.findall(r"^#\. ", WALKS[walk], re.MULTILINE))
    for step in steps:
        if PYTHON.fullmatch(step):
            found = resolve(step)
            assert inspect.isroutine(found) or isinstance(found, property), step
        else:
            assert declared_in_page(step), step


def test_there_are_nine_walks() -> None:
    assert len(STEPS) == 9


def test_each_contract_has_its_row() -> None:
    protocols = {
        f"{module.removeprefix('sockjs_bridge.')}.{node.name}"
        for module, source in modules("sockjs_bridge").items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if "Protocol" in {ast.unparse(base).partition("[")[0] for base in node.bases}
    }
    assert "core.contracts.Receiver" in protocols
    rows = [cell.split("``")[1] for cell in first_column("The contracts")]
    assert len(rows) == len(set(rows))
    assert protocols <= set(rows)


def test_floors_are_those_that_hold() -> None:
    """From the ground to the top, as tests/test_imports.py has them; those that are there."""
    rows = [
        {name.removesuffix(".py") for name in re.findall(r"``([^`]+)``", cell)}
        for cell in first_column("Floors and walls")
    ]
    assert rows == [there for floor in FLOORS if (there := floor & {*PARTS})]


def test_contributing_names_what_there_is() -> None:
    """Files, folders and the targets of make."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert {"check", "test"} <= targets
    assert targets <= set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    paths = set(re.findall(r"(?:js|docs|tests|sockjs_bridge|pyramid_chat)/[\w./-]*\w", text))
    assert len(paths) > 20
    assert {path for path in paths if not (ROOT / path).exists()} <= INSTALLED


#: What is there when it was installed.
INSTALLED = {"js/node_modules"}


@pytest.mark.parametrize(
    "name",
    [
        "core.session.Session.attached",
        "core.session.Seance",
        "core.sessions",
        "pyramid_chat.live.Live.shout",
        "pyramid_chat.alive",
    ],
)
def test_what_python_lacks_is_noticed(name: str) -> None:
    assert PYTHON.fullmatch(name)
    with pytest.raises(LookupError):
        resolve(name)


SOURCE = """
export class Box {
  #lid;
  async open(key) {
    this.#turn(key);
    this.shake(key);
  }

  #turn(key) {
  }
}

function wrap() {
  return { paper(box) {
  } };
}
"""


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("Box", True),
        ("Box.open", True),
        ("Box.#turn", True),
        ("wrap", True),
        ("Box.turn", False),
        ("Box.shake", False),
        ("Box.#lid", False),
        ("Box.paper", False),
        ("Bo", False),
        ("open", False),
    ],
)
def test_what_javascript_lacks_is_noticed(name: str, there: bool) -> None:
    assert declares(SOURCE, name) is there
