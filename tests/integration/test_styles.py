"""The styles of api.md, sections 2 to 9, driven over every transport by the Python client."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re

import aiohttp
import pytest

from sockjs_bridge.client import TRANSPORTS, HandshakeError
from sockjs_bridge.core.deadlines import Deadlines
from sockjs_bridge.testing import serve
from tests.integration.support import HTTP_TRANSPORTS, Journal, closing, connected, get
from tests.pkgs import (
    blocking_view_app,
    lab_app,
    one_view_app,
    pyramid_sockjs_app,
    session_class_app,
)

# Section 8: jsonp only serves other origins, so it is on where one is allowed.
SETTINGS = {"sockjs.allowed_origins": "https://app.example.com"}
VIEWS = ["view", "coroutine"]
STYLES = [*VIEWS, "plain", "async"]
GREETING = "Welcome to SockJS!\n"

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
every_style = pytest.mark.parametrize("style", STYLES)

_tags = itertools.count()


@pytest.fixture
def tag() -> str:
    """A name that no other connection has."""
    return f"tag{next(_tags)}"


@pytest.fixture(scope="module")
def journal() -> Journal:
    return Journal()


@pytest.fixture(autouse=True)
def short_repeat_window(monkeypatch):
    """A browser's silent repeat is not waited for: no client of these tests repeats."""
    monkeypatch.setattr(Deadlines, "REPEAT_WINDOW", 0.05)


def served(app):
    with serve(app) as url:
        yield url


@pytest.fixture(scope="module")
def blocking_view():
    yield from served(blocking_view_app.main(**SETTINGS))


@pytest.fixture(scope="module")
def one_view():
    yield from served(one_view_app.main(**SETTINGS))


@pytest.fixture(scope="module")
def session_class(journal):
    yield from served(session_class_app.main(journal=journal, **SETTINGS))


@pytest.fixture
def pyramid_sockjs():
    """One for each test: who left the last one is told of whenever its end is noticed."""
    yield from served(pyramid_sockjs_app.main(**SETTINGS))


@pytest.fixture(scope="module")
def lab(journal):
    yield from served(lab_app.main(journal=journal, **SETTINGS))


async def recv_until(connection, wanted):
    """Receive until a message comes, and return how many others came before."""
    skipped = 0
    while (message := await connection.recv()) != wanted:
        skipped += 1
        assert skipped < 100, message
    return skipped


# Section 2: a blocking view


@every_transport
async def test_blocking_view(blocking_view, transport):
    """Section 2: what one client says, all hear, whatever became of earlier clients."""
    url = f"{blocking_view}/websocket"
    async with connected(url, transport) as one, connected(url, transport) as other:
        for name, client in (("one", one), ("other", other)):
            await client.send(f"{name} is here")
            await recv_until(client, f"{name} is here")
        await one.send("hello “all” %41 \0")
        await recv_until(one, "hello “all” %41 \0")
        await recv_until(other, "hello “all” %41 \0")
        await other.send("and back")
        assert await one.recv() == "and back"
        assert await other.recv() == "and back"


@pytest.mark.parametrize("path", ["/websocket", "/websocket/"])
async def test_greeting_where_no_view_answers(blocking_view, path):
    """Section 3: where no view answers a plain GET, it is the protocol's greeting."""
    status, headers, text = await get(blocking_view + path)
    assert (status, headers["Content-Type"], text) == (200, "text/plain; charset=UTF-8", GREETING)
    assert (await get(blocking_view + path, method="HEAD"))[0] == 200
    assert (await get(blocking_view + path, method="POST"))[0] in (404, 405)
    assert (await get(blocking_view + "/nothing"))[0] == 404


# Sections 3 and 9: one view for the page and for the connection


@every_transport
async def test_one_view(one_view, transport):
    """Section 3: the page and the connections are one view's; others hear what one says."""
    url = f"{one_view}/chat"
    async with connected(url, transport) as one, connected(url, transport) as other:
        # Each view adds its connection when its thread runs: an answer shows that it did.
        for sender, receiver in ((one, other), (other, one)):
            answered = asyncio.create_task(receiver.recv())
            while not answered.done():
                await sender.send("are you there?")
                await asyncio.wait({answered}, timeout=0.1)
        await one.send("hello")
        await recv_until(other, "hello")
        await other.send("goodbye")
        await recv_until(one, "goodbye")


