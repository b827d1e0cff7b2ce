"""The tests that the documentation shows pass, and fail where what they test is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import collect
from tests.integration.pserve import ROOT

BLOCKS = [block for block in collect() if block.page == "howto/testing"]

#: The blocks that are run here.
RUN = {block.key for block in BLOCKS}


def run_tests(folder: Path, change: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the page's tests with its application, in which something may be changed."""
    for block in BLOCKS:
        code = block.code
        if not block.caption.startswith("test_"):
            assert change[0] in code
            code = code.replace(*change)
        (folder / block.caption).write_text(code, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=20"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_tests_pass(tmp_path: Path) -> None:
    done = run_tests(tmp_path, ("", ""))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("change", [('== "42"', '== "43"')])
def test_tests_can_fail(tmp_path: Path, change: tuple[str, str]) -> None:
    """Each of the files notices a mistake in the application."""
    done = run_tests(tmp_path, change)
    assert done.returncode == 1, done.stdout
    for block in BLOCKS:
        if block.caption.startswith("test_"):
            assert f"FAILED {block.caption}" in done.stdout
