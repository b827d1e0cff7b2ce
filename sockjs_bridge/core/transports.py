"""The transports as data: content type, prelude, framing, when a response ends, and the way in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sockjs_bridge.core import protocol

JAVASCRIPT = "application/javascript; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
PLAIN = "text/plain; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Transport:
    """How a session's frames reach its client.

    Attributes:
        name: the name that the SockJS client and the setting ``transports`` use.
        method: the HTTP method of the request that receives.
        streaming: a response carries many frames, up to ``response_limit`` bytes; otherwise it
            ends after one.
        content_type: of the response; empty for WebSockets.
        prelude: what a response starts with, given the callback's name; of a stream it is not
            empty: an empty chunk would end it (RFC 9112, 7.1).
        frame: makes one frame's bytes on the wire, given its text and the callback's name.
        takes_callback: the request names a callback function (``c``) that the response calls.
        websocket: the session lives as long as this one connection.
        encode: makes the queued form of a message.
        pack: makes one frame's text of queued messages.
        control_frames: ``o``, ``h`` and ``c[…]`` exist.
        decode: makes the messages of a text that the client sent: of a WebSocket's message, or of
            what `Sending` makes of a request's body.
    """

    name: str
    method: str = "POST"
    streaming: bool = False
    content_type: str = JAVASCRIPT
    prelude: Callable[[str], bytes] = lambda callback: b""
    frame: Callable[[bytes, str], bytes] = lambda text, callback: text + b"\n"
    takes_callback: bool = False
    websocket: bool = False
    encode: Callable[[str], bytes] = protocol.quote
    pack: Callable[[Iterable[bytes]], bytes] = protocol.array_frame
    control_frames: bool = True
    decode: Callable[[str], list[str]] = protocol.decode_messages


# The client decodes the data of an event as a URI component, so a bare `%` would be lost;
# a line end or NUL would end the event.
_EVENT_UNSAFE = re.compile(rb"[%\r\n\0]")


def _event(text: bytes, callback: str) -> bytes:
    escaped = _EVENT_UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], text)
    return b"data: " + escaped + b"\r\n\r\n"


def _script(text: bytes, callback: str) -> bytes:
    # `</script>` in a message would end the element: script injection. `<!--<script>` would keep
    # it from ending (HTML, 13.2.5.17).
    escaped = protocol.quote(text.decode("ascii")).replace(b"<", b"\\u003c")
    return b"<script>\np(" + escaped + b");\n</script>\r\n"


def _call(text: bytes, callback: str) -> bytes:
    # The comment in front keeps a response from being read as a Flash file.
    escaped = protocol.quote(text.decode("ascii"))
    return b"/**/" + callback.encode() + b"(" + escaped + b");\r\n"


_HTMLFILE = """<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.%s;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>
"""


def _page(callback: str) -> bytes:
    # Browsers hold back the first kilobyte before they start to render.
    page = (_HTMLFILE % callback).encode()
    return page + b" " * (1024 - len(page)) + b"\r\n\r\n"


WEBSOCKET = Transport(
    "websocket",
    "GET",
    streaming=True,
    content_type="",
    frame=protocol.websocket_text,
    websocket=True,
    decode=protocol.decode_websocket,
)
RAW_WEBSOCKET = Transport(
    "raw-websocket",
    "GET",
    streaming=True,
    content_type="",
    frame=lambda text, callback: text,
    websocket=True,
    encode=protocol.utf8,
    pack=protocol.websocket_texts,
    control_frames=False,
    decode=protocol.decode_raw,
)

#: The HTTP transports by the last segment of their URL.
RECEIVING = {
    "xhr": Transport("xhr-polling"),
    "xhr_streaming": Transport(
        "xhr-streaming", streaming=True, prelude=lambda callback: b"h" * 2048 + b"\n"
    ),
    "eventsource": Transport(
        "eventsource",
        "GET",
        streaming=True,
        content_type="text/event-stream",
        prelude=lambda callback: b"\r\n",
        frame=_event,
    ),
    "htmlfile": Transport(
        "htmlfile",
        "GET",
        streaming=True,
        content_type=HTML,
        prelude=_page,
        frame=_script,
        takes_callback=True,
    ),
    "jsonp": Transport("jsonp-polling", "GET", frame=_call, takes_callback=True),
}


@dataclass(frozen=True, slots=True)
class Sending:
    """How a client's messages arrive over HTTP.

    Attributes:
        serves: the receiving transports, by name, whose clients send this way.
        text: makes the text for `Transport.decode` of a body and its content type.
        status: of the answer when the messages were taken.
        body: of that answer.
    """

    serves: frozenset[str]
    text: Callable[[bytes, str], str]
    status: int
    body: bytes


#: The sending transports by the last segment of their URL.
SENDING = {
    "xhr_send": Sending(
        frozenset({"xhr-polling", "xhr-streaming", "eventsource", "htmlfile"}),
        protocol.body_text,
        204,
        b"",
    ),
    "jsonp_send": Sending(frozenset({"jsonp-polling"}), protocol.form_text, 200, b"ok"),
}

#: All names that the setting ``transports`` may hold.
NAMES = (
    "websocket",
    "raw-websocket",
    "xhr-streaming",
    "xhr-polling",
    "eventsource",
    "htmlfile",
    "jsonp-polling",
)
