"""What holds for all tests."""

from __future__ import annotations

import pkg_resources
from _pytest.assertion.rewrite import AssertionRewritingHook

# Where workers run the tests, the process that reports has no other conftest.
from tests.e2e.report import pytest_terminal_summary  # noqa: F401

# pytest imports what comes with a plugin by a loader of its own: the distribution has one, so that
# is everything in it, in a checkout the tests too. Pyramid finds templates by pkg_resources, which
# does not know that loader.
pkg_resources.register_loader_type(AssertionRewritingHook, pkg_resources.DefaultProvider)
