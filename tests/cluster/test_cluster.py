"""What the settings of a cluster come to, and how a process begins its part in one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from sockjs_bridge.client import connect
from sockjs_bridge.cluster.cluster import Cluster
from sockjs_bridge.cluster.links import Links
from sockjs_bridge.cluster.memorystore import MemoryStore
from sockjs_bridge.core.presences import KIND
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.signals import GONE
from sockjs_bridge.endpoint.homes import Process
from sockjs_bridge.ini import SettingError
from sockjs_bridge.server.loop import LoopClock
from tests.cluster.application import main
from tests.cluster.inprocess import Node, nodes
from tests.pyramid.support import HandWorkers
from tests.server.support import PATIENCE, until


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cluster", "http://redis", "redis://"),
        ("cluster", "redis", "redis://"),
        ("cluster_name", "", "1 to 64"),
        ("cluster_name", "a b", "1 to 64"),
        ("cluster_listen", "7000", "10.0.0.5:7000"),
        ("cluster_listen", "host:port", "10.0.0.5:7000"),
        ("cluster_listen", "host:70000", "10.0.0.5:7000"),
        ("cluster_listen", "0.0.0.0:7000", "by which other processes reach it"),
        ("cluster_listen", "[::]:7000", "by which other processes reach it"),
        ("cluster_secret", "short", "16 characters or more"),
        ("cluster_lease", "0", "from 1 to 60"),
        ("drain", "-1", "from 0"),
    ],
)
def test_settings_that_cannot_be(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as raised:
        Settings().override({name: value}, "sockjs.")
    assert f"sockjs.{name}" in str(raised.value)


def test_settings() -> None:
    given = {
        "cluster": " redis://localhost ",
        "cluster_name": "chat",
        "cluster_listen": "[::1]:0",
        "cluster_secret": "x" * 16,
        "cluster_lease": "2",
        "drain": "10",
    }
    settings = Settings().override(given)
    assert settings.cluster == "redis://localhost"
    assert (settings.cluster_name, settings.cluster_listen) == ("chat", "[::1]:0")
    assert (settings.cluster_lease, settings.drain) == (2.0, 10.0)
    assert Settings().override({"drain": "", "cluster": "", "cluster_listen": ""}) == Settings()


def test_no_secret_is_shown() -> None:
    given = {
        "cluster": "redis://:password@localhost",
        "cluster_secret": "the secret of all of them",
    }
    shown = repr(Settings().override(given))
    assert "password" not in shown
    assert "the secret of all of them" not in shown
    for name, value in (("cluster_secret", "too short"), ("cluster", "nonsense:password")):
        with pytest.raises(SettingError) as raised:
            Settings().override({name: value})
        assert value not in str(raised.value)


def test_links_to_other_hosts_need_a_secret() -> None:
    settings = {"sockjs.cluster": "memory://", "sockjs.cluster_listen": "127.0.0.1:0"}
    with pytest.raises(ConfigurationError, match=r"needs sockjs\.cluster_secret"):
        main(None, **settings)


@pytest.mark.parametrize("name", ["cluster", "cluster_secret", "cluster_listen", "drain"])
def test_it_is_the_whole_process_s(name: str) -> None:
    with Configurator() as config:
        config.include("sockjs_bridge")
        with pytest.raises(ConfigurationError, match="holds for the whole process"):
            config.add_sockjs_route("echo", "/echo", **{name: "memory://"})


def test_one_process_alone_imports_nothing_of_it() -> None:
    """Not where the application declares no history, and the server runs."""
    program = (
        "import sys, warnings; warnings.simplefilter('ignore');"
        "from pyramid.config import Configurator;"
        "from sockjs_bridge.testing import serve;"
        "config = Configurator(); config.include('sockjs_bridge');"
        "config.add_sockjs_route('echo', '/echo'); app = config.make_wsgi_app();"
        "import contextlib;\n"
        "with serve(app): pass\n"
        "print([name for name in sys.modules if name.startswith('sockjs_bridge.cluster')"
        " or name.startswith('sockjs_bridge.server.rela') or name.startswith('redis')])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


async def test_start_that_cannot_be() -> None:
    settings = {"sockjs.cluster": "redis://127.0.0.1:1", "sockjs.cluster_name": "test"}
    node = Node(main(None, **settings))
    with pytest.raises(SystemExit, match=r"sockjs\.cluster: "):
        await node.start()


async def test_link_that_cannot_be() -> None:
    """One sentence here as well."""
    settings: dict[str, Any] = {
        "sockjs.cluster_listen": "192.0.2.1:7000",
        "sockjs.cluster_secret": "x" * 16,
    }
    with pytest.raises(SystemExit, match=r"sockjs\.cluster_listen: .* at 192\.0\.2\.1:7000: "):
        async with nodes(1, **settings):
            pass


async def test_lease_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store was reached, and is gone when the process says that it lives."""
    lease = MemoryStore.lease

    def lost(self: MemoryStore, *arguments: Any) -> None:
        self.fail()
        lease(self, *arguments)

    monkeypatch.setattr(MemoryStore, "lease", lost)
    with pytest.raises(SystemExit, match=r"sockjs\.cluster: .*cannot be reached"):
        async with nodes(1):
            pass


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Cluster, Any]]:
    """Yields a process's part in a cluster, and its endpoints: nobody serves the application."""
    app = main(None, **{"sockjs.cluster": "memory://", "sockjs.cluster_name": "joined"})
    endpoints = app.registry.sockjs.endpoints
    cluster = endpoints.cluster
    assert isinstance(cluster, Cluster)
    clock = LoopClock(asyncio.get_running_loop())
    await cluster.start(clock)
    endpoints.signals.start(clock)
    try:
        yield cluster, endpoints
    finally:
        await cluster.stop()


