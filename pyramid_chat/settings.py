"""The settings of the chat, and what keeps it from starting."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pyramid.exceptions import ConfigurationError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "chat."
_TRUE = ("true", "yes", "on", "1", "t", "y")
_FALSE = ("false", "no", "off", "0", "f", "n")
_SECRET = 64
"""Characters of a secret that is made here."""


class CannotStart(SystemExit, ConfigurationError):  # type: ignore[misc]
    """The chat cannot start as it is configured.

    As an exit too, it ends a server's start with its one sentence in place of a traceback.
    """


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the ini says.

    Attributes:
        url: of the database.
        secret_file: holds the key that signs cookies; it is made at the first start.
        registration: whether people may make accounts for themselves.
        demo: an empty database gets people, rooms and messages to look at.
        migrate: the database's tables are brought up to date at the start.
        messages_per_minute: how many messages one person may send.
        message_burst: how many of them at once.
        database_timeout: seconds to wait for the database.
        session_timeout: seconds after which somebody who was not here is signed out.
        secure_cookies: cookies are sent over https only.
    """

    url: URL
    secret_file: Path
    registration: bool = True
    demo: bool = False
    migrate: bool = True
    messages_per_minute: float = 60
    message_burst: int = 20
    database_timeout: float = 3
    session_timeout: int = 2592000
    secure_cookies: bool = False

    @classmethod
    def parse(cls, here: Path, raw: Mapping[str, Any]) -> Settings:
        """Reads the application's settings.

        Args:
            here: the folder for what the ini does not name.
            raw: those of the application; what is not the chat's is left alone.

        Raises:
            CannotStart: one of them cannot be, or is unknown.
        """
        own = {key: value for key, value in raw.items() if key.startswith(PREFIX)}
        values: dict[str, Any] = {
            "url": _url(raw.get("sqlalchemy.url", f"sqlite:///{here / 'chat.sqlite'}")),
            "secret_file": here / "chat.secret",
        }
        for key, value in own.items():
            name = key.removeprefix(PREFIX)
            if name not in _CHECKS:
                known = ", ".join(PREFIX + known for known in sorted(_CHECKS))
                raise CannotStart(f"{key} = {value!r} is no setting; settings are: {known}")
            allowed, check = _CHECKS[name]
            try:
                values[name] = check(value)
            except (ValueError, TypeError):
                raise CannotStart(f"{key} = {value!r} cannot be: allowed is {allowed}") from None
        return cls(**values)

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


def _boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ValueError
    return text in _TRUE


def _number(least: float, most: float) -> tuple[str, Callable[[Any], float]]:
    def check(value: Any) -> float:
        number = float(value)
        if not (math.isfinite(number) and least <= number <= most):
            raise ValueError
        return number

    return f"a number from {least:g} to {most:g}", check


def _count(least: int, most: int) -> tuple[str, Callable[[Any], int]]:
    def check(value: Any) -> int:
        number = int(str(value))
        if not least <= number <= most:
            raise ValueError
        return number

    return f"a whole number from {least} to {most}", check


def _file(value: object) -> Path:
    text = str(value).strip()
    if not text:
        raise ValueError
    return Path(text)


_FLAG = ("true or false", _boolean)
_CHECKS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "secret_file": ("the path of a file", _file),
    "registration": _FLAG,
    "demo": _FLAG,
    "migrate": _FLAG,
    "messages_per_minute": _number(1, 100000),
    "message_burst": _count(1, 100000),
    "database_timeout": _number(0.1, 60),
    "session_timeout": _count(60, 10 * 365 * 86400),
    "secure_cookies": _FLAG,
}
assert set(_CHECKS) == {field.name for field in fields(Settings)} - {"url"}
