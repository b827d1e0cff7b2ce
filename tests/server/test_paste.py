"""The paste.server_factory: what it refuses, and how its process ends (issue 2, "The server").

The end by signals is that of a process, so a child runs it here; `tests/integration/test_pserve.py`
has the same with pserve around it.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from importlib.metadata import entry_points

import pytest

from sockjs_bridge.logs import BoundedStreamHandler
from sockjs_bridge.server import paste
from sockjs_bridge.server.options import ServerOptions
from tests.server.support import PATIENCE, Answer

# A server that runs in this process changes it.
pytestmark = pytest.mark.usefixtures("collector")


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def test_entry_point():
    """[server:main] use = egg:sockjs-bridge."""
    (found,) = [
        entry
        for entry in entry_points(group="paste.server_factory", name="main")
        if entry.value.startswith("sockjs_bridge")
    ]
    assert found.load() is paste.server_factory


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": "6543"}, "[server] port is no setting"),
        ({"threads": "x"}, "[server] threads = 'x' cannot be"),
        ({"listen": "unix:/no/such/folder/s"}, "[server] cannot listen on unix:/no/such/folder/s"),
    ],
)
def test_one_sentence(settings, said):
    """What cannot be ends the start with one sentence, before the application is loaded."""
    with pytest.raises(SystemExit) as end:
        paste.server_factory({"here": "/"}, **settings)
    assert str(end.value.code).startswith(said)
    assert "\n" not in end.value.code
    assert end.value.__suppress_context__


def test_windows(monkeypatch):
    """Where the loop cannot wait for signals the start ends with one sentence, too."""
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(SystemExit, match="does not run on Windows"):
        paste.server_factory({"here": "/"})


@pytest.fixture
def served():
    """Serve in this process's main thread, where signals arrive; a thread plays the client."""

    def serve(app, client, **settings):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        failures = []

        def run():
            try:
                client(port)
            except BaseException as error:
                failures.append(error)
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGTERM)

        before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        server = paste.server_factory({}, listen=f"127.0.0.1:{port}", **settings)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            server(app)
        finally:
            thread.join(PATIENCE)
            for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(number, handler)
        assert not failures, failures

    return serve


def ask(port):
    """Make one request; the connection waits in the queue until the server accepts."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while part := sock.recv(65536):
            data += part
    return Answer.parse(data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(served, caplog, number):
    """It says where it serves, and returns, which is exit code 0, after either signal."""
    caplog.set_level("INFO", "sockjs_bridge.server")

    def client(port):
        assert ask(port).body == b"hello"
        os.kill(os.getpid(), number)

    served(hello, client)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0].startswith("serving on http://127.0.0.1:")
    assert texts[1] == "shutting down, waiting up to 10 s for requests"


def test_log_that_nobody_writes(served, caplog, capsys, monkeypatch):
    """Then the address is printed."""
    caplog.set_level("INFO", "sockjs_bridge.server")
    monkeypatch.setattr(paste.logger, "propagate", False)

    def client(port):
        ask(port)
        os.kill(os.getpid(), signal.SIGTERM)

    served(hello, client)
    assert re.fullmatch(r"serving on http://127\.0\.0\.1:\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("stream", ["stderr", "bounded", "file", "warnings"])
def test_log_of_a_console_and_others(served, caplog, capsys, tmp_path, monkeypatch, stream):
    """The address is told once on the console, and is in each log as well."""
    caplog.set_level("INFO", "sockjs_bridge.server")
    log = tmp_path / "log"
    kind = BoundedStreamHandler if stream == "bounded" else logging.StreamHandler
    handler = logging.FileHandler(log) if stream == "file" else kind(sys.stderr)
    if stream == "warnings":
        handler.setLevel(logging.WARNING)
    monkeypatch.setattr(logging.getLogger("sockjs_bridge"), "handlers", [handler])

    def client(port):
        ask(port)
        os.kill(os.getpid(), signal.SIGTERM)

    served(hello, client)
    handler.flush()
    handler.close()
    told = capsys.readouterr()
    assert (told.out + told.err).count("serving on http://127.0.0.1:") == 1
    assert log.exists() is (stream == "file")
    assert not log.exists() or "serving on http://" in log.read_text()


def test_second_signal(served):
    """A second signal ends the waiting for a request that hangs."""
    entered, release = threading.Event(), threading.Event()

    def stuck(environ, start_response):
        entered.set()
        release.wait(PATIENCE)
        return hello(environ, start_response)

    def client(port):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert entered.wait(PATIENCE)
            os.kill(os.getpid(), signal.SIGTERM)
            # Nobody is accepted any more: the first signal was taken.
            for _ in range(1000):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
                except OSError:
                    break
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            assert sock.recv(1) == b""

    try:
        served(stuck, client, shutdown_timeout="600")
    finally:
        release.set()


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        ("127.0.0.1:0", r"https://127.0.0.1:{port}"),
        ("[::1]:0", r"https://[::1]:{port}"),
        ("unix:{folder}/s", "unix:{folder}/s"),
    ],
)
def test_addresses(tmp_path, listen, shown):
    """What is logged can be copied into a browser."""
    listen = listen.format(folder=tmp_path)
    (sock,) = ServerOptions.parse({"listen": listen}).bind()
    try:
        name = sock.getsockname()
        port = name[1] if isinstance(name, tuple) else ""
        address = paste._address(sock, "https")
        assert address == shown.replace("{port}", str(port)).replace("{folder}", str(tmp_path))
    finally:
        sock.close()