async def test_what_comes_before_the_application_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with joined() as (cluster, endpoints):
        heard: list[object] = []
        endpoints.signals.on("test", heard.append)
        endpoints.signals.say("test", 1)
        await until(lambda: heard)
        cluster._store.fail()
        await until(lambda: "cannot be reached" in caplog.text)
        # Its rooms know that nothing comes yet.
        endpoints.start(cluster._clock, HandWorkers())
        assert cluster._rooms is not None and not cluster._rooms._reachable
        cluster._store.recover()
        await until(lambda: cluster._rooms is not None and cluster._rooms._reachable)
        await until(lambda: "can be reached again" in caplog.text)
        endpoints.hub.finish()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_link_that_ends_before_the_application_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with joined() as (cluster, _):
        await cluster.serve(lambda stream, addresses: pytest.fail("opened"))
        other = Links("dials1", "", "joined")
        link = await other.link(cluster.node, cluster._address)
        answers: list[bool | None] = []
        link.ask(answers.append)
        await until(lambda: answers)
        # Who takes no part yet cannot say who reaches the store.
        assert answers == [False]
        other.close()
        await until(lambda: not cluster._links._accepted and not cluster._links._strangers)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_start_that_is_given_up_while_the_lease_is_asked_for() -> None:
    failed: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: failed.append(context))
    async with joined() as (cluster, _):
        leases: list[Callable[[], object]] = []
        lease = cluster._store.lease
        cluster._store.lease = lambda *arguments: leases.append(  # type: ignore[method-assign]
            lambda: lease(*arguments)
        )
        serving = asyncio.ensure_future(cluster.serve(lambda stream, addresses: pytest.fail("")))
        await until(lambda: leases)
        serving.cancel()
        leases[0]()
        with pytest.raises(asyncio.CancelledError):
            await serving
        answered: list[object] = []
        cluster._store.leases(answered.append)
        await until(lambda: answered)
    assert failed == []


async def test_process_that_ends_has_asked_nobody() -> None:
    async with nodes(2) as (one, other):
        answers: list[bool | None] = []
        one.cluster._ask(other.cluster.node, answers.append)
        [task] = one.cluster._tasks
        await one.cluster.stop()
        await until(task.done)
        assert task.cancelled() and answers == []


async def test_rooms_reach_over_processes() -> None:
    async with nodes(2) as (one, other), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                connect(f"http://127.0.0.1:{node.port}/rooms", **options)
            )
            for node in (one, other)
            for options in ({"transport": "websocket"}, {"resume": True})
        ]
        for client in clients:
            await client.send("join kept")
            assert await client.recv() == "join kept"
        await clients[0].send("say kept to all of you")
        for client in clients[1:]:
            assert await client.recv() == "kept to all of you"
        heard = {await clients[0].recv(), await clients[0].recv()}
        assert heard == {"say 2", "kept to all of you"}
        heard_here: list[object] = []
        other.app.registry.sockjs.endpoints.signals.on("test", heard_here.append)
        one.app.registry.sockjs.endpoints.signals.say("test", [1, 2])
        await until(lambda: heard_here)
        assert heard_here == [[1, 2]]


async def test_processes_know_each_other() -> None:
    async with nodes(3) as (one, other, third):
        await until(lambda: len(one.cluster._nodes.others) == 2)
        await third.stop()
        await until(lambda: [*one.cluster._nodes.others] == [other.cluster.node])
        answers: list[bool | None] = []
        one.cluster._ask(other.cluster.node, answers.append)
        one.cluster._ask("gone1", answers.append)
        await until(lambda: len(answers) == 2)
        assert None in answers
        listed = one.cluster.processes()
        assert listed == [
            Process(one.cluster.node, 0, False, own=True),
            Process(other.cluster.node, 0, False),
        ]


