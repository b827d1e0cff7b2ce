"""The command ``pyramid-chat``: what is done to a chat from outside."""

from __future__ import annotations

import argparse
import configparser
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from plaster import PlasterError, get_settings
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from pyramid_chat import demo, open_database, passwords, people
from pyramid_chat.conversation import moment
from pyramid_chat.database import Database
from pyramid_chat.models import User
from pyramid_chat.names import BadInput, checked_name
from pyramid_chat.settings import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: its arguments; None takes the program's.

    Returns:
        The exit status. What cannot be done is said in one sentence, on standard error.
    """
    arguments = _parser().parse_args(argv)
    try:
        database = open_database(_settings(arguments.ini))
        try:
            arguments.run(database, arguments)
        finally:
            database.engine.dispose()
    except BadInput as bad:
        print(f"pyramid-chat: {bad.text}", file=sys.stderr)
        return 1
    except SQLAlchemyError as error:
        print(f"pyramid-chat: the database cannot be used: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyramid-chat", description="Looks after the database of a chat."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    upgrade = commands.add_parser("upgrade", help="bring the database's tables up to date")
    upgrade.set_defaults(run=_upgrade)
    demo_parser = commands.add_parser("demo", help="make and list the accounts of the demo")
    demo_parser.set_defaults(run=_demo)
    add = commands.add_parser("add-user", help="make an account")
    add.set_defaults(run=_add_user)
    users = commands.add_parser("users", help="list the accounts")
    users.set_defaults(run=_users)
    for command in (upgrade, demo_parser, add, users):
        command.add_argument("ini", metavar="INI", help="the chat's ini file")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    return parser


def _settings(ini: str) -> Settings:
    """Reads the settings of an ini's ``[app:main]``.

    Raises:
        BadInput: there is no such file, or no such section.
        pyramid_chat.settings.CannotStart: a setting cannot be.
    """
    path = Path(ini)
    if not path.is_file():
        raise BadInput(f"there is no file {ini}", "ini")
    try:
        raw = get_settings(ini, "app:main")
    except (PlasterError, configparser.Error, LookupError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{ini} cannot be read: {reason}", "ini") from None
    if not raw:
        raise BadInput(f"{ini} has no section [app:main]", "ini")
    # Whatever the ini says: who runs this command wants the tables of this version.
    return Settings.parse(path.resolve().parent, {**raw, "chat.migrate": "true"})


def _upgrade(database: Database, arguments: argparse.Namespace) -> None:
    print("The tables are up to date.")


def _demo(database: Database, arguments: argparse.Namespace) -> None:
    with database.writing() as session, session.begin():
        names = demo.fill(session)
    for name in names:
        print(f"{name}: password {demo.PASSWORD}")


def _add_user(database: Database, arguments: argparse.Namespace) -> None:
    name = checked_name(arguments.name)
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Again: ") != password:
            raise BadInput("The two passwords are not the same.", "password")
    kept = passwords.hashed(passwords.checked_password(password))
    with database.writing() as session, session.begin():
        people.add(session, name, kept)
    print(f"{name} can sign in now.")


def _users(database: Database, arguments: argparse.Namespace) -> None:
    with database.session() as session:
        for user in session.scalars(select(User).order_by(User.folded)):
            print(f"{user.id}\t{moment(user.created)}\t{user.name}")
