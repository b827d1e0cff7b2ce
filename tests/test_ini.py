"""`sockjs_bridge.ini`: settings that a dataclass declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sockjs_bridge.ini import SettingError, count, flag, number, parsers, read, setting


def _colour(value: Any) -> str:
    if value == "red":
        raise SettingError("colour = red was yesterday")
    return str(value)


@dataclass(frozen=True)
class Notes:
    owner: str
    timeout: float = setting(3, number(0.1, 60, "seconds"))
    size: int = setting(20, count(1, high=100))
    archive: bool = setting(False, flag)
    colour: str = setting("blue", _colour)
    notes: list[str] = field(default_factory=list)


def test_only_settings_are_read() -> None:
    """What is no setting of the dataclass is not to be had by the ini."""
    assert list(parsers(Notes)) == ["timeout", "size", "archive", "colour"]
    assert read(Notes, {}) == {}
    values = read(Notes, {"timeout": "5", "archive": "yes"}, "notes.")
    assert values == {"timeout": 5.0, "archive": True}
    assert Notes("ann", **values) == Notes("ann", timeout=5, archive=True)
    with pytest.raises(SettingError, match=r"^notes\.owner = 'bob' is no setting; "):
        read(Notes, {"owner": "bob"}, "notes.")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            {"timeout": "60.1"},
            "timeout = '60.1' cannot be: allowed is a number of seconds from 0.1 to 60",
        ),
        ({"size": "101"}, "size = '101' cannot be: allowed is a whole number from 1 to 100"),
        ({"size": 0}, "size = 0 cannot be: allowed is a whole number from 1 to 100"),
        ({"archive": "{key}"}, "archive = '{key}' cannot be: allowed is true or false"),
        ({"colour": "red"}, "colour = red was yesterday"),
        ({"{sise}": 1}, "{sise} = 1 is no setting; there are: archive, colour, size, timeout"),
    ],
)
def test_sentences(raw: dict[str, object], text: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(Notes, raw)
    assert str(caught.value) == text


def test_own_sentences() -> None:
    with pytest.raises(SettingError, match=r"^n\.x = 1\? n\.archive, n\.colour, n\.size, n\.tim"):
        read(Notes, {"x": 1}, "n.", unknown="{key} = {value}? {keys}")
    with pytest.raises(SettingError, match=r"^n\.size = 0: must be a whole number from 1 to 100$"):
        read(Notes, {"size": "0"}, "n.", wrong="{key} = {value}: must be {allowed}")
