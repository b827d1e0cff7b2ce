"""The command pyramid-chat."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pyramid_chat import demo, passwords, people, scripts
from pyramid_chat.database import Database
from pyramid_chat.scripts import main
from pyramid_chat.settings import CannotStart, Settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "chat.ini"
    # Data where the contract has it, in the folder of the ini.
    file.write_text((REPOSITORY / "demo.ini").read_text().replace("chat.demo = true", ""))
    return file


def test_accounts_are_made_and_listed(ini: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["add-user", str(ini), " Ada  Lovelace", "--password-stdin"]) == 0
    assert capsys.readouterr().out == "Ada Lovelace can sign in now.\n"
    answers = iter(["correct horse", "correct horse"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert main(["add-user", str(ini), "Grace"]) == 0
    capsys.readouterr()
    assert main(["list", str(ini)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[::2] for line in lines] == [
        ["1", "Ada Lovelace", "-"],
        ["2", "Grace", "-"],
    ]
    folder = ini.parent / "build" / "demo"
    assert (folder / "chat.sqlite").exists()
    database = Database(Settings.parse(folder, {}).url, 3)
    with database.session() as session:
        user = people.find(session, "ada lovelace")
        assert user is not None and passwords.verify(user.password, "correct horse")
    database.engine.dispose()


def test_the_demo_is_made_once(ini: Path, capsys) -> None:
    for _ in range(2):
        assert main(["demo", str(ini)]) == 0
        out = capsys.readouterr().out
        assert out == f"Ada: password {demo.PASSWORD}\nGrace: password {demo.PASSWORD}\n"
    assert main(["list", str(ini)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_demos_people_come_to_a_chat_that_is_in_use(ini: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse"))
    main(["add-user", str(ini), "Mary", "--password-stdin"])
    assert main(["demo", str(ini)]) == 0
    capsys.readouterr()
    main(["list", str(ini)])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_tables_are_made_whatever_the_ini_says(ini: Path, capsys) -> None:
    ini.write_text(ini.read_text().replace("[server:main]", "chat.migrate = false\n[server:main]"))
    assert main(["upgrade", str(ini)]) == 0
    assert "up to date" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("Ada", "short", "at least 8"),
        ("a\u202eb", "correct horse", "invisible"),
        ("Ada", "", "at least 8"),
    ],
)
def test_an_account_that_cannot_be_is_told_in_one_sentence(
    ini: Path, capsys, monkeypatch, name: str, password: str, sentence: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    assert main(["add-user", str(ini), name, "--password-stdin"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and sentence in captured.err
    assert captured.err.count("\n") == 1


def test_two_passwords_that_differ_are_none(ini: Path, capsys, monkeypatch) -> None:
    answers = iter(["correct horse", "correct house"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert main(["add-user", str(ini), "Ada"]) == 1
    assert "not the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [None, "", "[app:main", "[server:main]\nuse = x\n", "[app:main]\nx = %(nothing)s\n"]
)
def test_an_ini_that_is_none_is_told_in_one_sentence(
    tmp_path: Path, capsys, content: str | None
) -> None:
    file = tmp_path / "chat.ini"
    if content is not None:
        file.write_text(content)
    assert main(["list", str(file)]) == 1
    assert str(file) in capsys.readouterr().err


def test_a_setting_that_cannot_be_ends_the_command_too(ini: Path) -> None:
    ini.write_text(ini.read_text().replace("[server:main]", "chat.colour = red\n[server:main]"))
    with pytest.raises(CannotStart, match=r"chat\.colour"):
        main(["list", str(ini)])


def test_a_database_that_fails_half_way_is_told(ini: Path, capsys, monkeypatch) -> None:
    def broken(database: Database, settings: object, arguments: object) -> None:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("SELECT * FROM nothing")

    monkeypatch.setattr(scripts, "_upgrade", broken)
    assert main(["upgrade", str(ini)]) == 1
    assert "cannot be used" in capsys.readouterr().err
