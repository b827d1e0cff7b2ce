"""The grammar of what clients of ``~r1`` ask and send.

Pure functions on bytes and strings, without any state. Source: "Receiving" and "Sending" of the
protocol page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: The greatest integer that a JavaScript number holds exactly.
MAX_INTEGER = 2**53 - 1
#: Bytes of a close reason (RFC 6455, 5.5.1).
MAX_REASON = 123
#: Seconds of silence that a client may ask for.
MIN_HEARTBEAT, MAX_HEARTBEAT = 5, 25

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class FrameError(ValueError):
    """A request, or a frame, that the grammar does not allow."""


def is_token(value: object) -> bool:
    """Tells whether something is 16 bytes as base64url: a session's id, a key, a client's id."""
    return type(value) is str and _TOKEN.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Replaced:
    """A former session of the same client, which the new one ends.

    Attributes:
        session: its id.
        key: its key.
    """

    session: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MuxRequest:
    """A poll or a stream for several sessions ("Several sessions over one way").

    Attributes:
        key: by which their receive requests name it.
    """

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MuxPort:
    """Where a receive request is to be answered.

    Attributes:
        key: of the response that carries several sessions.
        port: stands before each line for this one.
    """

    key: str = field(repr=False)
    port: int


@dataclass(frozen=True, slots=True)
class ReceiveRequest:
    """A poll, a stream, or the hello of a WebSocket ("Receiving").

    Attributes:
        key: proves that it is the same client.
        request: counts the receive requests of a session, from 1; 0 in a probe that has none.
        received: how many messages the client has.
        new: the session may be made.
        first: the number of the first of the messages.
        messages: what goes up with it.
        now: a poll ends at once.
        probe: what a probing stream is answered with, None where it is none.
        heartbeat: seconds of silence that a middlebox stands, None where the client asks for none.
        rooms: positions in rooms with history by the rooms' keys; None where the client does not
            understand ``p[…]``.
        client: the id of one page's life.
        base: the client's number of this session's first message.
        repeated: how many of the first messages may have been done before.
        replaces: the session that this one ends.
        incarnation: which session of this id the client means, as its first welcome told; None
            where it does not say.
        mux: where it is to be answered; None where that is its own response.
    """

    key: str = field(repr=False)
    request: int
    received: int
    new: bool = False
    first: int = 1
    messages: tuple[str, ...] = field(default=(), repr=False)
    now: bool = False
    probe: int | None = None
    heartbeat: float | None = None
    rooms: Mapping[str, str] | None = None
    client: str | None = None
    base: int = 1
    repeated: int = 0
    replaces: Replaced | None = None
    incarnation: str | None = None
    mux: MuxPort | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """What goes up beside a receive request: the body of an ``xhr_send``, or a frame ("Sending").

    Attributes:
        key: of an ``xhr_send``; empty in a frame.
        first: the number of the first of the messages; None where they go on with the link's count.
        messages: the messages.
        received: how many messages the client has, None where it does not say.
        close: code and reason with which the client ends the session.
        ping: what a pong is asked with.
        incarnation: as in a `ReceiveRequest`.
    """

    key: str = field(default="", repr=False)
    first: int | None = None
    messages: tuple[str, ...] = field(default=(), repr=False)
    received: int | None = None
    close: tuple[int, str] | None = None
    ping: int | None = None
    incarnation: str | None = None


#: A frame that says nothing: the empty text, ``[]``.
NOTHING = Send()


def _load(data: bytes | str) -> object:
    try:
        return json.loads(data.decode() if isinstance(data, bytes) else data)
    except (ValueError, RecursionError):
        raise FrameError("Broken JSON encoding.") from None


def _object(data: bytes | str) -> dict[str, Any]:
    value = _load(data)
    if type(value) is not dict:
        raise FrameError("Object expected.")
    return value


def _integer(fields: Mapping[str, Any], name: str, low: int = 0) -> int | None:
    if name not in fields:
        return None
    value = fields[name]
    if type(value) is not int or not low <= value <= MAX_INTEGER:
        raise FrameError(f"Bad {name}.")
    return value


def _required(fields: Mapping[str, Any], name: str, low: int = 0) -> int:
    value = _integer(fields, name, low)
    if value is None:
        raise FrameError(f"Missing {name}.")
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if type(value) is not bool:
        raise FrameError(f"Bad {name}.")
    return value


def _token(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not is_token(value):
        raise FrameError(f"Bad {name}.")
    return str(value)


def _strings(value: object) -> tuple[str, ...]:
    if type(value) is not list or not all(type(item) is str for item in value):
        raise FrameError("Bad messages.")
    return tuple(value)


def _messages(fields: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...]]:
    first = _integer(fields, "first", 1)
    if "messages" not in fields:
        return first, ()
    messages = _strings(fields["messages"])
    if first is None:
        raise FrameError("Missing first.")
    if first + len(messages) - 1 > MAX_INTEGER:
        raise FrameError("Bad first.")
    return first, messages


def _heartbeat(fields: Mapping[str, Any]) -> float | None:
    value = fields.get("heartbeat")
    if "heartbeat" not in fields:
        return None
    if type(value) not in (int, float) or not MIN_HEARTBEAT <= value <= MAX_HEARTBEAT:  # type: ignore[operator]
        raise FrameError("Bad heartbeat.")
    return float(value)  # type: ignore[arg-type]


def _member(fields: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    if name not in fields:
        return None
    value = fields[name]
    if type(value) is not dict:
        raise FrameError(f"Bad {name}.")
    return value


def _rooms(fields: Mapping[str, Any]) -> Mapping[str, str] | None:
    rooms = _member(fields, "rooms")
    if rooms is not None and not all(type(value) is str for value in rooms.values()):
        raise FrameError("Bad rooms.")
    return rooms


def _replaces(fields: Mapping[str, Any]) -> Replaced | None:
    former = _member(fields, "replaces")
    if former is None:
        return None
    return Replaced(_token(former, "session"), _token(former, "key"))


def _mux(fields: Mapping[str, Any]) -> MuxPort | None:
    value = _member(fields, "mux")
    if value is None:
        return None
    return MuxPort(_token(value, "key"), _required(value, "port"))


def _incarnation(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("incarnation")
    if "incarnation" in fields and type(value) is not str:
        raise FrameError("Bad incarnation.")
    return value


def _close(fields: Mapping[str, Any]) -> tuple[int, str] | None:
    if "close" not in fields:
        return None
    match fields["close"]:
        case [int(code), str(reason)] if type(code) is int and (
            (code == 1000 or 3000 <= code <= 4999)
            and len(reason.encode("utf-8", "surrogatepass")) <= MAX_REASON
            and not _CONTROL.search(reason)
        ):
            return code, reason
    raise FrameError("Bad close.")


def _receive_request(fields: Mapping[str, Any], *, stream: bool) -> ReceiveRequest:
    key = _token(fields, "key")
    probe = _integer(fields, "probe")
    if stream and probe is not None:
        # It uses up no number.
        request = _integer(fields, "request", 1) or 0
        received = _integer(fields, "received") or 0
    else:
        request = _required(fields, "request", 1)
        received = _required(fields, "received")
    first, messages = _messages(fields)
    base = _integer(fields, "base")
    return ReceiveRequest(
        key,
        request,
        received,
        _flag(fields, "new"),
        first or 1,
        messages,
        _flag(fields, "now"),
        probe if stream else None,
        _heartbeat(fields),
        _rooms(fields),
        _token(fields, "client") if "client" in fields else None,
        1 if base is None else base,
        _integer(fields, "repeated") or 0,
        _replaces(fields),
        _incarnation(fields),
        _mux(fields),
    )


def parse_receive(body: bytes, *, stream: bool = False) -> ReceiveRequest | MuxRequest:
    """Parses the body of a poll or a stream; one without a key of its own is for several sessions.

    Args:
        body: the request's, complete.
        stream: it asks for a stream, which alone may be a probe.

    Raises:
        FrameError: the answer is 400.
    """
    fields = _object(body)
    if "mux" in fields and "key" not in fields:
        return MuxRequest(_token(fields, "mux"))
    return _receive_request(fields, stream=stream)


def parse_send(body: bytes) -> Send:
    """Parses the body of an ``xhr_send``.

    Raises:
        FrameError: the answer is 400.
    """
    fields = _object(body)
    key = _token(fields, "key")
    first, messages = _messages(fields)
    received = _integer(fields, "received")
    return Send(key, first, messages, received, _close(fields), None, _incarnation(fields))


def parse_frame(text: str) -> ReceiveRequest | Send:
    """Parses a text frame that a client sent over a WebSocket.

    Raises:
        FrameError: before a hello the link ends, after it the session (3000).
    """
    if not text:
        return NOTHING
    value = _load(text)
    if type(value) is list:
        return Send(messages=_strings(value))
    if type(value) is not dict:
        raise FrameError("Array or object expected.")
    if "key" in value:
        return _receive_request(value, stream=False)
    if value.keys().isdisjoint(("messages", "received", "ping", "close")):
        raise FrameError("Nothing known.")
    first, messages = _messages(value)
    return Send(
        "",
        first if messages else None,
        messages,
        _integer(value, "received"),
        _close(value),
        _integer(value, "ping"),
    )
