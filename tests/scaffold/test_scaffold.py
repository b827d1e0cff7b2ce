"""The project that ``sockjs-bridge init`` writes runs at once, and its own tests pass."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sockjs_bridge import scaffold
from sockjs_bridge.client import connect_sync
from tests.integration.pserve import PSERVE, python, running
from tests.integration.support import PATIENCE
from tests.scaffold.support import listening, make


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_five_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "team-notes"
    assert scaffold.main(["init", str(folder)]) == 0
    assert written(folder) == {
        "pyproject.toml",
        "development.ini",
        "team_notes/__init__.py",
        "team_notes/page.jinja2",
        "tests/test_team_notes.py",
    }
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not [text for text in texts if re.search(r"\$\w", text)]
    said = capsys.readouterr().out
    assert f'pip install -e "{folder}[testing]"\n' in said
    assert f"pserve {folder}/development.ini --reload\n" in said


def test_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    make(folder)
    assert " passed" in python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    with running(listening(folder), folder=folder) as process:
        (url,) = process.urls()
        with connect_sync(f"{url}/talk") as ann:
            ann.send("hello")
            assert ann.receive(PATIENCE) == "hello"
        assert "Traceback" not in process.said


def test_the_command_is_installed(tmp_path: Path) -> None:
    command = Path(PSERVE).with_name("sockjs-bridge")
    subprocess.run([command, "init", "notes"], cwd=tmp_path, check=True, timeout=PATIENCE)
    assert len(written(tmp_path / "notes")) == len(scaffold.FILES)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2fast", "'2fast' cannot be the name of a Python package: use letters, digits, - and _"),
        ("class", "'class' cannot be the name of a Python package"),
        ("a b", "'a b' cannot be the name of a Python package"),
        ("webob", "there is a Python package webob already"),
        ("test", "there is a Python package test already"),
        ("json", "there is a Python package json already; choose another name"),
        ("sockjs-bridge", "there is a Python package sockjs_bridge already"),
        ("tests", "there is a Python package tests already"),
    ],
)
def test_a_name_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert scaffold.main(["init", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.startswith(f"sockjs-bridge: {said}")
    assert not (tmp_path / name).exists()


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    for taken in (folder, file):
        assert scaffold.main(["init", str(taken)]) == 1
        said = f"sockjs-bridge: {taken} is there already; name a new folder\n"
        assert capsys.readouterr().err == said
    assert written(tmp_path) == {"notes/mine", "file"}


def test_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert scaffold.main(["init", str(tmp_path / "file" / "notes")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("sockjs-bridge: the project cannot be written: ")
