"""The command ``pyramid-chat``: what is done to a chat from outside."""

from __future__ import annotations

import argparse
import configparser
import sys
from collections.abc import Sequence
from pathlib import Path

from plaster import PlasterError, get_settings
from sqlalchemy.exc import SQLAlchemyError

from pyramid_chat import demo, open_database
from pyramid_chat.database import Database
from pyramid_chat.names import BadInput
from pyramid_chat.scripts import accounts, deploy, files
from pyramid_chat.scripts.accounts import Nobody
from pyramid_chat.settings import Settings

DONE, FAILED, USAGE, NOBODY = 0, 1, 2, 3
"""The exit statuses."""

_STATUSES = f"""\
exit status: {DONE}: it is done, or was so already; {FAILED}: it cannot be done; {USAGE}: the
command is not written so; {NOBODY}: there is nobody of that name.
Changes hold at once, in a chat that runs too.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: its arguments; None takes the program's.

    Returns:
        The exit status. What cannot be done is said in one sentence, on standard error.
    """
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "init":
            deploy.init(arguments)
            return DONE
        settings = _settings(arguments.ini)
        database = open_database(settings)
        try:
            arguments.run(database, settings, arguments)
        finally:
            database.engine.dispose()
    except Nobody as nobody:
        print(f"pyramid-chat: {nobody}", file=sys.stderr)
        return NOBODY
    except BadInput as bad:
        print(f"pyramid-chat: {bad.text}", file=sys.stderr)
        return FAILED
    except SQLAlchemyError as error:
        print(f"pyramid-chat: the database cannot be used: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"pyramid-chat: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyramid-chat",
        description="Looks after a chat: its accounts, its database, its files.",
        epilog=_STATUSES,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    deploy.add_command(commands)
    for name, run, text in (
        ("upgrade", _upgrade, "bring the database's tables up to date"),
        ("demo", _demo, "make and list the accounts of the demo"),
    ):
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.add_argument("ini", metavar="INI", help="the chat's ini file")
        command.set_defaults(run=run)
    files.add_command(commands)
    accounts.add_commands(commands)
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


def _upgrade(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    print("The tables are up to date.")


def _demo(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with database.writing() as session, session.begin():
        names = demo.fill(session)
    for name in names:
        print(f"{name}: password {demo.PASSWORD}")
