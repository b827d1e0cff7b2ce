"""The examples of the documentation do what the text around them says.

A block of Python with a caption is a module. If it has a ``main``, that makes the application.
Otherwise its views are scanned, and its ``includeme`` adds the routes; without one, each route that
the views name is a SockJS route of that name.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from pyramid.config import Configurator
from pyramid.request import Request

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import HandshakeError, connect
from sockjs_bridge.testing import serve
from tests.docs.blocks import Block, collect
from tests.integration.support import closing, connected, until
from tests.proxies.tcp import Proxy

BLOCKS = {block.key: block for block in collect()}
TRANSPORTS = ("websocket", "xhr-polling")


@dataclass(frozen=True)
class Site:
    """A served example.

    Attributes:
        url: of the server.
        transport: to connect over.
        module: the example.
        app: the application.
        log: what it logged.
    """

    url: str
    transport: str
    module: ModuleType
    app: Any
    log: pytest.LogCaptureFixture

    def connect(self, path: str, **options: Any) -> Any:
        """Connect to a route."""
        return connected(f"{self.url}/{path}", self.transport, **options)

    def visit(self, path: str) -> Any:
        """Connect to a route, and be gone at once at the end: a poll would be missed for 1 s."""
        return connected(f"{self.url}/{path}", "websocket")

    async def refused(self, path: str, **options: Any) -> int | None:
        """Return the status with which a connection is refused."""
        try:
            async with self.connect(path, **options) as ws:
                return (await closing(ws))[0] - 4000
        except HandshakeError as error:
            return error.status

    async def http(self, method: str, path: str, **options: Any) -> str:
        """Ask for a page."""
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.url}/{path}", **options) as response,
        ):
            text = await response.text()
            assert response.status == 200, text
            return text


Play = Callable[[Site], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Example:
    """A block of code, and what it does.

    Attributes:
        block: the code.
        play: what is to be seen of it.
        settings: of the application.
        configure: what else the application needs that the text does not show.
    """

    block: Block
    play: Play
    settings: dict[str, str] = field(default_factory=dict)
    configure: Callable[[Configurator], object] | None = None

    def application(self, module: ModuleType, folder: Path) -> Any:
        """Make the application."""
        settings = {key: value.format(here=folder) for key, value in self.settings.items()}
        if hasattr(module, "main"):
            return module.main({}, **settings)
        config = Configurator(settings=settings)
        config.include("sockjs_bridge")
        if self.configure is not None:
            self.configure(config)
        if hasattr(module, "includeme"):
            config.include(module.includeme)
        else:
            for name in dict.fromkeys(re.findall(r'route_name="(\w+)"', self.block.code)):
                config.add_sockjs_route(name, f"/{name}")
        config.scan(module)
        return config.make_wsgi_app()


EXAMPLES: list[Example] = []


def example(page: str, caption: str, **options: Any) -> Callable[[Play], Play]:
    """Say what a block of code does."""

    def add(play: Play) -> Play:
        EXAMPLES.append(Example(BLOCKS[page, caption], play, **options))
        return play

    return add


@example("api", "typed.py")
async def typed(site: Site) -> None:
    async with site.connect("chat") as one, site.connect("chat") as other:
        await one.send("hello")
        assert [await ws.recv() for ws in (one, other)] == ["hello", "hello"]


@example("metrics", "operated.py")
async def operated(site: Site) -> None:
    for name in ("live", "ready"):
        assert await site.http("GET", f"health/{name}") == f"{name}\n"
    async with site.connect("echo") as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
    opened = f'sockjs_sessions_opened_total{{transport="{site.transport}"}}'
    assert opened in await site.http("GET", "metrics")


@example("index", "echo.py")
@example("howto/blocking", "lines.py")
async def echo(site: Site) -> None:
    name = site.module.__name__.removeprefix("example_")
    async with site.connect(name) as ws:
        for message in ("hello", "äöü"):
            await ws.send(message)
            assert await ws.recv() == message


@example("howto/blocking", "lines.py")
async def lines(site: Site) -> None:
    async with site.connect("lines") as ws:
        await ws.send("delete everything")
        assert await closing(ws) == (4403, "Forbidden")
    assert not site.log.records


@example("howto/blocking", "everybody.py")
async def everybody(site: Site) -> None:
    async with site.connect("everybody") as ann, site.connect("everybody") as bob:
        await until(lambda: len(site.module.clients) == 2)
        await ann.send("hello")
        assert await ann.recv() == await bob.recv() == "hello"
        await bob.close()
        await ann.send("still here")
        assert await ann.recv() == "still here"


@example("howto/blocking", "presence.py")
async def presence(site: Site) -> None:
    async with site.connect("presence") as ann:
        await ann.send("Ann")
        await until(lambda: site.module.online == {"Ann"})
        async with site.visit("presence") as bob:
            await bob.send("Bob")
            await bob.send("who?")
            assert await bob.recv() == "Ann, Bob"
        await until(lambda: site.module.online == {"Ann"})


@example("howto/blocking", "clock.py")
async def clock(site: Site) -> None:
    async with site.connect("clock") as ws:
        for _ in range(2):
            assert re.fullmatch(r"\d\d:\d\d:\d\d", await ws.recv())


@example("howto/blocking", "export.py", settings={"sockjs.max_queue_size": "20000"})
@example("howto/async", "export.py", settings={"sockjs.max_queue_size": "20000"})
async def export(site: Site) -> None:
    async with site.connect("export") as ws:
        heard = [await ws.recv() for _ in range(10_001)]
        assert heard == [*(f"row {number}" for number in range(10_000)), "end"]
        assert await closing(ws) == (1000, "Normal closure")


@example("howto/blocking", "counter.py")
async def counter(site: Site) -> None:
    async with site.connect("counter") as ws:
        for count in ("1", "2"):
            await ws.send("x")
            assert await ws.recv() == count


@example("howto/one-view", "talk.py")
async def talk(site: Site) -> None:
    assert await site.http("GET", "talk") == "This is the page."
    async with site.connect("talk") as ann, site.connect("talk") as bob:
        await until(lambda: len(site.module.clients) == 2)
        await ann.send("hello")
        assert await bob.recv() == "hello"
        await bob.send("hello yourself")
        assert await ann.recv() == "hello yourself"


@example("howto/one-view", "apart.py")
async def apart(site: Site) -> None:
    assert await site.http("GET", "apart") == "This is the page."
    async with site.connect("apart") as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"


@example("howto/one-view", "documents.py")
async def documents(site: Site) -> None:
    async with site.connect("documents/1") as ws:
        assert await ws.recv() == "The first"
        await ws.send("hello")
        assert await ws.recv() == "The first: hello"
    assert await site.refused("documents/3") == 404


@example("howto/async", "ticker.py")
async def ticker(site: Site) -> None:
    async with site.connect("ticker") as ws:
        await ws.send("hello")
        assert await ws.recv() == "HELLO"


@example("howto/async", "slow.py", settings={"sockjs.debug": "true"})
async def slow(site: Site) -> None:
    async with site.connect("slow") as ws:
        await ws.send("bridge")
        assert await ws.recv() == "bridge is a word"


@example("howto/async", "both.py")
async def both(site: Site) -> None:
    async with site.connect("both") as ws:
        assert await ws.recv() == "tick"
        await ws.send("hello")
        heard = [await ws.recv() for _ in range(4)]
        assert "hello" in heard and "tick" in heard


@example("howto/session-class", "shout.py")
async def shout(site: Site) -> None:
    site.log.set_level(logging.INFO, site.module.__name__)
    async with site.connect("shout") as ws:
        assert await ws.recv() == "hello"
        await ws.send("quiet")
        assert await ws.recv() == "QUIET"
    await until(lambda: "1 messages, then 1" in site.log.text)


@example("howto/session-class", "club.py")
async def club(site: Site) -> None:
    async with site.connect("club?password=swordfish") as ws:
        assert await ws.recv() == "welcome"
    async with site.connect("club?password=herring") as ws:
        assert await closing(ws) == (4403, "Forbidden")


@example("howto/session-class", "places.py")
async def places(site: Site) -> None:
    for name in ("kitchen", "garden", "cellar"):
        async with site.connect(name) as ws:
            assert await ws.recv() == f"This is the {name}."


@example("howto/rooms", "lobby.py")
async def lobby(site: Site) -> None:
    async with site.connect("lobby") as ann:
        async with site.visit("lobby") as bob:
            sockjs = site.app.registry.sockjs
            await until(lambda: len(sockjs.members("lobby")) == 2)
            assert sockjs.rooms() == ["lobby"]
            await bob.send("hello")
            assert await ann.recv() == "hello"
            await ann.send("hello yourself")
            assert await bob.recv() == "hello yourself"
        assert await ann.recv() == "Someone left."


@example("howto/rooms", "vote.py")
async def vote(site: Site) -> None:
    async with site.connect("vote") as ann, site.connect("vote") as bob:
        await until(lambda: len(site.app.registry.sockjs.members("vote")) == 2)
        await ann.send("tea")
        assert await ann.recv() == "1 of 2 say tea"
        assert await bob.recv() == "1 of 2 say None"
        await bob.send("tea")
        assert await ann.recv() == await bob.recv() == "2 of 2 say tea"


@example(
    "howto/lose-nothing",
    "till.py",
    settings={"till.database": "{here}/till.db", "sockjs.disconnect_delay": "0.05"},
)
async def till(site: Site) -> None:
    async with aiohttp.ClientSession() as http, site.visit("till") as other:
        await until(lambda: site.app.registry.sockjs.members("tills"))

        def ask(session: str, transport: str, **fields: Any) -> Any:
            url = f"{site.url}/till/~r1/{session}/{transport}"
            return http.post(url, json={"key": "k" * 22, **fields})

        async def answer(stream: aiohttp.ClientResponse) -> Any:
            while not (line := await stream.content.readline()).startswith(b"a"):
                assert line
            return json.loads(line[1:])

        # The same message in a new session: it is there already.
        for session, repeated in (("a" * 22, 0), ("b" * 22, 1)):
            hello = {"new": True, "client": "c" * 22, "repeated": repeated}
            up = {"request": 1, "received": 0, "first": 1, "messages": ["tea"]}
            async with ask(session, "xhr_streaming", **hello, **up) as stream:
                assert await answer(stream) == ["1 sales"]
                async with ask(session, "xhr_send", received=1) as sent:
                    assert sent.status == 200
            assert await other.recv() == "A till is away."
        async with ask("a" * 22, "xhr_streaming", request=2, received=1) as stream:
            assert await other.recv() == "It is back."
            assert await answer(stream) == ["A till is away."]
            async with ask("a" * 22, "xhr_send", close=[1000, "Bye"]) as sent:
                assert sent.status == 200
            assert await other.recv() == "A till has closed."


@example("howto/sending", "orders.py")
async def orders(site: Site) -> None:
    async with site.connect("kitchen") as ws:
        await until(lambda: site.app.registry.sockjs.members("kitchen"))
        answer = await site.http("POST", "order", data={"dish": "soup"})
        assert json.loads(answer) == {"heard": 1}
        assert await ws.recv() == "soup"


class HeaderPolicy:
    """Believes the header ``X-User``."""

    def identity(self, request: Request) -> str | None:
        user: str | None = request.headers.get("X-User")
        return user

    authenticated_userid = identity

    def permits(self, request: Request, context: object, permission: str) -> bool:
        return self.identity(request) is not None


@example(
    "howto/sending",
    "users.py",
    configure=lambda config: config.set_security_policy(HeaderPolicy()),
)
async def users(site: Site) -> None:
    async with site.connect("notices", headers={"X-User": "ann"}) as ws:
        await until(lambda: site.app.registry.sockjs.members("user:ann"))
        assert await site.http("POST", "users/bob/praise") == "0"
        assert await site.http("POST", "users/ann/praise") == "1"
        assert await ws.recv() == "Well done!"
    assert await site.refused("notices") == 404


@example("howto/history", "notes.py")
async def notes(site: Site) -> None:
    everything = '{"all": ["Buy milk."]}'
    async with (
        Proxy(site.url) as proxy,
        site.connect("notes") as ann,
        connect(f"{proxy.url}/notes", resume=True, transport=site.transport) as bob,
    ):
        assert await ann.recv() == await bob.recv() == everything
        proxy.refuses = True
        for link in [*proxy.links]:
            link.reset()
        await until(lambda: len(site.app.registry.sockjs.members("notes-1")) == 1)
        await ann.send("Buy bread.")
        news = await ann.recv()
        proxy.refuses = False
        assert await bob.recv() == news == '{"number": 2, "new": "Buy bread."}'
        await bob.send("Done.")
        assert await bob.recv() == await ann.recv() == '{"number": 3, "new": "Done."}'


@example("howto/sending", "station.py")
async def station(site: Site) -> None:
    async with site.connect("load") as ws:
        assert re.fullmatch(r"load \d+\.\d\d", await ws.recv())


@example(
    "howto/transactions", "guestbook.py", settings={"sqlalchemy.url": "sqlite:///{here}/book.db"}
)
async def guestbook(site: Site) -> None:
    for number in (1, 2):
        async with site.connect("guestbook") as ws:
            await ws.send("I was here")
            assert await ws.recv() == f"{number} entries"


def with_ledger(config: Configurator) -> None:
    config.include("pyramid_tm")
    config.add_request_method(lambda request: config.registry.written, "ledger", property=True)
    config.registry.written = []


@example("howto/transactions", "ledger.py", configure=with_ledger)
@example(
    "howto/transactions",
    "ledger.py",
    configure=with_ledger,
    settings={"tm.manager_hook": "pyramid_tm.explicit_manager"},
)
async def ledger(site: Site) -> None:
    async with site.connect("ledger") as ws:
        for message in ("one", "two"):
            await ws.send(message)
            assert await ws.recv() == "written"
    assert site.app.registry.written == ["one", "two"]


@example("authentication", "members.py")
async def members(site: Site) -> None:
    policy = site.module.SecurityPolicy("a secret of this site")
    remembered = policy.remember(Request.blank("/", base_url=site.url), "ann")
    signed_in = {"Cookie": remembered[0][1].partition(";")[0]}
    assert await site.refused("members") == 403
    async with site.connect("members", headers=signed_in) as ws:
        assert await ws.recv() == "Welcome, ann"
        await ws.send("hello")
        assert await ws.recv() == "hello"
        assert await site.http("POST", "sign-out", headers=signed_in) == "Good bye"
        assert await closing(ws) == (4401, "Signed out")


@example("authentication", "tickets.py")
async def tickets(site: Site) -> None:
    token = {"Authorization": "Bearer 5e884898"}
    assert await site.refused("desk") == 403
    for wrong in ({"Authorization": "Bearer 12345678"}, {"Authorization": "Basic 5e884898"}):
        assert await site.refused("desk", headers=wrong) == 403
    answer = await site.http("POST", "ticket", headers=token)
    good = json.loads(answer)["ticket"]
    late = site.module.tickets.dumps(["ann", 0]).decode()
    assert await site.refused(f"desk?ticket={late}") == 403
    assert await site.refused(f"desk?ticket={good[1:]}") == 403
    for path, headers in (("desk", token), (f"desk?ticket={good}", {})):
        async with site.connect(path, headers=headers) as ws:
            await ws.send("hello")
            assert await ws.recv() == "ann: hello"


@example("authentication", "first.py")
async def first_message(site: Site) -> None:
    def token(user: str, seconds: float) -> str:
        signed: bytes = site.module.tokens.dumps([user, time.time() + seconds])
        return json.dumps({"token": signed.decode()})

    hello = json.dumps({"text": "hello"})
    refused = [
        [hello],
        [json.dumps({"token": "ann"})],
        [token("ann", -1), hello],
        [token("ann", 60), token("bob", 60)],
    ]
    for messages in refused:
        async with site.connect("first") as ws:
            for message in messages:
                await ws.send(message)
            assert await closing(ws) == (4401, "Unauthorized")
    async with site.connect("first") as ws:
        for message in (token("ann", -1), token("ann", 60), hello):
            await ws.send(message)
        assert await ws.recv() == "ann: hello"
        assert site.app.registry.sockjs.members("user:ann")


def views_of_endpoints(config: Configurator) -> None:
    for name in ("chat", "feed"):
        config.add_websocket_view(WebSocketSession, route_name=name)


@example("settings", "endpoints.py", configure=views_of_endpoints)
async def endpoints(site: Site) -> None:
    for name in ("chat", "feed"):
        assert await site.http("GET", name) == "Welcome to SockJS!\n"
    sockjs = site.app.registry.sockjs
    assert sockjs.endpoints["chat"].settings.heartbeat_delay == 10
    assert sockjs.endpoints["feed"].settings.transports == ("websocket", "xhr-polling")


@example("migration/pyramid-sockjs", "after.py")
async def from_pyramid_sockjs(site: Site) -> None:
    await someone(site, "__sockjs__")


@example("migration/sockjs", "after.py")
async def from_sockjs(site: Site) -> None:
    await someone(site, "chat")


async def someone(site: Site, path: str) -> None:
    async with site.connect(path) as ann:
        assert await ann.recv() == "Someone joined."
        async with site.visit(path) as bob:
            assert await ann.recv() == await bob.recv() == "Someone joined."
            await bob.send("hello")
            assert await ann.recv() == await bob.recv() == "hello"
        assert await ann.recv() == "Someone left."


@example(
    "migration/socketio",
    "after.py",
    configure=lambda config: config.set_security_policy(HeaderPolicy()),
)
async def from_socketio(site: Site) -> None:
    ann, bob = ({"X-User": name} for name in ("ann", "bob"))
    assert await site.refused("chat") == 404
    async with site.connect("chat", headers=ann) as one, site.connect("chat", headers=bob) as two:
        await one.send(json.dumps({"event": "join", "room": "tea"}))
        await until(lambda: site.app.registry.sockjs.members("tea"))
        await two.send(json.dumps({"event": "join", "room": "tea"}))
        assert json.loads(await one.recv()) == {"event": "joined", "name": "bob"}
        await two.send(json.dumps({"event": "say", "room": "tea", "text": "hello"}))
        for ws in (one, two):
            said = json.loads(await ws.recv())
            assert said == {"event": "said", "name": "bob", "text": "hello"}


@example(
    "migration/channels",
    "after.py",
    configure=lambda config: config.set_security_policy(HeaderPolicy()),
)
async def from_channels(site: Site) -> None:
    ann = {"X-User": "ann"}
    assert await site.refused("rooms/tea") == 404
    async with (
        site.connect("rooms/tea", headers=ann) as one,
        site.connect("rooms/tea", headers=ann) as two,
        site.connect("rooms/garden", headers=ann) as other,
    ):
        await until(lambda: len(site.app.registry.sockjs.members("tea")) == 2)
        await one.send("hello")
        assert [await ws.recv() for ws in (one, two)] == ["hello", "hello"]
        await other.send("quiet")
        assert await other.recv() == "quiet"


@example("migration/sockjs-tornado", "after.py")
async def from_sockjs_tornado(site: Site) -> None:
    async with site.connect("chat?name=Ann") as ann:
        await until(lambda: site.app.registry.sockjs.members("chat"))
        async with site.visit("chat?name=Bob") as bob:
            assert await ann.recv() == "Bob joined."
            await bob.send("hello")
            assert await ann.recv() == await bob.recv() == "Bob: hello"
        assert await ann.recv() == "Bob left."
    assert await site.refused("chat") == 404


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("example_"):
            del sys.modules[name]


def load(block: Block, folder: Path) -> ModuleType:
    """Import a block as a module."""
    path = folder / block.caption
    path.write_text(block.code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("shown", EXAMPLES, ids=lambda shown: "/".join(shown.block.key))
async def test_example(
    shown: Example,
    transport: str,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The example does what is said of it, and logs no warning."""
    # A busy machine takes a tenth of a second away from anybody.
    monkeypatch.setattr("sockjs_bridge.pyramid.debug.STANDSTILL", 2.0)
    module = load(shown.block, folder)
    app = shown.application(module, folder)
    with serve(app, shutdown_timeout=0.5) as url:
        await shown.play(Site(url, transport, module, app, caplog))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
