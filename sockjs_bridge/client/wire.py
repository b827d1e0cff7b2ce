"""The SockJS wire as a client sees it: HTTP transports as data, and how bytes become frames.

Nothing here does I/O. A receiving transport is a row of `HTTP_TRANSPORTS`; `FrameReader` cuts what
a row's responses carry into SockJS frames, whatever the sizes of the chunks that arrive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from yarl import URL

#: Sent with each request. What is compressed all the same is not read as if it were: a little of it
#: could keep the loop busy for minutes.
UNCOMPRESSED = {"Accept-Encoding": "identity"}
#: The JavaScript function that htmlfile and jsonp-polling responses are asked to call.
CALLBACK = "_jp.client"


class ProtocolError(Exception):
    """The server sent what the SockJS protocol does not know.

    Args:
        reason: what it was.
        code: with which the connection is over (RFC 6455, 7.4).

    Attributes:
        reason: as given.
        code: as given.
    """

    def __init__(self, reason: str, code: int = 1006) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def extend_url(base: URL, path: str, *query: str) -> URL:
    """Appends a path and query parameters to a URL, and keeps its own query as it was written.

    Args:
        base: the URL.
        path: percent-encoded, with a slash in front.
        *query: parameters, percent-encoded.
    """
    parameters = [base.raw_query_string] if base.raw_query_string else []
    return URL.build(
        scheme=base.scheme,
        authority=base.raw_authority,
        path=base.raw_path.rstrip("/") + path,
        query_string="&".join([*parameters, *query]),
        encoded=True,
    )


def decode_uri(text: str) -> str:
    """Undoes percent-encoding as ``decodeURI`` of ECMA-262 does; browsers do so with eventsource.

    Escapes of the reserved characters ``;/?:@&=+$,#`` stay as they are.

    Raises:
        ValueError: a percent sign starts no escape, or the escapes are not UTF-8.
    """
    return _ESCAPES.sub(_decode_escapes, text)


_ESCAPES = re.compile(
    r"((?:%(?!23|24|26|2b|2c|2f|3a|3b|3d|3f|40)[0-9a-f]{2})+)|%(?![0-9a-f]{2})", re.IGNORECASE
)


def _decode_escapes(match: re.Match[str]) -> str:
    if match[1] is None:
        raise ValueError("a percent sign starts no escape")
    return bytes.fromhex(match[1].replace("%", "")).decode()


def _decode_line(piece: bytes) -> str:
    return piece.decode()


def _decode_streaming_line(piece: bytes) -> str:
    # The prelude is a run of `h`; a heartbeat is a single one.
    is_prelude = len(piece) > 1 and not piece.strip(b"h")
    return "" if is_prelude else piece.decode()


def _decode_event(piece: bytes) -> str:
    data = [line[5:].removeprefix(b" ") for line in piece.splitlines() if line[:5] == b"data:"]
    return decode_uri(b"\n".join(data).decode())


_SCRIPT_CALL = re.compile(rb'<script>\s*p\((".*")\);\s*\Z', re.DOTALL)
_JSONP_CALL = re.compile(rb'(?:/\*\*/)?[\w.-]+\((".*")\);\s*', re.DOTALL)


def _decode_script(piece: bytes) -> str:
    # What does not call p() is the head of the page.
    match = _SCRIPT_CALL.search(piece)
    return str(json.loads(match[1])) if match else ""


def _decode_jsonp(piece: bytes) -> str:
    match = _JSONP_CALL.fullmatch(piece)
    if match is None:
        raise ValueError("not a call of the callback")
    return str(json.loads(match[1]))


_NEWLINE = re.compile(rb"\n")
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_END_OF_SCRIPT = re.compile(rb"</script>")
_LONGEST_TERMINATOR = len(b"</script>")


@dataclass(frozen=True, slots=True)
class HTTPTransport:
    """One way to receive frames over HTTP, and the way to send that goes with it.

    Attributes:
        path: the last segment of the receiving URL.
        method: of the receiving request.
        terminator: what ends one piece of a response.
        decode: makes a frame of a piece, empty when the piece holds none; raises ValueError.
        has_callback: the receiving URL names a JavaScript callback.
        send_path: the last segment of the sending URL.
        sends_form: messages are sent as field ``d`` of a form.
    """

    path: str
    method: str
    terminator: re.Pattern[bytes]
    decode: Callable[[bytes], str]
    has_callback: bool = False
    send_path: str = "xhr_send"
    sends_form: bool = False


#: The HTTP transports by the SockJS client's names.
HTTP_TRANSPORTS = {
    "xhr-polling": HTTPTransport("xhr", "POST", _NEWLINE, _decode_line),
    "xhr-streaming": HTTPTransport("xhr_streaming", "POST", _NEWLINE, _decode_streaming_line),
    "eventsource": HTTPTransport("eventsource", "GET", _BLANK_LINE, _decode_event),
    "htmlfile": HTTPTransport("htmlfile", "GET", _END_OF_SCRIPT, _decode_script, True),
    "jsonp-polling": HTTPTransport(
        "jsonp", "GET", _NEWLINE, _decode_jsonp, True, "jsonp_send", True
    ),
}

#: The WebSocket transports by the SockJS client's names.
WEBSOCKET_TRANSPORTS = ("websocket", "raw-websocket")


class FrameReader:
    """Cuts the body of one receiving response into SockJS frames.

    Args:
        transport: that received it.
        max_size: bytes of one frame; None for any number.
    """

    def __init__(self, transport: HTTPTransport, max_size: int | None) -> None:
        self._transport = transport
        self._max_size = max_size
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[str]:
        """Takes the next bytes of the response, and yields the frames that they complete.

        Args:
            data: the bytes, however the response was cut.

        Raises:
            ProtocolError: the bytes are no frames, or a frame is larger than ``max_size``.
        """
        # The unread rest holds no whole terminator, though it may end with the beginning of one.
        scan_from = max(0, len(self._buffer) - _LONGEST_TERMINATOR + 1)
        self._buffer += data
        terminator = self._transport.terminator
        ends = [match.span() for match in terminator.finditer(self._buffer, scan_from)]
        begin = 0
        for end, next_begin in ends:
            if frame := self._decode(bytes(self._buffer[begin:end])):
                yield frame
            begin = next_begin
        del self._buffer[:begin]
        self._check_size(len(self._buffer))

    def _decode(self, piece: bytes) -> str:
        self._check_size(len(piece))
        try:
            return self._transport.decode(piece)
        except ValueError as error:
            raise ProtocolError(f"Broken framing: {error}") from error

    def _check_size(self, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            raise ProtocolError(f"Frame of more than {self._max_size} bytes", 1009)


def decode_messages(payload: str) -> list[str]:
    """Reads the payload of an ``a`` frame, an array of strings.

    Raises:
        ProtocolError: it is anything else.
    """
    messages = _load(payload)
    if not isinstance(messages, list) or not all(isinstance(text, str) for text in messages):
        raise ProtocolError("Broken framing: not an array of strings")
    return messages


def decode_message(payload: str) -> str:
    """Reads the payload of an ``m`` frame, one string, as early SockJS servers send it.

    Raises:
        ProtocolError: it is anything else.
    """
    message = _load(payload)
    if not isinstance(message, str):
        raise ProtocolError("Broken framing: not a string")
    return message


def decode_close(payload: str) -> tuple[int, str]:
    """Reads the payload of a ``c`` frame, close code and reason.

    Raises:
        ProtocolError: it is anything else.
    """
    match _load(payload):
        case [int(code), str(reason)]:
            return code, reason
    raise ProtocolError("Broken framing: not a close code and a reason")


def _load(payload: str) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Broken framing: {error}") from error