async def test_page_of_one_view(one_view):
    """Sections 3 and 9: a plain GET is the page, which loads the client from the application."""
    status, headers, text = await get(f"{one_view}/chat")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    assert 'new SockJS("/chat")' in text
    client = re.search(r'<script src="(/[^"]+)">', text)
    status, headers, text = await get(one_view + client[1])
    assert status == 200
    assert "SockJS" in text
    assert "max-age=31536000" in headers["Cache-Control"]
    assert (await get(f"{one_view}/chat/info"))[0] == 200
    assert (await get(f"{one_view}/chat/"))[2] == GREETING


# Section 5: a session class


@every_transport
@pytest.mark.parametrize("route", ["chat", "other"])
async def test_session_class(session_class, journal, transport, route, tag):
    """Section 5: the hooks are called in order, the last one once, with code and reason."""
    url = f"{session_class}/{route}?tag={tag}"
    async with connected(url, transport) as client:
        assert await client.recv() == f"welcome to {route}"
        for number in range(20):
            await client.send(f"message {number}")
        for number in range(20):
            assert await client.recv() == f"message {number}"
        await client.close(3456, "bye")
    events = await journal.wait(tag, "close")
    assert events[0] == ("open",)
    assert events[1:-1] == [("message", f"message {number}") for number in range(20)]
    # HTTP has no way to tell the server why: the receiving request just breaks off.
    code, reason = (3456, "bye") if "websocket" in transport else (1002, "Connection interrupted")
    assert events[-1] == ("close", code, reason)


# pyramid_sockjs 0.3


@every_transport
@pytest.mark.parametrize("path", ["__sockjs__", "named"])
async def test_pyramid_sockjs(pyramid_sockjs, transport, path):
    """Section 5: code for pyramid_sockjs 0.3 runs when only its imports are changed."""
    url = f"{pyramid_sockjs}/{path}"
    async with connected(url, transport) as one:
        assert await one.recv() == "Someone joined."
        async with connected(url, transport) as other:
            assert await one.recv() == "Someone joined."
            assert await other.recv() == "Someone joined."
            await other.send("hello")
            assert await one.recv() == "hello"
            assert await other.recv() == "hello"
            assert (await get(f"{pyramid_sockjs}/announce"))[2] == "sent"
            announced = "An announcement" + (" for the others." if path == "named" else ".")
            assert await one.recv() == announced
            assert await other.recv() == announced
        assert await one.recv() == "Someone left."


@every_transport
async def test_sessions_of_pyramid_sockjs(transport):
    """Section 5: the manager lists the sessions of its endpoint, which it reaches one by one."""
    app = pyramid_sockjs_app.main(**SETTINGS)
    with serve(app) as url:
        async with connected(f"{url}/named", transport) as one:
            assert await one.recv() == "Someone joined."
            async with connected(f"{url}/named", transport) as other:
                assert await one.recv() == "Someone joined."
                assert await other.recv() == "Someone joined."
                assert len(app.registry.seen) == 2
                await one.send("count")
                assert await one.recv() == "2"
                await one.send("hello")
                assert await one.recv() == await other.recv() == "hello"
                await one.send("kick")
                assert await closing(other) == (1000, "Normal closure")
            assert await one.recv() == "Someone left."
            assert len(app.registry.seen) == 1
            await one.send("count")
            assert await one.recv() == "1"


# What every style does


@every_transport
@every_style
async def test_echo(lab, transport, style):
    """Messages of any text come back in order."""
    texts = ["", "a", "“ü” 😀", "\x00\x7f\u200b\u2028\ufff0\uffff", "%41%", "</script>", '["\\"]']
    async with connected(f"{lab}/{style}", transport) as client:
        for text in texts:
            await client.send(text)
        # An empty text is no message where there is no framing to tell (sockjs-wire.md).
        assert [await client.recv() for _ in texts] == texts


@every_transport
@every_style
async def test_close_from_the_server(lab, journal, transport, style, tag):
    """Section 5: close(code, reason) reaches the client; a send after it returns False."""
    async with connected(f"{lab}/{style}?tag={tag}", transport) as client:
        await client.send("before")
        await client.send("close")
        assert await client.recv() == "before"
        assert await closing(client) == (4321, "as you “asked”")
    events = await journal.wait(tag, "close")
    assert ("sent", False) in events
    assert ("send", False, True) in events
    assert [event for event in events if event[0] == "close"] == [("close", 4321, "as you “asked”")]
    if style in VIEWS:
        # Section 2: receive() raises ConnectionClosed with code and reason, as often as asked.
        assert ("ends", *[(4321, "as you “asked”")] * 3) in events


