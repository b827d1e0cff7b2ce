"""Rooms of several servers, as applications and real clients see them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sockjs_bridge import NotConfirmed
from sockjs_bridge.client import connect
from tests.cluster.inprocess import Node, nodes
from tests.cluster.inturn import in_turn
from tests.server.support import PATIENCE


def url(node: Node) -> str:
    return f"http://127.0.0.1:{node.port}/rooms"


async def hear(connection: Any, count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [await connection.recv() for _ in range(count)]


async def joined(stack: AsyncExitStack, node: Node, room: str, **options: Any) -> Any:
    """Connect, and join a room."""
    connection = await stack.enter_async_context(connect(url(node), **options))
    await connection.send(f"join {room}")
    assert await hear(connection, 1) == [f"join {room}"]
    return connection


@pytest.mark.parametrize("room", ["kept", "plain"])
async def test_all_hear_one_order(room: str) -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(nodes(3, **{"sockjs.allowed_origins": "*"}))
        people = [
            await joined(stack, cluster[0], room, transport="websocket"),
            await joined(stack, cluster[1], room, transport="xhr-streaming"),
            await joined(stack, cluster[1], room, resume=True),
            await joined(stack, cluster[2], room, resume=True),
        ]
        sent = [f"{room} {number}" for number in range(30)]
        for number in range(30):
            cluster[number % 3].app.registry.sockjs.broadcast(sent[number], room=room)
        heard = [await hear(person, 30) for person in people]
        assert {*heard[0]} == {*sent}
        assert heard == [heard[0]] * 4


async def test_what_is_sent_to_all_connections() -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(nodes(2))
        people = [await joined(stack, node, "plain", resume=True) for node in cluster]
        sockjs = cluster[0].app.registry.sockjs
        assert sockjs.broadcast("to all") == 1
        assert await sockjs.broadcast("confirmed", confirm=True) == 1
        for person in people:
            assert await hear(person, 2) == ["to all", "confirmed"]


async def test_a_client_goes_on_when_its_server_is_gone() -> None:
    """It joins again, and gets what was said meanwhile before what is new."""
    async with AsyncExitStack() as stack:
        home, other = await stack.enter_async_context(nodes(2))
        address = await stack.enter_async_context(in_turn([home, other]))
        lost = asyncio.Event()
        connection = await stack.enter_async_context(
            connect(
                f"{address}/rooms",
                resume=True,
                transport="xhr-polling",
                on_event=lambda event: lost.set() if event.name in ("lost", "moved") else None,
            )
        )
        await connection.send("join kept")
        assert await hear(connection, 1) == ["join kept"]
        if not home.sessions:
            home, other = other, home
        sockjs = other.app.registry.sockjs
        await sockjs.broadcast("first", room="kept", confirm=True)
        assert await hear(connection, 1) == ["first"]
        await home.stop()
        async with asyncio.timeout(PATIENCE):
            await lost.wait()
        await sockjs.broadcast("meanwhile", room="kept", confirm=True)
        await connection.send("join kept")
        assert sorted(await hear(connection, 2)) == ["join kept", "meanwhile"]
        await sockjs.broadcast("new", room="kept", confirm=True)
        assert await hear(connection, 1) == ["new"]


async def test_what_cannot_be_confirmed() -> None:
    async with nodes(1) as (node,):
        sockjs = node.app.registry.sockjs
        node.cluster._store.fail()
        with pytest.raises(NotConfirmed, match="cannot be reached"):
            await sockjs.broadcast("a", room="plain", confirm=True)
        assert sockjs.broadcast("b", room="plain") == 0
