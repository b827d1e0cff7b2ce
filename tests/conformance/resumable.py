"""A client of one session of ``~r1`` that hides nothing, and decides nothing by itself."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.conformance.rawclient import Connection, Response, WebSocket
from tests.conformance.wire import NOT_CACHED, Client, Headers, eventually

BROKEN = 'c[3000,"Broken framing."]'


def token() -> str:
    """Makes what ids and keys are: 16 random bytes as base64url, 22 characters."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")


def told(line: str) -> dict[str, Any]:
    """Returns what an ``r{…}`` line tells."""
    assert line[:2] == "r{", line
    return json.loads(line[1:])  # type: ignore[no-any-return]


def texts(lines: list[str]) -> list[str]:
    """Returns the messages of all ``a[…]`` lines, whatever stands between them."""
    return [text for line in lines if line[0] == "a" for text in json.loads(line[1:])]


def assert_common(response: Response) -> None:
    """All answers have these, refusals too ("URLs")."""
    # nginx obeys this one, and keeps it to itself.
    by_nginx = (response["Server"] or "").startswith("nginx")
    assert response["X-Accel-Buffering"] == (None if by_nginx else "no")
    assert response["Cache-Control"] == NOT_CACHED
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "origin" in ",".join(response.all("Vary")).lower()
    assert response["Set-Cookie"] is None
    assert response["Content-Encoding"] is None


@dataclass
class Stream:
    """A response that goes on, line by line."""

    response: Response

    def line(self) -> str:
        """Reads the next line; empty at the end of the response."""
        return self.response.part(b"\n").decode().removesuffix("\n")

    def __iter__(self) -> Iterator[str]:
        return iter(self.line, "")

    def until(self, part: str) -> list[str]:
        """Reads up to the line that has something in it."""
        lines = []
        for line in self:
            lines.append(line)
            if part in line:
                return lines
        raise AssertionError(f"{part!r} did not come: {lines!r}")