@every_transport
@every_style
async def test_client_that_leaves(lab, journal, transport, style, tag):
    """Section 2: for who has left, receive() raises, send() returns False and raises nothing."""
    async with connected(f"{lab}/{style}?tag={tag}", transport) as client:
        await client.send("hello")
        assert await client.recv() == "hello"
        await client.close(3999, "leaving")
    code = (3999, "leaving") if "websocket" in transport else (1002, "Connection interrupted")
    events = await journal.wait(tag, "close")
    assert ("send", False, True) in events
    assert [event for event in events if event[0] == "close"] == [("close", *code)]
    if style in VIEWS:
        assert ("ends", *[code] * 3) in events


@every_transport
@every_style
@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("bytes", "a message is a str, not bytes"),
        ("bad code", "a close code is 1000, or 3000 to 4999, not 1006"),
        ("bad reason", "a reason is a str, not NoneType"),
    ],
)
async def test_wrong_arguments(lab, transport, style, asked, answer):
    """A message that is no string is a TypeError in every state; so are wrong ends."""
    async with connected(f"{lab}/{style}", transport) as client:
        await client.send(asked)
        assert await client.recv() == answer
        await client.send("it goes on")
        assert await client.recv() == "it goes on"


@every_transport
@every_style
@pytest.mark.parametrize(
    ("asked", "code", "reason"),
    [("forbid", 4403, "Forbidden"), ("hide", 4404, "Not Found")],
)
async def test_http_exception_in_a_running_view(
    lab, journal, caplog, transport, style, asked, code, reason, tag
):
    """Section 7: a 4xx raised inside a running view closes with 4000 + status, unlogged."""
    async with connected(f"{lab}/{style}?tag={tag}", transport) as client:
        await client.send(asked)
        assert await closing(client) == (code, reason)
    if style not in VIEWS:
        # A view that ends by itself is not told that it has ended.
        assert (await journal.wait(tag, "close"))[-1] == ("close", code, reason)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@every_transport
@every_style
@pytest.mark.parametrize("asked", ["fail", "redirect"])
async def test_exception_in_a_running_view(lab, caplog, transport, style, asked, tag):
    """Section 7: logged with the route, closed with 4500, the other sessions undisturbed."""
    url = f"{lab}/{style}?tag={tag}"
    async with connected(url, transport) as client, connected(url, transport) as other:
        await client.send(asked)
        assert await closing(client) == (4500, "Internal Server Error")
        await other.send("undisturbed")
        assert await other.recv() == "undisturbed"
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.levelno == logging.ERROR
    assert record.name.startswith("sockjs_bridge")
    assert f"route {style!r}" in record.getMessage()
    assert record.exc_info is not None


@every_transport
@pytest.mark.parametrize("style", VIEWS)
async def test_view_that_returns(lab, transport, style):
    """A view that returns closes its connection with 1000; what it returns is ignored."""
    async with connected(f"{lab}/{style}", transport) as client:
        await client.send("before")
        await client.send("return")
        assert await client.recv() == "before"
        assert await closing(client) == (1000, "Normal closure")


@every_transport
@every_style
async def test_connection_closed_raised_by_the_application(lab, caplog, transport, style):
    """Section 2: raised out of a view, ConnectionClosed ends it quietly."""
    async with connected(f"{lab}/{style}", transport) as client:
        await client.send("give up")
        assert await closing(client) == (1000, "Normal closure")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@every_transport
@pytest.mark.parametrize("path", ["impatient", "impatient_coroutine"])
async def test_receive_with_a_timeout(lab, transport, path):
    """Section 2: receive(timeout=seconds) raises TimeoutError, and the connection goes on."""
    async with connected(f"{lab}/{path}", transport) as client:
        assert await client.recv() == "TimeoutError: no message within 0.05 s"
        await client.send("on we go")
        assert await client.recv() == "on we go"


