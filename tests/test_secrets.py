"""What is shown of an object, in a debugger, a log or a report of errors, holds no secret."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from pkgutil import walk_packages

import pytest

import sockjs_bridge

#: Attributes that hold a session's key, a cookie, a ticket or what somebody said.
SECRETS = {
    *("body", "form", "head", "headers", "key", "messages", "query"),
    *("password", "secret", "sentinel_password"),
}

#: Whose attribute of such a name holds nothing of the kind: how bodies are written, and a place.
HARMLESS = {"sockjs_bridge.core.transports.Sending", "sockjs_bridge.resume.tombstones.Tombstone"}


def dataclasses_of_the_bridge() -> dict[str, type]:
    found = {}
    for module in walk_packages(sockjs_bridge.__path__, "sockjs_bridge."):
        for _, each in inspect.getmembers(import_module(module.name), inspect.isclass):
            if dataclasses.is_dataclass(each) and each.__module__.startswith("sockjs_bridge."):
                found[f"{each.__module__}.{each.__qualname__}"] = each
    return found


FOUND = dataclasses_of_the_bridge()


def shown(of: type) -> set[str]:
    """Return the names of the attributes that are shown."""
    if not of.__dataclass_params__.repr:  # type: ignore[attr-defined]
        return set()
    return {each.name for each in dataclasses.fields(of) if each.repr}


@pytest.mark.parametrize("name", sorted(FOUND.keys() - HARMLESS))
def test_no_secret_is_shown(name: str) -> None:
    assert shown(FOUND[name]) & SECRETS == set()


def test_what_is_looked_for_is_there() -> None:
    send = FOUND["sockjs_bridge.resume.frames.Send"]
    assert "key" in {each.name for each in dataclasses.fields(send)}
    assert shown(send) >= {"first", "received"}
    assert {*FOUND} > HARMLESS
