"""Which tests need a server, and which of their cases run.

Unless `FULL`, three things leave cases out:

- Of the parameters of a test in ``integration``, `pairs` of values are kept.
- ``pytest.mark.turns("browser")``: of cases that differ in this parameter alone, one runs; the next
  ones that do, in the same file, have the next value.
- ``pytest.mark.full``: a case that meets nothing which no other case meets.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import CodeType
from typing import TypeVar

import pytest

Case = TypeVar("Case")

#: Whether every combination runs, over both readers of requests.
FULL = os.environ.get("SOCKJS_TEST_FULL") == "1"

HERE = Path(__file__).parent
#: Folders whose tests all need servers, other programs or browsers.
FOLDERS = {"bench", "conformance", "docs", "e2e", "integration", "interop", "packaging", "proxies"}
#: A parameter that starts one.
PROGRAM = "postgresql"
#: Names by which a test, or what it uses of these tests, opens sockets or starts processes. The
#: client's function is the one that is no method.
CLIENT = "connect"
NAMES = {
    *("serve", "bind", "create_server", "create_connection", "start_server"),
    *("open_connection", "open_unix_connection", "sock_connect", "urlopen"),
    *("server_factory", "Popen", "subprocess", "create_subprocess_exec", "multiprocessing"),
}


@functools.cache
def folders(path: Path) -> frozenset[str]:
    """Returns the names of the folders of these tests that a file is in.

    Remembered, as thousands of tests ask.
    """
    return frozenset(path.relative_to(HERE).parent.parts)


def needs_server(item: pytest.Function) -> bool:
    """Tells whether a test opens sockets or starts processes, by its folder and what it uses."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    program = any(isinstance(value, str) and value == PROGRAM for value in values)
    if program or not FOLDERS.isdisjoint(folders(item.path)):
        return True
    fixtures = [
        definition.func
        for definitions in item._fixtureinfo.name2fixturedefs.values()
        for definition in definitions
    ]
    return any(_reaches(function) for function in (item.function, *fixtures))


#: What is known to use none of them, whatever names it.
_harmless: set[object] = set()


@functools.cache
def _reaches(start: Callable[..., object]) -> bool:
    """Tells whether a function, or one of these tests' that it names, uses one of `NAMES`."""
    seen: set[object] = set()
    waiting: list[object] = [start]
    while waiting:
        found = waiting.pop()
        if found in seen or found in _harmless:
            continue
        seen.add(found)
        if isinstance(found, type):
            waiting += [value for value in vars(found).values() if inspect.isroutine(value)]
            waiting += found.__bases__
            continue
        function = inspect.unwrap(getattr(found, "__func__", found))
        if given := getattr(function, "hypothesis", None):
            function = given.inner_test
        names = set(_names(getattr(function, "__code__", None)))
        known = getattr(function, "__globals__", {})
        if not NAMES.isdisjoint(names) or CLIENT in names & known.keys():
            return True
        waiting += [
            known[name]
            for name in names & known.keys()
            if (getattr(known[name], "__module__", None) or "").startswith("tests.")
            and (inspect.isroutine(known[name]) or isinstance(known[name], type))
        ]
    _harmless.update(seen)
    return False


def _names(code: CodeType | None) -> Iterator[str]:
    """Yields the names that code uses, and the functions and classes in it."""
    if code is not None:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _names(constant)


def pairs(rows: Sequence[Mapping[str, Hashable]]) -> set[int]:
    """Chooses few of many combinations, so that every pair of two parameters' values is there.

    Args:
        rows: the combinations, each with the same parameters.

    Returns:
        The indices of the chosen ones.
    """
    # With two more that are always the same: a single parameter makes pairs too.
    padded = [[*sorted(row.items()), None, None] for row in rows]
    holding = [set(itertools.combinations(row, 2)) for row in padded]
    missing = set().union(*holding)
    chosen = set()
    while missing:
        # The first of those that have most of what is missing: each run chooses the same.
        best = max(range(len(rows)), key=lambda index: len(holding[index] & missing))
        missing -= holding[best]
        chosen.add(best)
    return chosen


def cases(values: Mapping[str, object], full: Set[str]) -> list[object]:
    """Returns named parameters of a test, of which only the full run has some."""
    assert full <= values.keys()
    return [
        pytest.param(value, id=name, marks=[pytest.mark.full] if name in full else [])
        for name, value in values.items()
    ]


def beside_turns(groups: Iterable[Sequence[Case]]) -> Iterator[Case]:
    """Yields what is left out where one case of each group runs, and they take turns."""
    for turn, cases in enumerate(groups):
        for index, case in enumerate(cases):
            if index != turn % len(cases):
                yield case
