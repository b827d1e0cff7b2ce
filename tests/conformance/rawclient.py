"""A client that hides nothing: HTTP/1.x and WebSocket over a blocking socket.

No HTTP library stands between a test and the wire, so a test sees the header list verbatim, each
chunk as it arrives and each WebSocket frame.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT = 20.0
"""Seconds that any single read may take before the test fails."""

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Connection:
    """One TCP connection to the server under test.

    Args:
        url: any URL of the server; only host and port are used.
        timeout: seconds that one read may take.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | str | None = None,
        version: str = "1.1",
    ) -> Response:
        """Send a request and read the head of its response.

        Args:
            method: the method token.
            target: the request target, sent verbatim.
            headers: further header fields; ``Host`` is added, and ``Content-Length`` with a body.
            body: the request body; None sends neither body nor ``Content-Length``.
            version: ``"1.0"`` or ``"1.1"``.

        Returns:
            The response, its body yet to be read.
        """
        self.start_request(method, target, headers, body, version)
        return self.response(method)

    def start_request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | str | None = None,
        version: str = "1.1",
    ) -> None:
        """Send a request, and leave its response unread."""
        payload = body.encode() if isinstance(body, str) else body or b""
        lines = [f"{method} {target} HTTP/{version}", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(payload)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + payload)

    def response(self, method: str = "GET") -> Response:
        """Read the head of the next response."""
        status_line = self.read_line().decode("latin-1")
        version, status, reason = f"{status_line} ".split(" ", 2)
        headers: list[tuple[str, str]] = []
        while line := self.read_line().decode("latin-1"):
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        number = version.removeprefix("HTTP/")
        return Response(self, method, number, int(status), headers, reason.strip())

    def receive(self) -> bytes:
        """Read whatever has arrived; empty at the end of the connection."""
        if self.buffer:
            data, self.buffer = self.buffer, b""
            return data
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def read_exactly(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        parts, self.buffer = [self.buffer], b""
        missing = size - len(parts[0])
        while missing > 0:
            self._fill()
            parts.append(self.buffer)
            missing -= len(self.buffer)
            self.buffer = b""
        data = b"".join(parts)
        self.buffer = data[size:]
        return data[:size]

    def read_line(self) -> bytes:
        """Read one line, without its CR LF."""
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def read_to_end(self) -> bytes:
        """Read until the server ends the connection."""
        data = b""
        while part := self.receive():
            data += part
        return data

    def ended(self) -> bool:
        """Wait for the server's end of the connection; False when bytes come instead."""
        return self.receive() == b""

    def is_quiet(self, seconds: float = 0.2) -> bool:
        """Tell whether nothing arrives, not even the end, within a short window."""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)
        self.buffer += data
        return False

    def reset(self) -> None:
        """Break the connection with an RST, as a failing network does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the connection with a FIN."""
        self.socket.close()

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the server ended the connection after {self.buffer!r}")
        self.buffer += data


@dataclass
class Response:
    """The head of a response, and the way to its body."""

    connection: Connection
    method: str
    version: str
    status: int
    headers: list[tuple[str, str]]
    reason: str = ""
    _body: bytes | None = None
    _unread: bytes = b""

    def all(self, name: str) -> list[str]:
        """Return every value of a header field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str | None:
        """Return the value of a header field that must not be repeated, or None."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is sent {len(values)} times"
        return values[0] if values else None

    def chunk(self) -> bytes:
        """Read the next chunk; empty for the zero chunk that ends the body (RFC 9112, 7.1)."""
        assert (self["Transfer-Encoding"] or "").lower() == "chunked", self.headers
        size = int(self.connection.read_line().split(b";")[0], 16)
        data = self.connection.read_exactly(size)
        assert self.connection.read_line() == b""
        return data

    def part(self, end: bytes) -> bytes:
        """Read the next part of the body, up to and with what ends it, whatever its chunks are.

        Between a server and its client a stream may be cut into other chunks (RFC 9112, 7.1).

        Args:
            end: what ends the part.

        Returns:
            The part; empty at the end of the body.
        """
        while end not in self._unread:
            data = self._more()
            if not data:
                assert not self._unread, f"the body ends within a part: {self._unread!r}"
                return b""
            self._unread += data
        part, _, self._unread = self._unread.partition(end)
        return part + end

    @property
    def body(self) -> bytes:
        """The whole body, framed as RFC 9112 section 6.3 says."""
        if self._body is None:
            self._body = self._read_body()
        return self._body

    @property
    def text(self) -> str:
        """The whole body as text."""
        return self.body.decode()

    def _more(self) -> bytes:
        if self["Transfer-Encoding"]:
            return self.chunk()
        return self.body if self._body is None else b""

    def _read_body(self) -> bytes:
        if self.method == "HEAD" or self.status in (204, 304) or self.status < 200:
            return b""
        if self["Transfer-Encoding"]:
            body = b""
            while data := self.chunk():
                body += data
            return body
        length = self["Content-Length"]
        if length is not None:
            return self.connection.read_exactly(int(length))
        return self.connection.read_to_end()


