"""Redis is slow, cut off, silent, killed, emptied: nothing hangs, and all who asked are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sockjs_bridge.cluster.redisstore import commands, subscriptions
from sockjs_bridge.cluster.redisstore import store as store_module
from sockjs_bridge.cluster.store import Entry, Position, Since, StoreError
from tests.cluster.redisproxy import RedisProxy
from tests.cluster.redisserver import RedisServer
from tests.cluster.redisstore.support import fresh, knows_replica, raw, sentinel, started
from tests.cluster.stores import BOUNDS, Ear, ask, publish


async def test_after_a_cut_all_is_subscribed_again(shared: RedisServer, proxy: RedisProxy) -> None:
    name = fresh()
    rooms = {f"room {number}" for number in range(subscriptions.AT_ONCE + 100)}
    async with (
        started(proxy.url, name) as (store, ear),
        started(shared.url, name, "node2") as (other, _),
    ):
        store.subscribe(rooms)
        await ear.hears("subscribed", len(rooms))
        ear.forget()
        for number in range(3):
            proxy.cut()
            await ear.hears("connected", number + 1)
            await ear.hears("subscribed", len(rooms) * (number + 1))
        assert {room for (room,) in ear.of("subscribed")} == rooms
        assert ear.of("connected") == [(True,)] * 3
        assert len(ear.of("lost")) == 3
        for room in rooms:
            await publish(other, room, "there")
        assert {room for room, _, _ in await ear.hears("heard", len(rooms))} == rooms


async def test_what_is_on_its_way_is_answered_with_an_error(proxy: RedisProxy) -> None:
    async with started(proxy.url, fresh()) as (store, ear):
        await publish(store, "a", "1")
        proxy.swallows = True
        asked = [asyncio.create_task(ask(store.tops, {"a": BOUNDS})) for _ in range(3)]
        await asyncio.sleep(0)
        proxy.cut()
        proxy.swallows = False
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {StoreError, dict}
        await ear.hears("connected")
        assert (await ask(store.tops, {"a": BOUNDS}))["a"].number == 1


async def test_half_open_connections_are_found(proxy: RedisProxy) -> None:
    async with started(proxy.url, fresh()) as (store, ear):
        proxy.swallows = True
        with pytest.raises(StoreError, match="does not answer"):
            await ask(store.leases)
        await ear.hears("lost")
        proxy.swallows = False
        await ear.hears("connected")
        assert await ask(store.leases) == {}


async def test_silence_alone_is_found(proxy: RedisProxy) -> None:
    async with started(proxy.url, fresh()) as (store, ear):
        await ask(store.leases)
        proxy.swallows = True
        ((error,),) = await ear.hears("lost")
        assert "does not answer" in str(error)
        proxy.swallows = False
        await ear.hears("connected")


async def test_a_slow_server_is_no_lost_one(proxy: RedisProxy) -> None:
    async with started(proxy.url, fresh()) as (store, ear):
        store.subscribe(["a"])
        await ear.hears("subscribed")
        proxy.delay = 0.2
        answers: list[Any] = []
        for number in range(300):
            store.publish("a", Entry(str(number)), BOUNDS, answers.append)
            await asyncio.sleep(0)
        await ear.hears("heard", 300)
        await ear.until(lambda: len(answers) == 300)
        assert [answer.number for answer in answers] == [*range(1, 301)]
        assert [entry.text for _, _, entry in ear.of("heard")] == [*map(str, range(300))]
        assert ear.of("lost") == []


async def test_what_waits_is_written_when_the_server_is_back(proxy: RedisProxy) -> None:
    async with started(proxy.url, fresh()) as (store, ear):
        await proxy.refuse()
        await ear.hears("lost")
        asked = asyncio.create_task(publish(store, "a", "waits"))
        await asyncio.sleep(0)
        await proxy.start()
        assert (await asked).number == 1


async def test_what_waits_too_long_is_given_up(
    proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MAX_WAIT", 0.2)
    async with started(proxy.url, fresh()) as (store, ear):
        await proxy.refuse()
        await ear.hears("lost")
        with pytest.raises(StoreError, match="cannot be reached"):
            await ask(store.leases)
        # Nothing waits any more: it is told at once.
        with pytest.raises(StoreError, match="cannot be reached"):
            await ask(store.sweep, "node9")
        with pytest.raises(StoreError, match="cannot be reached"):
            await ask(store.leases)
        await proxy.start()
        await ear.hears("connected")
        assert await ask(store.leases) == {}


async def test_no_more_than_so_much_waits(
    proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MAX_WAITING", 1000)
    async with started(proxy.url, fresh()) as (store, ear):
        await proxy.refuse()
        await ear.hears("lost")
        fits = asyncio.create_task(publish(store, "a", "x" * 500))
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="too much waits"):
            await publish(store, "a", "x" * 500)
        await proxy.start()
        assert (await fits).number == 1
        assert (await publish(store, "a", "x" * 500)).number == 2


async def test_an_answer_that_ends_in_the_middle(proxy: RedisProxy) -> None:
    async with started(proxy.url, fresh()) as (store, ear):
        top = await publish(store, "a", *("x" * 300 for _ in range(5)))
        proxy.truncate = 500
        with pytest.raises(StoreError, match="cannot be reached"):
            await ask(store.since, "a", Position(top.epoch, 0), BOUNDS)
        await ear.hears("lost")
        proxy.truncate = None
        await ear.hears("connected")
        found = await ask(store.since, "a", Position(top.epoch, 0), BOUNDS)
        assert len(found.entries) == 5


async def test_a_server_that_comes_back_empty_begins_other_epochs(redis: RedisServer) -> None:
    name = fresh()
    async with (
        started(redis.url, name) as (store, ear),
        started(redis.url, name, "n2") as (other, _),
    ):
        secret = store.secret
        before = await publish(store, "a", "1", "2")
        await publish(other, "a", "3")
        redis.kill()
        await ear.hears("lost")
        redis.start()
        assert await ear.hears("connected") == [(False,)]
        begun = await ask(store.since, "a", before, BOUNDS)
        assert (begun.top.number, begun.entries) == (0, None)
        after = await publish(store, "a", "4")
        assert (after, after.epoch > before.epoch) == (Position(begun.top.epoch, 1), True)
        assert await publish(other, "a", "5") == Position(after.epoch, 2)
        assert secret == store.secret == other.secret


async def test_a_tail_that_was_lost_breaks_the_epoch(
    redis: RedisServer, server: Callable[..., RedisServer]
) -> None:
    """As by a failover: the server has a stream still, and another run."""
    async with started(redis.url, fresh()) as (store, ear):
        before = await publish(store, "a", "1", "2", "3")
        redis.kill()
        await ear.hears("lost")
        server(port=redis.port)
        await ear.hears("connected")
        # What the other server had: the stream without its last message, of the same epoch.
        stream = store._keys.stream("a")
        await raw(store, "XADD", stream, f"{before.epoch}-2", "m", "n/1\n2", "t", "1")
        after = await publish(store, "a", "other")
        assert (after.number, after.epoch > before.epoch) == (1, True)
        assert await ask(store.since, "a", before, BOUNDS) == Since(after, None)


async def test_a_server_that_was_emptied_is_another_one(redis: RedisServer) -> None:
    async with started(redis.url, fresh()) as (store, ear):
        await ask(store.lease, "", 60)
        before = await publish(store, "a", "1", "2")
        await raw(store, "FLUSHALL")
        await ask(store.lease, "", 60)
        assert await ear.hears("connected") == [(False,)]
        after = await publish(store, "a", "3")
        assert (after.number, after.epoch > before.epoch) == (1, True)


async def test_scripts_that_were_forgotten_are_loaded_again(redis: RedisServer) -> None:
    async with started(redis.url, fresh()) as (store, ear):
        await raw(store, "SCRIPT", "FLUSH")
        with pytest.raises(StoreError):
            await publish(store, "a", "1")
        await ear.hears("connected")
        assert (await publish(store, "a", "2")).number == 1


async def test_a_server_that_hangs_is_lost_and_found(redis: RedisServer) -> None:
    async with started(redis.url, fresh()) as (store, ear):
        redis.pause()
        with pytest.raises(StoreError, match="does not answer"):
            await ask(store.leases)
        redis.resume()
        await ear.until(lambda: ear.events[-1] == ("connected", True))
        assert await ask(store.leases) == {}


async def test_a_listener_that_fails_stops_nothing(shared: RedisServer, caplog: Any) -> None:
    class Deaf(Ear):
        def heard(self, room: str, position: Position | None, entry: Entry) -> None:
            super().heard(room, position, entry)
            if entry.text == "1":
                raise RuntimeError("deaf")

        def connected(self, *, same: bool) -> None:
            super().connected(same=same)
            raise RuntimeError("cannot connect")

    async with started(shared.url, fresh(), ear=Deaf()) as (store, ear):
        store.subscribe(["a"])
        await ear.hears("subscribed")
        await publish(store, "a", "1", "2")

        def fail(answer: Any) -> None:
            raise RuntimeError("asked in vain")

        store.leases(fail)
        assert await ask(store.leases) == {}
        await ear.hears("heard", 2)
    assert caplog.text.count("RuntimeError: deaf") == 1
    assert caplog.text.count("RuntimeError: cannot connect") == 1
    assert caplog.text.count("RuntimeError: asked in vain") == 1


async def test_what_others_publish_is_told_and_skipped(shared: RedisServer, caplog: Any) -> None:
    async with started(shared.url, fresh()) as (store, ear):
        store.subscribe(["a"])
        await ear.hears("subscribed")
        for text in (b"", b"-", b"x-1 \n", b"- no line", b"- n [1]\ntext", b"- \xff\n", b"- n {\n"):
            await raw(store, "PUBLISH", store._keys.channel("a"), text)
        await publish(store, "a", "ours")
        assert [entry.text for _, _, entry in await ear.hears("heard")] == ["ours"]
    assert caplog.text.count("does something else use it?") == 1


async def test_keys_of_others_are_told(shared: RedisServer) -> None:
    async with started(shared.url, fresh()) as (store, _):
        await raw(store, "SET", store._keys.stream("a"), "text")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await publish(store, "a", "1")
        await raw(store, "DEL", store._keys.stream("a"))
        await raw(store, "XADD", store._keys.stream("a"), "1-1", "m", "no line", "t", 2**52)
        with pytest.raises(StoreError, match="not ours"):
            await ask(store.since, "a", Position(1, 0), BOUNDS)


async def test_who_stops_has_written_what_waits(shared: RedisServer) -> None:
    name = fresh()
    answers: list[Any] = []
    async with started(shared.url, name) as (store, _):
        store.publish("a", Entry("last"), BOUNDS, answers.append)
    assert [answer.number for answer in answers] == [1]
    store.leases(answers.append)
    await asyncio.sleep(0)
    assert isinstance(answers[-1], StoreError)
    async with started(shared.url, name) as (store, _):
        assert (await ask(store.tops, {"a": BOUNDS}))["a"] == answers[0]


async def test_who_stops_without_a_server_does_not_hang(proxy: RedisProxy) -> None:
    answers: list[Any] = []
    async with started(proxy.url, fresh()) as (store, ear):
        await proxy.refuse()
        await ear.hears("lost")
        store.leases(answers.append)
    assert [type(answer) for answer in answers] == [StoreError]


async def test_who_stops_while_the_server_is_silent_is_told(
    proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LAST", 0.01)
    answers: list[Any] = []
    async with started(proxy.url, fresh()) as (store, _):
        proxy.swallows = True
        store.leases(answers.append)
        while not store._commands._written:
            await asyncio.sleep(0)
    assert [*map(str, answers)] == ["the store was stopped"]


async def test_who_stood_still_does_not_take_the_server_for_silent(
    shared: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "PING", 0.1)
    for module in (commands, subscriptions):
        monkeypatch.setattr(module, "SILENCE", 1.0)
    async with started(shared.url, fresh()) as (store, ear):
        store.subscribe(["a"])
        await ear.hears("subscribed")
        for number in range(1, 4):
            answer = asyncio.create_task(ask(store.tops, {"a": BOUNDS}))
            while not store._commands._written:
                await asyncio.sleep(0)
            time.sleep(1.5)
            await answer
            assert (await publish(store, "a", "1")).number == number
            await ear.hears("heard", number)
        assert ear.of("lost") == []


async def test_who_leaves_and_enters_is_told_when_it_holds(proxy: RedisProxy) -> None:
    """The confirmation of the first subscription says nothing of the second one."""
    async with started(proxy.url, fresh()) as (store, ear):
        proxy.delay = 0.1
        waiting = store._subscriptions
        for change in (store.subscribe, store.unsubscribe, store.subscribe):
            change(["a"])
            while waiting._enter or waiting._leave:
                await asyncio.sleep(0)
        store.unsubscribe(["b"])
        store.subscribe(["b"])
        await ear.hears("subscribed", 2)
        await publish(store, "a", "1")
        await ear.hears("heard")
        assert ear.of("subscribed") == [("a",), ("b",)]


async def test_who_has_left_hears_nothing_that_is_on_its_way(
    shared: RedisServer, proxy: RedisProxy
) -> None:
    name = fresh()
    async with (
        started(proxy.url, name) as (store, ear),
        started(shared.url, name, "node2") as (other, _),
    ):
        store.subscribe(["a", "b"])
        await ear.hears("subscribed", 2)
        ear.forget()
        proxy.delay = 0.1
        # A confirmation, and a message.
        store.subscribe(["c"])
        waiting = store._subscriptions
        while waiting._enter:
            await asyncio.sleep(0)
        await publish(other, "a", "1")
        store.unsubscribe(["a", "c"])
        await publish(other, "b", "2")
        assert [entry.text for _, _, entry in await ear.hears("heard")] == ["2"]
        assert ear.of("subscribed") == []


async def test_commands_that_go_to_another_server(
    redis: RedisServer, proxy: RedisProxy, shared: RedisServer
) -> None:
    """What is heard follows them."""
    async with started(proxy.url, fresh()) as (store, ear):
        store.subscribe(["a"])
        await ear.hears("subscribed")
        await publish(store, "a", "1")
        await ear.hears("heard")
        proxy.port = redis.port
        store._commands.breaks(StoreError("to be broken"))
        with suppress(StoreError):
            await ask(store.leases)
        assert await ear.hears("connected") == [(False,)]
        top = await publish(store, "a", "2")
        assert (await ear.hears("heard", 2))[-1] == ("a", top, Entry("2", "n/1"))


async def test_what_is_heard_at_another_server_than_commands_go_to(
    redis: RedisServer, proxy: RedisProxy, shared: RedisServer
) -> None:
    async with started(proxy.url, fresh()) as (_, ear), started(shared.url, fresh()) as (at, _):
        proxy.port = redis.port
        before = proxy.connections
        await raw(at, "CLIENT", "KILL", "TYPE", "pubsub")
        await ear.hears("lost")
        while proxy.connections < before + 2:
            await asyncio.sleep(0.01)
        assert ear.of("connected") == []
        proxy.port = shared.port
        assert await ear.hears("connected") == [(True,)]


async def test_out_of_memory_for_a_while(redis: RedisServer) -> None:
    async with started(redis.url, fresh()) as (store, ear):
        await raw(store, "CONFIG", "SET", "maxmemory", "1")
        for bounds in (BOUNDS, BOUNDS):
            with pytest.raises(StoreError, match="is out of memory"):
                await publish(store, "a", "1", bounds=bounds)
        await raw(store, "CONFIG", "SET", "maxmemory", "0")
        assert (await publish(store, "a", "2")).number == 1
        assert ear.of("lost") == []


async def test_a_primary_that_was_a_replica_for_a_while_is_another_one(
    redis: RedisServer, shared: RedisServer
) -> None:
    """It runs on, and has the data of another one now."""
    name = fresh()
    async with started(redis.url, name) as (store, ear), started(redis.url, fresh()) as (other, _):
        before = await publish(store, "a", "1", "2")
        await raw(other, "REPLICAOF", "127.0.0.1", str(shared.port))
        with pytest.raises(StoreError, match="read-only replica"):
            await publish(store, "a", "3")
        await ear.hears("lost")
        while b"role:slave" not in await raw(other, "INFO", "replication"):
            await asyncio.sleep(0.01)
        await raw(other, "REPLICAOF", "NO", "ONE")
        assert await ear.hears("connected") == [(False,)]
        after = await publish(store, "a", "4")
        assert (after.number, after.epoch > before.epoch) == (1, True)


async def test_a_failover_by_sentinel(server: Callable[..., RedisServer], tmp_path: Path) -> None:
    primary = server("--repl-diskless-sync-delay", "0")
    server("--replicaof", f"127.0.0.1 {primary.port}")
    async with started(primary.url, fresh()) as (store, _):
        while b"state=online" not in await raw(store, "INFO", "replication"):
            await asyncio.sleep(0.02)
    async with sentinel(tmp_path, primary) as url, started(f"{url}/main", fresh()) as (store, ear):
        store.subscribe(["a"])
        before = await publish(store, "a", "1", "2")
        await knows_replica(url)
        primary.kill()
        await ear.hears("lost")
        assert (await ear.hears("connected"))[0] == (False,)
        await ear.until(lambda: ear.events[-1][0] != "lost")
        after = await publish(store, "a", "3")
        assert (after.number, after.epoch > before.epoch) == (1, True)
        await ear.until(lambda: ("a", after, Entry("3", "n/1")) in ear.of("heard"))


async def test_epochs_of_many_rooms_are_not_all_remembered(
    shared: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "REMEMBERED", 2)
    async with started(shared.url, fresh()) as (store, _):
        for _ in range(2):
            tops = [await publish(store, room, "1") for room in "abcd"]
        assert [top.number for top in tops] == [2] * 4
        assert [*store._epochs] == ["c", "d"]


async def test_a_fault_of_ours_leaves_nobody_waiting(
    shared: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(self: Any) -> None:
        raise RuntimeError("ours")

    async with started(shared.url, fresh()) as (store, ear):
        monkeypatch.setattr(commands.Commands, "_take", fail)
        with pytest.raises(StoreError):
            await ask(store.leases)
        await ear.hears("lost")
        with pytest.raises(StoreError):
            await ask(store.leases)
    assert caplog.text.count("RuntimeError: ours") == 1
