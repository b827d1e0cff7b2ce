"""What the tests of resumable sessions hold: an application, a server, receivers; no sockets."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from sockjs_bridge.core.credentials import Credentials
from sockjs_bridge.core.hub import Capacity, Hub
from sockjs_bridge.core.settings import Settings
from sockjs_bridge.core.transports import Transport
from sockjs_bridge.resume import frames
from sockjs_bridge.resume.contracts import ResumeMonitor
from sockjs_bridge.resume.link import Link
from sockjs_bridge.resume.manager import Found, Limits, ResumeManager
from sockjs_bridge.resume.session import ResumableSession
from sockjs_bridge.resume.transports import POLL, STREAM, WEBSOCKET
from tests.support import HandClock, Recorder

KEY = "k" * 22
OTHER_KEY = "o" * 22
PLACE = ("/echo", "s" * 22)
ALICE = b"alice"


class Application:
    """Fulfils `ResumableHandler`; handles what arrives at once, unless it is slow.

    Attributes:
        calls: what was called, in order.
        got: the messages that arrived.
        slow: messages are handled by `handle` only.
        on_message: called with each message that is handled.
    """

    def __init__(self, *, slow: bool = False) -> None:
        self.session: ResumableSession | None = None
        self.calls: list[Any] = []
        self.got: list[str] = []
        self.slow = slow
        self.done = 0
        self.on_open: Callable[[], object] = lambda: None
        self.on_message: Callable[[str], object] = lambda text: None

    def opened(self) -> None:
        self.calls.append("opened")
        self.on_open()

    def received(self, messages: list[str]) -> None:
        self.got += messages
        if not self.slow:
            for text in messages:
                self.done += 1
                self.on_message(text)

    def backlog(self) -> int:
        return len(self.got) - self.done

    def handled(self) -> int:
        return self.done

    def suspended(self) -> None:
        self.calls.append("suspended")

    def resumed(self) -> None:
        self.calls.append("resumed")

    def closed(self, code: int, reason: str) -> None:
        self.calls.append(("closed", code, reason))

    def handle(self, count: int = 1) -> None:
        """Handle some of what waits."""
        assert self.session is not None
        for _ in range(count):
            self.on_message(self.got[self.done])
            self.done += 1
            if self.session.awaited:
                self.session.ready()


class LinkRecorder(Recorder):
    """Fulfils `LinkReceiver`."""

    def __init__(self) -> None:
        super().__init__(WEBSOCKET)
        self.closed_with: tuple[int, str] | None = None

    def end_with(self, code: int, reason: str) -> None:
        self.closed_with = code, reason
        self.end()


class Counting(ResumeMonitor):
    """Counts what is called, by name."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def resumed(self, transport: Transport) -> None:
        self._count("resumed")

    def replaced(self, transport: Transport) -> None:
        self._count("replaced")

    def stale(self, transport: Transport) -> None:
        self._count("stale")

    def lost(self, transport: Transport) -> None:
        self._count("lost")

    def moved(self, transport: Transport) -> None:
        self._count("moved")

    def tombstone(self, transport: Transport) -> None:
        self._count("tombstone")

    def polled(self) -> None:
        self._count("polled")


def answers(recorder: Recorder) -> list[Any]:
    """Read the lines of a response: what `r` tells, messages as lists, the rest as text."""
    return [
        json.loads(line[1:]) if line[0] in "ra" else line.replace('"', "")
        for line in recorder.frames
    ]


