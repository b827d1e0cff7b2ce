"""The command ``pyramid-chat clean-files``: has the folder of files match the database."""

from __future__ import annotations

import argparse

from pyramid_chat.database import Database
from pyramid_chat.limits import Limits
from pyramid_chat.names import BadInput
from pyramid_chat.scripts.accounts import Commands
from pyramid_chat.settings import Settings
from pyramid_chat.uploads import Uploads

LEAST_AGE = 3600.0
"""Seconds for which a file must have been there: a younger one may be on its way."""


def add_command(commands: Commands[argparse.ArgumentParser]) -> None:
    """Adds the command to those of ``pyramid-chat``."""
    clean = commands.add_parser(
        "clean-files",
        help="remove files that nobody can see, and name those that are missing",
        description="Removes files that were removed from the chat, and those of the folder that"
        " the database does not know, as after a restore. Names files that the database knows and"
        " that are not in the folder. It may run while the chat does.",
    )
    clean.add_argument("ini", metavar="INI", help="the chat's ini file")
    clean.set_defaults(run=_clean)


def _clean(database: Database, settings: Settings, arguments: argparse.Namespace) -> None:
    if settings.files_folder is None:
        raise BadInput(f"{arguments.ini} names no chat.files_folder", "ini")
    uploads = Uploads(database, settings, Limits(database, shared=False))
    uploads.store.prepare()
    removed = 0
    while count := uploads.remove_due():
        removed += count
    orphans = uploads.orphans(LEAST_AGE)
    for file_id in orphans:
        uploads.store.remove(file_id)
    missing = uploads.missing()
    for file_id, name in missing:
        print(f"missing: {settings.files_folder / file_id} ({name})")
    print(f"{removed + len(orphans)} files removed, {len(missing)} missing.")
