"""A broadcast that is confirmed: in a thread, in a coroutine, or not at all."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from pyramid.config import Configurator

from sockjs_bridge import BroadcastCount, NotConfirmed, later
from sockjs_bridge.cluster.store import StoreError
from sockjs_bridge.pyramid import confirmation
from sockjs_bridge.testing.dummies import dummy_sockjs

ERROR = StoreError("the store cannot be reached")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (later, confirmation):
        monkeypatch.setattr(module, "PATIENCE", 0.01)


class Rooms:
    """What carries all rooms, and publishes when the test says so."""

    def __init__(self) -> None:
        self.published: Any = None
        self.called = threading.Event()

    def carries(self, room: str) -> bool:
        return True

    def broadcast(self, room: str, text: str, exclude: object, published: Any = None) -> int:
        self.published = published
        self.called.set()
        return 3


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.fixture
def sockjs(rooms: Rooms) -> Any:
    made = dummy_sockjs()
    made.endpoints.history = rooms  # type: ignore[assignment]
    return made


def test_a_cluster_for_tests_that_no_server_of_ours_serves() -> None:
    """It is as without a cluster: an application's own tests by WebTest see its pages work."""
    with Configurator(settings={"sockjs.cluster": "memory://"}) as config:
        config.include("sockjs_bridge")
    made = config.registry.sockjs
    assert made.broadcast("a", room="plain") == 0
    assert made.broadcast("a", confirm=True) == 0


def in_thread(sockjs: Any) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def broadcast() -> None:
        try:
            found.append(sockjs.broadcast("a", confirm=True))
        except NotConfirmed as error:
            found.append(str(error))

    thread = threading.Thread(target=broadcast)
    thread.start()
    return thread, found


@pytest.mark.parametrize(("error", "result"), [(None, 3), (ERROR, str(ERROR))])
def test_a_thread_waits(sockjs: Any, rooms: Rooms, error: Exception | None, result: object) -> None:
    thread, found = in_thread(sockjs)
    assert rooms.called.wait(20)
    assert found == []
    rooms.published(error)
    thread.join(20)
    assert found == [result]


def test_a_thread_does_not_wait_for_ever(sockjs: Any, impatient: None) -> None:
    thread, found = in_thread(sockjs)
    thread.join(20)
    assert found == ["no answer within 0.01 s"]


async def test_a_coroutine_waits(sockjs: Any, rooms: Rooms) -> None:
    count = sockjs.broadcast("a", confirm=True)
    assert count == 3
    asyncio.get_running_loop().call_soon(rooms.published, None)
    assert await count == 3


async def test_a_coroutine_hears_why_not(sockjs: Any, rooms: Rooms) -> None:
    count = sockjs.broadcast("a", confirm=True)
    rooms.published(ERROR)
    with pytest.raises(NotConfirmed, match="cannot be reached"):
        await count


async def test_a_coroutine_does_not_wait_for_ever(sockjs: Any, impatient: None) -> None:
    with pytest.raises(NotConfirmed, match="no answer"):
        await sockjs.broadcast("a", confirm=True)


async def test_nobody_has_to_wait(sockjs: Any, rooms: Rooms) -> None:
    count = sockjs.broadcast("a")
    assert rooms.published is None
    assert isinstance(count, BroadcastCount)
    assert await count == count.wait() == 3


def test_in_one_process_it_is_there_at_once() -> None:
    assert dummy_sockjs().broadcast("a", confirm=True) == 0
    assert BroadcastCount(2, Future()) == 2
