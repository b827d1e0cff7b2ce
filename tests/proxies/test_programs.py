"""The real proxies pass on what they should, and the files of docs/deploy are right."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiohttp
import pytest
from pyramid.config import Configurator

from sockjs_bridge.client import ConnectionClosed, HandshakeError, connect
from sockjs_bridge.testing import serve
from tests.integration.support import until
from tests.proxies.programs import Apache, Caddy, HAProxy, Nginx, Program, Squid, adapted

pytestmark = pytest.mark.integration

HTTP = ["xhr-streaming", "eventsource", "htmlfile", "xhr-polling"]
SITES = ["nginx-websocket.conf", "nginx-plain.conf"]


async def echo(request) -> None:
    """Say where the client is and what it asked for, then what is said."""
    request.websocket.send(f"{request.client_addr} {request.host_url}")
    async for message in request.websocket:
        request.websocket.send(message)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An echo that trusts the proxy before it, and has the heartbeat of production.ini."""
    with Configurator(settings={"sockjs.heartbeat_delay": "5"}) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("echo", "/echo")
        config.add_view(echo, route_name="echo", websocket=True)
        app = config.make_wsgi_app()
    trusted = {
        "trusted_proxy": "127.0.0.1",
        "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto",
    }
    with serve(app, **trusted) as url:
        yield url


@asynccontextmanager
async def browser(proxy: Program) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that knows the proxy's certificate."""
    sockets: list[socket.socket] = []

    def connected(address: aiohttp.AddrInfoType) -> socket.socket:
        sockets.append(socket.socket(*address[:3]))
        sockets[-1].setblocking(False)
        return sockets[-1]

    context = ssl.create_default_context(cafile=str(proxy.folder / "certificate.pem"))
    connector = aiohttp.TCPConnector(ssl=context, socket_factory=connected)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield http
    # Not every proxy answers when TLS is closed; nobody waits for that.
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    await until(lambda: all(each.fileno() < 0 for each in sockets))


async def talk(proxy: Program, transport: str) -> None:
    """Have messages go there and back, from a page of the proxy's own origin."""
    async with (
        browser(proxy) as http,
        connect(
            f"{proxy.url}/echo",
            transport=transport,
            session=http,
            # Forged ones must not count.
            headers={"Origin": proxy.url, "X-Forwarded-For": "192.0.2.1"},
        ) as ws,
    ):
        assert await ws.recv() == f"127.0.0.1 {proxy.url}"
        for number in range(20):
            await asyncio.wait_for(ws.send(str(number)), 5)
            assert await asyncio.wait_for(ws.recv(), 5) == str(number)


async def refused_elsewhere(proxy: Program) -> None:
    """See that a page of another origin does not connect."""
    async with browser(proxy) as http:
        with pytest.raises(HandshakeError, match="403"):
            await connect(
                f"{proxy.url}/echo",
                transport="xhr-polling",
                session=http,
                headers={"Origin": "https://evil.example.com"},
            )


@pytest.mark.parametrize("transport", ["websocket", "raw-websocket", *HTTP])
async def test_nginx_with_upgrade(server: str, tmp_path: Path, transport: str) -> None:
    with Nginx(tmp_path, server, "nginx-websocket.conf") as proxy:
        await talk(proxy, transport)


@pytest.mark.parametrize("transport", HTTP)
async def test_nginx_without_upgrade(server: str, tmp_path: Path, transport: str) -> None:
    """Its default buffering does not hold up what is streamed."""
    with Nginx(tmp_path, server, "nginx-plain.conf") as proxy:
        await talk(proxy, transport)


async def test_nginx_without_upgrade_has_no_websockets(server: str, tmp_path: Path) -> None:
    with Nginx(tmp_path, server, "nginx-plain.conf") as proxy:
        async with browser(proxy) as http:
            with pytest.raises(HandshakeError, match=r"400|426"):
                await connect(f"{proxy.url}/echo", transport="websocket", session=http)


