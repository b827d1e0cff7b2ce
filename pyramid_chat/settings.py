"""The settings of the chat, and what keeps it from starting."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from pyramid.exceptions import ConfigurationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from sockjs_bridge.ini import SettingError, count, flag, number, read, setting

PREFIX = "chat."
_SECRET = 64
"""Characters of a secret that is made here."""


class CannotStart(SystemExit, ConfigurationError):  # type: ignore[misc]
    """The chat cannot start as it is configured.

    As an exit too, it ends a server's start with its one sentence in place of a traceback.
    """


def _flag(value: object) -> bool:
    # Those of one letter are Pyramid's own.
    letters = {"t": "true", "y": "yes", "f": "false", "n": "no"}
    text = str(value).strip().lower()
    return flag(letters.get(text, text))


def _file(value: object) -> Path:
    text = str(value).strip()
    if not text:
        raise ValueError("the path of a file")
    return Path(text)


def _endings(value: object) -> frozenset[str]:
    if isinstance(value, frozenset):
        return value
    endings = frozenset(str(value).lower().replace(",", " ").replace(".", " ").split())
    if not all(ending.isascii() and ending.isalnum() and len(ending) <= 10 for ending in endings):
        raise ValueError("what names of files end with, such as jpg png pdf")
    return endings


def public_url(value: object) -> str:
    """Reads the URL of a chat, without the slash at its end.

    Raises:
        ValueError: it is none; says what is allowed.
    """
    text = str(value).strip()
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a URL such as https://chat.example.com")
    return text.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the ini says.

    Attributes:
        url: of the database.
        secret_file: holds the key that signs cookies; it is made at the first start. The default
            stands beside the ini.
        registration: whether people may make accounts for themselves.
        demo: an empty database gets people, rooms and messages to look at.
        migrate: the database's tables are brought up to date at the start.
        messages_per_minute: how many messages one person may send.
        message_burst: how many of them at once.
        database_timeout: seconds to wait for the database.
        session_timeout: seconds after which somebody who was not here is signed out.
        invitation_lifetime: seconds for which a link that invites to a room is good.
        secure_cookies: cookies are sent over https only.
        public_url: where people reach the chat, for the links that ``pyramid-chat`` makes.
        files: whether people may send pictures and files; None: where there is a folder for them.
        files_folder: where these are kept. The default stands beside SQLite's file; None: there is
            none.
        max_file_size: bytes of one file.
        max_files_per_person: bytes of what one person has sent, together.
        max_files_total: bytes of all files.
        file_types: what their names may end with; none: with anything.
    """

    url: URL
    secret_file: Path = setting(Path("chat.secret"), _file)  # noqa: RUF009 (a field)
    registration: bool = setting(True, _flag)
    demo: bool = setting(False, _flag)
    migrate: bool = setting(True, _flag)
    messages_per_minute: float = setting(60, number(1, 100000))
    message_burst: int = setting(20, count(1, high=100000))
    database_timeout: float = setting(3, number(0.1, 60))
    session_timeout: int = setting(2592000, count(60, high=10 * 365 * 86400))
    invitation_lifetime: int = setting(604800, count(60, high=365 * 86400))
    secure_cookies: bool = setting(False, _flag)
    public_url: str = setting("", public_url)
    files: bool | None = setting(None, _flag)
    files_folder: Path | None = setting(None, _file)  # noqa: RUF009 (a field)
    max_file_size: int = setting(10 * 1024**2, count(1, "bytes", high=1024**3))
    max_files_per_person: int = setting(1024**3, count(1, "bytes"))
    max_files_total: int = setting(10 * 1024**3, count(1, "bytes"))
    file_types: frozenset[str] = setting(frozenset(), _endings)

    @classmethod
    def parse(cls, here: Path, raw: Mapping[str, object]) -> Settings:
        """Reads the application's settings.

        Args:
            here: the folder for what the ini does not name.
            raw: those of the application; what is not the chat's is left alone.

        Raises:
            CannotStart: one of them cannot be, or is unknown.
        """
        url = _url(raw.get("sqlalchemy.url", f"sqlite:///{here / 'chat.sqlite'}"))
        own = {
            key.removeprefix(PREFIX): value for key, value in raw.items() if key.startswith(PREFIX)
        }
        unknown = "{key} = {value!r} is no setting; settings are: {keys}"
        try:
            values = read(cls, own, PREFIX, unknown=unknown)
        except SettingError as error:
            raise CannotStart(str(error)) from None
        settings = cls(**{"url": url, "secret_file": here / cls.secret_file, **values})
        return settings._with_files()

    def _with_files(self) -> Settings:
        """Decides whether there are files, and where."""
        folder = self.files_folder
        if folder is None and self.url.get_backend_name() == "sqlite":
            folder = Path(str(self.url.database)).with_name("files")
        if self.files and folder is None:
            raise CannotStart(
                "chat.files = true needs a folder that all processes have: set chat.files_folder"
            )
        files = folder is not None and self.files is not False
        return replace(self, files=files, files_folder=folder)

    def secret(self) -> str:
        """Returns the key that signs cookies; it is made where there is none yet.

        Raises:
            CannotStart: its file cannot be read or written, or holds no key.
        """
        try:
            self._make_secret()
            secret = self.secret_file.read_text("ascii").strip()
        except (OSError, UnicodeError) as error:
            raise CannotStart(
                f"chat.secret_file = {self.secret_file} cannot be had: {error}"
            ) from None
        if len(secret) < _SECRET // 2:
            raise CannotStart(
                f"chat.secret_file = {self.secret_file} holds no secret of at least"
                f" {_SECRET // 2} characters: delete it, and a new one is made"
            )
        return secret

    def _make_secret(self) -> None:
        path = self.secret_file
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_SECRET // 2))
        try:
            # Of two processes that start at once both take the one that was there first.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()


def _url(value: object) -> URL:
    try:
        url = make_url(str(value))
    except ArgumentError:
        raise CannotStart(
            "sqlalchemy.url is no URL of a database: allowed is sqlite:///FILE or"
            " postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend == "postgresql" and url.drivername in ("postgres", "postgresql"):
        # SQLAlchemy 2.0 would look for psycopg2.
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    if url.drivername == "postgresql+psycopg":
        return url
    raise CannotStart(
        f"sqlalchemy.url = {url.render_as_string()} cannot be: allowed is sqlite:///FILE or"
        " postgresql://USER:PASSWORD@HOST/DATABASE"
    )
