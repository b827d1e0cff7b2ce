"""What holds for all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pkg_resources
import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook
from xdist.scheduler.loadscope import LoadScopeScheduling

# Where workers run the tests, the process that reports has no other conftest.
from tests.e2e.report import pytest_terminal_summary  # noqa: F401

BROWSERS = Path(__file__).parent / "e2e"
FIRST_HALF = {"test_proxies.py", "test_transports.py", "test_looks.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browsers come first: they take longest."""
    items.sort(key=lambda item: BROWSERS not in item.path.parents)


class Scheduling(LoadScopeScheduling):
    """Two workers have the browsers, which need most of the processors; the others a file each."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        if file.parent.name != BROWSERS.name:
            return str(file)
        return "browsers" if file.name in FIRST_HALF else "other browsers"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


# pytest imports what comes with a plugin by a loader of its own: the distribution has one, so that
# is everything in it, in a checkout the tests too. Pyramid finds templates by pkg_resources, which
# does not know that loader.
pkg_resources.register_loader_type(AssertionRewritingHook, pkg_resources.DefaultProvider)

# Each test has an application of its own, and compiling its templates took half of the time.
# Chameleon reads this when it is imported; servers in other processes have it too.
_compiled = Path(__file__).parents[1] / "build" / "chameleon"
_compiled.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("CHAMELEON_CACHE", str(_compiled))
