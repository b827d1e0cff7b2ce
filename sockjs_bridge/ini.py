"""Settings that a dataclass declares, read from the strings of an ini file.

Each field is a setting: its name, its default, and how it is parsed, which says what is allowed::

    @dataclass(frozen=True)
    class Settings:
        timeout: float = setting(3.0, number(0.1, 60, "seconds"))
        archive: bool = setting(False, flag)

    settings = Settings(**read(Settings, {"timeout": "5"}, "notes."))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any, TypeVar

__all__ = ("SettingError", "count", "flag", "number", "read", "setting")

D = TypeVar("D")
T = TypeVar("T")


class SettingError(ValueError):
    """A wrong setting. The text names the key, the value and what is allowed."""


def setting(default: D, parse: Callable[[Any], T], *, secret: bool = False) -> D | T:
    """Declares a setting, as a field of a dataclass.

    Args:
        default: of the field.
        parse: returns the value of a string, or takes a value that has the setting's type already.
            It raises `SettingError`, or ValueError with what is allowed, as the end of a sentence.
        secret: its value is shown neither with the others nor in an error.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse, "secret": secret})


def parsers(table: type) -> dict[str, Callable[[Any], Any]]:
    """Returns how the settings that a dataclass declares are parsed, by their names."""
    return {item.name: item.metadata["parse"] for item in fields(table) if item.metadata}


def read(
    table: type,
    raw: Mapping[str, object],
    prefix: str = "",
    *,
    unknown: str = "{key} = {value!r} is no setting; there are: {names}",
    wrong: str = "{key} = {value!r} cannot be: allowed is {allowed}",
) -> dict[str, Any]:
    """Parses settings.

    Args:
        table: the dataclass that declares them.
        raw: values by name: strings, as in an ini file, or values of the settings' types.
        prefix: what the user wrote before the names, for the error's text.
        unknown: the error for an unknown name. ``{keys}`` are the known ones with the prefix,
            ``{names}`` without.
        wrong: the error for a wrong value.

    Returns:
        The values that were given, as keyword arguments for the dataclass.

    Raises:
        SettingError: a name is unknown, or a value is wrong.
    """
    known = parsers(table)
    secret = {item.name for item in fields(table) if item.metadata.get("secret")}
    names = ", ".join(sorted(known))
    keys = ", ".join(prefix + name for name in sorted(known))
    values = {}
    for name, value in raw.items():
        key = prefix + name
        if name not in known:
            raise SettingError(unknown.format(key=key, value=value, names=names, keys=keys))
        try:
            values[name] = known[name](value)
        except SettingError:
            raise
        except ValueError as error:
            shown = "..." if name in secret else value
            raise SettingError(wrong.format(key=key, value=shown, allowed=error)) from None
    return values


def number(low: float, high: float, unit: str = "") -> Callable[[Any], float]:
    """Returns a parser of numbers within bounds."""

    def parse(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if isinstance(value, bool) or not low <= number <= high:
            raise ValueError(f"a number{_of(unit)} from {low:g} to {high:g}")
        return number

    return parse


def count(low: int, unit: str = "", *, high: int | None = None) -> Callable[[Any], int]:
    """Returns a parser of whole numbers within bounds; None means no upper bound."""
    bounds = f", {low} or more" if high is None else f" from {low} to {high}"

    def parse(value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            number = low - 1
        if isinstance(value, (bool, float)) or number < low or (high is not None and number > high):
            raise ValueError(f"a whole number{_of(unit)}{bounds}")
        return number

    return parse


def _of(unit: str) -> str:
    return f" of {unit}" if unit else ""


def flag(value: object) -> bool:
    """Parses true or false. Yes, on and 1 are true; no, off and 0 are false."""
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ValueError("true or false")