@every_style
@every_transport
async def test_request_of_the_handshake(lab, transport, style):
    """Section 5: self.request is the handshake's: matchdict, context, identity are there."""
    url = f"{lab}/private_{style}/kitchen"
    async with connected(url, transport, headers={"X-User": "ada"}) as client:
        for asked, answer in (
            ("who", "ada in kitchen"),
            ("context", "Room"),
            ("transport", transport),
        ):
            await client.send(asked)
            assert await client.recv() == answer
        if style not in ("async", "coroutine"):
            # architecture.md: sync bodies run within RequestContext(request).
            await client.send("threadlocal")
            assert await client.recv() == "True"


# The handshake


@every_transport
@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        *[(f"private_{style}/kitchen", 403, "Forbidden") for style in STYLES],
        ("forbidding", 403, "Forbidden"),
        ("challenging", 401, "Unauthorized"),
        ("nobody", 404, "Not Found"),
        ("failing", 500, "Internal Server Error"),
    ],
)
async def test_refused_handshake(lab, journal, transport, path, status, reason, tag):
    """Section 7: WebSockets get the status; over HTTP the session opens and closes at once."""
    url = f"{lab}/{path}?tag={tag}"
    if "websocket" in transport:
        with pytest.raises(HandshakeError) as refused:
            await connected(url, transport).__aenter__()
        assert refused.value.status == status
    else:
        async with connected(url, transport) as client:
            assert await closing(client) == (4000 + status, reason)
    assert journal.events(tag) == []


async def test_headers_of_a_refused_handshake(lab):
    """Section 7: the headers of the response are sent along, a challenge for instance."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{lab}/challenging/websocket")
        assert refused.value.status == 401
        assert refused.value.headers["WWW-Authenticate"] == "Basic"


async def test_exception_in_the_handshake_is_logged(lab, caplog):
    """Section 7: an exception before the view is logged with the route."""
    with pytest.raises(HandshakeError):
        await connected(f"{lab}/failing", "websocket").__aenter__()
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert "'failing'" in record.getMessage()
    assert record.exc_info is not None


@every_transport
async def test_headers_of_the_handshake(lab, journal, transport, tag):
    """Section 7: Set-Cookie and headers are sent along, apart from those of a page's body."""
    async with connected(f"{lab}/cookies?tag={tag}", transport) as client:
        assert client.response_headers.getall("Set-Cookie") == ["seen=yes; Path=/"]
        assert client.response_headers["X-Greeting"] == "hello"
        if transport in HTTP_TRANSPORTS:
            assert "no-store" in client.response_headers["Cache-Control"]
        assert len(client.response_headers.getall("Content-Type", [])) < 2
        # architecture.md: finished callbacks end with the handshake, not with the connection.
        assert journal.events(tag) == [("finished",)]


async def test_receive_on_a_page(lab, caplog):
    """request.receive() in a page's view says what is wrong, in place of waiting for ever."""
    assert (await get(f"{lab}/forgetful"))[0] == 500
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in errors] == [
        "request.receive() is for websocket views: this request is a page's"
    ]


# The limit of blocking views


@every_transport
async def test_too_many_blocking_views(transport, caplog, tag):
    """Section 11: beyond blocking_threads the session closes with 4503; a place is given back."""
    journal = Journal()
    settings = {"sockjs.blocking_threads": "1", **SETTINGS}
    with serve(lab_app.main(journal=journal, **settings)) as lab:
        async with connected(f"{lab}/view?tag={tag}", transport) as first:
            await first.send("mine")
            assert await first.recv() == "mine"
            async with connected(f"{lab}/view", transport) as second:
                assert await closing(second) == (4503, "Too many connections")
            # Session classes need no thread of their own.
            async with connected(f"{lab}/plain", transport) as other:
                await other.send("other")
                assert await other.recv() == "other"
        await journal.wait(tag, "close")

        async def is_free():
            async with connected(f"{lab}/view", transport) as third:
                await third.send("free")
                try:
                    return await third.recv() == "free"
                except ConnectionError:
                    return False

        while not await is_free():
            pass
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert any("all threads for blocking views are taken" in warning for warning in warnings)


async def test_blocking_threads_over_endpoints(tag):
    """The limit is the process's: views of other routes count as well."""
    settings = {"sockjs.blocking_threads": "1", **SETTINGS}
    with serve(lab_app.main(journal=Journal(), **settings)) as lab:
        async with connected(f"{lab}/impatient", "websocket") as first:
            await first.recv()
            async with connected(f"{lab}/view", "websocket") as second:
                assert await closing(second) == (4503, "Too many connections")
