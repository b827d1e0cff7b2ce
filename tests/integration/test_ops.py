"""`sockjs_bridge.ops` in served applications: health and metrics over HTTP, beside all traffic."""

from __future__ import annotations

import asyncio
import http.client
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.multiprocess import mark_process_dead
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from sockjs_bridge import WebSocketSession
from sockjs_bridge.client import TRANSPORTS, ConnectionClosed, connect
from sockjs_bridge.ops.exposition import DIRECTORY
from sockjs_bridge.ops.sampler import Sampler
from sockjs_bridge.testing import serve
from tests.integration.metrics import scrape, scrape_until
from tests.integration.pserve import Pserve, python, running, write_ini
from tests.integration.support import PATIENCE, connected, get

pytestmark = pytest.mark.integration

#: Seconds for which the loop is held up.
HELD = 0.4


class Echo(WebSocketSession):
    """Echoes, to itself or to all."""

    async def on_message(self, message: str) -> None:
        if message == "hold":
            time.sleep(HELD)
        if message == "to all":
            self.request.sockjs.broadcast(message)
        else:
            self.send(message)


class Gate:
    """A page that takes as long as the test wants."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def page(self, request: Request) -> Response:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return Response("at last")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def make_app(gate: Gate | None = None) -> Any:
    with Configurator(settings={"sockjs.allowed_origins": "*"}) as config:
        config.include("sockjs_bridge.ops")
        config.add_sockjs_route("echo", "/echo", session=Echo)
        config.add_route("slow", "/slow")
        config.add_view((gate or Gate()).page, route_name="slow")
        return config.make_wsgi_app()


# Metrics


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_traffic(transport: str) -> None:
    """Sessions and messages, beside the traffic itself. Other tests of this process count too."""
    with serve(make_app()) as url:
        before = found = await scrape(url)

        def grown(name: str, **labels: str) -> float:
            return found.value(name, **labels) - before.value(name, **labels)

        async def wait_for(count: float, name: str, **labels: str) -> None:
            nonlocal found
            expected = before.value(name, **labels) + count
            found = await scrape_until(url, lambda now: now.value(name, **labels) == expected)

        async with connected(f"{url}/echo", transport) as connection:
            for number in range(20):
                await connection.send(str(number))
                assert await connection.recv() == str(number)
            await connection.send("to all")
            assert await connection.recv() == "to all"
            await wait_for(21, "messages_sent_total", transport=transport)
            await wait_for(21, "hook_seconds_count", hook="on_message")
            await wait_for(1, "sessions", transport=transport, state="open")
            assert grown("sessions_opened_total", transport=transport) == 1
            assert grown("openings_total", status="200") == 1
            assert grown("handshake_seconds_count") == 1
            assert grown("sessions_closed_total") == 0
            assert grown("broadcasts_total") == grown("broadcast_recipients_total") == 1
            assert grown("messages_received_total", transport=transport) == 21
            for way in ("received_bytes", "sent_bytes"):
                assert grown(f"{way}_total", transport=transport) >= 36
        await wait_for(1, "sessions_closed_total", transport=transport)
        await wait_for(0, "sessions", transport=transport, state="open")
        assert grown("messages_sent_total") == 21


async def test_a_resumable_session() -> None:
    with serve(make_app()) as url:
        before = await scrape(url)
        async with connect(f"{url}/echo", resume=True) as connection:
            await connection.send("a")
            assert await connection.recv() == "a"
            sent = before.value("messages_sent_total") + 1
            await scrape_until(url, lambda now: now.value("messages_sent_total") == sent)
            open_ = {"transport": "websocket", "state": "open"}
            await scrape_until(url, lambda now: now.value("sessions", **open_) == 1)


async def test_what_is_refused() -> None:
    with serve(make_app()) as url:
        before = await scrape(url)
        status, _, _ = await get(f"{url}/echo/0/s/xhr_send", method="POST")
        assert status == 404
        found = await scrape(url)
        assert found.value("refused_total", status="404") == (
            before.value("refused_total", status="404") + 1
        )


async def test_a_hook_that_holds_up_the_loop() -> None:
    with serve(make_app()) as url:
        before = await scrape(url)
        async with connected(f"{url}/echo", "websocket") as connection:
            await connection.send("hold")
            assert await connection.recv() == "hold"
        # A turn was due 0.1 s after the one before, at the latest.
        late = before.value("loop_lag_seconds_sum") + HELD - 2 * Sampler.EVERY
        found = await scrape_until(url, lambda now: now.value("loop_lag_seconds_sum") > late)
        held = "hook_seconds_sum"
        assert found.value(held) - before.value(held) >= HELD


def test_nothing_without_the_include(tmp_path: Path) -> None:
    """No import, and nothing is called for a message."""
    (tmp_path / "without.py").write_text(
        "import asyncio, sys\n"
        "from pyramid.config import Configurator\n"
        "from sockjs_bridge import WebSocketSession\n"
        "from sockjs_bridge.client import connect\n"
        "from sockjs_bridge.testing import serve\n"
        "class Echo(WebSocketSession):\n"
        "    def on_message(self, message):\n"
        "        self.send(message)\n"
        "config = Configurator()\n"
        "config.include('sockjs_bridge')\n"
        "config.add_sockjs_route('echo', '/echo', session=Echo)\n"
        "async def talk(url):\n"
        "    async with connect(url, transport='websocket') as connection:\n"
        "        await connection.send('a')\n"
        "        return await connection.recv()\n"
        "with serve(config.make_wsgi_app()) as url:\n"
        "    print(asyncio.run(talk(f'{url}/echo')))\n"
        "endpoints = config.registry.sockjs.endpoints\n"
        "print(endpoints['echo'].manager.traffic, type(endpoints.monitor).__name__)\n"
        "names = 'prometheus_client', 'sockjs_bridge.ops'\n"
        "print([name for name in sys.modules if name.startswith(names)])\n"
    )
    lines = python(tmp_path, "-W", "ignore", "without.py").splitlines()
    assert lines[-3:] == ["a", "None Monitor", "[]"]


# Health


async def test_health() -> None:
    with serve(make_app()) as url:
        for name in ("live", "ready"):
            status, headers, text = await get(f"{url}/health/{name}?full=1")
            assert (status, text) == (200, f"{name}\n")
            assert headers["Cache-Control"].startswith("no-store")
            status, headers, text = await get(f"{url}/health/{name}", method="HEAD")
            assert (status, headers["Content-Length"], text) == (200, str(len(name) + 1), "")
            status, _, _ = await get(f"{url}/health/{name}", method="POST")
            assert status == 404


async def test_health_while_all_threads_are_busy(gate: Gate) -> None:
    """A slow page is no reason to be started anew."""
    with serve(make_app(gate), threads=1) as url:
        page = asyncio.create_task(get(f"{url}/slow"))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        for name in ("live", "ready"):
            async with asyncio.timeout(PATIENCE):
                assert (await get(f"{url}/health/{name}"))[0] == 200
        assert not page.done()
        gate.opened.set()
        assert (await page)[2] == "at last"


async def test_health_behind_a_filter() -> None:
    """What an application behind other WSGI code answers is not the server's to know."""
    app = make_app()

    def prefixed(environ: Any, start_response: Any) -> Any:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/app", environ["PATH_INFO"][4:]
        return app(environ, start_response)

    with serve(prefixed) as url:
        assert (await get(f"{url}/app/health/ready"))[0] == 200
        assert (await get(f"{url}/app/health/live"))[2] == "live\n"


