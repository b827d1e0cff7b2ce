"""The SockJS 0.3 wire format: frames, escaping, payloads, close codes, URL grammar.

Pure functions on bytes and strings, without any state.
Source: the published protocol description, https://sockjs.github.io/sockjs-protocol/
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii
from typing import NamedTuple
from urllib.parse import parse_qs

OPEN = b"o"
HEARTBEAT = b"h"

#: What a receiver gets while another one of the same session is attached.
ALREADY_OPEN = (2010, "Another connection still open")
#: What the next receiver gets when the connection of the one before was lost.
INTERRUPTED = (1002, "Connection interrupted")
#: The server goes down.
GO_AWAY = (3000, "Go away!")
#: A WebSocket peer that did not send a byte after a ping.
NO_HEARTBEAT = (3000, "No response from heartbeat")
#: A WebSocket peer that sent something that is no SockJS message.
BROKEN_FRAMING = (3000, "Broken framing.")
#: The peer reads too slowly: more than ``max_queue_size`` bytes wait for it.
SLOW_CONSUMER = (4008, "Slow consumer")
#: Nobody is signed in any more: 4000 and the status.
SIGNED_OUT = (4401, "Unauthorized")
#: Something went wrong on this side.
FAILED = (4500, "Internal Server Error")
#: No receiver came back within ``disconnect_delay``.
TIMED_OUT = (1006, "Session timed out")
#: The application's view or hook is done.
NORMAL = (1000, "Normal closure")

#: What a subprotocol's name is (RFC 9110, 5.6.2); names are compared as they are written.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class PayloadError(ValueError):
    """A payload that the protocol does not allow; the text is the answer to the sender."""


#: `Protocol: xhr_send`: the two complaints about a payload.
PAYLOAD_EXPECTED = "Payload expected."
BROKEN_JSON = "Broken JSON encoding."


def quote(text: str) -> bytes:
    r"""Encodes a message as a JSON string in ASCII.

    Everything outside of printable ASCII leaves as ``\uxxxx``, which covers the characters
    that the protocol wants escaped (`JSON Unicode encoding`) and keeps lone surrogates.

    Args:
        text: the message.

    Raises:
        TypeError: the message is no string.
    """
    return encode_basestring_ascii(text).encode("ascii")


def array_frame(quoted: Iterable[bytes]) -> bytes:
    """Builds the ``a[...]`` frame of messages that `quote` encoded."""
    return b"a[" + b",".join(quoted) + b"]"


def close_frame(code: int, reason: str) -> bytes:
    """Builds the ``c[code,"reason"]`` frame."""
    return b"c[%d,%s]" % (code, quote(reason))


def utf8(text: str) -> bytes:
    """Encodes a message for a raw WebSocket; lone surrogates become U+FFFD (RFC 6455, 5.6)."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


# The heads of short texts.
_SHORT = [bytes((0x81, size)) for size in range(126)]


def websocket_text(payload: bytes, callback: str = "") -> bytes:
    """Frames a server's text message (RFC 6455, 5.2: final, unmasked).

    Args:
        payload: the text.
        callback: of HTTP receivers alone.
    """
    size = len(payload)
    if size < 126:
        return _SHORT[size] + payload
    if size < 65536:
        return b"\x81\x7e" + struct.pack(">H", size) + payload
    return b"\x81\x7f" + struct.pack(">Q", size) + payload


def websocket_texts(payloads: Iterable[bytes]) -> bytes:
    """Frames several text messages, each in a frame of its own, for one write."""
    return b"".join(map(websocket_text, payloads))


#: An empty ping (RFC 6455, 5.5.2).
WEBSOCKET_PING = b"\x89\x00"


