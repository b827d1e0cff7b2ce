"""``pyramid-chat init``: the files with which a server runs a chat, as they stand."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from plaster import get_settings

from pyramid_chat.scripts import main
from pyramid_chat.settings import Settings

NAMES = ["nginx.conf", "production.ini", "pyramid-chat.service"]


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_the_files_name_what_they_are_to_name(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "etc" / "chat"
    assert main(["init", str(folder), "--host", "talk.example.org"]) == 0
    written = texts(folder)
    assert list(written) == NAMES
    for text in written.values():
        for old in ("chat.example.com", "/etc/pyramid-chat", "/opt/pyramid-chat"):
            assert old not in text
    settings = Settings.parse(folder, get_settings(str(folder / "production.ini"), "app:main"))
    assert settings.url.database == "/var/lib/pyramid-chat/chat.sqlite"
    assert settings.files_folder == Path("/var/lib/pyramid-chat/files")
    # nginx refuses no file that the chat takes.
    assert settings.max_file_size == 10 * 1024**2
    assert "client_max_body_size 10m;" in written["nginx.conf"]
    assert settings.public_url == "https://talk.example.org"
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(written["pyramid-chat.service"])
    assert unit["Service"]["StateDirectory"] == "pyramid-chat"
    for key in ("ExecStartPre", "ExecStart"):
        program, *_, ini = unit["Service"][key].split()
        assert Path(program).is_file() and Path(ini) == folder / "production.ini"
    assert "ssl_certificate /etc/letsencrypt/live/talk.example.org/" in written["nginx.conf"]
    captured = capsys.readouterr()
    assert f"{folder}/production.ini" in captured.out
    # The unit has a /tmp of its own.
    assert f"does not see {folder}" in captured.err
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == dict(zip(NAMES, (0o644, 0o640, 0o644), strict=True))


def test_what_is_written_starts_with_sqlite(tmp_path: Path) -> None:
    """The unit's first command makes the database, where the unit lets it."""
    assert main(["init", str(tmp_path)]) == 0
    ini = tmp_path / "production.ini"
    state = tmp_path / "state"
    ini.write_text(ini.read_text().replace("/var/lib/pyramid-chat", str(state)))
    assert main(["upgrade", str(ini)]) == 0
    assert [path.name for path in state.iterdir()] == ["chat.sqlite"]


def test_again_it_changes_nothing_and_others_files_stay(tmp_path: Path, capsys) -> None:
    arguments = ["init", str(tmp_path)]
    for _ in range(2):
        assert main(arguments) == 0
    before = texts(tmp_path)
    (tmp_path / "production.ini").write_text("mine")
    (tmp_path / "nginx.conf").unlink()
    assert main(arguments) == 1
    assert f"{tmp_path}/production.ini is there" in capsys.readouterr().err
    assert not (tmp_path / "nginx.conf").exists()
    assert main([*arguments, "--force"]) == 0
    assert texts(tmp_path) == before


def test_another_database(tmp_path: Path) -> None:
    url = "postgresql://ada:50%25@db.example.com/chat"
    assert main(["init", str(tmp_path), "--database", url]) == 0
    settings = Settings.parse(tmp_path, get_settings(str(tmp_path / "production.ini"), "app:main"))
    assert (settings.url.password, settings.url.host) == ("50%", "db.example.com")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["{}/a folder"], "a folder"),
        (["{}", "--host", "https://chat.example.com"], "no name of a host"),
        (["{}", "--host", "a b"], "no name of a host"),
        (["{}", "--database", "mysql://a@b/c"], "--database"),
        (["/dev/null/chat"], "/dev/null"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    tmp_path: Path, capsys, arguments: list[str], part: str
) -> None:
    assert main(["init", *(word.format(tmp_path) for word in arguments)]) == 1
    captured = capsys.readouterr()
    assert part in captured.err and captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_it_needs_no_chat(tmp_path: Path) -> None:
    """As a process of its own, which finds the files in what is installed."""
    program = Path(sys.executable).with_name("pyramid-chat")
    subprocess.run(
        [sys.executable, "-W", "ignore", program, "init", tmp_path / "chat"],
        cwd="/",
        check=True,
        capture_output=True,
        timeout=80,
    )
    assert list(texts(tmp_path / "chat")) == NAMES
