"""The access log."""

from __future__ import annotations

import logging
import re
import time

import pytest
from aiohttp import web

from sockjs_bridge.server.accesslog import POLL, EveryRequestLogger
from sockjs_bridge.server.proxy import TrustedProxy
from tests.server.support import serving

COMBINED = re.compile(
    r'(?P<host>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>\d{3}) (?P<size>\d+|-) "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="sockjs_bridge.access")

    def read() -> list[dict[str, str]]:
        found = []
        for record in caplog.records:
            if record.name == "sockjs_bridge.access":
                assert record.levelno == logging.INFO
                match = COMBINED.fullmatch(record.getMessage())
                assert match, record.getMessage()
                found.append(match.groupdict())
        return found

    return read


def hello(environ, start_response):
    if environ["PATH_INFO"] == "/signed-in":
        environ["REMOTE_USER"] = 'jo "x" sm\u0131th\ud800'
    body = b"" if environ["PATH_INFO"] == "/empty" else b"hello"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([body]) if environ["PATH_INFO"] == "/stream" else [body]


async def test_a_line_has_the_combined_format(lines):
    async with serving(hello) as served:
        before = int(time.time()) - 1
        await served.ask(
            "/a?b=c", headers=("Host: h", "Referer: http://h/", "User-Agent: Mozilla/5.0 (X)")
        )
    (line,) = lines()
    stamp = line.pop("time")
    assert line == {
        "host": "127.0.0.1",
        "user": "-",
        "request": "GET /a?b=c HTTP/1.1",
        "status": "200",
        "size": "5",
        "referer": "http://h/",
        "agent": "Mozilla/5.0 (X)",
    }
    written = time.mktime(time.strptime(stamp[:20], "%d/%b/%Y:%H:%M:%S"))
    assert before <= written <= time.time() + 1
    assert re.fullmatch(r"[+-]\d{4}", stamp[21:])


async def test_size_is_the_bodys_without_framing(lines):
    async with serving(hello) as served:
        await served.ask("/stream")
        await served.ask("/empty")
        await served.ask("/", method="HEAD")
    assert [line["size"] for line in lines()] == ["5", "-", "-"]


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ('a"b\\c', r"a\"b\\c"),
        ("tab\there", r"tab\x09here"),
        ("\x80\xff\xe9", r"\x80\xff\xe9"),
        ("\xe2\x80\xa8", r"\xe2\x80\xa8"),
    ],
)
async def test_hostile_bytes_are_escaped(lines, sent, written):
    """Log injection: what a client sends cannot end a quotation, a line, or drive a terminal."""
    async with serving(hello) as served:
        await served.ask("/", headers=("Host: h", f"User-Agent: {sent}", f"Referer: {sent}"))
    (line,) = lines()
    assert line["agent"] == line["referer"] == written


async def test_a_request_that_cannot_be_parsed_has_a_line_too(lines):
    async with serving(hello) as served:
        answer = await served.ask("/", headers=("Host: h", "User-Agent: \x1b[31m"))
    assert answer.status == 400
    assert lines()[0]["status"] == "400"


async def test_the_request_line_is_escaped(lines):
    async with serving(hello) as served:
        await served.ask('/"x\\')
    assert lines()[0]["request"] == r"GET /\"x\\ HTTP/1.1"


async def test_the_user_is_the_one_that_the_application_names(lines):
    async with serving(hello) as served:
        await served.ask("/signed-in")
    assert lines()[0]["user"] == r"jo\x20\"x\"\x20sm\xc4\xb1th\xed\xa0\x80"


async def test_the_host_is_the_client_behind_the_proxy(lines):
    proxy = TrustedProxy.from_settings(
        {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-for"}
    )
    async with serving(hello, proxy=proxy) as served:
        await served.ask(headers=("Host: h", "X-Forwarded-For: 2001:db8::7"))
    assert lines()[0]["host"] == "2001:db8::7"


async def test_the_host_of_a_unix_peer(lines, tmp_path):
    async def refuse(host, request):
        raise ValueError

    async with serving(hello, unix=str(tmp_path / "s")) as served:
        await served.ask()
    async with serving(hello, unix=str(tmp_path / "t"), handler=refuse) as served:
        await served.ask()
    assert [line["host"] for line in lines()] == ["unix", "unix"]


@pytest.mark.parametrize(("polls", "count"), [(False, 1), (True, 2)])
async def test_polls_are_logged_only_when_asked_for(lines, polls, count):
    async def handle(host, request):
        request[POLL] = request.path == "/poll"
        return await host.serve(request)

    async with serving(hello, polls=polls, handler=handle) as served:
        await served.ask("/poll")
        await served.ask("/page")
    assert len(lines()) == count
    assert lines()[-1]["request"] == "GET /page HTTP/1.1"


def test_the_month_does_not_follow_the_locale(monkeypatch):
    from sockjs_bridge.server import accesslog

    monkeypatch.setattr(accesslog.clock, "localtime", time.gmtime)
    assert accesslog._timestamp(1_234_567_890).startswith("13/Feb/2009:23:31:30 ")


def test_a_logger_that_nobody_hears_is_not_enabled(caplog):
    made = EveryRequestLogger(logging.getLogger("other"), "")
    caplog.set_level(logging.WARNING, logger="sockjs_bridge.access")
    assert not made.enabled
    caplog.set_level(logging.INFO, logger="sockjs_bridge.access")
    assert made.enabled


async def test_size_is_the_body_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The combined format counts the bytes of the body, without the head."""

    async def handle(host: object, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"12345" if request.raw_path == "/body" else None)

    caplog.set_level(logging.INFO, "sockjs_bridge.access")
    async with serving(hello, handler=handle) as served:
        for path in ("/body", "/none"):
            await served.ask(path)
    sizes = [record.getMessage().split('" ')[1].split()[1] for record in caplog.records]
    assert sizes == ["5", "-"]
