"""The chat on a real server, and people who talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from argon2 import PasswordHasher
from sqlalchemy.engine import make_url
from yarl import URL

from pyramid_chat import accounts, conversation, main, passwords, people
from pyramid_chat.database import Database
from pyramid_chat.live import Live
from sockjs_bridge.client import TRANSPORTS, Connection, connect
from sockjs_bridge.testing import serve
from tests.cluster.redisserver import RedisServer
from tests.pyramid_chat.postgresql import Cluster

PATIENCE = 40.0
"""Seconds after which a test gives up waiting for what must happen."""
PASSWORD = "correct horse"
MEMORY = Path("/dev/shm")
LOBBY = 1
"""The room that there is at first."""

_keys = (f"key-{number}" for number in itertools.count())

each_transport = pytest.mark.parametrize(
    ("transport", "database_url"),
    [
        *((transport, "sqlite") for transport in TRANSPORTS),
        ("websocket", "postgresql"),
        ("xhr-polling", "postgresql"),
    ],
    indirect=["database_url"],
)
both_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def any_transport(test: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a test that is not about the transport: by one of them, each test by the next one."""
    return pytest.mark.turns("transport", "database_url")(each_transport(test))


def either_database(test: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a test that is not about the database: on one of them, each test on the next one."""
    return pytest.mark.turns("database_url")(both_databases(test))


class Person:
    """One connection of somebody."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.welcome: dict[str, Any] = {}
        self._waiting: list[dict[str, Any]] = []
        self._pings = itertools.count(1)

    @property
    def id(self) -> int:
        """Of the user."""
        return self.welcome["user"]["id"]

    async def tell(self, request: dict[str, Any] | str) -> None:
        """Send a request; a string goes out as it is."""
        await self.connection.send(request if isinstance(request, str) else json.dumps(request))

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.connection.recv())

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """Wait for the next event, or for the next one of some kinds; others are kept."""
        for index, event in enumerate(self._waiting):
            if not kinds or event["type"] in kinds:
                return self._waiting.pop(index)
        while True:
            event = await self._next()
            if not kinds or event["type"] in kinds:
                return event
            self._waiting.append(event)

    async def ask(self, kind: str, *answers: str, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        await self.tell({"type": kind, **fields})
        return await self.hear(*(answers or (kind,)), "error")

    async def say(
        self, text: str, room: int = LOBBY, key: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Send a message, with more fields, and wait until it is confirmed or refused."""
        key = key or next(_keys)
        await self.tell({"type": "message", "room": room, "key": key, "text": text, **more})
        while True:
            event = await self.hear("message", "error")
            if (event.get("key"), event.get("room")) == (key, room):
                return event

    async def heard(self) -> list[dict[str, Any]]:
        """Everything that was heard so far and not waited for."""
        number = next(self._pings)
        await self.tell({"type": "ping", "n": number})
        while (event := await self._next()) != {"type": "pong", "n": number}:
            self._waiting.append(event)
        heard, self._waiting = self._waiting, []
        return heard


class Browser:
    """Somebody's browser: cookies, and the CSRF token of the page."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self.token = ""

    @property
    def cookie(self) -> str:
        """The header."""
        return "; ".join(f"{item.key}={item.value}" for item in self.http.cookie_jar)

    async def get(self, path: str | URL, **options: Any) -> tuple[int, Any]:
        """Return status and body of a page; a URL is taken as it is."""
        url = path if isinstance(path, URL) else self.url + path
        async with self.http.get(url, allow_redirects=False, **options) as response:
            return response.status, await _body(response)

    async def post(self, path: str, **fields: str) -> tuple[int, Any]:
        """Return status and body of the answer to a form."""
        data = {"csrf_token": self.token, **fields}
        async with self.http.post(self.url + path, data=data, allow_redirects=False) as response:
            return response.status, await _body(response)

    async def submit(self, path: str, **fields: str) -> aiohttp.ClientResponse:
        """Load a form, send it, and return the answer."""
        async with self.http.get(self.url + path) as response:
            assert response.status == 200
            token = re.search(r'name="csrf_token" value="([^"]+)"', await response.text())[1]
        data = {"csrf_token": token, **fields}
        response = await self.http.post(self.url + path, data=data, allow_redirects=False)
        await response.read()
        if response.status == 303 and not response.headers["Location"].endswith("/sign-in"):
            _, page = await self.get("/chat")
            self.token = re.search(r'data-csrf="([^"]+)"', page)[1]
        return response

    async def sign_in(self, name: str, password: str = PASSWORD) -> aiohttp.ClientResponse:
        """Sign somebody in."""
        return await self.submit("/sign-in", name=name, password=password)

    @contextlib.asynccontextmanager
    async def connect(
        self, transport: str = "websocket", url: str = "", **options: Any
    ) -> AsyncIterator[Person]:
        """Connect as the page does, here or to another URL, and take the welcome."""
        async with connect(
            url or f"{self.url}/chat",
            transport=transport,
            headers={"Cookie": self.cookie},
            **options,
        ) as connection:
            person = Person(connection)
            person.welcome = await person.hear()
            assert person.welcome["type"] == "welcome"
            yield person


async def _body(response: aiohttp.ClientResponse) -> Any:
    if response.content_type == "application/json":
        return await response.json()
    return await response.text()


class Chat:
    """A chat that is served."""

    def __init__(self, url: str, app: Any) -> None:
        self.url = url
        self.app = app
        self.database: Database = app.registry.chat_database
        self.live: Live = app.registry.chat_live

    def add_user(self, name: str) -> int:
        """Make an account; its owner is in the Lobby."""
        with self.database.writing() as session, session.begin():
            return people.add(session, name, passwords.hashed(PASSWORD)).id

    def add_messages(self, author: int, count: int, room: int = LOBBY, text: str = "") -> None:
        """Write messages straight into the database."""
        with self.database.writing() as session, session.begin():
            for _ in range(count):
                version = conversation.next_version(session, room)
                key = f"old-{room}-{version}"
                conversation.add(session, room, version, author, key, text or f"{version}")

    @contextlib.asynccontextmanager
    async def browser(self, name: str | None = None) -> AsyncIterator[Browser]:
        """Open a browser, in which somebody is signed in; they get an account if need be."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            browser = Browser(self.url, http)
            if name is not None:
                with self.database.session() as session:
                    known = people.find(session, name) is not None
                if not known:
                    self.add_user(name)
                assert (await browser.sign_in(name)).status == 303
            yield browser

    @contextlib.asynccontextmanager
    async def visit(self, name: str, transport: str = "websocket") -> AsyncIterator[Person]:
        """Sign in and connect."""
        async with self.browser(name) as browser, browser.connect(transport) as person:
            yield person


Start = Callable[..., AbstractAsyncContextManager[Chat]]


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real hashes, with the least that argon2 can do."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", hasher)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL."""
    if os.environ.get("SOCKJS_SKIP_POSTGRESQL") == "1":
        pytest.skip("SOCKJS_SKIP_POSTGRESQL is set")
    cluster = Cluster()
    yield cluster
    cluster.destroy()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """What the processes share beside the database."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    yield server
    server.end()
    print(server.log)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of its own: SQLite's, where a test does not ask for another one."""
    if getattr(request, "param", "sqlite") != "sqlite":
        cluster: Cluster = request.getfixturevalue("cluster")
        yield cluster.url(cluster.create())
        return
    # In memory where that can be had: a disk takes its time for what is to survive a power cut.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as folder:
        yield f"sqlite:///{folder}/chat.sqlite"


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of SQLite that has its tables, and nothing in them: making them takes long."""
    path = tmp_path_factory.mktemp("tables") / "chat.sqlite"
    database = Database(make_url(f"sqlite:///{path}"), timeout=10)
    database.start(migrate=True)
    database.engine.dispose()
    return path


@pytest.fixture
def start(database_url: str, tables: Path, tmp_path: Path) -> Start:
    """Starts a chat: ``with start(**settings) as chat``; again, with the same database."""
    if (url := make_url(database_url)).get_backend_name() == "sqlite":
        shutil.copy(tables, str(url.database))

    @contextlib.contextmanager
    def start(**settings: Any) -> Iterator[Chat]:
        named = {key.replace("__", "."): value for key, value in settings.items()}
        app = main(
            {"here": str(tmp_path)},
            **{
                "sqlalchemy.url": database_url,
                # jsonp, which serves other origins, is on as well.
                "sockjs.allowed_origins": "https://other.example",
                "chat.database_timeout": "10",
                "chat.messages_per_minute": "100000",
                "chat.message_burst": "1000",
                **named,
            },
        )
        try:
            with serve(app) as url:
                yield Chat(url, app)
        finally:
            app.registry.chat_database.engine.dispose()

    return start


@pytest.fixture
def chat(start: Start) -> Iterator[Chat]:
    """A chat."""
    with start() as chat:
        yield chat


@pytest.fixture
async def admin(chat: Chat) -> AsyncIterator[Browser]:
    """The browser of an administrator."""
    chat.add_user("Root")
    with chat.database.writing() as session, session.begin():
        accounts.set_admin(session, people.find(session, "Root"), True)
    async with chat.browser("Root") as browser:
        yield browser
