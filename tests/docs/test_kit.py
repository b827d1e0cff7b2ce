"""The tests that the documentation shows pass, and fail where what they test is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import collect
from tests.integration.pserve import ROOT

BLOCKS = [block for block in collect() if block.page == "howto/testing"]

#: The blocks that are run here.
RUN = {block.key for block in BLOCKS}


#: Mistakes in the code that the tests are for: one for each of their files.
MISTAKES = [
    ('== "42"', '== "43"'),
    ("exclude=[self]", "exclude=[]"),
    ("message.upper()", "message"),
    ("not in done", "in done"),
]


@pytest.mark.parametrize(
    ("changes", "outcome"), [([], "PASSED"), (MISTAKES, "FAILED")], ids=["right", "wrong"]
)
def test_tests(tmp_path: Path, changes: list[tuple[str, str]], outcome: str) -> None:
    """The tests of the page pass, and a mistake in what they test makes them fail."""
    for block in BLOCKS:
        code = block.code
        for before, after in changes:
            code = code.replace(before, after)
        (tmp_path / block.caption).write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--timeout=20"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    files = {block.caption for block in BLOCKS if block.caption.startswith("test_")}
    seen = set(re.findall(rf"^{outcome} (\w+\.py)", done.stdout, re.MULTILINE))
    assert seen == files, done.stdout
    assert done.returncode == bool(changes), done.stdout