async def test_process_that_serves_nothing_yet_lists_itself() -> None:
    async with joined() as (cluster, _):
        assert cluster.processes() == [Process(cluster.node, 0, False, own=True)]


async def test_what_a_dead_process_has_left_is_told() -> None:
    """Here alone as a whole; everywhere, that members of rooms are gone."""
    async with nodes(2) as (one, other):
        here, there = (node.app.registry.sockjs.endpoints.signals for node in (one, other))
        left: list[object] = []
        gone: list[object] = []
        for signals in (here, there):
            signals.on(GONE, left.append)
        there.on(KIND, gone.append)
        members = [("room", "dead/1", '["ann",1.5,{},true]')]
        one.cluster.swept("dead", members)
        await until(lambda: left and gone)
        assert left == [members]
        assert gone == [["room", "dead/1", '["ann",1.5,{},true]', False]]


async def test_process_that_was_taken_for_dead_ends_its_resumable_sessions(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with nodes(2) as (one, _):
        url = f"http://127.0.0.1:{one.port}/echo"
        lost = asyncio.Event()
        async with connect(
            url, resume=True, on_event=lambda event: lost.set() if event.name == "lost" else None
        ) as client:
            one.cluster.fenced(fenced=True)
            assert one.app.registry.sockjs.endpoints.readiness.reasons == ("fenced",)
            one.cluster.fenced(fenced=False)
            assert one.app.registry.sockjs.endpoints.readiness.reasons == ()
            told: list[bool] = []
            monitor = one.app.registry.sockjs.endpoints.monitor
            monkeypatch.setattr(type(monitor), "degraded", lambda self, on: told.append(on))
            for degraded in (True, False):
                one.cluster.degraded(degraded=degraded)
            assert told == [True, False]
            assert caplog.text.count("no process reaches what they share") == 1
            ended = asyncio.Event()
            one.cluster.lapsed(ended.set)
            await asyncio.wait_for(ended.wait(), PATIENCE)
            await asyncio.wait_for(lost.wait(), PATIENCE)
            await client.send("again")
            assert await client.recv() == "again"
        assert "others have taken this process for dead" in caplog.text


async def test_store_that_is_away_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes(2) as (one, _):
        missed: list[None] = []
        signals = one.app.registry.sockjs.endpoints.signals
        signals.on_missed(lambda: missed.append(None))
        heard: list[object] = []
        signals.on("test", heard.append)
        one.cluster._store.fail()
        await until(lambda: "cannot be reached" in caplog.text)
        signals.say("test", 1)
        # By itself, at least.
        await until(lambda: heard)
        assert (await one.ask("POST", "/echo/000/abc/xhr")).status == 503
        one.cluster._store.recover()
        await until(lambda: missed)
        await until(lambda: "can be reached again" in caplog.text)
        assert (await one.ask("POST", "/echo/000/abc/xhr")).status == 200


async def test_application_behind_other_wsgi_code_joins_with_its_first_request() -> None:
    async with nodes(2, behind) as (home, front):
        assert (await home.ask("POST", "/echo/000/abc/xhr")).body == b"o\n"
        # Two requests show the application at once: it joins once.
        await asyncio.gather(*(front.ask("GET", "/echo/info") for _ in range(2)))
        assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status == 204
        assert (await home.ask("POST", "/echo/000/abc/xhr")).body == b'a["x"]\n'


async def test_application_behind_other_wsgi_code_that_cannot_join(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = {"sockjs.cluster": "redis://127.0.0.1:1"}
    async with nodes(1, behind, **settings) as (node,):
        for _ in range(2):
            assert (await node.ask("POST", "/echo/000/abc/xhr")).status == 404
        assert "sockjs.cluster: " in caplog.text


def behind(config: None, **settings: str) -> Callable[..., Any]:
    """Returns the application within a filter, which hides it."""
    app = main(config, **settings)
    return lambda environ, start_response: app(environ, start_response)


async def test_relayed_over_tcp() -> None:
    settings = {"sockjs.cluster_listen": "127.0.0.1:0", "sockjs.cluster_secret": "x" * 16}
    async with nodes(2, **settings) as (home, front):
        await home.ask("POST", "/echo/000/abc/xhr")
        assert (await front.ask("POST", "/echo/000/abc/xhr_send", b'["x"]')).status == 204
        assert (await front.ask("POST", "/echo/000/abc/xhr")).body == b'a["x"]\n'
