"""What the tests of the middlebox share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.proxies.ends import Origin, running


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with running() as origin:
        yield origin