async def test_not_ready() -> None:
    app = make_app()
    with serve(app) as url:
        readiness = app.registry.sockjs.endpoints.readiness
        readiness.block("draining")
        status, _, text = await get(f"{url}/health/ready")
        assert (status, text) == (503, "draining\n")
        assert (await get(f"{url}/health/live"))[0] == 200
        # Who comes all the same is served.
        async with connected(f"{url}/echo", "websocket") as connection:
            await connection.send("a")
            assert await connection.recv() == "a"
        readiness.unblock("draining")
        assert (await get(f"{url}/health/ready"))[0] == 200


def test_not_ready_while_the_server_stops(gate: Gate) -> None:
    """Over a connection that a balancer keeps: new ones are refused."""

    def ask() -> tuple[int, bytes]:
        kept.request("GET", "/health/ready")
        response = kept.getresponse()
        return response.status, response.read()

    with ExitStack() as stack:
        url = stack.enter_context(serve(make_app(gate), shutdown_timeout=PATIENCE))
        host = urlsplit(url).netloc
        kept, slow = (http.client.HTTPConnection(host, timeout=PATIENCE) for _ in range(2))
        assert ask() == (200, b"ready\n")
        slow.request("GET", "/slow")
        assert gate.entered.wait(PATIENCE)
        stopping = threading.Thread(target=stack.pop_all().close)
        stopping.start()
        wait_until(lambda: not accepts(host))
        assert ask() == (503, b"stopping\n")
        gate.opened.set()
        assert slow.getresponse().read() == b"at last"
        stopping.join(PATIENCE)
        kept.close()
        slow.close()


