"""Many processes under a real gunicorn: its signals, its options, and what its users expect."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sockjs_bridge.client import Connection, ConnectionClosed, ResumableConnection, connect
from tests.cluster.redisserver import RedisServer
from tests.integration.gunicorn import Gunicorn, gunicorn
from tests.integration.pserve import PATIENCE, write_ini
from tests.integration.resume_support import Events
from tests.integration.support import connected, eventually, get
from tests.pkgs.ledger_app import Ledger

pytestmark = pytest.mark.integration

APPLICATION = """
import os
import threading
import time

from pyramid.config import Configurator
from pyramid.response import Response
from sockjs_bridge import WebSocketSession

print("loaded", flush=True)

class Session(WebSocketSession):
    async def on_message(self, message):
        if message == "hold the loop":
            time.sleep(300)
        self.send(f"{os.getpid()} VERSION {message}")

def page(request):
    return Response(f"{os.getpid()} VERSION {request.client_addr}")

def slow(request):
    print("slow view begins", flush=True)
    time.sleep(float(request.GET["seconds"]))
    return Response("slow but sure")

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("sockjs_bridge")
        config.add_sockjs_route("echo", "/echo", session=Session)
        for view in (page, slow):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__)
        return config.make_wsgi_app()
"""


def put(folder: Path, version: str = "first", server: str = "", app: str = "") -> Path:
    """Write a version of an application, and its ini."""
    (folder / "site_app.py").write_text(APPLICATION.replace("VERSION", version))
    return write_ini(folder, server, app, factory="site_app:main")


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(2 * PATIENCE):
        yield


async def page(url: str, **headers: str) -> list[str]:
    """Ask for the page: who serves it, in which version, and for whom."""
    status, _, text = await get(f"{url}/page", headers=headers)
    assert status == 200, text
    return text.split()


async def slow(url: str, seconds: float) -> str:
    status, _, text = await get(f"{url}/slow?seconds={seconds}")
    assert status == 200
    return text


async def say(ws: Connection | ResumableConnection, text: str = "hello") -> list[str]:
    """Say something, and return who answers, in which version, and what."""
    await ws.send(text)
    return (await ws.recv()).split(maxsplit=2)


async def on_each(url: str, pids: list[int]) -> dict[int, Connection | ResumableConnection]:
    """Connect until each process has a connection."""
    found: dict[int, Connection | ResumableConnection] = {}
    while found.keys() != {*pids}:
        ws = await connect(f"{url}/echo", transport="websocket")
        found[int((await say(ws))[0])] = ws
    return found


async def gone(ws: Connection | ResumableConnection) -> None:
    """See that a client is told to go."""
    with pytest.raises(ConnectionClosed) as closed:
        await ws.recv()
    assert (closed.value.code, closed.value.reason) == (3000, "Go away!")


async def started(process: Gunicorn, count: int = 1) -> tuple[str, list[int]]:
    return await asyncio.to_thread(lambda: (process.url, process.workers(count)))


# Serving


async def test_workers_serve(tmp_path: Path) -> None:
    """Each worker has pages and WebSockets, and [server:main] of the ini counts."""
    trust = "trusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-forwarded-for"
    with gunicorn(put(tmp_path, server=trust), "-w", "2", folder=tmp_path) as process:
        url, pids = await started(process, 2)
        served = {}
        while served.keys() != {*pids}:
            pid, *seen = await page(url, **{"X-Forwarded-For": "192.0.2.7"})
            served[int(pid)] = seen
        assert [*served.values()] == [["first", "192.0.2.7"]] * 2
        for pid, ws in (await on_each(url, pids)).items():
            assert await say(ws, "again") == [str(pid), "first", "again"]
            await ws.close()


async def test_unix_socket(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is there as long as gunicorn is, whatever becomes of workers, and gone then."""
    path = tmp_path_factory.mktemp("s") / "s"
    ini = put(tmp_path, server="trusted_proxy = unix\ntrusted_proxy_headers = x-forwarded-for")
    with gunicorn(ini, bind=f"unix:{path}", folder=tmp_path) as process:
        url, (first,) = await started(process)
        assert url == f"unix:{path}"

        async def ask() -> list[str]:
            connector = aiohttp.UnixConnector(str(path))
            async with (
                aiohttp.ClientSession(connector=connector) as http,
                http.get("http://site/page", headers={"X-Forwarded-For": "192.0.2.7"}) as answer,
            ):
                return (await answer.text()).split()

        assert await ask() == [str(first), "first", "192.0.2.7"]
        os.kill(first, signal.SIGTERM)
        _, second = await asyncio.to_thread(process.workers, 2)
        assert await ask() == [str(second), "first", "192.0.2.7"]
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.exit_code) == 0
        assert not path.exists()


