"""What is checked at the start: one clear sentence for each mistake, without the password."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sockjs_bridge.cluster.engine import Bounds
from sockjs_bridge.cluster.factory import make_store
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.cluster.publish import publish as outside
from sockjs_bridge.cluster.redisstore import store as store_module
from sockjs_bridge.cluster.redisstore.acquaintance import check, facts
from sockjs_bridge.cluster.redisstore.store import RedisStore
from sockjs_bridge.cluster.store import Entry, StoreError
from sockjs_bridge.cluster.urls import parse
from sockjs_bridge.server.loop import LoopClock
from tests.cluster.redisserver import RedisServer
from tests.cluster.redisstore.support import fresh, raw, sentinel, started
from tests.cluster.stores import BOUNDS, ask, publish
from tests.docs.blocks import collect
from tests.proxies.programs import free_port, make_certificate
from tests.support import HandClock

Start = Callable[..., RedisServer]


async def refused(url: str, why: str, **options: Any) -> str:
    """Start a store that cannot be; return the sentence."""
    with pytest.raises(StoreError, match=why) as error:
        async with started(url, options.pop("name", None) or fresh(), **options):
            raise AssertionError("it started")
    sentence = str(error.value)
    assert sentence.startswith("Redis at ")
    assert "\n" not in sentence
    assert "secret" not in sentence
    assert error.value.__suppress_context__
    return sentence


async def test_nobody_is_there(tmp_path: Path) -> None:
    await refused(f"redis://:secret@127.0.0.1:{free_port()}", "cannot be reached: does it run")
    await refused(f"unix://:secret@{tmp_path}/none", "cannot be reached: does it run.*No such file")
    await refused("redis://none.invalid", "cannot be reached")


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """Serve what is no Redis."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(1000):
            writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_something_else_is_there() -> None:
    async with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        await refused(url, "does not speak Redis's protocol: is the port right")
    async with saying(3 * b"+OK\r\n") as url:
        await refused(url, "is no Redis")
    async with saying(b"") as url:
        await refused(url, "does not answer: is the host right")


async def test_passwords(server: Start) -> None:
    redis = server("--requirepass", "right")
    host = f"127.0.0.1:{redis.port}"
    wrong = "refuses the login: put the right user and password into the URL"
    await refused(f"redis://{host}", wrong)
    assert ":***@" in await refused(f"redis://:secret@{host}", wrong)
    await refused(f"redis://ann:secret@{host}", wrong)
    async with started(f"redis://:right@{host}", fresh()) as (store, _):
        assert "right" not in repr(vars(store)["_server"].address)


async def test_a_password_where_none_is_wanted_is_taken(shared: RedisServer) -> None:
    await refused(f"redis://:secret@127.0.0.1:{shared.port}", "refuses the login")


async def test_databases(shared: RedisServer) -> None:
    async with started(f"{shared.url}/3", fresh()) as (store, _):
        assert (await publish(store, "a", "1")).number == 1
    await refused(f"{shared.url}/999", "has no such database")


#: What docs/cluster.rst tells to allow.
(ACL,) = (block.code.split() for block in collect() if block.key == ("cluster", "users.acl"))
ALLOWED = [rule for rule in ACL if rule.startswith("+")]


async def user(redis: RedisServer, *rules: str) -> str:
    async with started(redis.url, fresh()) as (store, _):
        await raw(store, "ACL", "SETUSER", "ann", "reset", "on", ">secret", *rules)
    return f"redis://ann:secret@127.0.0.1:{redis.port}"


async def test_a_user_who_may_do_what_is_needed(redis: RedisServer) -> None:
    url = await user(redis, "~sb:mine:*", "&sb:mine:*", *ALLOWED)
    async with started(url, "mine") as (store, ear):
        store.subscribe(["a"])
        await ear.hears("subscribed")
        await publish(store, "a", "1")
        await ask(store.lease, "", 60)
        await ask(store.come, "a", "node1/s", "")
        await ask(store.release)
        await ask(store.claim, "s", 60)
        await ask(store.sweep, "node1")
    assert ear.of("lost") == []