def accepts(host: str) -> bool:
    probe = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        probe.connect()
    except OSError:
        return False
    finally:
        probe.close()
    return True


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# Many processes


@contextmanager
def two_processes(folder: Path) -> Iterator[list[Pserve]]:
    with ExitStack() as stack:
        ini = write_ini(folder, app="pyramid.includes = sockjs_bridge.ops")
        yield [stack.enter_context(running(ini)) for _ in range(2)]


async def test_processes_that_share_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any of them shows all; the sessions of one that ends are gone, what it counted stays."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv(DIRECTORY, str(shared))
    with two_processes(tmp_path) as processes:
        urls = [(await asyncio.to_thread(each.urls))[0] for each in processes]
        async with (
            connected(f"{urls[0]}/echo", "websocket") as first,
            connected(f"{urls[1]}/echo", "websocket") as second,
        ):
            for number, connection in enumerate((first, second, second)):
                await connection.send(str(number))
                assert await connection.recv() == str(number)
            for url in urls:
                await scrape_until(url, lambda now: now.value("messages_sent_total") == 3)
                await scrape_until(url, lambda now: now.value("hook_seconds_count") == 3)
                found = await scrape_until(url, lambda now: now.value("sessions") == 2)
                assert found.value("sessions_opened_total", transport="websocket") == 2
            processes[0].signal(signal.SIGTERM)
            assert await asyncio.to_thread(processes[0].exit_code) == 0
            found = await scrape(urls[1])
            assert found.value("sessions") == 1
            assert found.value("sessions_closed_total", code="3000") == 1
            assert found.value("messages_sent_total", transport="websocket") == 3
        found = await scrape_until(urls[1], lambda now: now.value("sessions") == 0)
        assert found.value("sessions_closed_total") == 2


async def test_a_process_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has to say so: it leaves its sessions behind."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv(DIRECTORY, str(shared))
    with two_processes(tmp_path) as processes:
        urls = [(await asyncio.to_thread(each.urls))[0] for each in processes]
        async with connect(f"{urls[0]}/echo", transport="websocket") as connection:
            await scrape_until(urls[1], lambda now: now.value("sessions") == 1)
            processes[0].signal(signal.SIGKILL)
            assert await asyncio.to_thread(processes[0].exit_code) == -signal.SIGKILL
            assert (await scrape(urls[1])).value("sessions") == 1
            mark_process_dead(processes[0].process.pid)
            found = await scrape(urls[1])
            assert found.value("sessions") == 0
            assert found.value("sessions_opened_total") == 1
            with pytest.raises(ConnectionClosed):
                await connection.recv()
