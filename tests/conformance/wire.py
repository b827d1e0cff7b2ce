"""What the tests know of the transports, and one client for all of them.

Independent of `sockjs_bridge.core.transports`: this table is read from the protocol text.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from tests.conformance.rawclient import Connection, Response, WebSocket

PATIENCE = 40.0
"""Seconds after which a wait for an event has failed; no heartbeat of 25 s comes in that time."""

JAVASCRIPT = "application/javascript;charset=UTF-8"
NOT_CACHED = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
Headers = list[tuple[str, str]]


def _between(prefix: str, suffix: str) -> Callable[[bytes], str]:
    def unwrap(data: bytes) -> str:
        text = data.decode()
        assert text.startswith(prefix) and text.endswith(suffix), data
        return text[len(prefix) : len(text) - len(suffix)]

    return unwrap


def _called(prefix: str, suffix: str) -> Callable[[bytes], str]:
    inner = _between(prefix, suffix)
    return lambda data: str(json.loads(inner(data)))


@dataclass(frozen=True)
class HttpTransport:
    """One row of the table of receiving transports.

    Attributes:
        path: the last segment of its URL.
        method: the method that receives.
        query: what its URL must carry.
        content_type: without spaces.
        prelude: what a response must begin with; empty without a prelude.
        prelude_end: what the prelude ends with, and has nowhere else.
        frame_end: what each frame ends with, and has nowhere else.
        unwrap: takes a frame out of its framing, as the browser's client does.
        send_path: the last segment of the URL that sends.
    """

    path: str
    method: str
    query: str
    content_type: str
    prelude: str
    prelude_end: bytes
    frame_end: bytes
    unwrap: Callable[[bytes], str]
    send_path: str = "xhr_send"

    @property
    def streaming(self) -> bool:
        return bool(self.prelude)


HTTP_TRANSPORTS = {
    row.path: row
    for row in (
        HttpTransport("xhr", "POST", "", JAVASCRIPT, "", b"", b"\n", _between("", "\n")),
        HttpTransport(
            "xhr_streaming",
            "POST",
            "",
            JAVASCRIPT,
            "h{2048}\n",
            b"\n",
            b"\n",
            _between("", "\n"),
        ),
        HttpTransport(
            "eventsource",
            "GET",
            "",
            "text/event-stream",
            "\r\n",
            b"\r\n",
            b"\r\n\r\n",
            lambda data: unquote(_between("data: ", "\r\n\r\n")(data), errors="strict"),
        ),
        HttpTransport(
            "htmlfile",
            "GET",
            "c=callback",
            "text/html;charset=UTF-8",
            r"(?is)<!doctype html>.{1009,}",
            b"\r\n\r\n",
            b"</script>\r\n",
            _called("<script>\np(", ");\n</script>\r\n"),
        ),
        HttpTransport(
            "jsonp",
            "GET",
            "c=callback",
            JAVASCRIPT,
            "",
            b"",
            b"\r\n",
            _called("/**/callback(", ");\r\n"),
            "jsonp_send",
        ),
    )
}
STREAMING = [name for name, row in HTTP_TRANSPORTS.items() if row.streaming]
POLLING = [name for name, row in HTTP_TRANSPORTS.items() if not row.streaming]


def new_tag() -> str:
    """Return a name that no other test uses."""
    return uuid.uuid4().hex


class Client:
    """Makes connections to one server, and closes them when the test is over.

    Args:
        url: the server's, without a trailing slash.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connections: list[Connection] = []

    def connect(self) -> Connection:
        """Open a connection."""
        connection = Connection(self.url)
        self._connections.append(connection)
        return connection

    def request(
        self,
        method: str,
        target: str,
        headers: Headers | None = None,
        body: bytes | str | None = None,
        version: str = "1.1",
    ) -> Response:
        """Make a request over a connection of its own; the body is left to be read."""
        return self.connect().request(method, target, headers or [], body, version)

    def get(self, target: str, headers: Headers | None = None) -> Response:
        """GET over a connection of its own."""
        return self.request("GET", target, headers)

    def post(
        self, target: str, body: bytes | str | None = "", headers: Headers | None = None
    ) -> Response:
        """POST over a connection of its own."""
        return self.request("POST", target, headers, body)

    def websocket(self, target: str, headers: Headers | None = None) -> WebSocket:
        """Make a WebSocket handshake; it may have been refused (see ``handshake.status``)."""
        return WebSocket(self.connect(), target, headers or [])

    def session(self, endpoint: str, transport: str = "xhr", query: str = "") -> Session:
        """Name a new session of an endpoint; nothing is sent yet."""
        return Session(self, endpoint, HTTP_TRANSPORTS[transport], query)

    def events(self, tag: str, count: int, timeout: float = PATIENCE) -> list[list[Any]]:
        """Wait until the hooks of a tag saw `count` events, and return all of them."""
        connection = self.connect()
        connection.socket.settimeout(timeout + 5)
        answer = connection.request("GET", f"/events?tag={tag}&count={count}&timeout={timeout}")
        return json.loads(answer.body)  # type: ignore[no-any-return]

    def until_waiting(self, session_id: str, connection: Connection) -> None:
        """Wait until a session has a receiver, whose connection brings nothing yet.

        A foreign server may not tell, and is given a tenth of a second. Of several processes the
        one that has the session tells, when it is asked in its turn.
        """

        def is_waiting() -> bool:
            answer = self.get(f"/waiting?session={session_id}")
            assert answer.status in (200, 404), answer.text
            return answer.status == 404 or bool(json.loads(answer.body))

        eventually(is_waiting)
        assert connection.is_quiet(0.1)

    def release(self, tag: str) -> None:
        """Let the held handlers of a tag go on."""
        assert self.get(f"/release?tag={tag}").status == 200

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()


