"""Connections whose sessions survive, for code that blocks: they leave no thread behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from sockjs_bridge.client import (
    ConnectionClosed,
    Event,
    HandshakeError,
    SyncConnection,
    connect_sync,
)
from sockjs_bridge.testing import serve
from tests.integration.pserve import ROOT
from tests.integration.resume_support import App
from tests.integration.support import PATIENCE

#: What a script does that is interrupted: it says how far it is.
# Whoever runs the tests in the background has the signal ignored, in what they start too.
SCRIPT = """
import signal, sys
from sockjs_bridge.client import connect_sync

signal.signal(signal.SIGINT, signal.default_int_handler)

with connect_sync(sys.argv[1]) as ws:
    ws.send("hello")
    print(ws.receive(), flush=True)
    ws.receive()
"""


@pytest.fixture(scope="module")
def app() -> App:
    return App()


@pytest.fixture(scope="module")
def url(app: App) -> Iterator[str]:
    with serve(app.wsgi) as url:
        yield url


def waits(frame: FrameType | None) -> bool:
    """Tell whether a thread waits in a method of a connection."""
    codes = []
    while frame is not None:
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes[0] is threading.Condition.wait.__code__ and SyncConnection._run.__code__ in codes


@contextmanager
def interrupted() -> Iterator[None]:
    """Has Ctrl-C strike when the block waits, and expects it to end by that."""
    main = threading.main_thread().ident
    assert main is not None

    def strike() -> None:
        while not waits(sys._current_frames()[main]):
            time.sleep(0.001)
        signal.pthread_kill(main, signal.SIGINT)

    # Whoever runs the tests may have it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    striking = threading.Thread(target=strike)
    striking.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        striking.join()
        signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "sockjs client"] == []


def test_exception_in_the_block_closes_it(url: str) -> None:
    with pytest.raises(LookupError), connect_sync(f"{url}/echo") as ws:
        raise LookupError
    assert (ws.connection.close_code, ws.connection.close_reason) == (1000, "")


def test_it_shows_what_it_is(url: str) -> None:
    with connect_sync(f"{url}/echo", transport="websocket") as ws:
        connection = f"ResumableConnection {url}/echo websocket"
        assert repr(ws) == f"<SyncConnection of <{connection} open>>"
        ws.connection.suspended = True
        assert repr(ws.connection) == f"<{connection} suspended>"
    assert repr(ws.connection) == f"<ResumableConnection {url}/echo None closed 1000 ''>"


def test_interrupted_receive_takes_no_message(url: str) -> None:
    """Ctrl-C while it waits: what comes later is for who waits then."""
    with connect_sync(f"{url}/echo") as ws:
        with interrupted():
            ws.receive()
        ws.send("afterwards")
        assert ws.receive(PATIENCE) == "afterwards"


def test_interrupted_while_it_opens() -> None:
    with interrupted():
        connect_sync("http://127.0.0.1:1/echo", open_timeout=None)


def test_interrupted_while_it_closes(url: str, app: App) -> None:
    """A close waits until all is handled; who does not want to wait is let go."""
    ws = connect_sync(f"{url}/patient", close_timeout=PATIENCE)
    ws.send("not handled")
    with interrupted():
        ws.close()
    app.release.set()
    assert ws.connection.close_code == 1000


def test_interrupted_before_its_close_begins(
    url: str, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loop had no time to begin; what it holds is let go all the same."""
    ws = connect_sync(f"{url}/patient", close_timeout=PATIENCE)
    ws.send("not handled")
    interrupted_first = threading.Event()
    ws._loop.call_soon_threadsafe(interrupted_first.wait)
    stop = ws._stop

    def stop_a_busy_loop() -> None:
        threading.Timer(0.1, interrupted_first.set).start()
        stop()

    monkeypatch.setattr(ws, "_stop", stop_a_busy_loop)
    with interrupted():
        ws.close()
    app.release.set()
    assert ws.connection.close_code == 1000


