"""What `join` returns in a cluster: known at once, waited for in a thread, or awaited."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sockjs_bridge import later
from sockjs_bridge.cluster import joining
from sockjs_bridge.cluster.joining import Joining
from sockjs_bridge.core.joined import Joined


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (later, joining):
        monkeypatch.setattr(module, "PATIENCE", 0.01)


def test_it_is_a_joined() -> None:
    found = Joining()
    assert found
    assert found == Joined(True)
    assert repr(found) == "<Joined True recovered=?>"
    found.found(False)
    assert repr(found) == "<Joined True recovered=False>"


def test_a_thread_waits() -> None:
    found = Joining()
    seen: list[bool | None] = []
    thread = threading.Thread(target=lambda: seen.append(found.recovered))
    thread.start()
    found.found(True)
    thread.join(20)
    assert seen == [True]


def test_a_thread_does_not_wait_for_ever(impatient: None) -> None:
    assert Joining().recovered is False


async def test_nothing_waits_on_the_loop() -> None:
    found = Joining()
    assert found.recovered is None
    found.found(True)
    assert found.recovered is True


async def test_a_coroutine_waits() -> None:
    found = Joining()
    # From the thread of the loop, as the hub does, and while it is awaited.
    asyncio.get_running_loop().call_soon(found.found, True)
    assert (await found).recovered is True
    assert (await found).recovered is True


async def test_a_coroutine_does_not_wait_for_ever(impatient: None) -> None:
    found = Joining()
    assert (await found).recovered is False
    found.found(True)
    assert (await found).recovered is True