@dataclass
class Session:
    """A session over an HTTP transport, named but not opened until the first `receive`.

    Attributes:
        client: who connects.
        endpoint: the base path.
        transport: its row.
        query: the user's own query, sent with every request.
        headers: sent with every request.
        id: the session id.
    """

    client: Client
    endpoint: str
    transport: HttpTransport
    query: str = ""
    headers: Headers = field(default_factory=list)
    id: str = field(default_factory=new_tag)
    stream: Response | None = None

    def url(self, segment: str, *query: str) -> str:
        """Return the target of one of the session's URLs."""
        parts = "&".join(part for part in (self.query, *query) if part)
        return f"{self.endpoint}/000/{self.id}/{segment}" + (f"?{parts}" if parts else "")

    def attach(self, t: str = "", connection: Connection | None = None) -> Response:
        """Send the receiving request and read the response's head.

        Args:
            t: the ``t`` parameter of the browser's client.
            connection: to be used in place of a fresh one.
        """
        connection = self.start(t, connection)
        return connection.response(self.transport.method)

    def start(self, t: str = "", connection: Connection | None = None) -> Connection:
        """Send the receiving request and leave its response unread."""
        connection = connection or self.client.connect()
        target = self.url(self.transport.path, self.transport.query, t and f"t={t}")
        body = "" if self.transport.method == "POST" else None
        connection.start_request(self.transport.method, target, self.headers, body)
        return connection

    def wait(self, t: str = "", connection: Connection | None = None) -> Connection:
        """As `start`, and return only when the server holds the request back."""
        connection = self.start(t, connection)
        self.client.until_waiting(self.id, connection)
        return connection

    def finish(self, connection: Connection) -> str:
        """Read the frame that a request made by `start` is answered with."""
        return self.first_frame(connection.response(self.transport.method))

    def first_frame(self, response: Response) -> str:
        """Read past the prelude of a response, and return its first frame."""
        assert response.status == 200, (response.status, response.text)
        if not self.transport.streaming:
            return self.transport.unwrap(response.body)
        prelude = response.part(self.transport.prelude_end).decode()
        assert re.fullmatch(self.transport.prelude, prelude), prelude
        return self.next_frame(response)

    def next_frame(self, response: Response) -> str:
        """Return the next frame of a stream; empty where the response has ended."""
        data = response.part(self.transport.frame_end)
        return self.transport.unwrap(data) if data else ""

    def receive(self) -> str:
        """Return the next frame: of a new poll, or of a stream that is renewed when it ends."""
        if self.transport.streaming and self.stream is not None:
            frame = self.next_frame(self.stream)
            if frame:
                return frame
        response = self.attach()
        frame = self.first_frame(response)
        self.stream = response if self.transport.streaming else None
        return frame

    def open(self) -> Session:
        """Open the session, and expect nothing but the open frame."""
        assert self.receive() == "o"
        return self

    def post(
        self, body: str | bytes, *query: str, connection: Connection | None = None
    ) -> Response:
        """Send a raw payload, in the manner of the transport."""
        segment = self.transport.send_path
        headers = list(self.headers)
        if segment == "jsonp_send":
            headers.append(FORM)
            body = "d=" + quote(body, safe="")
        connection = connection or self.client.connect()
        return connection.request("POST", self.url(segment, *query), headers, body)

    def send(self, *messages: str) -> None:
        """Send messages, and expect that they are accepted."""
        answer = self.post(json.dumps(messages))
        expected = (200, b"ok") if self.transport.send_path == "jsonp_send" else (204, b"")
        assert (answer.status, answer.body) == expected

    def run(self, *steps: list[Any]) -> None:
        """Send a script of steps to a script endpoint."""
        self.send(json.dumps(steps))

    def exists(self) -> bool:
        """Tell whether the server knows the session; ``[]`` delivers nothing."""
        return self.post("[]").status != 404

    def abort(self) -> None:
        """Break the stream's connection."""
        assert self.stream is not None
        self.stream.connection.reset()
        self.stream = None


