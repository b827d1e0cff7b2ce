"""What holds for all tests."""

from __future__ import annotations

import gc
import linecache
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hypothesis
import pkg_resources
import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook
from xdist.scheduler.loadscope import LoadScopeScheduling

# Where workers run the tests, the process that reports has no other conftest.
from tests.e2e.report import pytest_terminal_summary  # noqa: F401
from tests.isolation import GUARD
from tests.selection import FOLDERS, FULL, beside_turns, folders, needs_server, pairs

TESTS = Path(__file__).parent
BROWSERS = "e2e"
#: How `make check` selects.
WITHOUT_SERVER = "not server"
#: What takes longest begins first, so that the workers end together. Most of it waits.
LONGEST = (
    *("e2e/test_transports.py", "e2e/test_life.py", "e2e/test_resuming_page.py"),
    *("e2e/test_server_trouble.py", "e2e/test_proxies.py", "e2e/test_messages.py"),
    *("e2e/test_cluster.py", "e2e/test_chat_cluster.py", "cluster/test_histories_processes.py"),
    *("packaging/test_build.py", "integration/test_scenarios.py", "pyramid_chat/test_talk.py"),
    *("pyramid_chat/test_pages.py", "pyramid_chat/test_accounts.py", "proxies/test_deploy.py"),
    *("interop/test_reconnecting_client.py", "proxies/test_programs.py", "docs/test_template.py"),
    *("integration/test_gunicorn.py", "server/test_flow.py", "cluster/test_processes.py"),
    *("cluster/test_relay_processes.py", "cluster/test_relaying.py", "pyramid/test_types.py"),
    *("integration/test_threads.py", "server/test_aiohttp_parts.py", "docs/test_built.py"),
    *("interop/test_node_client.py", "integration/test_pserve.py", "cluster/test_life.py"),
    *("resume/test_browser_machine.py", "resume/test_machine.py", "core/test_session_machine.py"),
    *("server/test_skins.py",),
)
#: Files that are more than one scope, by what the name of a test begins with.
PARTS = {"test_proxies.py": ("test_behind[frames", "test_behind[")}

#: What begins the parameters of cases of conformance that have processes of their own, which cost
#: more than a case does: those of stock sessions have one worker, and those of `~r1`.
BALANCED = ("[haproxy", "[nginx")

# No deadline: how quick the machine is says nothing of the code.
hypothesis.settings.register_profile("check", max_examples=10, deadline=None)
hypothesis.settings.register_profile("test", max_examples=50, deadline=None)
hypothesis.settings.register_profile("night", max_examples=2000, deadline=None)
# Unless --hypothesis-profile names another one.
hypothesis.settings.load_profile("test")

# A shell that runs the tests in the background has SIGINT ignored, and all that they start would
# ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Thousands of applications are made, and each is full of circles: Python would look for garbage all
# the time.
gc.set_threshold(10_000, 10, 10)

BROKEN = pytest.StashKey[list[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leaves what is imported out of all collections of garbage, which some tests ask for."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out what is not even worth reading where no servers are wanted."""
    unwanted = config.option.markexpr == WITHOUT_SERVER and collection_path.name in FOLDERS
    return True if unwanted and collection_path.parent == TESTS else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what needs a server, leaves combinations out, and has what takes longest first.

    Browsers come first, then servers, then the short files of all else.
    """
    for item in items:
        if isinstance(item, pytest.Function) and needs_server(item):
            item.add_marker(pytest.mark.server)
    if not FULL:
        left_out = _left_out(items)
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int]:
    """Returns when the file of a test has its turn."""
    found, file = folders(item.path), item.path.relative_to(TESTS).as_posix()
    rank = LONGEST.index(file) if file in LONGEST else len(LONGEST)
    if BROWSERS in found:
        return 0, rank
    if _balanced(file, item.name):
        return 1, -1
    return (2 if found.isdisjoint(FOLDERS | {"server"}) and rank == len(LONGEST) else 1), rank


def _balanced(file: str, test: str) -> bool:
    """Tells whether a test is a case of conformance behind a balancer."""
    return "conformance/" in file and any(part in test for part in BALANCED)


def _left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """Returns the cases that only the full run has."""
    left_out = [item for item in items if item.get_closest_marker("full")]
    gone = set(left_out)
    by_file: dict[Path, dict[object, list[pytest.Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item not in gone and (key := _taking_turns(item)):
            by_file[item.path][key].append(item)
    for groups in by_file.values():
        left_out += beside_turns(groups.values())
    return left_out + _beside_pairs(items)


def _taking_turns(item: pytest.Item) -> tuple[object, ...]:
    """Returns what the cases have in common that take turns with this one, if any do."""
    names = {name for marker in item.iter_markers("turns") for name in marker.args}
    params = item.callspec.params if isinstance(item, pytest.Function) and names else {}
    assert names <= params.keys(), f"{item.nodeid} has no {names - params.keys()}"
    if not names:
        return ()
    # Values need not be hashable; a product holds the same objects again and again.
    others = [(name, id(value)) for name, value in params.items() if name not in names]
    return item.nodeid.partition("[")[0], *others


def _beside_pairs(items: list[pytest.Item]) -> list[pytest.Item]:
    """Returns the cases of integration without which each pair of values is there."""
    by_test: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and "integration" in folders(item.path):
            by_test[item.nodeid.partition("[")[0]].append(item)
    left_out: list[pytest.Item] = []
    for cases in by_test.values():
        if len(cases) > 1:
            rows = [
                {name: id(value) for name, value in case.callspec.params.items()} for case in cases
            ]
            chosen = pairs(rows)
            left_out += [case for index, case in enumerate(cases) if index not in chosen]
    return left_out


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Guards the tests that need no server, their fixtures included."""
    if item.get_closest_marker("server"):
        return (yield)
    with GUARD.closed() as broken:
        item.stash[BROKEN] = broken
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Fails a test that caught what the guard raised, or had a thread that did."""
    # Behind the last test, whichever that is, the programs end that all have used.
    with GUARD.opened() if nextitem is None else nullcontext():
        yield
    broken = item.stash.get(BROKEN, [])
    assert not broken, f"without a server: {broken}"


@pytest.fixture
def collector() -> Iterator[None]:
    """The garbage collector of this process is left as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Scheduling(LoadScopeScheduling):
    """Each file has a worker, and some have several."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if _balanced(file, test):
            return "conformance, resumable" if "resumable" in file else "conformance, stock"
        starts = PARTS.get(file.rpartition("/")[2], ())
        return file + next((start for start in starts if test.startswith(start)), "")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


# pytest imports what comes with a plugin by a loader of its own: the distribution has one, so that
# is everything in it, in a checkout the tests too. Pyramid finds templates by pkg_resources, which
# does not know that loader.
pkg_resources.register_loader_type(AssertionRewritingHook, pkg_resources.DefaultProvider)

# For each declaration of an application Pyramid keeps the line of code, for which the standard
# library looks each time whether four files have changed: a tenth of what an application takes.
linecache.checkcache = lambda filename=None: None

# Each test has an application of its own, and compiling its templates took half of the time.
# Chameleon reads this when it is imported; servers in other processes have it too.
_compiled = Path(__file__).parents[1] / "build" / "chameleon"
_compiled.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("CHAMELEON_CACHE", str(_compiled))
