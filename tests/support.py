"""What tests hold in their hands: a clock, receivers, handlers, a client's eyes."""

from __future__ import annotations

import heapq
import itertools
import json
import re
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st

import sockjs_bridge
from sockjs_bridge.core.contracts import Peer
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.manager import Manager
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import RAW_WEBSOCKET, RECEIVING, WEBSOCKET, Transport
from sockjs_bridge.endpoint.endpoint import Endpoint

BY_NAME: dict[str, Transport] = {
    transport.name: transport for transport in (WEBSOCKET, RAW_WEBSOCKET, *RECEIVING.values())
}
HTTP = sorted(transport.name for transport in RECEIVING.values())
POLLING = [name for name in HTTP if not BY_NAME[name].streaming]
STREAMING = [name for name in HTTP if BY_NAME[name].streaming]
FRAMED = [name for name in BY_NAME if name != "raw-websocket"]
XHR = BY_NAME["xhr-polling"]
STREAM = BY_NAME["xhr-streaming"]

#: Any text, lone surrogates and what the framings are sensitive to included.
TEXT = st.lists(
    st.text(st.characters(exclude_categories=()))
    | st.sampled_from(
        [
            *("</script>", "</SCRIPT ", "<!--<script>", "-->", "%41", "%", "\r\n\r\n", "\0"),
            *("]", '"', "\\", "\u2028", "\u200d", "\ud800", "\udc00", "\uffff"),
            *("\U0001f600", "');", "h", "o"),
        ]
    ),
    max_size=4,
).map("".join)


class Mark:
    """Is gone when what has it is."""


def weak_reference(something: Any) -> Callable[[], object]:
    """Return what tells whether an object is still there, as a weak reference does.

    One to an object of a compiled class is not cleared when that is gone (mypyc 2.4).
    """
    if not sockjs_bridge.compiled:
        return weakref.ref(something)
    mark = something.mark = Mark()
    return weakref.ref(mark)


def utf16(text: str) -> bytes:
    """Return the code units of a text: what a JavaScript string is.

    Two surrogates side by side and the character that they stand for are the same there.
    """
    return text.encode("utf-16-le", "surrogatepass")


class HandClock:
    """Fulfils `sockjs_bridge.core.contracts.Clock`; stands still unless it is wound."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.soon: list[Callable[[], object]] = []
        self.timers: list[tuple[float, int, Callable[[], object]]] = []
        self.soon_calls = 0
        self.timer_calls = 0
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon_calls += 1
        self.soon.append(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        self.timer_calls += 1
        heapq.heappush(self.timers, (when, next(self._order), callback))

    def call_from_thread(self, callback: Callable[..., object], *arguments: Any) -> None:
        self.call_soon(partial(callback, *arguments))

    def tick(self) -> None:
        """End the present tick: call what was scheduled in it."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def settle(self) -> None:
        """Tick until nothing is scheduled."""
        for _ in range(10000):
            if not self.soon:
                return
            self.tick()
        raise AssertionError("the callbacks schedule each other for ever")

    def advance(self, seconds: float) -> None:
        """Let time pass; timers fire in their order, each in a tick of its own."""
        end = self.now + seconds
        self.settle()
        while self.timers and self.timers[0][0] <= end:
            when, _, callback = heapq.heappop(self.timers)
            self.now = max(self.now, when)
            callback()
            self.settle()
        self.now = end


class Recorder:
    """Fulfils `sockjs_bridge.core.contracts.Receiver`: keeps what is written, as its peer sees it.

    Attributes:
        open: the peer reads.
        begun: the response has, as whoever sets this to False says.
        refuse: the next write is refused, and closes it until it is opened again.
        stubborn: every write is refused although it says that it is writable.
        written: what was accepted, by writes.
        on_abort: called by `abort`.
    """

    def __init__(
        self,
        transport: Transport = XHR,
        *,
        tag: str | None = None,
        peer: Peer | None = None,
        callback: str = "cb",
        open: bool = True,
    ) -> None:
        self.transport = transport
        self.callback = callback
        self.tag = tag
        self.peer = peer or Peer()
        self.heard = 0.0
        self.open = open
        self.begun = True
        self.refuse = False
        self.stubborn = False
        self.written: list[bytes] = []
        self.pings = 0
        self.ended = False
        self.aborted = False
        self.on_abort: Callable[[], object] = lambda: None

    @property
    def writable(self) -> bool:
        return self.open and self.begun and not (self.ended or self.aborted)

    def write(self, data: bytes) -> bool:
        assert not self.ended, f"written after the end: {data!r}"
        assert not self.aborted, f"written after it was dropped: {data!r}"
        if self.stubborn:
            return False
        if self.refuse:
            self.refuse = self.open = False
            return False
        self.written.append(data)
        return True

    def ping(self) -> None:
        self.pings += 1

    def end(self) -> None:
        assert not self.ended, "ended twice"
        self.ended = True

    def abort(self) -> None:
        self.aborted = True
        self.on_abort()

    @property
    def frames(self) -> list[str]:
        """What the peer reads; of a raw WebSocket, the messages."""
        return [frame for data in self.written for frame in unwrap(self.transport, data)]

    @property
    def messages(self) -> list[str]:
        """The messages that the peer reads."""
        if self.transport is RAW_WEBSOCKET:
            return self.frames
        return [text for frame in self.frames if frame[0] == "a" for text in json.loads(frame[1:])]