class WebSocketSession:
    """A session over a WebSocket, with the same methods as `Session`."""

    def __init__(self, client: Client, endpoint: str, query: str = "") -> None:
        target = f"{endpoint}/000/{new_tag()}/websocket" + (f"?{query}" if query else "")
        self.socket = client.websocket(target)
        assert self.socket.handshake.status == 101, self.socket.handshake.status

    def open(self) -> WebSocketSession:
        assert self.receive() == "o"
        return self

    def receive(self) -> str:
        return self.socket.recv()

    def send(self, *messages: str) -> None:
        self.socket.send(json.dumps(messages))

    def run(self, *steps: list[Any]) -> None:
        self.send(json.dumps(steps))


AnySession = Session | WebSocketSession


def open_session(client: Client, endpoint: str, transport: str, query: str = "") -> AnySession:
    """Open a session over any transport, ``websocket`` included."""
    if transport == "websocket":
        return WebSocketSession(client, endpoint, query).open()
    return client.session(endpoint, transport, query).open()


def messages_of(frame: str) -> list[str]:
    """Return the messages of an ``a[...]`` frame."""
    assert frame[0] == "a", frame
    return json.loads(frame[1:])  # type: ignore[no-any-return]


def receive_messages(session: AnySession, count: int) -> list[str]:
    """Receive until `count` messages came, however they were batched."""
    messages: list[str] = []
    while len(messages) < count:
        frame = session.receive()
        if frame != "h":
            messages += messages_of(frame)
    return messages


def quoted(code: int, reason: str) -> str:
    """Return a close frame as the protocol writes it, without spaces."""
    return "c" + json.dumps([code, reason], separators=(",", ":"))


def assert_content_type(response: Response, expected: str) -> None:
    """Compare the content type, spaces apart."""
    assert (response["Content-Type"] or "").replace(" ", "") == expected


def assert_not_cached(response: Response) -> None:
    """Dynamic responses carry exactly this, and nothing that would allow caching."""
    assert response["Cache-Control"] == NOT_CACHED
    assert response["Expires"] is None
    assert response["Last-Modified"] is None


def assert_cors(response: Response, origin: str | None = None) -> None:
    """An origin is echoed, with credentials; without one it is ``*`` and no credentials."""
    assert response["Access-Control-Allow-Origin"] == (origin or "*")
    credentials = response["Access-Control-Allow-Credentials"]
    assert credentials == ("true" if origin is not None else None)
    vary = ",".join(response.all("Vary")).lower().replace(" ", "")
    assert "origin" in vary.split(",")


def eventually(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Ask again and again until a condition holds; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)
