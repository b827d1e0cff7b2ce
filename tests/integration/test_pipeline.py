"""A paste pipeline around the application: filters see pages and handshakes alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockjs_bridge.client import HandshakeError, connect
from tests.integration.pserve import running, write_ini

PIPELINE = """
[pipeline:main]
pipeline = guard app

[filter:guard]
paste.filter_factory = tests.pkgs.guard_filter:factory
"""


def write_pipeline(folder: Path) -> Path:
    """Write the usual ini with a filter in front of the application."""
    path = write_ini(folder)
    path.write_text(path.read_text().replace("[app:main]", "[app:app]") + PIPELINE)
    return path


@pytest.mark.integration
async def test_filter(tmp_path: Path) -> None:
    """What a filter lets through works over every kind of transport; what it refuses is refused."""
    with running(write_pipeline(tmp_path)) as pserve:
        (url,) = pserve.urls()
        for transport in ("websocket", "xhr-polling", "xhr-streaming"):
            async with connect(f"{url}/echo?key=right", transport=transport) as ws:
                await ws.send("through the filter")
                assert await ws.recv() == "through the filter"
                assert ws.response_headers["X-Guard"] == "passed"
        with pytest.raises(HandshakeError) as refused:
            await connect(f"{url}/echo?key=wrong")
        assert refused.value.status == 403