class RecordingHandler:
    """Fulfils `sockjs_bridge.core.contracts.Handler`.

    Attributes:
        calls: what was called, in order.
        inbox: what arrived and is not handled yet.
        on_open: called by `opened`.
        on_closed: called by `closed`.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.inbox: list[str] = []
        self.on_open: Callable[[], object] = lambda: None
        self.on_closed: Callable[[], object] = lambda: None

    def opened(self) -> None:
        self.calls.append(("opened",))
        self.on_open()

    def received(self, messages: list[str]) -> None:
        self.calls.append(("received", *messages))
        self.inbox += messages

    def backlog(self) -> int:
        return len(self.inbox)

    def closed(self, code: int, reason: str) -> None:
        self.calls.append(("closed", code, reason))
        self.on_closed()


def make_hub(clock: HandClock | None = None, limit: int = 1000, **arguments: Any) -> Hub:
    """Make what sessions share, on a clock that is wound by hand."""
    return Hub(clock or HandClock(), Capacity(limit), **arguments)


def make_manager(clock: HandClock | None = None, limit: int = 1000, **settings: Any) -> Manager:
    """Make a manager on a clock that is wound by hand."""
    return Manager(Settings().override(settings), make_hub(clock, limit))


def make_endpoint(clock: HandClock | None = None, limit: int = 1000, **settings: Any) -> Endpoint:
    """Make an endpoint at ``/echo`` that is served."""
    endpoint = Endpoint("echo", "/echo".__eq__, Settings().override(settings), "client/sockjs.js")
    endpoint.start(make_hub(clock, limit))
    return endpoint


def settle(manager: Manager) -> None:
    """End the tick of a manager's clock."""
    clock = manager.clock
    assert isinstance(clock, HandClock)
    clock.settle()


# The browser's client


def decode_uri(text: str) -> str:
    """Decode as ECMAScript's ``decodeURI`` does: it leaves its reserved characters encoded."""

    def decode(match: re.Match[str]) -> str:
        code = int(match[1] or "nothing", 16)
        assert code < 128, "a frame is ASCII"
        return match[0] if chr(code) in ";/?:@&=+$,#" else chr(code)

    return re.sub(r"%([0-9A-Fa-f]{2})?", decode, text)


def _lines(data: bytes) -> list[str]:
    *lines, rest = data.decode("ascii").split("\n")
    assert not rest
    return lines


def _events(data: bytes) -> list[str]:
    *events, rest = data.decode("ascii").split("\r\n\r\n")
    assert not rest
    frames = []
    for event in events:
        # Any of these ends a line of an event stream.
        assert len(re.split(r"\r\n|\r|\n", event)) == 1
        frames.append(decode_uri(event.removeprefix("data: ")))
    return frames


def _scripts(data: bytes) -> list[str]:
    frames = []
    page = data.decode("ascii")
    while page:
        assert page.startswith("<script>")
        # HTML, 13.2.5.17: `<!--` and `<script` in a script change what ends it.
        script, _, page = page.removeprefix("<script>").partition("</script>")
        assert "<" not in script
        page = page.removeprefix("\r\n")
        match = re.fullmatch(r"\np\((\"[^\r\n]*\")\);\n", script)
        assert match is not None, script
        frames.append(json.loads(match[1]))
    return frames


def _calls(data: bytes) -> list[str]:
    match = re.fullmatch(r"/\*\*/[\w.-]+\((\"[^\r\n]*\")\);\r\n", data.decode("ascii"))
    assert match is not None, data
    return [json.loads(match[1])]


def texts(data: bytes) -> list[str]:
    """Take a server's WebSocket text messages out of their frames (RFC 6455, 5.2)."""
    found = []
    while data:
        assert data[0] == 0x81, "final, text"
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
            assert size > 125
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
            assert size > 65535
        assert len(data) >= start + size
        found.append(data[start : start + size].decode())
        data = data[start + size :]
    return found


_UNWRAP: dict[str, Callable[[bytes], list[str]]] = {
    "xhr-polling": _lines,
    "xhr-streaming": _lines,
    "eventsource": _events,
    "htmlfile": _scripts,
    "jsonp-polling": _calls,
    "websocket": texts,
    "raw-websocket": texts,
}


def unwrap(transport: Transport, data: bytes) -> list[str]:
    """Take the frames out of what a transport wrote, as the browser and its client do."""
    return _UNWRAP[transport.name](data)