def body_text(body: bytes, content_type: str = "") -> str:
    """Returns the text of an xhr_send: the raw body, whatever its content type.

    Raises:
        PayloadError: bad UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise PayloadError(BROKEN_JSON) from None


def form_text(body: bytes, content_type: str) -> str:
    """Returns the text of a jsonp_send: the field ``d`` of a form, or the raw body.

    Raises:
        PayloadError: bad UTF-8, or a form that is none.
    """
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return body_text(body)
    try:
        fields = parse_qs(body.decode("ascii"), errors="strict", max_num_fields=64)
    except UnicodeDecodeError:
        raise PayloadError(BROKEN_JSON) from None
    except ValueError:
        raise PayloadError(PAYLOAD_EXPECTED) from None
    return fields.get("d", [""])[0]


def decode_messages(text: str) -> list[str]:
    """Decodes what a client sends over HTTP: a JSON array of strings.

    Raises:
        PayloadError: nothing, bad JSON, or anything but an array of strings.
    """
    if not text:
        raise PayloadError(PAYLOAD_EXPECTED)
    return _strings(_json(text))


def decode_websocket(text: str) -> list[str]:
    """Decodes one WebSocket text message: an array of strings, or one bare string.

    The empty text is no message (`Protocol: websocket`).

    Raises:
        PayloadError: bad JSON or anything else.
    """
    if not text:
        return []
    value = _json(text)
    if type(value) is list and len(value) == 1 and type(value[0]) is str:
        # What the client sends.
        return value
    return [value] if type(value) is str else _strings(value)


def decode_raw(text: str) -> list[str]:
    """Decodes one text message of a raw WebSocket: it is the message."""
    return [text]


# What json.loads does once it has looked for blanks, which takes it four times as long.
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def _json(text: str) -> object:
    try:
        value, end = _scan(text, 0)
        # Blanks around it, or something behind it, are for the reader that knows about them.
        return value if end == len(text) else json.loads(text)
    except StopIteration:
        pass
    except (ValueError, RecursionError):
        raise PayloadError(BROKEN_JSON) from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise PayloadError(BROKEN_JSON) from None


def _strings(value: object) -> list[str]:
    if type(value) is not list:
        raise PayloadError(PAYLOAD_EXPECTED)
    for item in value:
        if type(item) is not str:
            raise PayloadError(PAYLOAD_EXPECTED)
    return value


class Target(NamedTuple):
    """What a path asks for, once its base is cut off.

    Attributes:
        base: the path up to the endpoint, as it stands in the URL (still percent-encoded).
        action: ``greeting``, ``info``, ``iframe``, ``raw-websocket``, or the last segment of a
            session URL (``xhr``, ``xhr_send``, ``websocket`` …).
        session_id: of a session URL, as it stands in the URL.
        script_name: the path at which the application believes to be mounted, percent-decoded.
        resumable: it is for a session of ``~r1``; the action is empty where the URL is none of the
            sub-protocol's.
        home: the process that has that session, as the URL says; empty where it says nothing.
    """

    base: str
    action: str
    session_id: str = ""
    script_name: str = ""
    resumable: bool = False
    home: str = ""


_SESSION = re.compile(
    r"(?P<base>.*)/[^/.]+/(?P<session>[^/.]+)"
    r"/(?P<action>websocket|xhr|xhr_send|xhr_streaming|eventsource|htmlfile|jsonp|jsonp_send)/?",
    re.DOTALL,
)
# `URLs` of the sub-protocol: where it stands no server id of SockJS can. A slash at the end
# makes it another URL there.
_RESUMABLE = re.compile(
    r"(?P<base>.*)/(?:~|%7[Ee])r1(?P<home>-[^/]*)?/(?P<session>[^/]*)/(?P<action>[^/]*/?)",
    re.DOTALL,
)
_HOME = re.compile(r"-[0-9a-z]{4,16}")
_STATIC = re.compile(
    r"(?P<base>.*)/(?:(?P<action>info|websocket)/?|iframe[0-9-.a-z_]*\.html)", re.DOTALL
)


def targets(path: str) -> Iterator[Target]:
    """Yields what a path may mean, the longest SockJS suffix first.

    A path fits several ways (``/a/b/c/websocket`` is a session URL below ``/a``, and the raw
    WebSocket of ``/a/b/c``): which one is meant is told by the endpoints that exist.

    Args:
        path: the path of a request, percent-encoded, without its query.
    """
    if "r1" in path and (match := _RESUMABLE.fullmatch(path)):
        home = match["home"] or ""
        known = match["home"] is None or _HOME.fullmatch(home) is not None
        action = match["action"] if known else ""
        yield Target(match["base"], action, match["session"], resumable=True, home=home[1:])
    elif match := _SESSION.fullmatch(path):
        yield Target(match["base"], match["action"], match["session"])
    if match := _STATIC.fullmatch(path):
        action = {"info": "info", "websocket": "raw-websocket", None: "iframe"}[match["action"]]
        yield Target(match["base"], action)
    yield Target(path, "greeting")
    if path.endswith("/"):
        yield Target(path[:-1], "greeting")


_CALLBACK = re.compile(r"[a-zA-Z0-9\-_.]+", re.ASCII)


def valid_callback(name: str) -> bool:
    """Tells whether a jsonp or htmlfile callback is harmless in a script."""
    return len(name) <= 32 and _CALLBACK.fullmatch(name) is not None
