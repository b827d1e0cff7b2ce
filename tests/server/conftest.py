"""What the server's tests share."""

from __future__ import annotations

import asyncio
import logging

import pytest
import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Run each asynchronous test on both event loops that the server may have."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def server_log(caplog):
    """Return the messages that the server logged above INFO, so far."""
    caplog.set_level(logging.DEBUG)

    def read() -> list[str]:
        return [
            f"{record.name} {record.levelname} {record.getMessage()}"
            for record in caplog.records
            if record.levelno > logging.INFO
        ]

    return read
