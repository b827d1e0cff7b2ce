"""sockjs_bridge.testing (api.md, section 10): what applications test their connections with."""

from __future__ import annotations

import socket
import threading
from importlib import import_module
from urllib.request import urlopen

import pytest

from sockjs_bridge.client import connect
from sockjs_bridge.ini import SettingError
from sockjs_bridge.testing import serve
from tests.pkgs import blocking_view_app

#: As an attribute of the package that name is the function's.
module = import_module("sockjs_bridge.testing.serve")


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5"), ("X-Scheme", environ["wsgi.url_scheme"])])
    return [b"hello"]


def fetch(url):
    with urlopen(url, timeout=40) as response:
        return response.read(), response.headers


def test_serve():
    """It serves on a free port while the block lasts, and no longer."""
    before = set(threading.enumerate())
    with serve(hello) as url:
        assert url.startswith("http://127.0.0.1:")
        assert fetch(url)[0] == b"hello"
    with pytest.raises(OSError):
        fetch(url)
    # The pools' threads are daemons and end by themselves.
    assert all(thread.daemon for thread in set(threading.enumerate()) - before)


async def test_serve_connections():
    """Section 2 of api.md, in a test of three lines."""
    with serve(blocking_view_app.main()) as url:
        async with connect(f"{url}/websocket", transport="xhr-polling") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


def test_two_at_once():
    with serve(hello) as one, serve(hello) as other:
        assert one != other
        assert fetch(one)[0] == fetch(other)[0] == b"hello"


def test_settings():
    """The settings are those of [server:main]."""
    with serve(hello, url_scheme="https", threads=1) as url:
        assert fetch(url)[1]["X-Scheme"] == "https"


def test_wrong_setting():
    with pytest.raises(SettingError, match="treads is no setting"), serve(hello, treads=1):
        pass


def test_failure_in_the_block():
    """What the test raises comes out, and the server is stopped."""
    with pytest.raises(ZeroDivisionError), serve(hello) as url:
        raise ZeroDivisionError
    with pytest.raises(OSError):
        fetch(url)


def test_failure_at_the_start(monkeypatch):
    """Why the server could not start is raised where it is asked for."""

    class Fails:
        def __init__(self, app, options):
            raise RuntimeError("not today")

    monkeypatch.setattr(module, "Runner", Fails)
    with pytest.raises(RuntimeError, match="not today"), serve(hello):
        raise AssertionError("the block must not be entered")


def test_failure_at_the_end(monkeypatch):
    """A server that cannot stop is a failure of the test."""

    class Fails(module.Runner):
        async def stop(self):
            await super().stop()
            raise RuntimeError("cannot stop")

    monkeypatch.setattr(module, "Runner", Fails)
    with pytest.raises(RuntimeError, match="cannot stop"), serve(hello) as url:
        assert fetch(url)[0] == b"hello"


def test_the_port_is_given_back():
    with serve(hello) as url:
        port = int(url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        pass
