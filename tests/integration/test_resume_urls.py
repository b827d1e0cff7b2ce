"""What the URLs of ``~r1`` answer, byte by byte; by both readers in the full run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from yarl import URL

from sockjs_bridge.testing import serve
from tests.integration.resume_support import KEY, SESSION, App
from tests.integration.support import PATIENCE

OTHER_KEY = "o" * 22
COMMON = {
    "Cache-Control": "no-store, no-cache, no-transform, must-revalidate, max-age=0",
    "X-Content-Type-Options": "nosniff",
    "X-Accel-Buffering": "no",
    "Vary": "Origin",
}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[App, str]]:
    app = App(max_message_size=4096, disconnect_delay=0.2, allowed_origins="https://app.example")
    with serve(app.wsgi) as url:
        yield app, url


class Client:
    """Asks as a client of ``~r1`` does, by hand."""

    def __init__(self, http: aiohttp.ClientSession, url: str, session: str, key: str) -> None:
        self.http, self.url, self.session, self.key = http, url, session, key
        self.number = 0

    async def ask(
        self, transport: str = "xhr", *, headers: dict[str, str] | None = None, **fields: Any
    ) -> tuple[int, str]:
        """Ask, and return status and body."""
        body = {"key": self.key, **fields}
        if transport != "xhr_send" and "probe" not in fields:
            self.number = fields.get("request", self.number + 1)
            body = {"request": self.number, "received": 0, **body}
        async with self.http.post(
            f"{self.url}/~r1/{self.session}/{transport}", data=json.dumps(body), headers=headers
        ) as response:
            for name, value in COMMON.items():
                assert response.headers[name] == value
            return response.status, await response.text()

    async def lines(self, *arguments: Any, **fields: Any) -> list[Any]:
        """Ask, and return the lines: what `r` tells and messages as they are, the rest as text."""
        status, body = await self.ask(*arguments, **fields)
        assert status == 200
        assert body.endswith("\n")
        return [json.loads(line[1:]) if line[0] in "ra" else line for line in body.splitlines()]

    @asynccontextmanager
    async def websocket(
        self, query: str = "", **headers: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"{self.url}/~r1/{self.session}/websocket{query}"
        async with self.http.ws_connect(url, headers=headers) as websocket:
            yield websocket

    def hello(self, **fields: Any) -> str:
        self.number += 1
        return json.dumps({"key": self.key, "request": self.number, "received": 0, **fields})


NAMES = iter(f"{number:022}" for number in range(10**6))


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        yield http


@pytest.fixture
def client(served: tuple[App, str], http: aiohttp.ClientSession) -> Client:
    return Client(http, f"{served[1]}/echo", next(NAMES), KEY)


# What there is

NOT_FOUND = [
    "/echo/~r1/short/xhr",
    f"/echo/~r1/{SESSION}x/xhr",
    f"/echo/~r1/{SESSION}/jsonp",
    f"/echo/~r1/{SESSION}/",
    f"/echo/~r1-UP/{SESSION}/xhr",
    f"/echo/~r1-abc/{SESSION}/xhr",
    f"/off/~r1/{SESSION}/xhr",
    f"/off/%7Er1/{SESSION}/xhr_send",
    f"/polls/~r1/{SESSION}/xhr_streaming",
    f"/polls/~r1/{SESSION}/websocket",
]


@pytest.mark.parametrize("path", NOT_FOUND)
async def test_not_found(served: tuple[App, str], http: aiohttp.ClientSession, path: str) -> None:
    async with http.post(served[1] + path, data="{}") as response:
        assert response.status == 404


@pytest.mark.parametrize("prefix", ["~r1", "%7Er1", "%7er1-home", "~r1-0123456789abcdef"])
async def test_other_spellings(
    served: tuple[App, str], http: aiohttp.ClientSession, prefix: str
) -> None:
    body = json.dumps({"key": KEY, "request": 1, "received": 0})
    url = URL(f"{served[1]}/echo/{prefix}/{next(NAMES)}/xhr", encoded=True)
    async with http.post(url, data=body) as response:
        assert await response.text() == 'r{"lost":{}}\n'


@pytest.mark.parametrize(
    ("method", "transport", "allowed"),
    [
        ("GET", "xhr", "OPTIONS, POST"),
        ("PUT", "xhr_send", "OPTIONS, POST"),
        ("GET", "xhr_streaming", "OPTIONS, POST"),
        ("POST", "websocket", "GET"),
        ("OPTIONS", "websocket", "GET"),
    ],
)
async def test_other_methods(client: Client, method: str, transport: str, allowed: str) -> None:
    url = f"{client.url}/~r1/{SESSION}/{transport}"
    headers = {"Origin": "https://evil.example"}
    async with client.http.request(method, url, headers=headers) as response:
        assert (response.status, response.headers["Allow"]) == (405, allowed)
        for name, value in COMMON.items():
            assert response.headers[name] == value


async def test_preflight(client: Client) -> None:
    headers = {"Origin": "https://app.example", "Access-Control-Request-Headers": "x-a"}
    url = f"{client.url}/~r1/{SESSION}/xhr"
    async with client.http.options(url, headers=headers) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert response.headers["Access-Control-Allow-Headers"] == "x-a"


@pytest.mark.parametrize("size", [10, 10000])
async def test_other_origin(client: Client, size: int) -> None:
    headers = {"Origin": "https://evil.example"}
    assert await client.ask(headers=headers, new=True, pad="x" * size) == (403, "Forbidden")
    assert await client.lines() == [{"lost": {}}]


async def test_origin_that_is_allowed(client: Client) -> None:
    headers = {"Origin": "https://app.example"}
    assert (await client.lines(headers=headers, new=True))[0]["from"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "short"},
        {"received": -1},
        {"received": True},
        {"request": 0},
        {"request": "1"},
        {"heartbeat": 4},
        {"messages": ["a"]},
        {"rooms": []},
    ],
)
async def test_bad_requests(client: Client, fields: dict[str, Any]) -> None:
    body = {"key": KEY, "request": 1, "received": 0, **fields}
    url = f"{client.url}/~r1/{client.session}/xhr"
    async with client.http.post(url, data=json.dumps(body)) as response:
        assert response.status == 400
    assert await client.lines(request=1) == [{"lost": {}}]


@pytest.mark.parametrize("body", ["", "null", "[" * 4000, "{", "\xff"])
async def test_bodies_that_are_none(client: Client, body: str) -> None:
    for transport in ("xhr", "xhr_streaming", "xhr_send"):
        url = f"{client.url}/~r1/{client.session}/{transport}"
        async with client.http.post(url, data=body.encode("latin-1")) as response:
            assert response.status == 400


async def test_too_large(client: Client) -> None:
    await client.lines(new=True)
    status, _ = await client.ask("xhr_send", first=1, messages=["x" * 5000])
    assert status == 413
    assert await client.ask("xhr_send", first=1, messages=["x"]) == (
        200,
        '{"arrived":1,"received":0}',
    )


# A session


async def test_first_welcome(client: Client) -> None:
    (welcome,) = await client.lines(new=True)
    assert len(welcome.pop("net")) == 16
    assert welcome.pop("incarnation")
    assert welcome == {
        "from": 1,
        "received": 0,
        "window": 60,
        "heartbeat": 25,
        "spread": 5,
        "limit": 4096,
        "home": "",
    }


async def test_messages_both_ways(client: Client) -> None:
    await client.lines(new=True, first=1, messages=["a", "b"])
    assert await client.lines() == [{"from": 1, "received": 2}, ["a", "b"]]
    # The same again: nothing was acknowledged.
    assert await client.lines() == [{"from": 1, "received": 2}, ["a", "b"]]
    assert await client.lines(received=2, now=True) == [{"from": 3, "received": 2}]


async def test_stale(client: Client) -> None:
    await client.lines(new=True, request=57)
    assert await client.lines(request=56) == [{"stale": 57}]


async def test_stream_and_its_replacement(client: Client) -> None:
    await client.lines(new=True)
    stream = asyncio.create_task(client.lines("xhr_streaming"))
    async with client.websocket() as websocket:
        await websocket.send_str('{"ping":7}')
        assert await websocket.receive_str() == 'r{"pong":7}'
        await websocket.send_str(client.hello(request=3, first=1, messages=["a"]))
        assert (await websocket.receive_str()).startswith('r{"from":1,')
        assert await stream == [{"from": 1, "received": 0}, {"stale": 3}]
        assert await websocket.receive_str() == 'a["a"]'
        # Numbers go on from the welcome: what is known is dropped.
        await websocket.send_str('["a","b"]')
        seen = ""
        while seen != 'a["b"]':
            seen = await websocket.receive_str()


async def test_wrong_key(client: Client) -> None:
    await client.lines(new=True)
    stream = asyncio.create_task(client.lines("xhr_streaming"))
    thief = Client(client.http, client.url, client.session, OTHER_KEY)
    for transport in ("xhr", "xhr_streaming"):
        assert await thief.ask(transport, request=9) == (403, "Forbidden")
    assert await thief.ask("xhr_streaming", probe=1) == (403, "Forbidden")
    close = {"close": [1000, ""], "first": 1, "messages": ["evil"]}
    assert await thief.ask("xhr_send", **close) == (403, "Forbidden")
    async with thief.websocket() as websocket:
        await websocket.send_str(thief.hello(request=10))
        message = await websocket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4403)
    await client.ask("xhr_send", first=1, messages=["close 3456"])
    assert (await stream)[-1] == 'c[3456,"as asked"]'


async def test_unknown_sessions(client: Client) -> None:
    assert await client.lines() == [{"lost": {}}]
    assert await client.lines("xhr_streaming", probe=1) == [{"lost": {}}]
    assert (await client.ask("xhr_send", received=0))[0] == 404
    async with client.websocket() as websocket:
        await websocket.send_str(client.hello())
        assert await websocket.receive_str() == 'r{"lost":{}}'
        assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_probe(client: Client) -> None:
    await client.lines(new=True)
    url = f"{client.url}/~r1/{client.session}/xhr_streaming"
    body = json.dumps({"key": KEY, "probe": 12})
    async with client.http.post(url, data=body) as response:
        assert await response.content.readline() == b'r{"pong":12}\n'
        # It stays open, and attaches nothing.
        assert await client.lines(now=True) == [{"from": 1, "received": 0}]
        assert not response.content.at_eof()
    async with client.http.post(url, data=body) as response:
        assert await response.read() == b'r{"pong":12}\n'


async def test_closed_by_the_application(client: Client) -> None:
    await client.lines(new=True, first=1, messages=["a", "close 4321"])
    end = [{"from": 1, "received": 2}, ["a"], 'c[4321,"as asked"]']
    assert await client.lines() == end
    assert await client.lines("xhr_streaming") == end
    assert await client.ask("xhr_send", received=1) == (
        200,
        '{"arrived":2,"received":2,"closed":[4321,"as asked"]}',
    )


async def test_closed_by_the_client(served: tuple[App, str], client: Client) -> None:
    tag = client.session
    url = f"{client.url}/~r1/{client.session}/xhr?tag={tag}"
    body = json.dumps({"key": KEY, "request": 1, "received": 0, "new": True})
    async with client.http.post(url, data=body) as response:
        assert response.status == 200
    await client.ask("xhr_send", first=1, messages=["a"], close=[3999, "bye"])
    events = await served[0].journal.wait(tag, "close")
    assert events[-2:] == [("message", "a", None, False), ("close", 3999, "bye")]


async def test_gap_and_acknowledging_what_was_not_sent(client: Client) -> None:
    await client.lines(new=True)
    _, body = await client.ask("xhr_send", first=3, messages=["c"])
    assert json.loads(body)["closed"] == [3000, "Broken framing."]
    other = Client(client.http, client.url, next(NAMES), KEY)
    await other.lines(new=True)
    assert await other.lines(received=5) == ['c[3000,"Broken framing."]']


async def test_binary_message(client: Client) -> None:
    async with client.websocket("?new") as websocket:
        await websocket.send_bytes(b"x")
        message = await websocket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4400)
    async with client.websocket() as websocket:
        await websocket.send_str(client.hello(new=True))
        assert '"from":1' in await websocket.receive_str()
        await websocket.send_bytes(b"x")
        assert await websocket.receive_str() == 'c[3000,"Broken framing."]'


async def test_two_dictionaries(client: Client) -> None:
    """A stock session and one of ``~r1`` may have the same id, and hear nothing of each other."""
    await client.lines(new=True)
    url = f"{client.url}/000/{client.session}"
    async with client.http.post(f"{url}/xhr_send", data='["evil"]') as response:
        assert response.status == 404
    async with client.http.post(f"{url}/xhr") as response:
        assert await response.read() == b"o\n"
    assert await client.lines(now=True) == [{"from": 1, "received": 0}]


async def test_http_10(served: tuple[App, str], client: Client) -> None:
    await client.lines(new=True, first=1, messages=["a"])
    body = json.dumps({"key": KEY, "request": 2, "received": 0}).encode()
    host, _, port = client.url.removeprefix("http://").removesuffix("/echo").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /echo/~r1/{client.session}/xhr_streaming HTTP/1.0\r\nHost: {host}:{port}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"chunked" not in head
    assert await reader.readline() == b'r{"from":1,"received":1}\n'
    assert await reader.readline() == b'a["a"]\n'
    await client.ask("xhr_send", first=2, messages=["close 4000"])
    rest = await reader.read()
    assert rest.endswith(b'c[4000,"as asked"]\n')
    writer.close()


# The application's pipeline


async def test_refused_by_the_application(
    served: tuple[App, str], http: aiohttp.ClientSession
) -> None:
    client = Client(http, f"{served[1]}/members", next(NAMES), KEY)
    assert await client.lines(new=True) == ['c[4403,"Forbidden"]']
    other = Client(http, f"{served[1]}/members", next(NAMES), KEY)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with other.websocket("?new"):
            pass
    assert refused.value.status == 403
    # Without `new` the application is not asked.
    async with other.websocket() as websocket:
        await websocket.send_str(other.hello())
        assert await websocket.receive_str() == 'r{"lost":{}}'


async def test_whose_session_it_is(served: tuple[App, str], http: aiohttp.ClientSession) -> None:
    client = Client(http, f"{served[1]}/members", next(NAMES), KEY)
    alice, mallory = {"Authorization": "alice"}, {"Authorization": "mallory"}
    await client.lines(new=True, headers=alice)
    assert await client.lines(headers=alice, now=True) == [{"from": 1, "received": 0}]
    assert (await client.ask(headers=mallory))[0] == 403
    assert (await client.ask("xhr_send", headers=mallory, received=0))[0] == 403
    async with client.websocket(Authorization="mallory") as websocket:
        await websocket.send_str(client.hello())
        assert (await websocket.receive()).data == 4403
    # Without the key, nobody ends it: neither by a handshake nor by a request.
    thief = Client(http, client.url, client.session, OTHER_KEY)
    assert (await thief.ask())[0] == 403
    assert await client.lines(headers=alice, now=True) == [{"from": 1, "received": 0}]
    # With it, a request of nobody is a sign-out.
    assert await client.lines() == [{"from": 1, "received": 0}, 'c[4401,"Unauthorized"]']


async def test_sign_out_by_a_send_and_over_a_websocket(
    served: tuple[App, str], http: aiohttp.ClientSession
) -> None:
    for way in ("send", "websocket"):
        client = Client(http, f"{served[1]}/members", next(NAMES), KEY)
        await client.lines(new=True, headers={"Authorization": "alice"})
        if way == "send":
            status, body = await client.ask("xhr_send", received=0)
            assert (status, json.loads(body)["closed"]) == (200, [4401, "Unauthorized"])
        else:
            async with client.websocket() as websocket:
                await websocket.send_str(client.hello())
                lines = [await websocket.receive_str(), await websocket.receive_str()]
                assert lines[1] == 'c[4401,"Unauthorized"]'


async def test_poll_that_waits_for_the_outcome_of_a_handshake(client: Client) -> None:
    """Both hedge: one trip through the pipeline, and both hear of it."""
    async with client.websocket("?new") as websocket:
        (welcome,) = await client.lines(new=True)
        assert welcome["from"] == 1
        await websocket.send_str(client.hello())
        assert await websocket.receive_str() == 'r{"from":1,"received":0}'


# An application that takes its time


@pytest.fixture
def patient(served: tuple[App, str], http: aiohttp.ClientSession) -> Iterator[Client]:
    yield Client(http, f"{served[1]}/patient", next(NAMES), KEY)
    served[0].release.set()


async def test_send_without_room_is_answered_with_what_was_taken(
    served: tuple[App, str], patient: Client
) -> None:
    served[0].release.clear()
    await patient.lines(new=True)
    texts = [f"{number}" for number in range(100)]
    status, body = await patient.ask("xhr_send", first=1, messages=texts)
    assert (status, json.loads(body)) == (200, {"arrived": 64, "received": 0})
    # The same again, which waits until there is room.
    again = asyncio.create_task(patient.ask("xhr_send", first=1, messages=texts))
    served[0].release.set()
    _, body = await again
    assert json.loads(body)["arrived"] == 100
    _, messages = await patient.lines()
    assert messages[0] == "None 0"


async def test_more_sends_than_an_honest_client_has(
    served: tuple[App, str], patient: Client
) -> None:
    served[0].release.clear()
    await patient.lines(new=True, first=1, messages=["x"] * 64)
    sends = [
        asyncio.create_task(patient.ask("xhr_send", first=65, messages=["y"])) for _ in range(12)
    ]
    answers = await asyncio.gather(*sends)
    assert {status for status, _ in answers} == {200, 503}


async def test_websocket_is_not_read_while_there_is_no_room(
    served: tuple[App, str], patient: Client
) -> None:
    served[0].release.clear()
    count = 300
    async with patient.websocket("?new") as websocket:
        await websocket.send_str(patient.hello(new=True))
        for number in range(count):
            await websocket.send_str(json.dumps([f"{number}"]))
        seen = ""
        while "busy" not in seen:
            seen = await websocket.receive_str()
        served[0].release.set()
        got: list[str] = []
        while len(got) < count:
            line = await websocket.receive_str()
            got += json.loads(line[1:]) if line[0] == "a" else []
        assert got == [f"None {number}" for number in range(count)]


async def test_credentials_are_asked_about_while_a_websocket_goes_on(
    served: tuple[App, str], http: aiohttp.ClientSession
) -> None:
    client = Client(http, f"{served[1]}/members", next(NAMES), KEY)
    await client.lines(new=True, headers={"Authorization": "alice"})
    # Another cookie, the same user.
    async with client.websocket(Authorization="alice", Cookie="a=b") as websocket:
        await websocket.send_str(client.hello())
        await websocket.send_str('{"first":1,"messages":["a"]}')
        await websocket.send_str('["b"]')
        got: list[str] = []
        while len(got) < 2:
            line = await websocket.receive_str()
            got += json.loads(line[1:]) if line[0] == "a" else []
        assert got == ["a", "b"]
