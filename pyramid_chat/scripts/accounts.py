"""The commands of ``pyramid-chat`` for accounts."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pyramid_chat import accounts, passwords, people
from pyramid_chat.conversation import moment
from pyramid_chat.database import Database
from pyramid_chat.models import SignIn, User
from pyramid_chat.names import BadInput, checked_name
from pyramid_chat.settings import Settings, public_url

Run = Callable[[Database, Settings, argparse.Namespace], None]
Commands = argparse._SubParsersAction  # what `add_subparsers` returns has no public name


class Nobody(Exception):
    """There is nobody of a name; the message says so."""


def add_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Adds the commands to those of ``pyramid-chat``."""
    named: dict[str, argparse.ArgumentParser] = {}
    for name, run, text, details in (
        ("add-user", _add_user, "make an account", "Its owner is in the first public room."),
        (
            "list",
            _list,
            "list the accounts",
            "A line each, with tabs between: number, when it was made, name, state (admin,"
            " disabled or -), and when its owner was seen last, give or take a day.",
        ),
        (
            "set-password",
            _set_password,
            "set somebody's password",
            "They are signed out everywhere.",
        ),
        (
            "reset-link",
            _reset_link,
            "make a link for a new password",
            "It is good once, and for an hour. A link that was made before is worthless.",
        ),
        (
            "rename",
            _rename,
            "give somebody another name",
            "They sign in with it from now on; what they said before has it too.",
        ),
        (
            "disable",
            _disable,
            "sign somebody out, who cannot sign in any more",
            "What they said stays, and so do their places in rooms.",
        ),
        ("enable", _enable, "let somebody sign in again", ""),
        (
            "remove",
            _remove,
            "remove an account, for ever",
            f'Its name is free again. What its owner said stays, as said by "'
            f'{accounts.REMOVED_NAME}".',
        ),
        ("sign-out", _sign_out, "end all sign-ins of somebody", ""),
        ("make-admin", _make_admin, "make somebody an administrator", ""),
    ):
        command = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}. {details}".strip()
        )
        command.add_argument("ini", metavar="INI", help="the chat's ini file")
        if name != "list":
            command.add_argument("name", metavar="NAME")
        command.set_defaults(run=run)
        named[name] = command
    for name in ("add-user", "set-password"):
        named[name].add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )
    named["rename"].add_argument("new_name", metavar="NEW-NAME")
    named["make-admin"].add_argument("--undo", action="store_true", help="take that back")
    named["reset-link"].add_argument(
        "--url", help="where people reach the chat, in place of chat.public_url of the ini"
    )


@contextmanager
def _changing(database: Database, name: str) -> Iterator[tuple[Session, User]]:
    """Finds somebody, for a change in one transaction.

    Raises:
        Nobody: there is nobody of that name.
    """
    with database.writing() as session, session.begin():
        user = people.find(session, name)
        if user is None:
            raise Nobody(f"there is nobody called {name!r}")
        yield session, user


def _password(name: str, arguments: argparse.Namespace) -> str:
    """Asks for a password; returns its hash."""
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Again: ") != password:
            raise BadInput("The two passwords are not the same.", "password")
    return passwords.hashed(passwords.checked_password(password))


def _add_user(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    name = checked_name(arguments.name)
    kept = _password(name, arguments)
    with database.writing() as session, session.begin():
        people.add(session, name, kept)
    print(f"{name} can sign in now.")


def _list(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    seen = select(func.max(SignIn.seen)).where(SignIn.user_id == User.id).scalar_subquery()
    query = select(User, seen).where(User.removed.is_(False)).order_by(User.folded)
    with database.session() as session:
        for user, last in session.execute(query):
            flags = {"admin": user.admin, "disabled": user.disabled}
            state = ",".join(flag for flag, is_set in flags.items() if is_set) or "-"
            when = moment(last) if last is not None else "-"
            print(user.id, moment(user.created), user.name, state, when, sep="\t")


def _set_password(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with _changing(database, arguments.name) as (_, user):
        name = user.name
    # Whoever is asked for a password holds no transaction.
    kept = _password(name, arguments)
    with _changing(database, arguments.name) as (session, user):
        accounts.set_password(session, user, kept)
    print(f"{name} has another password, and is signed out everywhere.")


def _reset_link(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    base = settings.public_url
    if arguments.url is not None:
        try:
            base = public_url(arguments.url)
        except ValueError as error:
            raise BadInput(f"--url is {error}", "url") from None
    if not base:
        raise BadInput(
            f"set chat.public_url in {arguments.ini} to where people reach the chat,"
            " or give --url https://chat.example.com",
            "url",
        )
    with _changing(database, arguments.name) as (session, user):
        if user.disabled:
            raise BadInput(f"{user.name} is disabled: enable the account first", "name")
        token = accounts.make_reset_link(session, user)
    print(f"{base}/reset/{token}")


def _rename(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    new_name = checked_name(arguments.new_name)
    with _changing(database, arguments.name) as (session, user):
        old_name = user.name
        renamed = accounts.rename(session, user, new_name)
    if renamed:
        print(f"{old_name} is called {new_name} now.")
    else:
        print(f"{new_name} is called so already.")


def _disable(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with _changing(database, arguments.name) as (session, user):
        name, changed = user.name, accounts.disable(session, user)
    print(f"{name} is disabled{'' if changed else ' already'}.")


def _enable(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with _changing(database, arguments.name) as (session, user):
        name, changed = user.name, accounts.enable(session, user)
    print(f"{name} can sign in {'again' if changed else 'already'}.")


def _remove(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with _changing(database, arguments.name) as (session, user):
        name = user.name
        accounts.remove(session, user)
    print(f"The account of {name} is removed.")


def _sign_out(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with _changing(database, arguments.name) as (session, user):
        name, count = user.name, accounts.sign_out(session, user)
    print(f"{name} is signed out{f' of {count} browsers' if count else ' already'}.")


def _make_admin(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    with _changing(database, arguments.name) as (session, user):
        name, changed = user.name, accounts.set_admin(session, user, not arguments.undo)
    what = "no administrator" if arguments.undo else "an administrator"
    print(f"{name} is {what} {'now' if changed else 'already'}.")