async def test_preload(tmp_path: Path) -> None:
    """The application is loaded once; what runs it begins in each worker."""
    with gunicorn(put(tmp_path), "-w", "2", "--preload", folder=tmp_path) as process:
        url, pids = await started(process, 2)
        for ws in (await on_each(url, pids)).values():
            await ws.close()
    assert process.out.count("loaded") == 1


@pytest.mark.parametrize("preload", [False, True])
async def test_workers_are_a_cluster(tmp_path: Path, preload: bool) -> None:
    """Any of them answers a request of any session, also where all are forks of a loaded one."""
    redis = RedisServer(tmp_path)
    redis.start()
    ini = put(tmp_path, app=f"sockjs.cluster = {redis.url}")
    options = ["-w", "3", *(["--preload"] if preload else [])]
    try:
        with gunicorn(ini, *options, folder=tmp_path) as process:
            url, pids = await started(process, 3)
            # Each has seen the two others.
            await asyncio.to_thread(process.wait_for, r"process \w+ takes part", 6)
            homes = set()
            while homes != {*pids}:
                async with connect(f"{url}/echo", transport="xhr-polling") as ws:
                    answers = [await say(ws, str(number)) for number in range(20)]
                    assert [text for _, _, text in answers] == [*map(str, range(20))]
                    (home,) = {int(pid) for pid, _, _ in answers}
                    homes.add(home)
    finally:
        redis.end()


async def test_a_worker_is_killed(tmp_path: Path) -> None:
    """Another one takes its place, and those of the others do not notice."""
    with gunicorn(put(tmp_path), "-w", "2", folder=tmp_path) as process:
        url, (first, second) = await started(process, 2)
        sockets = await on_each(url, [first, second])
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ConnectionClosed, match="1006"):
            await sockets[first].recv()
        third = (await asyncio.to_thread(process.workers, 3))[2]
        assert (await say(sockets[second]))[0] == str(second)
        for ws in (await on_each(url, [second, third])).values():
            await ws.close()
        await sockets[second].close()


async def test_gunicorn_is_killed(tmp_path: Path) -> None:
    """A worker that lost it ends in good order."""
    with gunicorn(put(tmp_path), folder=tmp_path) as process:
        url, (pid,) = await started(process)
        async with connected(f"{url}/echo", "websocket") as ws:
            await say(ws)
            process.signal(signal.SIGKILL)
            await gone(ws)
        await asyncio.to_thread(eventually, lambda: not is_there(pid))
        assert "gunicorn is gone" in process.said


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# Signals


async def test_term(tmp_path: Path) -> None:
    """All are told, requests under way are answered, and it ends well."""
    with gunicorn(put(tmp_path), "-w", "2", folder=tmp_path) as process:
        url, pids = await started(process, 2)
        sockets = [*(await on_each(url, pids)).values()]
        # More than are told in one go.
        for _ in range(25):
            sockets += await asyncio.gather(*(connect(f"{url}/echo") for _ in range(10)))
        answer = asyncio.create_task(slow(url, 1))
        await asyncio.to_thread(process.wait_for, "slow view begins")
        process.signal(signal.SIGTERM)
        await asyncio.gather(*map(gone, sockets))
        assert await answer == "slow but sure"
        assert await asyncio.to_thread(process.exit_code) == 0
    assert "SIGKILL" not in process.said


