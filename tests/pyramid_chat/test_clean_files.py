"""The folder of files, seen by who looks after the chat: settings, ``clean-files``, a restore."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pyramid_chat import open_database, people
from pyramid_chat.limits import Limits
from pyramid_chat.models import File
from pyramid_chat.scripts import main
from pyramid_chat.settings import CannotStart, Settings
from pyramid_chat.uploads import Uploads

DAY = 86400

# It starts programs.
pytestmark = pytest.mark.server


def parse(tmp_path: Path, **named: str) -> Settings:
    return Settings.parse(tmp_path, {f"chat.{key}": value for key, value in named.items()})


def test_files_stand_beside_the_database(tmp_path: Path) -> None:
    own = parse(tmp_path)
    assert (own.files, own.files_folder) == (True, tmp_path / "files")
    assert (own.max_file_size, own.file_types) == (10_485_760, frozenset())
    assert parse(tmp_path, file_types=".JPG, pdf").file_types == {"jpg", "pdf"}
    off = parse(tmp_path, files="false")
    assert off.files is False


def test_postgresql_needs_a_folder(tmp_path: Path) -> None:
    url = {"sqlalchemy.url": "postgresql://localhost/chat"}
    assert Settings.parse(tmp_path, url).files is False
    named = Settings.parse(tmp_path, {**url, "chat.files_folder": "/srv/files"})
    assert (named.files, named.files_folder) == (True, Path("/srv/files"))
    with pytest.raises(CannotStart, match=r"set chat\.files_folder"):
        Settings.parse(tmp_path, {**url, "chat.files": "true"})


def test_a_folder_that_cannot_be_used_keeps_the_chat_from_starting(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file")
    settings = parse(tmp_path)
    database = open_database(settings)
    uploads = Uploads(database, settings, Limits(database, shared=False))
    with pytest.raises(CannotStart, match=r"chat\.files_folder"):
        uploads.store.prepare()
    database.engine.dispose()


def test_the_folder_is_brought_in_line_with_the_database(tmp_path: Path, capsys) -> None:
    """As after a restore: the backups of the two are not of the same moment."""
    ini = tmp_path / "chat.ini"
    ini.write_text("[app:main]\nuse = egg:sockjs-bridge#chat\n")
    settings = parse(tmp_path)
    database = open_database(settings)
    uploads = Uploads(database, settings, Limits(database, shared=False))
    uploads.store.prepare()
    with database.writing() as session, session.begin():
        ada = people.add(session, "Ada", "hash").id
    kept, lost = (
        uploads.take(1, ada, name, io.BytesIO(b"content"), 7)["id"] for name in ("a", "lost.txt")
    )
    uploads.store.remove(lost)
    folder = tmp_path / "files"
    # What nobody knows, what is on its way now, and what is none of ours.
    old, new = "0" * 32, "1" * 32
    for name in (old, f"{old}.thumbnail", f"{new}.source", "readme.txt"):
        (folder / name).write_text("x")
    past = time.time() - DAY
    for name in (kept, old, f"{old}.thumbnail", "readme.txt"):
        os.utime(folder / name, (past, past))
    assert main(["clean-files", str(ini)]) == 0
    said = capsys.readouterr().out
    assert said == f"missing: {folder / lost} (lost.txt)\n1 files removed, 1 missing.\n"
    assert {path.name for path in folder.iterdir()} == {kept, f"{new}.source", "readme.txt"}
    # And what was removed goes with its row.
    with database.writing() as session, session.begin():
        for file in session.scalars(select(File)):
            file.removed = True
    assert main(["clean-files", str(ini)]) == 0
    assert capsys.readouterr().out == "2 files removed, 0 missing.\n"
    with database.session() as session:
        assert session.scalar(select(func.count()).select_from(File)) == 0
    assert not (folder / kept).exists()
    database.engine.dispose()


def test_where_there_is_no_folder_nothing_is_cleaned(tmp_path: Path, capsys, monkeypatch) -> None:
    ini = tmp_path / "chat.ini"
    ini.write_text("[app:main]\nuse = egg:sockjs-bridge#chat\n")
    monkeypatch.setattr(Settings, "_with_files", lambda self: self)
    assert main(["clean-files", str(ini)]) == 1
    assert "names no chat.files_folder" in capsys.readouterr().err
