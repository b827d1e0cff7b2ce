"""What these tests serve: by the fast skin, in the full run by both (`sockjs_bridge.server.fast`).

That both do the same, conformance and `tests/server/test_skins.py` show.
"""

from __future__ import annotations

import pytest

from sockjs_bridge.server.plain import PlainRequest
from tests.selection import FULL

#: What they look at is no skin's: processes, other servers, pages.
ONE_SKIN = {"test_commands", "test_foreign_servers", "test_http_parity", "test_pserve"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if FULL and metafunc.module.__name__.rpartition(".")[2] not in ONE_SKIN:
        metafunc.parametrize("skin", ["fast", "reference"], indirect=True)


@pytest.fixture(autouse=True)
def skin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The skin of the servers in this process."""
    name: str = getattr(request, "param", "fast")
    if name == "reference":
        # Nothing is plain enough for the other one.
        monkeypatch.setattr(PlainRequest, "read", lambda data, forms: None)
    return name
