"""The reference has all public names."""

from __future__ import annotations

import re

import pytest

import sockjs_bridge
from tests.docs.blocks import DOCS

PAGE = (DOCS / "api.rst").read_text(encoding="utf-8")
ENTRIES = {
    name.rpartition(".")[2]: options
    for name, options in re.findall(
        r"^\.\. auto(?:class|data|exception|function):: (\S+)\n((?:   .*\n)*)", PAGE, re.MULTILINE
    )
}


@pytest.mark.parametrize("name", sorted({*sockjs_bridge.__all__} - {"includeme"}))
def test_a_public_name_has_its_entry(name: str) -> None:
    """Pyramid calls `includeme`."""
    assert name in ENTRIES


def test_all_that_an_application_may_call() -> None:
    (members,) = re.findall(r":members: (.*)", ENTRIES["SockJS"])
    public = {
        name
        for name, value in vars(sockjs_bridge.SockJS).items()
        if not name.startswith("_") and callable(value)
    }
    assert {*members.split(", ")} == public
