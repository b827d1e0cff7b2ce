"""Which names are one, and which cannot be."""

from __future__ import annotations

import pytest

from pyramid_chat.names import BadInput, checked_name, skeleton


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada", "\u0430da"),
        ("ada", "ad\u0430"),
        ("grace", "gra\u0441e"),
        ("paypal", "paypaI"),
        ("Ada 10", "Ada 1O"),
        ("mario", "Rnario"),
        ("ADA", "\u0391D\u0410"),
    ],
)
def test_names_that_look_alike(one: str, other: str) -> None:
    """They have one skeleton, and it is its own."""
    assert skeleton(one) == skeleton(other)
    assert skeleton(skeleton(one)) == skeleton(one)


def test_names_that_do_not() -> None:
    """In whatever script they are."""
    names = [
        *("Ada", "Eda", "Zo\u00eb", "Zoe", "\u0421\u0435\u0440\u0433\u0435\u0439", "\u7530\u4e2d"),
        *("\u0645\u062d\u0645\u062f", "\u05d3\u05d5\u05d3", "\u0930\u093e\u092e", "\U0001f469 Z"),
    ]
    assert len({skeleton(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Ngu\u1ec5n",
            "\u05e9\u05b8\u05c1",
            "\u0e19\u0e49\u0e33",
            "\U0001f469\u200d\U0001f469",
            "-",
            "7",
        ),
        "a\u0301\u0316\u0302\u0323",
    ],
)
def test_names_of_all_scripts_may_be(name: str) -> None:
    """With as many marks as a script has."""
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["\u0301", "\u0301\u0316 \u0301", "\U0001d159", "\u200d", "a" + "\u0301" * 5, "a\U00016fe4"],
)
def test_names_of_which_little_can_be_seen_cannot_be(name: str) -> None:
    """Marks alone, what has no shape, and letters that reach into other lines."""
    with pytest.raises(BadInput):
        checked_name(name)