@pytest.mark.parametrize("site", SITES)
async def test_nginx_leads_to_https(server: str, tmp_path: Path, site: str) -> None:
    with Nginx(tmp_path, server, site) as proxy:
        async with (
            aiohttp.ClientSession() as http,
            http.get(
                f"http://127.0.0.1:{proxy.plain_port}/chat?a=b", allow_redirects=False
            ) as answer,
        ):
            assert answer.status == 301
            assert answer.headers["Location"] == "https://127.0.0.1/chat?a=b"


@pytest.mark.parametrize("site", SITES)
async def test_the_origin_counts_behind_nginx(server: str, tmp_path: Path, site: str) -> None:
    with Nginx(tmp_path, server, site) as proxy:
        await refused_elsewhere(proxy)


@pytest.mark.parametrize("transport", ["websocket", "raw-websocket", *HTTP])
async def test_haproxy(server: str, tmp_path: Path, transport: str) -> None:
    with HAProxy(tmp_path, server, 8) as proxy:
        await talk(proxy, transport)


@pytest.fixture(scope="module", params=[Apache, Caddy])
def plain_site(
    server: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Program]:
    """A proxy whose file says little; Apache takes seconds to end while a response is open."""
    with request.param(tmp_path_factory.mktemp("proxy"), server) as proxy:
        yield proxy


@pytest.mark.parametrize("transport", ["websocket", "raw-websocket", *HTTP])
async def test_apache_and_caddy(plain_site: Program, transport: str) -> None:
    await talk(plain_site, transport)


async def test_the_origin_counts_behind_apache_and_caddy(plain_site: Program) -> None:
    await refused_elsewhere(plain_site)


async def test_haproxy_cuts_what_is_idle(server: str, tmp_path: Path) -> None:
    """With less patience than the heartbeat has, so that the timeout itself is seen."""
    with HAProxy(tmp_path, server, 1) as proxy:
        async with (
            browser(proxy) as http,
            connect(f"{proxy.url}/echo", transport="websocket", session=http) as ws,
        ):
            await ws.recv()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(ws.recv(), 4)


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming"])
async def test_a_heartbeat_of_5_s_outlives_a_cut_at_8_s(
    server: str, tmp_path: Path, transport: str
) -> None:
    with HAProxy(tmp_path, server, 8) as proxy:
        async with (
            browser(proxy) as http,
            connect(f"{proxy.url}/echo", transport=transport, session=http) as ws,
        ):
            await ws.recv()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 10)
            await ws.send("still there")
            assert await asyncio.wait_for(ws.recv(), 2) == "still there"


@pytest.mark.parametrize("transport", HTTP)
async def test_squid_passes_http_on(server: str, tmp_path: Path, transport: str) -> None:
    with Squid(tmp_path) as proxy:
        async with (
            aiohttp.ClientSession(proxy=proxy.url) as http,
            connect(f"{server}/echo", transport=transport, session=http) as ws,
        ):
            await ws.recv()
            await ws.send("hello")
            assert await ws.recv() == "hello"
        assert f" POST {server}/echo/" in proxy.log() or f" GET {server}/echo/" in proxy.log()


async def test_squid_connects_to_443_only(server: str, tmp_path: Path) -> None:
    """Browsers ask for a tunnel before they ask for a WebSocket."""
    with Squid(tmp_path) as proxy:
        # Nobody may listen at 443 here: Squid tries, and says what came of it.
        for target, refused in ((server.partition("//")[2], True), ("127.0.0.1:443", False)):
            with closing(socket.create_connection(("127.0.0.1", proxy.port), 10)) as client:
                client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
                assert (client.recv(100).split(b" ")[1] == b"403") is refused


@pytest.mark.parametrize(
    ("name", "started"),
    [
        ("pyramid-chat.service", ("pserve", "pyramid-chat")),
        ("pyramid-chat@.service", ("pserve",)),
        ("pyramid-chat-gunicorn.service", ("gunicorn", "pyramid-chat")),
    ],
)
def test_the_unit_is_understood(tmp_path: Path, name: str, started: tuple[str, ...]) -> None:
    """systemd knows every line of it, and calls it well protected."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / name.replace("@", "@1")
    programs = [f"/opt/pyramid-chat/bin/{program}" for program in started]
    unit.write_text(adapted(name, dict.fromkeys(programs, "/bin/true")))
    for command in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=20"]):
        checked = subprocess.run([analyze, *command, unit], capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")