class WebSocketClosed(Exception):
    """The server sent a close frame, or ended the connection without one (code 1006)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Frame:
    """One WebSocket frame as it came (RFC 6455, 5.2)."""

    opcode: int
    payload: bytes
    fin: bool = True


class WebSocket:
    """A WebSocket client that shows every frame.

    Args:
        connection: a fresh connection; the handshake is made on it.
        target: the request target.
        headers: further header fields of the handshake.
        version: ``Sec-WebSocket-Version``.
    """

    def __init__(
        self,
        connection: Connection,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        version: str = "13",
    ) -> None:
        self.connection = connection
        self.answers_pings = True
        self.pings: list[bytes] = []
        key = base64.b64encode(os.urandom(16)).decode()
        self.handshake = connection.request(
            "GET",
            target,
            [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", version),
                ("Sec-WebSocket-Key", key),
                *headers,
            ],
        )
        if self.handshake.status == 101:
            digest = hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()
            assert self.handshake["Sec-WebSocket-Accept"] == base64.b64encode(digest).decode()

    def send(self, text: str) -> None:
        """Send one text message."""
        self.send_frame(TEXT, text.encode())

    def send_frame(
        self, opcode: int, payload: bytes = b"", fin: bool = True, masked: bool = True
    ) -> None:
        """Send one frame, by default masked as a client must."""
        self.connection.send(encode_frame(opcode, payload, fin, masked))

    def frame(self) -> Frame:
        """Read one frame; the end of the connection raises `WebSocketClosed` with 1006."""
        try:
            first, second = self.connection.read_exactly(2)
            assert not second & 0x80, "a server must not mask its frames (RFC 6455, 5.1)"
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self.connection.read_exactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self.connection.read_exactly(8))
            payload = self.connection.read_exactly(length)
        except (EOFError, ConnectionResetError) as error:
            raise WebSocketClosed(1006, "") from error
        return Frame(first & 0x0F, payload, bool(first & 0x80))

    def recv(self) -> str:
        """Read the next text message; pings are answered on the way.

        Raises:
            WebSocketClosed: the server closed the WebSocket.
        """
        message = b""
        while True:
            frame = self.frame()
            if frame.opcode == PING:
                self.pings.append(frame.payload)
                if self.answers_pings:
                    self.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                code = struct.unpack("!H", frame.payload[:2])[0] if frame.payload else 1005
                raise WebSocketClosed(code, frame.payload[2:].decode())
            elif frame.opcode in (TEXT, CONTINUATION):
                message += frame.payload
                if frame.fin:
                    return message.decode()

    def closed(self) -> WebSocketClosed:
        """Wait for the close frame and return it; any message before it is a failure."""
        try:
            message = self.recv()
        except WebSocketClosed as closed:
            return closed
        raise AssertionError(f"expected a close frame, got the message {message!r}")

    def close(self) -> None:
        """Send a close frame with 1000 and close the connection."""
        self.send_frame(CLOSE, struct.pack("!H", 1000))
        self.connection.close()


def encode_frame(opcode: int, payload: bytes, fin: bool = True, masked: bool = True) -> bytes:
    """Encode a WebSocket frame (RFC 6455, 5.2)."""
    flag = 0x80 if masked else 0
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked_payload = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked_payload.to_bytes(len(payload), "big")
