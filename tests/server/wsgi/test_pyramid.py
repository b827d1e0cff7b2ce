"""A real Pyramid application, hosted on aiohttp."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys

import pytest

from sockjs_bridge.server.proxy import TrustedProxy
from tests.pkgs import wsgi_app
from tests.server.support import serving


@pytest.fixture
async def served():
    async with serving(wsgi_app.make_app(), spool_size=10_000) as served:
        yield served


@pytest.mark.parametrize("size", [0, 5_000, 300_000])
async def test_upload(served, size):
    """multipart/form-data through WebOb, in memory and from disk, byte for byte."""
    data = random.Random(size).randbytes(size)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xc3\xa9.bin"\r\n\r\n'
        + data
        + b"\r\n--b--\r\n"
    )
    answer = await served.ask(
        "/upload",
        method="POST",
        headers=(
            "Host: h",
            "Content-Type: multipart/form-data; boundary=b",
            f"Content-Length: {len(body)}",
        ),
        body=body,
    )
    assert answer.body.decode() == f"é.bin {size} {hashlib.sha256(data).hexdigest()}"


async def test_a_chunked_upload_has_a_length(served):
    answer = await served.ask(
        "/raw",
        method="POST",
        headers=("Host: h", "Transfer-Encoding: chunked"),
        body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    assert answer.body == b"5 5"


async def test_a_streaming_app_iter(served):
    wsgi_app.closed.clear()
    answer = await served.ask("/stream")
    assert (answer.body, answer.complete) == (b"one,two,three", True)
    assert answer["Transfer-Encoding"] == "chunked"
    assert wsgi_app.closed == ["test-1"]


async def test_a_stream_that_fails_is_not_ended_in_order(served, server_log):
    wsgi_app.closed.clear()
    answer = await served.ask("/stream?fail")
    assert answer.status == 200
    assert not answer.complete
    assert wsgi_app.closed == ["test-1"]
    assert "ERROR GET '/stream' failed" in server_log()[0]


@pytest.mark.parametrize("name", ["caf%C3%A9", "%E6%97%A5%E6%9C%AC", "%F0%9F%98%80"])
async def test_a_path_that_is_not_ascii(served, name):
    answer = await served.ask(f"/path/{name}?q={name}")
    text = bytes.fromhex(name.replace("caf", "636166").replace("%", "")).decode()
    assert answer.body.decode() == f"{text} /path/{text} {text}"


async def test_a_path_that_is_no_utf_8(served, server_log):
    """Pyramid refuses to decode it; no other request suffers."""
    answer = await served.ask("/path/%FF")
    assert 400 <= answer.status <= 500
    assert (await served.ask("/path/a")).status == 200


async def test_cookies(served):
    answer = await served.ask("/cookies", headers=("Host: h", "Cookie: a=1", "Cookie: b=2"))
    assert answer.body == b"a=1,b=2"
    assert answer.all("Set-Cookie") == ["one=1; Path=/", "two=2; Path=/"]


async def test_a_session_lives_from_request_to_request(served):
    answer = await served.ask("/count")
    cookie = answer["Set-Cookie"].partition(";")[0]
    answer = await served.ask("/count", headers=("Host: h", f"Cookie: {cookie}"))
    assert answer.body == b"2"


async def test_an_exception_of_a_view(served, caplog):
    answer = await served.ask("/boom")
    assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
    assert "the view broke" in caplog.text
    assert (await served.ask("/raw")).status == 200


async def test_a_file(served):
    with open(wsgi_app.__file__, "rb") as file:
        data = file.read()
    answer = await served.ask("/this_file")
    assert (answer.body, answer["Content-Length"]) == (data, str(len(data)))
    answer = await served.ask("/this_file", method="HEAD")
    assert (answer.body, answer["Content-Length"]) == (b"", str(len(data)))


async def test_not_modified(served):
    answer = await served.ask("/cached", headers=("Host: h", 'If-None-Match: "e"'))
    assert (answer.status, answer.body, answer["Content-Type"]) == (304, b"", None)


async def test_urls_behind_a_proxy():
    """The page's links are those of the outside, and client_addr cannot be forged."""
    proxy = TrustedProxy.from_settings(
        {
            "trusted_proxy": "127.0.0.1",
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
        }
    )
    async with serving(wsgi_app.make_app(), proxy=proxy) as served:
        answer = await served.ask(
            "/link",
            headers=(
                "Host: inner:8080",
                "X-Forwarded-For: 6.6.6.6, 203.0.113.9",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: example.org",
            ),
        )
    assert answer.body == b"https://example.org/path/%C3%A9%20x 203.0.113.9"


STUCK = """
import asyncio
import threading

from pyramid.config import Configurator

from tests.server.support import serving, until

entered = threading.Event()

def stuck(request):
    entered.set()
    threading.Event().wait()

async def main():
    with Configurator() as config:
        config.add_route("stuck", "/")
        config.add_view(stuck, route_name="stuck")
    async with serving(config.make_wsgi_app()) as served:
        _, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
        await until(entered.is_set)

asyncio.run(main())
print("left")
"""


def test_a_stuck_view_does_not_hold_the_exit():
    """The server's own shutdown gives up after its time-out, and the interpreter goes."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STUCK],
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    assert done.stdout == "left\n"