@pytest.mark.parametrize("before", [[], [signal.SIGTERM]], ids=["alone", "after TERM"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
async def test_int_and_quit(
    tmp_path: Path, number: signal.Signals, before: list[signal.Signals]
) -> None:
    """All are told, nobody waits for a request, and it ends well."""
    ini = put(tmp_path, server="shutdown_timeout = 200")
    with gunicorn(ini, "--graceful-timeout", "300", folder=tmp_path) as process:
        url, _ = await started(process)
        async with connected(f"{url}/echo", "websocket") as ws:
            await say(ws)
            stuck = asyncio.create_task(slow(url, 300))
            await asyncio.to_thread(process.wait_for, "slow view begins")
            for each in [*before, number]:
                process.signal(each)
                await asyncio.to_thread(
                    process.wait_for, f"Handling signal: {each.name[3:].lower()}|Quick"
                )
            await gone(ws)
            assert await asyncio.to_thread(process.exit_code) == 0
        with pytest.raises(aiohttp.ClientError):
            await stuck
    assert "SIGKILL" not in process.said


async def test_hup(tmp_path: Path) -> None:
    """New workers serve new code and settings; every request is answered meanwhile."""
    with gunicorn(put(tmp_path), "-w", "2", folder=tmp_path) as process:
        url, pids = await started(process, 2)
        sockets = await on_each(url, pids)
        answer = asyncio.create_task(slow(url, 2))
        await asyncio.to_thread(process.wait_for, "slow view begins")
        put(
            tmp_path, "second", "trusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-forwarded-for"
        )
        process.signal(signal.SIGHUP)
        seen: list[list[str]] = []
        while ["second", "192.0.2.7"] not in seen:
            seen.append((await page(url, **{"X-Forwarded-For": "192.0.2.7"}))[1:])
        for ws in sockets.values():
            await gone(ws)
        assert await answer == "slow but sure"
        assert {version for version, _ in seen} <= {"first", "second"}
        new = (await asyncio.to_thread(process.workers, 4))[2:]
        for ws in (await on_each(url, new)).values():
            assert (await say(ws))[1] == "second"
            await ws.close()


async def test_hup_and_sessions_that_survive(tmp_path: Path) -> None:
    """A rolling restart loses nothing and doubles nothing."""
    told = Events()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    # Who still has messages on the way is told to move when half of this time is over.
    ini = write_ini(
        tmp_path,
        "shutdown_timeout = 4",
        f"ledger = {tmp_path}/ledger.sqlite",
        factory="tests.pkgs.ledger_app:main",
    )
    sent = [f"message {number}" for number in range(200)]
    got: list[str] = []
    with gunicorn(ini, "-w", "2") as process:
        url, _ = await started(process, 2)
        async with connect(
            f"{url}/ledger", resume=True, transport="websocket", on_event=told
        ) as ws:
            for number, text in enumerate(sent):
                if number == 100:
                    process.signal(signal.SIGHUP)
                await ws.send(text)
                while len(got) < number - 10:
                    got.append(await ws.recv())
            await told.wait("moved")
            await ws.handled()
            got += [await ws.recv() for _ in range(len(sent) - len(got))]
            ids = [f"{ws.id}-{number}" for number in range(1, len(sent) + 1)]
    assert got == sent
    assert ledger.rows("entries") == [*zip(ids, sent, strict=True)]
    assert ledger.rows("arrivals") == [(known, 0) for known in ids]
    # On its way it may have met the second of the old workers.
    assert told.names == {"moved"}


async def test_ttin_and_ttou(tmp_path: Path) -> None:
    """One more and one less; gunicorn tells the oldest to end every second, and it has its time."""
    with gunicorn(put(tmp_path), folder=tmp_path) as process:
        url, (first,) = await started(process)
        async with connected(f"{url}/echo", "websocket") as ws:
            await say(ws)
            answer = asyncio.create_task(slow(url, 3))
            await asyncio.to_thread(process.wait_for, "slow view begins")
            process.signal(signal.SIGTTIN)
            _, second = await asyncio.to_thread(process.workers, 2)
            process.signal(signal.SIGTTOU)
            await gone(ws)
            assert (await page(url))[0] == str(second)
        assert await answer == "slow but sure"
        await asyncio.to_thread(process.wait_for, rf"Worker exiting \(pid: {first}\)")
        assert (await page(url))[0] == str(second)


async def test_usr2(tmp_path: Path) -> None:
    """A second gunicorn serves on the same socket; then the first one may end."""
    with gunicorn(put(tmp_path), folder=tmp_path) as process:
        url, (first,) = await started(process)
        starts = r"\[(\d+)\] \[INFO\] Starting gunicorn"
        async with connected(f"{url}/echo", "websocket") as ws:
            assert (await say(ws))[0] == str(first)
            process.signal(signal.SIGUSR2)
            _, found = await asyncio.to_thread(process.wait_for, starts, 2)
            second = int(found[1])
            try:
                _, worker = await asyncio.to_thread(process.workers, 2)
                process.signal(signal.SIGTERM)
                await gone(ws)
                assert await asyncio.to_thread(process.process.wait, PATIENCE) == 0
                assert (await page(url))[0] == str(worker)
            finally:
                os.kill(second, signal.SIGTERM)
            await asyncio.to_thread(eventually, lambda: not is_there(worker))


# Options


async def test_timeout(tmp_path: Path) -> None:
    """A loop that stands still is the end of its worker; views that take long are not."""
    with gunicorn(put(tmp_path), "--timeout", "2", folder=tmp_path) as process:
        url, (first,) = await started(process)
        assert await slow(url, 4) == "slow but sure"
        async with connected(f"{url}/echo", "websocket") as ws:
            await ws.send("hold the loop")
            await asyncio.to_thread(process.wait_for, rf"WORKER TIMEOUT \(pid:{first}\)")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        _, second = await asyncio.to_thread(process.workers, 2)
        assert (await page(url))[0] == str(second)


async def test_max_requests(tmp_path: Path) -> None:
    """A worker that was asked often enough is replaced, and every request is answered."""
    with gunicorn(put(tmp_path), "--max-requests", "5", folder=tmp_path) as process:
        url, (first,) = await started(process)
        async with connected(f"{url}/echo", "websocket") as ws:
            await say(ws)
            while (await page(url))[0] == str(first):
                pass
            await gone(ws)
    assert "max_requests is reached" in process.said


async def test_reload(tmp_path: Path) -> None:
    """A changed file is served at once, for development."""
    with gunicorn(put(tmp_path), "--reload", folder=tmp_path) as process:
        url, _ = await started(process)
        async with connected(f"{url}/echo", "websocket") as ws:
            assert (await say(ws))[1] == "first"
            put(tmp_path, "second")
            told = asyncio.create_task(gone(ws))
            for minutes in itertools.count(1):
                # A change is a later time than at the reloader's first look, whenever that is.
                os.utime(tmp_path / "site_app.py", (time.time() + 60 * minutes,) * 2)
                if (await asyncio.wait({told}, timeout=1))[0]:
                    break
            await told
        while (await page(url))[1] != "second":
            pass


async def test_access_log(tmp_path: Path) -> None:
    """It has pages and WebSockets, and SIGUSR1 has it written anew."""
    log = tmp_path / "access.log"
    with gunicorn(put(tmp_path), "--access-logfile", str(log), folder=tmp_path) as process:
        url, _ = await started(process)
        await page(url)
        async with connected(f"{url}/echo", "websocket") as ws:
            await say(ws)
        await asyncio.to_thread(eventually, lambda: log.read_text().count("\n") == 2)
        first, second = log.read_text().splitlines()
        assert '"GET /page HTTP/1.1" 200' in first
        assert "/websocket HTTP/1.1" in second
        log.rename(tmp_path / "access.log.1")
        process.signal(signal.SIGUSR1)
        await asyncio.to_thread(eventually, log.exists)
        while not log.read_text():
            await page(url)


async def test_options_without_effect(tmp_path: Path) -> None:
    """They are told, with what is in their place."""
    with gunicorn(put(tmp_path), "--threads", "4", "--keep-alive", "7", folder=tmp_path) as process:
        await started(process)
    (keep, threads) = (line for line in process.err if "has no effect" in line)
    assert "keepalive = 7 has no effect with this worker: keepalive_timeout of" in keep
    assert "threads = 4 has no effect with this worker: threads of [server:main]" in threads


# What cannot be


@pytest.mark.parametrize(
    ("server", "app", "arguments", "code", "said"),
    [
        ("treads = 4", "", [], 1, "[server:main] treads is no setting of the server; there are:"),
        ("shutdown_timeout = 29", "", [], 1, "[server:main] shutdown_timeout = 29 is too long:"),
        ("", "", ["--certfile", __file__], 1, f"certfile = {__file__!r} of gunicorn cannot be"),
        ("", "sockjs.fast = 3", [], 3, "sockjs.fast = '3' cannot be: allowed is true or false"),
        ("", "sockjs.fast = 3", ["--preload"], 1, "sockjs.fast = '3' cannot be: allowed is true"),
    ],
    ids=["server", "time", "TLS", "application", "application, loaded before"],
)
def test_wrong_setting(
    tmp_path: Path, server: str, app: str, arguments: list[str], code: int, said: str
) -> None:
    """One sentence, and gunicorn ends; it does not try again and again."""
    ini = put(tmp_path, server=server, app=app)
    with gunicorn(ini, "-w", "2", *arguments, folder=tmp_path) as process:
        # Where both workers end at once, gunicorn 27 has another code, and may say how it came.
        assert process.exit_code() in (code, 1)
    assert said in process.said
    assert process.said.count("Booting") <= 2


def test_application_that_cannot_be_loaded(tmp_path: Path) -> None:
    """gunicorn ends, and the traceback is there."""
    ini = put(tmp_path)
    (tmp_path / "site_app.py").write_text("import no_such_module")
    with gunicorn(ini, folder=tmp_path) as process:
        assert process.exit_code() == 3
    assert "No module named 'no_such_module'" in process.said


async def test_wrong_setting_at_hup(tmp_path: Path) -> None:
    """What a reload finds is told as at the start; gunicorn ends, with the old workers."""
    with gunicorn(put(tmp_path), folder=tmp_path) as process:
        url, _ = await started(process)
        async with connected(f"{url}/echo", "websocket") as ws:
            await say(ws)
            put(tmp_path, server="treads = 4")
            process.signal(signal.SIGHUP)
            await gone(ws)
            assert await asyncio.to_thread(process.exit_code) == 3
    assert "[server:main] treads is no setting of the server" in process.said
