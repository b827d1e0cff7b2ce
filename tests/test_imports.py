"""Who may import whom: floors between the folders, walls, no circle; and no module grows too long.

All imports count: those for types alone, and those within functions.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

#: From the ground to the top. Folders side by side on a floor do not know each other.
FLOORS = (
    {"errors", "ini", "later", "logs", "native"},
    {"core"},
    {"resume"},
    {"endpoint"},
    {"client", "cluster"},
    {"pyramid", "server"},
    {"gunicorn", "ops", "scaffold", "testing"},
    {"pytest_plugin"},
    # The package itself: the public door, which nothing within goes through.
    {""},
)
FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}

#: What holds no I/O, and knows neither framework nor event loop.
PURE = ("core", "endpoint", "resume", "server.site")
IMPURE = {"aiohttp", "asyncio", "pyramid", "selectors", "socket", "threading", "uvloop", "webob"}
#: Rooms are entered and left in any thread, so they have a lock.
LOCKED = ("core.rooms", "threading")

MAX_LINES = 400

#: Where the bridge's public names are.
PUBLIC = ("sockjs_bridge", "sockjs_bridge.client", "sockjs_bridge.ini", "sockjs_bridge.testing")


class Import(NamedTuple):
    """A module that another one imports, and the name in it; none where it is all of it."""

    module: str
    name: str


def modules(package: str) -> dict[str, str]:
    """Read all modules of a package, by their dotted names."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


@functools.cache
def imports(module: str, source: str, *, package: bool) -> list[Import]:
    """List what a module imports, wherever in it.

    Args:
        module: its dotted name.
        source: its text.
        package: it is the ``__init__`` of a package.
    """
    found: list[Import] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += (Import(alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + package]
                base = ".".join([*above, *filter(None, [base])])
            found += (Import(base, alias.name) for alias in node.names)
    return found


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Tell for each module which others of them it imports."""
    packages = {name.rpartition(".")[0] for name in sources}
    found: dict[str, set[str]] = {}
    for module, source in sources.items():
        named = imports(module, source, package=module in packages)
        targets = (
            f"{each.module}.{each.name}" if f"{each.module}.{each.name}" in sources else each.module
            for each in named
        )
        found[module] = {target for target in targets if target in sources}
    return found


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of a circle, the first one twice; none where there is no circle."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def part(module: str) -> str:
    """Return the folder that a module of the bridge is in, or its name right below the package."""
    return [*module.split("."), ""][1]


def crossings(edges: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """List the imports that run up, or through a wall between folders on one floor."""
    return [
        (module, target)
        for module, targets in edges.items()
        for target in sorted(targets)
        if part(module) != part(target) and FLOOR[part(module)] <= FLOOR[part(target)]
    ]


SOURCES = modules("sockjs_bridge")


def test_everything_has_its_floor() -> None:
    assert {part(module) for module in SOURCES} <= FLOOR.keys()


def test_no_import_runs_up() -> None:
    assert crossings(graph(SOURCES)) == []


def test_no_circle() -> None:
    assert circle(graph(SOURCES)) == []


def test_the_core_is_free_of_io() -> None:
    """architecture.md: it imports no aiohttp, no Pyramid, no event loop."""
    packages = {name.rpartition(".")[0] for name in SOURCES}
    found = set()
    for module, source in SOURCES.items():
        inner = module.removeprefix("sockjs_bridge").removeprefix(".")
        if any(f"{inner}.".startswith(f"{pure}.") for pure in PURE):
            named = imports(module, source, package=module in packages)
            found |= {(inner, each.module.partition(".")[0]) for each in named}
    assert {each for each in found if each[1] in IMPURE} == {LOCKED}


def test_one_module_imports_redis() -> None:
    """scale.md: an application without a cluster needs no redis-py."""
    packages = {name.rpartition(".")[0] for name in SOURCES}
    found = {
        module
        for module, source in SOURCES.items()
        for each in imports(module, source, package=module in packages)
        if each.module.partition(".")[0] == "redis"
    }
    assert found == {"sockjs_bridge.cluster.redis"}


def test_who_counts_for_prometheus() -> None:
    """What an application without the include never imports; how a process is needs it neither."""
    packages = {name.rpartition(".")[0] for name in SOURCES}
    found = {
        module.removeprefix("sockjs_bridge.")
        for module, source in SOURCES.items()
        for each in imports(module, source, package=module in packages)
        if each.module.partition(".")[0] == "prometheus_client"
    }
    assert {part(f"sockjs_bridge.{module}") for module in found} == {"ops"}
    assert "ops.health" not in found


@pytest.mark.parametrize("package", ["sockjs_bridge", "pyramid_chat"])
def test_no_module_is_too_long(package: str) -> None:
    lines = {module: source.count("\n") for module, source in modules(package).items()}
    assert {module: count for module, count in lines.items() if count > MAX_LINES} == {}


def test_the_chat_uses_public_names_alone() -> None:
    public = {Import(door, name) for door in PUBLIC for name in import_module(door).__all__}
    used = {
        each
        for module, source in modules("pyramid_chat").items()
        for each in imports(module, source, package=False)
        if each.module.partition(".")[0] == "sockjs_bridge"
    }
    assert used
    assert used <= public


def test_the_bridge_knows_no_chat() -> None:
    for module, source in SOURCES.items():
        named = imports(module, source, package=False)
        assert not [each for each in named if each.module.startswith("pyramid_chat")], module


#: A package whose modules import each other in all the ways that there are.
SMALL = {
    "sockjs_bridge": "",
    "sockjs_bridge.core": "from .session import Session",
    "sockjs_bridge.core.session": "if TYPE_CHECKING:\n    from sockjs_bridge.core import manager",
    "sockjs_bridge.core.manager": "def make():\n    from . import session",
    "sockjs_bridge.server": "",
    "sockjs_bridge.server.site": "import sockjs_bridge.core.session",
    "sockjs_bridge.pyramid.config": "from ..server import site",
    "sockjs_bridge.errors": "from .core.session import Session\nimport json",
}


def test_all_imports_are_seen() -> None:
    """This test itself sees what it is to find."""
    session = "sockjs_bridge.core.session"
    edges = graph(SMALL)
    assert edges == {
        "sockjs_bridge": set(),
        "sockjs_bridge.core": {session},
        session: {"sockjs_bridge.core.manager"},
        "sockjs_bridge.core.manager": {session},
        "sockjs_bridge.server": set(),
        "sockjs_bridge.server.site": {session},
        "sockjs_bridge.pyramid.config": {"sockjs_bridge.server.site"},
        "sockjs_bridge.errors": {session},
    }
    assert set(circle(edges)) == {session, "sockjs_bridge.core.manager"}
    assert crossings(edges) == [
        ("sockjs_bridge.pyramid.config", "sockjs_bridge.server.site"),
        ("sockjs_bridge.errors", session),
    ]
