"""The command ``pyramid-chat init``: writes the files with which a server runs a chat."""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from pyramid_chat.names import BadInput
from pyramid_chat.scripts.accounts import Commands
from pyramid_chat.settings import CannotStart, Settings

FILES: Final = {
    "production.ini": "production.ini",
    "pyramid-chat.service": "pyramid-chat.service",
    "nginx-websocket.conf": "nginx.conf",
}
"""How each file of `pyramid_chat/deploy` is called where it is written."""

HOST, FOLDER, PROGRAMS = "chat.example.com", "/etc/pyramid-chat", "/opt/pyramid-chat/bin"
"""What stands in these files, in place of what is asked for."""
SQLITE: Final = "sqlite:////var/lib/pyramid-chat/chat.sqlite"
"""The database, where no other is asked for: in the state directory of the service."""

# With the comment above it.
_DATABASE = re.compile(r"(?:^#.*\n)*^sqlalchemy\.url = .*\n", re.MULTILINE)
# What needs no quotes in an ini file, a unit and a shell.
_PLAIN = re.compile(r"[\w./+@-]+")
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# What the service does not see: ProtectHome and PrivateTmp of the unit.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")

_NEXT: Final = Template("""\
As root:

  useradd --system pyramid-chat
  chown root:pyramid-chat $folder/production.ini
  install -m 644 $folder/pyramid-chat.service /etc/systemd/system/
  install -m 644 $folder/nginx.conf /etc/nginx/sites-enabled/pyramid-chat
  systemctl enable --now pyramid-chat && systemctl reload nginx
  sudo -u pyramid-chat $programs/pyramid-chat add-user $folder/production.ini NAME

nginx.conf names the certificate of $host; it has to be there.
""")


def add_command(commands: Commands[argparse.ArgumentParser]) -> None:
    """Adds the command to those of ``pyramid-chat``."""
    text = "write the files with which a server runs a chat"
    init = commands.add_parser(
        "init",
        help=text,
        description=f"{text.capitalize()}: an ini, a unit for systemd, a site for nginx. They are"
        " right as they stand, with SQLite or PostgreSQL. What was written before stays.",
    )
    init.add_argument("folder", metavar="DIR", help=f"where they stay; {FOLDER}, for example")
    init.add_argument("--host", default=HOST, help=f"the chat's name in the DNS (default: {HOST})")
    init.add_argument(
        "--database", metavar="URL", default=SQLITE, help=f"the database (default: {SQLITE})"
    )
    init.add_argument("--force", action="store_true", help="write over files that are there")


def init(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        BadInput: an argument cannot be, or other files of these names are there; nothing is
            written then.
        OSError: a file cannot be read or written.
    """
    folder = Path(arguments.folder).resolve()
    texts = {folder / name: text for name, text in _texts(folder, arguments).items()}
    if not arguments.force:
        for path, text in texts.items():
            if path.exists() and path.read_text("utf-8") != text:
                raise BadInput(f"{path} is there, and is another: give --force to replace it", "")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        # The URL of the database may have a password in it.
        mode = 0o640 if path.suffix == ".ini" else 0o644
        path.touch(mode)
        path.chmod(mode)
        path.write_text(text, "utf-8")
    programs = Path(sysconfig.get_path("scripts"))
    for place in (folder, programs):
        if any(place.is_relative_to(hidden) for hidden in _HIDDEN):
            print(f"pyramid-chat: the service does not see {place}", file=sys.stderr)
    print(_NEXT.substitute(folder=folder, programs=programs, host=arguments.host), end="")


def _texts(folder: Path, arguments: argparse.Namespace) -> dict[str, str]:
    """Returns the texts of the files by their names."""
    if not _PLAIN.fullmatch(str(folder)):
        raise BadInput(f"{folder} has characters that a unit would not take as they are", "folder")
    if not _HOST.fullmatch(arguments.host):
        raise BadInput(f"{arguments.host} is no name of a host", "host")
    try:
        Settings.parse(folder, {"sqlalchemy.url": arguments.database})
    except CannotStart as error:
        raise BadInput(str(error).replace("sqlalchemy.url", "--database"), "database") from None
    # A percent sign is special in an ini.
    database = f"sqlalchemy.url = {arguments.database.replace('%', '%%')}\n"
    changes = {
        HOST: arguments.host,
        f"{FOLDER}/": f"{folder}/",
        f"{PROGRAMS}/": f"{sysconfig.get_path('scripts')}/",
    }
    texts = {}
    for source, name in FILES.items():
        text = files("pyramid_chat").joinpath("deploy", source).read_text("utf-8")
        for old, new in changes.items():
            text = text.replace(old, new)
        texts[name] = _DATABASE.sub(lambda match: database, text)
    return texts