class Link:
    """A WebSocket; `line` is a text frame."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket

    def say(self, value: object) -> None:
        """Sends a frame: a text as it is, all else as JSON."""
        self.websocket.send(value if isinstance(value, str) else json.dumps(value))

    def line(self) -> str:
        return self.websocket.recv()

    def until(self, part: str) -> list[str]:
        """Reads up to the frame that has something in it."""
        lines = [self.line()]
        while part not in lines[-1]:
            lines.append(self.line())
        return lines

    def closed(self) -> int:
        """Waits for the close frame, with nothing before it; returns its code."""
        return self.websocket.closed().code


class Resumable:
    """A client of one session.

    Args:
        client: who connects.
        endpoint: the base path.
        tag: by which the application notes what it sees.

    Attributes:
        session: the session's id.
        key: its key.
        number: of the newest receive request.
        headers: sent with every request.
        home: the process that has it, as its welcome told; empty where there is one.
    """

    def __init__(self, client: Client, endpoint: str = "/echo", tag: str = "") -> None:
        self.client = client
        self.endpoint = endpoint
        self.tag = tag
        self.session = token()
        self.key = token()
        self.number = 0
        self.headers: Headers = []
        self.home = ""

    def url(self, transport: str, query: str = "", prefix: str | None = None) -> str:
        """Returns the target of one of the session's URLs."""
        if prefix is None:
            prefix = f"~r1-{self.home}" if self.home else "~r1"
        queries = "&".join(part for part in (query, self.tag and f"tag={self.tag}") if part)
        path = f"{self.endpoint}/{prefix}/{self.session}/{transport}"
        return f"{path}?{queries}" if queries else path

    def fields(self, **fields: Any) -> dict[str, Any]:
        """Makes the next receive request; None leaves a field out."""
        if "request" not in fields and "probe" not in fields:
            self.number += 1
        made = {"key": self.key, "request": self.number or None, "received": 0, **fields}
        return {name: value for name, value in made.items() if value is not None}

    def start(
        self, transport: str, body: object, connection: Connection | None = None
    ) -> Connection:
        """Sends a request, and leaves its response unread."""
        connection = connection or self.client.connect()
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = [("Content-Type", "text/plain;charset=UTF-8"), *self.headers]
        connection.start_request("POST", self.url(transport), headers, content)
        return connection

    def post(self, transport: str, body: object) -> Response:
        """Sends a request; its body is left to be read."""
        response = self.start(transport, body).response("POST")
        assert_common(response)
        return response

    def poll(self, **fields: Any) -> list[str]:
        """Polls, and returns the lines."""
        return lines_of(self.post("xhr", self.fields(**fields)))

    def held(self, **fields: Any) -> Connection:
        """Polls, and returns as soon as the server has it, which a ``stale`` request tells."""
        connection = self.start("xhr", self.fields(**fields))
        self.until_newest()
        return connection

    def until_newest(self) -> None:
        """Waits until the server knows the newest receive request."""
        if self.number == 1:
            return
        eventually(lambda: told(self.poll(request=1, now=True)[0]).get("stale") == self.number)

    def stream(self, **fields: Any) -> Stream:
        """Begins a stream."""
        response = self.post("xhr_streaming", self.fields(**fields))
        assert response.status == 200, (response.status, response.text)
        return Stream(response)

    def open(self) -> Resumable:
        """Opens the session by a poll."""
        self.enter(told(self.poll(new=True)[0]))
        return self

    def enter(self, welcome: dict[str, Any]) -> None:
        """Takes the first welcome."""
        assert welcome["from"] == 1
        self.home = welcome["home"]

    def grown(self) -> Resumable:
        """Opens the session, and proves that the welcome came.

        By a WebSocket and then a poll: what has nothing attached would have to be in time.
        """
        link = self.websocket()
        link.say({"ping": 0})
        link.until("pong")
        self.poll(now=True)
        link.websocket.close()
        return self

    def send(self, first: int = 1, *messages: str, **fields: Any) -> dict[str, Any]:
        """Sends messages by an ``xhr_send``, and returns the answer."""
        body = {"key": self.key, "first": first, "messages": messages, **fields}
        response = self.post("xhr_send", body)
        assert response.status == 200, (response.status, response.text)
        assert response["Content-Type"] == "application/json"
        return json.loads(response.body)  # type: ignore[no-any-return]

    def run(self, first: int, *steps: list[Any]) -> dict[str, Any]:
        """Sends a script of steps as one message."""
        return self.send(first, json.dumps(steps))

    def until_handled(self, count: int) -> None:
        """Waits until the application has handled so many messages; it may be slow."""
        eventually(lambda: self.send()["received"] >= count)

    def deliver(self, first: int, *messages: str) -> None:
        """Sends messages, and waits until the application has handled them, and has answered.

        Again and again, as `send` may return before all were taken; those that were are dropped.
        """
        last = first + len(messages) - 1
        eventually(lambda: self.send(first, *messages)["received"] >= last)

    def handshake(self, query: str = "") -> WebSocket:
        """Makes a WebSocket's handshake."""
        return self.client.websocket(self.url("websocket", query), self.headers)

    def link(self, query: str = "") -> Link:
        """Makes a WebSocket; no hello is said."""
        websocket = self.handshake(query)
        assert websocket.handshake.status == 101, websocket.handshake.status
        return Link(websocket)

    def hello(self, link: Link, **fields: Any) -> dict[str, Any]:
        """Says hello over a WebSocket, and returns the welcome."""
        link.say(self.fields(**fields))
        return told(link.line())

    def websocket(self) -> Link:
        """Opens the session by a WebSocket."""
        link = self.link("new")
        self.enter(self.hello(link, new=True))
        return link

    def attach(self, way: str, **fields: Any) -> Link | Stream:
        """Attaches a stream or a WebSocket, and reads its welcome."""
        if way == "websocket":
            link = self.link()
            assert "from" in self.hello(link, **fields)
            return link
        stream = self.stream(**fields)
        assert "from" in told(stream.line())
        return stream

    def thief(self) -> Resumable:
        """Returns somebody who knows the id, and not the key."""
        other = Resumable(self.client, self.endpoint, self.tag)
        other.session = self.session
        other.number = 100
        other.home = self.home
        return other


def lines_of(response: Response) -> list[str]:
    """Returns the lines of a poll's answer."""
    assert response.status == 200, (response.status, response.text)
    body = response.text
    assert body.endswith("\n"), body
    return body.split("\n")[:-1]