FORBIDDEN = {
    "keys": ("~sb:other:*", "&sb:mine:*", "+@all"),
    "channels": ("~sb:mine:*", "&sb:other:*", "+@all"),
    **{name: ("~*", "&*", *(each for each in ALLOWED if each != name)) for name in ALLOWED},
}


@pytest.mark.parametrize("missing", FORBIDDEN)
async def test_a_user_who_may_not(shared: RedisServer, missing: str) -> None:
    url = await user(shared, *FORBIDDEN[missing])
    await refused(url, "forbids something to this user: it needs the keys", name="mine")


async def test_scripts_are_not_allowed(server: Start) -> None:
    redis = server("--rename-command", "EVALSHA", "", "--rename-command", "SCRIPT", "")
    await refused(redis.url, "lacks a command: rename-command")


async def test_out_of_memory(server: Start) -> None:
    redis = server("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    await refused(redis.url, "is out of memory: raise its maxmemory")


async def test_a_policy_that_drops_keys_is_warned_of(server: Start, caplog: Any) -> None:
    redis = server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    async with started(redis.url, fresh()):
        pass
    assert "drops keys when its memory is full (maxmemory-policy allkeys-lru)" in caplog.text


async def test_no_warning_where_all_is_well(shared: RedisServer, caplog: Any) -> None:
    async with started(shared.url, fresh()):
        pass
    assert caplog.text == ""


async def test_a_replica(server: Start, redis: RedisServer) -> None:
    replica = server("--replicaof", f"127.0.0.1 {redis.port}")
    await refused(replica.url, "read-only replica: name the primary")


async def test_a_redis_cluster(server: Start) -> None:
    # By itself its bus takes a port that the system may have given to a connection.
    redis = server("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    await refused(redis.url, "is a Redis Cluster: a single server")


@pytest.mark.parametrize(
    ("version", "why"), [("6.2.14", "too old, 6.2.14: Redis 7.0"), ("5.0", "too old"), ("", "old")]
)
def test_a_version_that_is_too_old(version: str, why: str) -> None:
    found = facts(f"# Server\r\nredis_version:{version}\r\nrole:master\r\n".encode())
    with pytest.raises(StoreError, match=why):
        check(parse("redis://host"), found)


def test_versions_that_will_do() -> None:
    for version in ("7.0.0", "7.2.4", "8.0.0"):
        check(parse("redis://host"), facts(f"redis_version:{version}\r\nrole:master".encode()))


async def test_keys_of_something_else(shared: RedisServer) -> None:
    name = fresh()
    async with started(shared.url, fresh()) as (store, _):
        await raw(store, "SET", f"sb:{name}:is", "mine")
        await refused(shared.url, "keys of something else below sb:.*cluster_name", name=name)
        await raw(store, "DEL", f"sb:{name}:is")
        await raw(store, "HSET", f"sb:{name}:is", "field", "mine")
        await refused(shared.url, "keys of something else", name=name)


async def test_another_application_of_the_same_name(shared: RedisServer) -> None:
    name = fresh()
    async with started(shared.url, name, application="shop") as (store, _):
        await ask(store.lease, "", 60)
        why = "processes of another application below .*of shop.*cluster_name"
        await refused(shared.url, why, name=name, node="node2", application="blog")
        async with started(shared.url, name, "node3", application="shop"):
            pass
        # Who says nothing is welcome, and changes nothing.
        async with started(shared.url, name, "node4"):
            pass
        await refused(shared.url, why, name=name, node="node2", application="blog")
        await ask(store.release)
        # Nobody of it lives.
        async with started(shared.url, name, "node2", application="blog") as (other, _):
            assert other.secret == store.secret


async def test_another_version_of_the_keys(shared: RedisServer) -> None:
    name = fresh()
    async with started(shared.url, name) as (store, _):
        await ask(store.lease, "", 60)
        await raw(store, "HSET", store._keys.marker, "format", "sockjs-bridge 2")
        await refused(shared.url, "keys of sockjs-bridge 2", name=name, node="node2")


async def test_the_dead_of_before_are_forgotten(
    shared: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BURIED", 0.01)
    name = fresh()
    async with started(shared.url, name, "dead") as (store, _):
        await ask(store.lease, "", 0.05)
        await ask(store.come, "a", "dead/s", "")
        while await ask(store.leases):
            await asyncio.sleep(0.01)
    async with started(shared.url, name) as (store, _):
        keys = store._keys
        while await raw(store, "EXISTS", keys.members("a"), keys.node_members("dead")):
            await asyncio.sleep(0.01)
        assert await raw(store, "SMEMBERS", store._keys.nodes) == []


async def test_sentinel(server: Start, tmp_path: Path) -> None:
    async with sentinel(tmp_path, server()) as url:
        await refused(url.replace("+sentinel", ""), "is a Sentinel: write redis.sentinel://")
        await refused(f"{url}/other", "No master found for 'other'")
        # The first one cannot be reached.
        several = url.replace("//", f"//127.0.0.1:{free_port()},")
        name = fresh()
        async with started(f"{several}/main", name) as (store, ear):
            assert (await publish(store, "a", "1")).number == 1
            store.subscribe(["a"])
            await ear.hears("subscribed")
            await asyncio.to_thread(outside, f"{several}/main", "a", "2", name=name)
            assert await ear.hears("heard") == [("a", None, Entry("2"))]


async def test_tls(server: Start, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    port = free_port()
    redis = server(
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(certificate)),
    )
    url, name = f"rediss://127.0.0.1:{port}", fresh()
    await refused(url, "cannot be reached.*certificate verify failed")
    await refused(f"rediss://127.0.0.1:{redis.port}", "does not answer.* is TLS .rediss://. used")
    await refused(f"redis://127.0.0.1:{port}", "cannot be reached|does not answer")
    for options in (f"ssl_ca_certs={certificate}", "ssl_cert_reqs=none"):
        async with started(f"{url}?{options}", name) as (store, ear):
            store.subscribe(["a"])
            await ear.hears("subscribed")
            await asyncio.to_thread(outside, f"{url}?{options}", "a", options, name=name)
            assert await ear.hears("heard") == [("a", None, Entry(options))]


async def test_a_unix_socket(redis: RedisServer) -> None:
    async with started(redis.unix_url, fresh()) as (store, _):
        assert (await publish(store, "a", "1")).number == 1


def test_the_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    with pytest.raises(StoreError, match="is no URL of a store"):
        make_store("host", "default", clock)
    with pytest.raises(StoreError, match="cannot be called"):
        make_store("redis://host", "a:b", clock)
    one, other = (make_store("memory://", name, clock) for name in ("one", "other"))
    assert isinstance(one, MemoryStore)
    assert isinstance(other, MemoryStore)
    assert one.secret != other.secret
    assert one.secret == make_store("memory://", "one", clock).secret
    rooms = [("*", Bounds(1, 2))]
    made = make_store("redis://host", "default", clock, application="shop", rooms=rooms)
    assert isinstance(made, RedisStore)
    monkeypatch.setitem(sys.modules, "sockjs_bridge.cluster.redisstore.store", None)
    with pytest.raises(StoreError, match=r"pip install sockjs-bridge\[cluster\]"):
        make_store("redis://host", "default", clock)


async def test_a_store_that_was_never_started_stops() -> None:
    await RedisStore(parse("redis://host"), "default").stop()
    store = make_store("memory://", "stopped", LoopClock(asyncio.get_running_loop()))
    await store.stop()


def test_bounds_are_noted_for_scripts() -> None:
    store = RedisStore(parse("redis://host"), "default", rooms=[("news*", BOUNDS)])
    assert store._rooms == '[["news*", 5, 60]]'