class Server:
    """Serves one endpoint without sockets, as the server does.

    Attributes:
        application: of the session that is made next, or was last.
    """

    def __init__(self, limits: Limits | None = None, **settings: Any) -> None:
        self.clock = HandClock()
        self.monitor = Counting()
        self.capacity = Capacity(settings.pop("places", 1000))
        self.hub = Hub(self.clock, self.capacity, monitor=settings.pop("monitor", None))
        shared = settings.pop("shared", None)
        self.manager = ResumeManager(
            Settings().override(settings),
            self.hub,
            limits,
            self.monitor,
            shared,
        )
        self.application = Application()
        self.numbers = itertools.count(1)

    @property
    def session(self) -> ResumableSession:
        session = self.manager.get(PLACE)
        assert session is not None
        return session

    def make(self, place: tuple[str, str] = PLACE, *, admit: bool = True) -> ResumableSession:
        """Make a session, as a receive request with ``new`` does."""
        session = self.manager.create(place)
        session.credentials = Credentials(ALICE)
        self.application.session = session
        if admit:
            session.credentials.settle("alice")
        return session

    def hello(self, **fields: Any) -> dict[str, Any]:
        """Fill in what each receive request needs."""
        request = fields.pop("request", None) or next(self.numbers)
        return {"key": KEY, "request": request, "received": 0, **fields}

    def look(self, body: bytes, fingerprint: bytes = ALICE, *, stream: bool = False) -> Found:
        return self.manager.look(
            PLACE, frames.parse_receive(body, stream=stream), POLL, fingerprint
        )

    def receive(
        self,
        transport: Transport = POLL,
        *,
        fingerprint: bytes = ALICE,
        writable: bool = True,
        admit: bool = True,
        **fields: Any,
    ) -> Recorder:
        """Ask over HTTP; the session is made where it may be."""
        request = frames.parse_receive(
            json.dumps(self.hello(**fields)).encode(), stream=transport is STREAM
        )
        recorder = Recorder(transport, open=writable)
        found = self.manager.look(PLACE, request, transport, fingerprint)
        session = found.session
        made = None
        if found.make:
            made = session = self.make(admit=admit)
        if session is not None:
            terms = self.manager.terms(session, "net") if request.new else None
            session.attach(request, recorder, terms)
            if made is not None and admit:
                made.accept(self.application)
        elif found.line is not None:
            recorder.write(transport.frame(found.line, ""))
            recorder.end()
        else:
            recorder.write(b"r403\n")
            recorder.end()
        self.clock.settle()
        return recorder

    def poll(self, **fields: Any) -> Recorder:
        return self.receive(POLL, **fields)

    def stream(self, **fields: Any) -> Recorder:
        return self.receive(STREAM, **fields)

    def connect(self, fingerprint: bytes = ALICE) -> tuple[Link, LinkRecorder]:
        """Open a WebSocket."""
        recorder = LinkRecorder()
        link = Link(self.manager, PLACE, fingerprint, "net")
        link.begin(recorder)
        return link, recorder

    def websocket(self, **fields: Any) -> tuple[Link, LinkRecorder]:
        """Open a WebSocket, by ``?new`` where there is no session, and say hello."""
        if fields.get("new") and self.manager.get(PLACE) is None:
            self.make().accept(self.application)
        link, recorder = self.connect()
        self.say(link, self.hello(**fields))
        return link, recorder

    def say(self, link: Link, frame: Any) -> None:
        """Send a frame over a WebSocket."""
        link.text(json.dumps(frame))
        self.clock.settle()

    def post(self, key: str = KEY, fingerprint: bytes = ALICE, **fields: Any) -> Any:
        """Send over HTTP; return the answer, or the status of a refusal."""
        send = frames.parse_send(json.dumps({"key": key, **fields}).encode())
        found = self.manager.look_up(PLACE, key, fingerprint)
        if found.session is not None:
            upload = found.session.take_send(send, lambda: None)
            self.clock.settle()
            if upload is not None:
                self.clock.advance(1.0)
                found.session.withdraw(upload)
            return found.session.answer()
        if found.tombstone is not None:
            return found.tombstone.answer
        return 403 if found.line is None else 404

    def send(self, *texts: str) -> None:
        """Have the application send."""
        for text in texts:
            self.session.send(text)
        self.clock.settle()