def test_script_that_is_interrupted(url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, f"{url}/echo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "hello\n"
        script.send_signal(signal.SIGINT)
        _, said = script.communicate(timeout=PATIENCE)
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert said.count("Traceback") == 1, said


def test_after_the_end(url: str) -> None:
    with connect_sync(f"{url}/echo") as ws:
        ws.send("a")
        ws.handled(PATIENCE)
        with pytest.raises(ValueError, match="a close code is"):
            ws.close(1001)
        ws.send("b")
    # Messages that arrived before the end are still there.
    assert [ws.receive(), ws.receive()] == ["a", "b"]
    ws.handled()
    for call in (ws.receive, lambda: ws.send("late")):
        with pytest.raises(ConnectionClosed) as closed:
            call()
        assert closed.value.code == 1000
    ws.close()


def test_closed_in_another_thread(url: str) -> None:
    ws = connect_sync(f"{url}/echo")
    codes: list[int] = []

    def wait() -> None:
        with pytest.raises(ConnectionClosed) as closed:
            ws.receive()
        codes.append(closed.value.code)

    waiting = [threading.Thread(target=wait) for _ in range(3)]
    closing = [threading.Thread(target=ws.close) for _ in range(3)]
    for thread in (*waiting, *closing):
        thread.start()
    for thread in (*waiting, *closing):
        thread.join(PATIENCE)
    assert codes == [1000] * 3


def test_close_that_another_thread_was_quicker_with(url: str) -> None:
    ws = connect_sync(f"{url}/echo")
    ws.close()
    # It had seen an open connection just before.
    ws._run(lambda: ws._leave(1000, ""))


def test_call_that_comes_as_its_loop_stops(url: str) -> None:
    ws = connect_sync(f"{url}/echo")
    loop = ws._loop
    asyncio.run_coroutine_threadsafe(ws.connection.close(), loop).result(PATIENCE)
    blocked, gate = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        gate.wait(PATIENCE)

    loop.call_soon_threadsafe(block)
    assert blocked.wait(PATIENCE)
    codes: list[int] = []

    def receive() -> None:
        with pytest.raises(ConnectionClosed) as closed:
            ws.receive()
        codes.append(closed.value.code)

    threads = [threading.Thread(target=target) for target in (receive, ws._stop)]
    # Both wait for the loop, the call first.
    for count, thread in enumerate(threads, 1):
        thread.start()
        while len(loop._ready) < count:
            time.sleep(0)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert codes == [1000]


def test_two_threads_end_it(url: str) -> None:
    """Each may have found that nobody has."""
    with connect_sync(f"{url}/echo") as ws:
        pass
    ws._stop()
    assert not ws._thread.is_alive()


def test_what_is_being_cancelled_at_its_end_may_end(url: str) -> None:
    ended: list[bool] = []

    async def last_words() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            while not ws._stopped:
                await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            ended.append(True)

    def begin() -> None:
        ws._loop.call_soon(ws._loop.create_task(last_words()).cancel)

    with connect_sync(f"{url}/echo") as ws:
        ws._loop.call_soon_threadsafe(begin)
    assert ended == [True]


def test_on_its_own_loop_nothing_waits() -> None:
    """An event is told in the connection's thread, where its methods would wait for themselves."""
    refused = threading.Event()

    def on_event(event: Event) -> None:
        with pytest.raises(RuntimeError, match="wait for itself"):
            ws.send("x")
        refused.set()

    with serve(App().wsgi) as url:
        ws = connect_sync(f"{url}/echo", on_event=on_event)
    # The server has left, and said so.
    assert refused.wait(PATIENCE)
    ws.close()


def test_no_room() -> None:
    """Who sends more than the server handles waits, for as long as it likes."""
    app = App()
    with serve(app.wsgi) as url, connect_sync(f"{url}/patient", max_unhandled=100) as ws:
        ws.send("x" * 100)
        with pytest.raises(TimeoutError):
            ws.send("y", timeout=0)
        app.release.set()
        ws.send("z", timeout=PATIENCE)
        ws.handled(PATIENCE)
        got = [ws.receive(PATIENCE), ws.receive(PATIENCE)]
        assert [text.split()[1][0] for text in got] == ["x", "z"], "what timed out was not sent"


def test_refused(url: str) -> None:
    with pytest.raises(HandshakeError):
        connect_sync(f"{url}/off")
